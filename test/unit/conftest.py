"""A small survey world without models, radio noise of its own or ROS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.loop.links import Receivers, link_table
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.survey import Survey
from sec_nodes.slot import (
    DeviceTable,
    ModelTable,
    ServerKind,
    ServerTable,
    SlotState,
    TaskTable,
)


@pytest.fixture(scope='session')
def settings():
    return read_settings('survey', {'devices.count': 4})


@pytest.fixture(scope='session')
def models():
    """Two networks: one small with 3 cuts, one large with 4; sizes in round numbers."""
    return ModelTable(
        model_id=('scene-s', 'scene-l'),
        accuracy=np.array([0.8, 0.95]),
        n_cuts=np.array([3, 4]),
        front_flop=np.array([[0.0, 4e6, 10e6, 0.0], [0.0, 20e6, 60e6, 100e6]]),
        start_flop=np.zeros((2, 4)),
        back_flop=np.array([[10e6, 6e6, 0.0, 0.0], [100e6, 80e6, 40e6, 0.0]]),
        cut_bit=np.array([[4e5, 1e5, 256.0, 0.0], [4e5, 2e5, 5e4, 256.0]]),
    )


@pytest.fixture(scope='session')
def scenario(settings, models):
    return Survey(settings, models)


@pytest.fixture
def state(settings, models):
    """Four devices, each with one task; three UAVs and four satellites, all in view."""
    return make_state(settings, models)


def make_state(settings, models, accuracy=(0.5, 0.6, 0.7, 0.9)):
    device_m = np.array([[100.0, 100, 0], [400, 100, 0], [250, 400, 0], [480, 480, 0]])
    uav_m = np.array([[120.0, 120, 40], [380, 120, 50], [250, 380, 60]])
    satellite_m = np.array([[0.0, 0, 5e5], [3e5, 0, 6e5], [0, 4e5, 6e5], [9e5, 0, 7e5]])
    position_m = np.vstack([uav_m, satellite_m])
    kind = np.array([ServerKind.UAV] * 3 + [ServerKind.SATELLITE] * 4, dtype=np.int64)
    n_servers, n_devices = len(kind), len(device_m)
    is_uav = kind == ServerKind.UAV
    receivers = Receivers(
        kind=kind,
        receiver=np.arange(n_servers),
        position_m=position_m,
        in_view=np.ones(n_servers, dtype=bool),
        hops=np.array([0, 0, 0, 0, 0, 0, 2]),
        isl_m=np.array([0, 0, 0, 0, 0, 0, 6e6]),
        remaining_s=np.where(is_uav, np.inf, 300.0),
        transmit_power_w=np.where(is_uav, 2.0, 4.0),
    )
    device_id = np.arange(n_devices)
    return SlotState(
        slot=3,
        time_s=3.0,
        slot_s=1.0,
        tasks=TaskTable(
            task_id=np.array([7, 8, 9, 10]),
            device=device_id.copy(),
            created_s=np.full(4, 3.0),
            deadline_s=np.array([0.9, 0.4, 0.6, 1.0]),
            accuracy=np.array(accuracy),
            input_bit=np.zeros(4),
            steps=np.ones(4),
            answer_bit=np.full(4, 384.0),
            attempt=np.zeros(4, dtype=np.int64),
        ),
        devices=DeviceTable(
            device_id=device_id,
            position_m=device_m,
            velocity_m_s=np.zeros((n_devices, 3)),
            flop_s=np.array([5e7, 5e7, 1e8, 2e8]),
            backlog_s=np.zeros(n_devices),
            model=np.zeros(n_devices, dtype=np.int64),
        ),
        servers=ServerTable(
            kind=kind,
            alive=np.ones(n_servers, dtype=bool),
            position_m=position_m,
            velocity_m_s=np.zeros((n_servers, 3)),
            model=np.where(is_uav, 0, 1),
            flop_s=np.where(is_uav, 1e10, 2e10),
            compute_power_w=np.where(is_uav, 25.0, 50.0),
            transmit_power_w=np.where(is_uav, 2.0, 4.0),
            backlog_s=np.zeros(n_servers),
            energy_left_j=np.full(n_servers, np.inf),
        ),
        models=models,
        links=link_table(settings, 1, 3, device_id, device_m, receivers),
    )


@pytest.fixture
def with_dead():
    """A state with some servers dead."""

    def kill(state, *servers):
        alive = state.servers.alive.copy()
        alive[list(servers)] = False
        return replace(state, servers=replace(state.servers, alive=alive))

    return kill
