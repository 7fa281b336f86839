"""Trained policies as controllers of single slots of mllm, as the ROS nodes have them.

UAVs transmit where they are when a slot begins and fly to their goals afterwards, so servers are
chosen among those that are admissible now, and the places that a policy chooses are goals.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sec_nodes.controllers.base import Controller, decision, register
from sec_nodes.controllers.baselines import best_admissible
from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.controllers.mllm.shipped import (
    SCENARIO,
    best_fit,
    require_fit,
    shipped_names,
    summary,
)
from sec_nodes.controllers.mllm.slot_sight import SlotSight, newest_of_each_device
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.slot import (
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    SlotDecision,
    SlotState,
)

_log = logging.getLogger(__name__)


class _Answer(NamedTuple):
    """What a policy says about a slot."""

    server: IntArray
    """(K,) best score among the admissible ones."""
    power_w: FloatArray
    """(K,)"""
    goal_m: FloatArray
    """(M, 2)"""


class LearnedSlot(Controller):
    """What training has found best, without exploration.

    Policies for any fleet see every task. The others have one place a device: of a device that
    has several tasks they see the newest; the older ones, which were lost on their way, go to the
    admissible server that hears them best, at full power. Tasks that nobody may serve are
    declined, and without any task UAVs stay.

    Subclasses have a name, and a file unless the policy that ships by that name is meant.

    Attributes:
        unseen: how many tasks the policy was not shown so far.

    Raises:
        ControllerError: the policy was trained for another problem.
    """

    plays: ClassVar[str | None] = SCENARIO
    file: ClassVar[PolicyFile | None] = None

    def __init__(self, scenario: Any, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        file = self.file or best_fit(self.name, settings)
        require_fit(file, settings, self.name)
        self._policy = file.policy(settings, moves_first=False)
        self._sight, self._controls = SlotSight(scenario), Controls(settings)
        self._devices = settings.devices.count
        self.unseen = 0

    def decide(self, state: SlotState) -> SlotDecision:
        """The best that the policy knows with the UAVs where they are."""
        here_m = state.servers.position_m[: state.n_uavs]
        if not state.n_tasks:
            return decision(state, np.zeros(0, dtype=np.int64), uav_goal_m=here_m.copy())
        admissible = self.scenario.admissible(state)
        ask = self._of_tasks if self._policy.any_fleet else self._of_devices
        answer = ask(state, admissible[:, :-1])
        gain = state.links.gain[state.tasks.device]
        some = admissible[:, :-1].any(axis=1)
        server = np.where(some, answer.server, best_admissible(gain, admissible))
        others = admissible.copy()
        others[some, server[some]] = False
        goal_m = here_m.copy()
        goal_m[:, :2] = answer.goal_m
        return decision(
            state,
            server,
            power_w=np.clip(answer.power_w.astype(np.float64), *self.scenario.transmit_power_w),
            backup=np.maximum(best_admissible(gain, others), LOCAL),
            uav_goal_m=goal_m,
        )

    def _of_tasks(self, state: SlotState, allowed: BoolArray) -> _Answer:
        """Every task is a device of its own."""
        return self._asked(state, self._sight.of_tasks(state), _with_a_choice(allowed))

    def _of_devices(self, state: SlotState, allowed: BoolArray) -> _Answer:
        """One task a device."""
        seen, unseen = newest_of_each_device(state)
        at = state.devices.device_id[state.tasks.device[seen]]
        mask = np.ones((self._devices, state.n_servers), dtype=np.bool_)
        mask[at] = _with_a_choice(allowed[seen])
        found = self._asked(state, self._sight.of_devices(state, seen), mask)
        server = np.zeros(state.n_tasks, dtype=np.int64)
        power_w = np.full(state.n_tasks, self.scenario.transmit_power_w[1])
        server[seen], power_w[seen] = found.server[at], found.power_w[at]
        if len(unseen):
            self.unseen += len(unseen)
            gain = state.links.gain[state.tasks.device[unseen]]
            server[unseen] = np.where(allowed[unseen], gain, -1.0).argmax(axis=1)
            _log.info(
                'slot %d: %d tasks besides the newest of their devices go to who hears them best; '
                '%d so far', state.slot, len(unseen), self.unseen,
            )  # fmt: skip
        return _Answer(server, power_w, found.goal_m)

    def _asked(self, state: SlotState, observation: FloatArray, mask: BoolArray) -> _Answer:
        server, continuous = self._policy.answer(observation, lambda _: mask[None])
        uav_m = state.servers.position_m[None, : state.n_uavs, :2]
        power_w, goal_m = self._controls.read(continuous, uav_m)
        return _Answer(server[0], power_w[0], goal_m[0])


def from_file(name: str, file: PolicyFile) -> type[LearnedSlot]:
    """A controller of a name that plays a file."""
    return _subclass(name, {'file': file, '__doc__': f'The policy in {file.path}.'})


def _with_a_choice(allowed: BoolArray) -> BoolArray:
    """The mask with everything allowed to those who may do nothing, as in training."""
    return allowed | ~allowed.any(axis=1, keepdims=True)


def _subclass(name: str, members: dict[str, Any]) -> type[LearnedSlot]:
    return type(f'Learned_{name}', (LearnedSlot,), {'name': name, **members})


for _name in shipped_names():
    register(_subclass(_name, {'__doc__': summary(_name)}))
