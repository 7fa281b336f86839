"""A small world of the partial scenario with a plan that keeps every constraint with room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.instance import PartialState, new_mission
from sec_nodes.scenarios.registry import read_settings

SLOTS, SLOT_S = 30, 2.0


class World(NamedTuple):
    """A scenario, its only copy, and a sound plan for it."""

    scenario: Partial
    state: PartialState
    plan: PartialDecision


def small_world(**overrides: object) -> World:
    """Two UAVs, three tasks. Tasks 0 and 1 wait beside the depot, task 2 450 m to the east.

    Task 2 can only upload its 0.8 Mb program in time if its UAV comes to it at once.
    """
    settings = read_settings(
        'partial',
        {
            'slots': SLOTS,
            'slot_s': SLOT_S,
            'uavs.count': 2,
            **{key.replace('__', '.'): value for key, value in overrides.items()},
        },
    )
    data_bit = np.array([[1e6, 1e6, 2e6]])
    shares = np.array([[0.2, 0.1], [0.25, 0.1], [0.4, 0.1]])
    state = new_mission(
        settings,
        seed=np.zeros(1, dtype=np.int64),
        terminal_m=np.array([[[0.0, 0.0], [0.0, 60.0], [450.0, 0.0]]]),
        data_bit=data_bit,
        work_cycle_per_bit=np.full((1, 3), 6e3),
        deadline_s=np.full((1, 3), 58.0),
        local_hz=np.full((1, 3), 3e8),
        splits_bit=shares[None, None] * data_bit[..., None, None],
        split=np.array([[0, 0, 2]]),
        depot_m=np.zeros((1, 2)),
    )
    east_m = np.minimum(np.minimum(np.arange(SLOTS + 1), np.arange(SLOTS, -1, -1)) * 36.0, 450.0)
    fly_m = np.stack([np.zeros((SLOTS + 1, 2)), np.column_stack([east_m, np.zeros(SLOTS + 1)])])
    plan = PartialDecision(
        waypoint_m=fly_m[None],
        server=np.array([[0, 0, 1]]),
        cpu_hz=np.full((1, 3), 1e9),
        split=state.split,
    )
    return World(Partial(settings), state, plan)
