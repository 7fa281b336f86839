"""Trained policies as controllers of many copies of mllm."""

from __future__ import annotations

from typing import Any, ClassVar

from sec_nodes.controllers.batch import register_batch
from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.controllers.mllm.baselines import MllmController
from sec_nodes.controllers.mllm.shipped import best_fit, require_fit, shipped_names, summary
from sec_nodes.controllers.mllm.sight import Sight
from sec_nodes.scenarios.mllm import Mllm, MllmDecision, MllmState
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.scenarios.mllm.observation import Observer


class Learned(MllmController):
    """What training has found best, without exploration.

    Subclasses have a name, and a file unless the policy that ships by that name is meant.

    Raises:
        ControllerError: the policy was trained for another problem.
    """

    file: ClassVar[PolicyFile | None] = None

    def __init__(self, scenario: Mllm, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        file = self.file or best_fit(self.name, settings)
        require_fit(file, settings, self.name)
        self._policy = file.policy(settings)
        self._observer, self._sight = Observer(scenario), Sight(settings)
        self._controls = Controls(settings)

    def decide(self, state: MllmState) -> MllmDecision:
        """The best that the policy knows; UAVs first, then who may be served where they are."""
        observation = self._observer.observe(state)
        server, continuous = self._policy.answer(
            observation, lambda continuous: self._sight.mask(observation, continuous)
        )
        power_w, uav_m = self._controls.read(continuous, state.uav_m)
        return MllmDecision(server, power_w.astype(self.scenario.dtype, copy=False), uav_m)


def from_file(name: str, file: PolicyFile) -> type[Learned]:
    """A controller of a name that plays a file."""
    return _subclass(name, {'file': file, '__doc__': f'The policy in {file.path}.'})


def _subclass(name: str, members: dict[str, Any]) -> type[Learned]:
    return type(f'Learned_{name}', (Learned,), {'name': name, **members})


for _name in shipped_names():
    register_batch(_subclass(_name, {'__doc__': summary(_name)}))
