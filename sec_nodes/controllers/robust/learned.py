"""Trained policies as controllers of many copies of robust.

They answer with the vector that training has them answer with, and it is read alike: tasks go to
living UAVs only and only by splits that exist. `slot` makes controllers of single slots of them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.controllers.robust.policies import (
    ACTION,
    LEARNED,
    SCENARIO,
    SEEN,
    Network,
    best_fit,
    network_of,
    shipped,
)
from sec_nodes.controllers.robust.sight import Looker
from sec_nodes.scenarios.robust import Robust, vector
from sec_nodes.scenarios.robust.state import RobustDecision, RobustState
from sec_nodes.slot import FloatArray


class Learned(BatchController[Robust, RobustState, RobustDecision]):
    """What training has found best, without exploration.

    Subclasses have a name, and a network unless the policy that ships by that name is meant.

    Raises:
        ControllerError: the policy was trained for another scenario.
    """

    scenario_name = SCENARIO
    network: ClassVar[Network | None] = None

    def __init__(self, scenario: Robust, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._network = self.network or best_fit(self.name, scenario.settings)
        self._network.require_fit(scenario.settings)
        self._look = Looker(scenario)

    def decide(self, state: RobustState) -> RobustDecision:
        """The best that the policy knows."""
        return vector.decode(self.scenario, state, self.action(state))

    def action(self, state: RobustState) -> FloatArray:
        """The policy's answers (B, D) in [-1, 1]."""
        observation = vector.observe(self.scenario, state)
        if self._network.sees:
            seen = self._look(observation)._asdict()
            given = {name: seen[name] for name in SEEN}
        else:
            given = {'observation': observation}
        answer: FloatArray = self._network.session.run([ACTION], given)[0]
        return answer


def from_file(name: str, file: PolicyFile) -> type[Learned]:
    """A controller of a name that plays a file."""
    return _subclass(name, {'network': network_of(file), '__doc__': f'Policy {file.path}.'})


def _subclass(name: str, members: dict[str, Any]) -> type[Learned]:
    return type(f'Learned_{name}', (Learned,), {'name': name, **members})


def _summary(name: str) -> str:
    """What a controller is, and the modes that it was trained on, in a line."""
    modes = ', '.join(path.parent.name for path in shipped(name))
    return f'{LEARNED[name]}; trained on {modes}.'


for _name in LEARNED:
    if shipped(_name):
        register_batch(_subclass(_name, {'__doc__': _summary(_name)}))
