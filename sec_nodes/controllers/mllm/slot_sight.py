"""A slot as the ROS nodes have it, seen as trained policies see mllm.

Blocks and scales are those of `scenarios.mllm.observation`. A satellite is visible if devices
talk to it directly; its gain and the time that it stays are then those of its own column. UAVs
are seen where they are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sec_nodes.scenarios.mllm.observation import Encoder, Sights
from sec_nodes.scenarios.mllm.offloading import MllmOffloading
from sec_nodes.slot import FloatArray, IntArray, SlotState

_SIZES = 64
"""Numbers of tasks for which the layout of observations is remembered."""


class SlotSight:
    """Observations of single slots.

    Args:
        scenario: costs and parameters of the system.
    """

    def __init__(self, scenario: MllmOffloading) -> None:
        settings, noise_w = scenario.settings, scenario.links.noise_w
        self._uavs = settings.uavs.count
        self._devices = settings.devices.count
        self._encoder = lru_cache(_SIZES)(lambda rows: Encoder(settings, rows, noise_w))

    def of_tasks(self, state: SlotState) -> FloatArray:
        """An observation (1, n) of as many devices as there are tasks, in their order."""
        rows = np.arange(state.n_tasks)
        return self._observe(state, rows, rows, state.tasks.device, state.n_tasks)

    def of_devices(self, state: SlotState, tasks: IntArray) -> FloatArray:
        """An observation (1, n) of all devices of the scenario, by their identifiers.

        Devices that are not in the slot are in the south-west corner and heard by nobody.

        Args:
            state: the slot.
            tasks: rows of the tasks to be seen, at most one a device; other devices are idle.

        Raises:
            ValueError: a device that the scenario does not have.
        """
        known = state.devices.device_id
        if len(known) and not 0 <= known.min() <= known.max() < self._devices:
            raise ValueError(
                f'device {known.max()} is in the slot, but devices.count is {self._devices}'
            )
        at = known[state.tasks.device[tasks]]
        return self._observe(state, tasks, at, np.arange(len(known)), self._devices, known)

    def _observe(
        self,
        state: SlotState,
        tasks: IntArray,
        at: IntArray,
        devices: IntArray,
        rows: int,
        devices_at: IntArray | None = None,
    ) -> FloatArray:
        """An observation of some rows.

        Args:
            state: the slot.
            tasks: rows of tasks.
            at: where each of them is seen.
            devices: rows of devices.
            rows: K of the observation.
            devices_at: where each device is seen; None for one after the other.
        """
        m, links = self._uavs, state.links
        own = np.arange(m, state.n_servers)
        reachable = links.reachable[:, m:].any(axis=0)
        visible = (links.receiver[m:] == own) & reachable
        where = slice(None) if devices_at is None else devices_at

        def spread(values: FloatArray) -> FloatArray:
            row = np.zeros((1, rows))
            row[0, at] = values[tasks]
            return row

        gain = np.zeros((1, rows, state.n_servers))
        gain[0, where] = links.gain[devices]
        device_m = np.zeros((1, rows, 2))
        device_m[0, where] = state.devices.position_m[devices, :2]
        active = np.zeros((1, rows), dtype=np.bool_)
        active[0, at] = True
        sights = Sights(
            size_bit=spread(state.tasks.input_bit),
            words=spread(state.tasks.steps),
            accuracy=spread(state.tasks.accuracy),
            deadline_s=spread(state.tasks.deadline_s),
            active=active,
            gain=gain,
            device_m=device_m,
            uav_m=state.servers.position_m[None, :m, :2],
            remaining_s=np.where(visible, links.remaining_s[m:], 0.0)[None],
            visible=visible[None],
            backlog_s=state.servers.backlog_s[None],
        )
        return self._encoder(rows)(sights)


def newest_of_each_device(state: SlotState) -> tuple[IntArray, IntArray]:
    """Rows of the newest task of each device, and rows of all others, both ascending."""
    tasks = state.tasks
    order = np.lexsort((tasks.task_id, tasks.created_s, tasks.device))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = tasks.device[order][1:] != tasks.device[order][:-1]
    return np.sort(order[last]), np.sort(order[~last])
