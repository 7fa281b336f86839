"""The mllm scenario behind gymnasium's interfaces.

Observations: see `sec_nodes.scenarios.mllm.observation`. An action is

=============== ======================== ====================================================
part            space                    meaning
=============== ======================== ====================================================
`server`        MultiDiscrete([S] * K)   x, the server that computes each device's answer
`continuous`    Box(-1, 1, (K + 2 M,))   first K numbers y: power P_min + (P_max - P_min)
                                         (y + 1) / 2 of each device; then east and north of
                                         each UAV: its position (y + 1) / 2 of the area, or,
                                         with a speed limit, a displacement of y times the
                                         longest one, shortened if longer than that
=============== ======================== ====================================================

The reward is -penalised cost: the mean over the tasks of cost and penalty. `info` holds

==================== ========= ==============================================================
key                  shape     meaning
==================== ========= ==============================================================
`action_mask`        (B, K, S) servers that may be chosen next with the UAVs where they are;
                               `action_mask` with other positions: `masks`
`active`             (B, K)    who asks next
`task_reward`        (B, K)    each task's share of the reward; they add up to it
`cost`               (B,)      eq. (31)
`penalised_cost`     (B,)      with penalties
`reward_eq34`        (B,)      beta_r / cost
`training_reward`    (B,)      beta_r / penalised cost
`latency_s`          (B,)      mean over the tasks
`energy_j`           (B,)      sum over the tasks
flags                (B, K)    `accuracy_broken`, `coverage_broken`, `visibility_broken`,
                               `power_broken`, `late`, `dropped`, `unserved`
==================== ========= ==============================================================

`reset` gives the first two only, without the axis B in the environment of one copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sec_nodes.environments.base import (
    Info,
    ScenarioEnv,
    ScenarioVectorEnv,
    mode_settings,
    require_unit_range,
)
from sec_nodes.environments.mllm_observation import observation_space
from sec_nodes.scenarios.mllm import Mllm, MllmDecision, MllmOutcome, MllmState
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.scenarios.mllm.observation import Observer
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.slot import BoolArray, FloatArray

FLAGS = (
    'accuracy_broken',
    'coverage_broken',
    'visibility_broken',
    'power_broken',
    'late',
    'dropped',
    'unserved',
)
"""Flags of an outcome that `info` holds."""


class MllmVectorEnv(ScenarioVectorEnv[MllmState, MllmDecision, MllmOutcome]):
    """Many copies of mllm in float32.

    Args:
        num_envs: number of copies B.
        mode: one of the modes in config/scenarios/mllm.yaml; None for the file as it stands.
        overrides: settings that replace those of the mode, by dotted key.
    """

    scenario: Mllm

    def __init__(
        self,
        num_envs: int = 1,
        mode: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        settings = mode_settings('mllm', mode, overrides, MllmSettings)
        scenario = Mllm(settings, dtype=np.float32)
        self.observer = Observer(scenario)
        k, m = scenario.n_devices, scenario.n_uavs
        action_space = spaces.Dict(
            {
                'continuous': spaces.Box(-1.0, 1.0, (k + 2 * m,), dtype=np.float32),
                'server': spaces.MultiDiscrete(np.full(k, scenario.n_servers)),
            }
        )
        space = observation_space(settings, self.observer)
        super().__init__(scenario, num_envs, space, action_space)
        self._controls = Controls(settings)

    def observe(self, state: MllmState) -> FloatArray:
        """Observations (B, n), see `sec_nodes.scenarios.mllm.observation`."""
        return self.observer.observe(state)

    def decode(self, state: MllmState, action: Mapping[str, Any]) -> MllmDecision:
        """The decision that an action means.

        Raises:
            ValueError: parts missing, of wrong shape, outside [-1, 1] or NaN.
        """
        try:
            server, continuous = action['server'], action['continuous']
        except (KeyError, TypeError, IndexError):
            raise ValueError(
                "action must be a dict with 'server' and 'continuous'; see action_space"
            ) from None
        power_w, uav_m = self._continuous(state, continuous)
        return MllmDecision(np.asarray(server), power_w, uav_m)

    def masks(self, continuous: FloatArray) -> BoolArray:
        """Servers (B, K, S) that may be chosen together with this continuous part of an action.

        Coverage is that of the positions which the UAVs are sent to. Errors as `decode`.
        """
        uav_m = self._continuous(self.state, continuous)[1]
        return self.scenario.mask(self.state, uav_m)

    def reward(self, state: MllmState, outcome: MllmOutcome) -> FloatArray:
        """-penalised cost, (B,)."""
        return -outcome.penalised_cost

    def describe(self, state: MllmState) -> Info:
        """Masks of the next decision."""
        mask = self.scenario.mask(state, state.uav_m)
        return {'action_mask': mask, 'active': state.active}

    def report(self, state: MllmState, outcome: MllmOutcome) -> Info:
        """Rewards by task, costs and flags of the slot that is over."""
        share = -1 / np.add.reduce(state.active, axis=-1, dtype=np.float32, keepdims=True)
        info: Info = {
            'task_reward': (outcome.task_cost + outcome.task_penalty) * share,
            'cost': outcome.cost,
            'penalised_cost': outcome.penalised_cost,
            'reward_eq34': outcome.reward,
            'training_reward': outcome.training_reward,
            'latency_s': outcome.latency_s.sum(axis=-1) * -share[:, 0],
            'energy_j': outcome.energy_j.sum(axis=-1),
        }
        for name in FLAGS:
            info[name] = getattr(outcome, name)
        return info

    def _continuous(self, state: MllmState, continuous: Any) -> tuple[FloatArray, FloatArray]:
        """Powers (B, K) and positions (B, M, 2) of the continuous part of actions."""
        scenario = self.scenario
        part = np.asarray(continuous, dtype=np.float32)
        shape = (len(state.seed), scenario.n_devices + 2 * scenario.n_uavs)
        if part.shape != shape:
            raise ValueError(f'continuous has shape {part.shape}, but must have {shape}')
        require_unit_range('continuous', part)
        return self._controls.read(part, state.uav_m)


class MllmEnv(ScenarioEnv):
    """One copy of mllm: a batch of one.

    Args:
        mode: as for `MllmVectorEnv`.
        overrides: as for `MllmVectorEnv`.
    """

    def __init__(
        self, mode: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(MllmVectorEnv(1, mode, overrides))
