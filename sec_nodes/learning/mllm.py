"""mllm as something to learn: its environment behind `Problem`, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sec_nodes.controllers.mllm.sight import Sight
from sec_nodes.environments.mllm import MllmVectorEnv
from sec_nodes.learning.problem import Action, Problem, Shape, Turn
from sec_nodes.slot import FloatArray

POWER_BINS, MOVE_BINS = 5, 3
"""Values that a device's power and each axis of a UAV's move take where they are discretised."""

BROKEN = (
    'accuracy_broken',
    'coverage_broken',
    'visibility_broken',
    'power_broken',
    'dropped',
)
"""Flags that count as violations, as in the summaries of the scenario; lateness counts apart."""


class MllmProblem(Problem):
    """Copies of mllm. Each device chooses a server; the D = K + 2 M numbers are powers and moves.

    The reward is minus the penalised cost, eq. (31) with its constraints, device by device: Yan
    et al., Drones 2025, 9, 500. Devices that do not ask have a reward of 0. Nothing terminates:
    episodes are cut off after the scenario's slots.

    Args:
        mode: one of the modes in config/scenarios/mllm.yaml; None for the file as it stands.
        copies: B.
        overrides: settings that replace those of the mode, by dotted key.

    Raises:
        ValueError: no such mode, settings that are none, or copies < 1.
    """

    def __init__(
        self, mode: str | None, copies: int, overrides: Mapping[str, Any] | None = None
    ) -> None:
        self.environment = MllmVectorEnv(copies, mode, overrides)
        scenario = self.environment.scenario
        devices, moves = scenario.n_devices, 2 * scenario.n_uavs
        self.copies, self.horizon = copies, scenario.horizon
        self.shape = Shape(
            observation=self.environment.observer.length,
            devices=devices,
            options=scenario.n_servers,
            continuous=devices + moves,
            axis_bins=(POWER_BINS,) * devices + (MOVE_BINS,) * moves,
        )
        self._sight = Sight(scenario.settings)

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
        tasks = environment.state.active.sum(axis=-1, dtype=np.float32)
        observation, _, terminated, _, info = environment.advance(
            {'server': action.choice.numpy(), 'continuous': action.continuous.numpy()}
        )
        return Turn(
            reward=torch.from_numpy(info['task_reward']),
            observation=torch.from_numpy(observation),
            terminated=torch.from_numpy(terminated),
            over=environment.over,
            figures=_figures(info, tasks),
        )

    def mask(self, observation: Tensor, continuous: Tensor) -> Tensor:
        """Servers (X, K, S) that each device may use if the UAVs fly as `continuous` says."""
        return self._sight.mask(observation, continuous, torch)


def _figures(info: Mapping[str, Any], tasks: FloatArray) -> dict[str, Tensor]:
    """What is worth watching of a slot with so many tasks (B,); `late_share` is of these."""
    violations = sum(info[flag].sum(axis=-1, dtype=np.float32) for flag in BROKEN)
    late_share = info['late'].sum(axis=-1, dtype=np.float32) / tasks
    figures = {
        'cost': info['penalised_cost'],
        'raw_cost': info['cost'],
        'latency_s': info['latency_s'],
        'energy_j': info['energy_j'],
        'violations': violations,
        'late_share': late_share,
    }
    return {name: torch.from_numpy(values) for name, values in figures.items()}
