"""robust as something to learn: its environment behind `Problem`, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sec_nodes.environments.robust import RobustVectorEnv
from sec_nodes.learning.problem import Action, Problem, Shape, Turn
from sec_nodes.slot import FloatArray


class RobustProblem(Problem):
    """Copies of robust. There are no choices: the action is the paper's vector in [-1, 1]^D.

    What a split or a UAV is not there for is masked by how the vector is read: see
    `environments.robust`. The reward is (31), -e_tot P_dis P_time P_0 of Meng and Li, in I + 1
    parts that add up to it: for each user its own energy and, if its task is late, e_tot, which
    is what the factor P_time takes for it; for the flights theirs, and what P_dis and P_0 take.
    Nothing terminates: episodes are cut off after the scenario's slots.

    Args:
        mode: one of the modes in config/scenarios/robust.yaml; None for the file as it stands.
        copies: B.
        overrides: settings that replace those of the mode, by dotted key.

    Raises:
        ValueError: no such mode, settings that are none, or copies < 1.
    """

    def __init__(
        self, mode: str | None, copies: int, overrides: Mapping[str, Any] | None = None
    ) -> None:
        self.environment = RobustVectorEnv(copies, mode, overrides)
        scenario = self.environment.scenario
        self.copies, self.horizon = copies, scenario.horizon
        self.shape = Shape(
            observation=self.environment.blocks['alive'].stop,
            devices=0,
            options=1,
            continuous=self.environment.action_blocks['acceleration'].stop,
            parts=scenario.settings.users.count + 1,
        )

    def reset(self, seed: int | None = None) -> Tensor:
        """Begin new episodes: copy i has seed + i; without a seed, the next ones of each copy."""
        return torch.from_numpy(self.environment.reset(seed=seed)[0])

    def step(self, action: Action) -> Turn:
        """Carry out an action in each copy.

        Raises:
            ResetNeeded: before `reset` and after the last slot.
            ValueError: actions of another shape, outside [-1, 1] or NaN.
        """
        environment = self.environment
        observation, _, terminated, _, info = environment.advance(action.continuous.numpy())
        weights = environment.scenario.settings.objective
        reward = reward_parts(info, weights.flight_weight, weights.penalty_late)
        return Turn(
            reward=torch.from_numpy(reward.astype(np.float32)),
            observation=torch.from_numpy(observation),
            terminated=torch.from_numpy(terminated),
            over=environment.over,
            figures=_figures(info),
        )


def reward_parts(info: Mapping[str, Any], flight_weight: float, penalty_late: float) -> FloatArray:
    """(B, I + 1) parts of the reward (31), of each user and of the flights.

    Args:
        info: of a step of the environment.
        flight_weight: w1 of (27).
        penalty_late: what a late task adds to P_time.
    """
    late, cost_j = ~info['completed'], info['cost']
    flight_j = flight_weight * info['flight_j']
    share_j = -info['task_reward'] / info['penalty'][:, None]
    task_j = share_j - (flight_j / late.shape[1])[:, None]
    of_users = task_j + penalty_late * late * cost_j[:, None]
    late_factor = 1 + penalty_late * late.sum(axis=1)
    of_flights = flight_j + cost_j * (info['penalty'] - late_factor)
    return -np.concatenate([of_users, of_flights[:, None]], axis=1)


def _figures(info: Mapping[str, Any]) -> dict[str, Tensor]:
    """What is worth watching of a slot (B,); cost is e_tot, (27)."""
    figures = {
        'cost': info['cost'],
        'late_share': 1 - info['completed'].mean(axis=-1, dtype=np.float32),
        'flight_j': info['flight_j'],
        'penalty': info['penalty'],
        'violations': info['violations'],
    }
    return {name: torch.from_numpy(values.astype(np.float32)) for name, values in figures.items()}
