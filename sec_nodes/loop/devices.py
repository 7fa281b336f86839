"""Devices of one process, and those of survey: where they drift, and when they take pictures."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from sec_nodes.loop.ledger import Task
from sec_nodes.physics.motion import GaussMarkov, gauss_markov_step
from sec_nodes.physics.randomness import Stream, normal, poisson, uniform
from sec_nodes.slot import TASKS_PER_DEVICE, FloatArray, IntArray

if TYPE_CHECKING:
    from sec_nodes.scenarios.survey_settings import SurveySettings


class Devices(ABC):
    """Devices of one process, advanced slot by slot.

    Args:
        ids: their identifiers, ascending.
        flop_s: (D,) speed of their computers [FLOP/s]; 0 for none.
    """

    def __init__(self, ids: list[int], flop_s: FloatArray) -> None:
        self.ids: IntArray = np.array(ids, dtype=np.int64)
        self.slot = -1
        """Slot that they are in; -1 before the first."""
        self.flop_s = flop_s
        self.free_s: FloatArray = np.zeros(len(ids))
        """(D,) when each computer has finished what it was given [s]."""

    @property
    @abstractmethod
    def position_m(self) -> FloatArray:
        """(D, 3) positions [m; map]."""

    @property
    @abstractmethod
    def velocity_m_s(self) -> FloatArray:
        """(D, 3) velocities [m/s; map]."""

    @abstractmethod
    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order.

        Args:
            slot: number of the slot; slots that were missed are caught up with.
            new_tasks: false if no more tasks shall be created.
        """

    def start_s(self, row: int, ready_s: float, service_s: float) -> float:
        """Reserve a device's processor, first come, first served; returns the start [s]."""
        start_s = max(ready_s, float(self.free_s[row]))
        self.free_s[row] = start_s + service_s
        return start_s

    def backlog_s(self, now_s: float) -> FloatArray:
        """(D,) computing time already promised at an instant [s]."""
        return np.maximum(0.0, self.free_s - now_s)


class DeviceFleet(Devices):
    """Devices of survey.

    Each device draws from its own random streams, so that how devices are spread over processes
    changes nothing. Requests arrive as a Poisson process; a device handles one a slot and takes
    the picture when it does, so requests that come faster wait, but no picture gets old.

    Args:
        settings: the scenario.
        ids: identifiers of the devices, ascending.
        seed: seed of the run.
    """

    def __init__(self, settings: SurveySettings, ids: list[int], seed: int) -> None:
        self._settings, self._seed = settings, seed
        place = uniform(seed, Stream.PLACEMENT, np.array(ids, dtype=np.int64), 0, 4)
        slowest, fastest = settings.devices.flop_s
        super().__init__(ids, slowest * (fastest / slowest) ** place[:, 3])
        self._area_m = np.array(settings.area_m)
        self._horizontal_m = place[:, :2] * self._area_m
        self._heading_rad = place[:, 2] * 2 * math.pi
        mobility = settings.devices.mobility
        self._mobility = GaussMarkov(
            heading_memory=mobility.memory_heading,
            speed_memory=mobility.memory_speed,
            mean_heading_rad=math.radians(mobility.mean_heading_deg),
            mean_speed_m_s=mobility.mean_speed_m_s,
            heading_deviation_rad=mobility.sigma_heading_rad,
            speed_deviation_m_s=mobility.sigma_speed_m_s,
        )
        self._speed_m_s = np.full(len(ids), mobility.mean_speed_m_s)
        self._waiting = np.zeros(len(ids), dtype=np.int64)

    @property
    def position_m(self) -> FloatArray:
        """(D, 3) positions [m; map]; devices are on the surface."""
        return np.column_stack([self._horizontal_m, np.zeros(len(self.ids))])

    @property
    def velocity_m_s(self) -> FloatArray:
        """(D, 3) velocities [m/s; map]."""
        direction = np.column_stack([np.cos(self._heading_rad), np.sin(self._heading_rad)])
        horizontal = self._speed_m_s[:, None] * direction
        return np.column_stack([horizontal, np.zeros(len(self.ids))])

    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order."""
        while self.slot < slot:
            self.slot += 1
            if self.slot > 0:
                self._move()
            mean = self._settings.devices.rate_per_s * self._settings.slot_s
            arrived = poisson(self._seed, Stream.ARRIVAL, self.ids, self.slot, 1, mean)[:, 0]
            self._waiting += arrived
        if not new_tasks:
            return []
        asking = np.flatnonzero(self._waiting)
        self._waiting[asking] -= 1
        return self._create(asking)

    def _move(self) -> None:
        draws = normal(self._seed, Stream.MOBILITY, self.ids, self.slot, 2)
        self._horizontal_m, self._heading_rad, self._speed_m_s = gauss_markov_step(
            self._horizontal_m,
            self._heading_rad,
            self._speed_m_s,
            self._mobility,
            draws,
            self._settings.slot_s,
            self._area_m,
        )

    def _create(self, rows: IntArray) -> list[Task]:
        draws = uniform(self._seed, Stream.TASK, self.ids[rows], self.slot, 2)
        wanted = self._settings.tasks
        low, span = wanted.deadline_s[0], wanted.deadline_s[1] - wanted.deadline_s[0]
        deadline_s = low + span * draws[:, 0]
        low, span = wanted.accuracy[0], wanted.accuracy[1] - wanted.accuracy[0]
        accuracy = low + span * draws[:, 1]
        tasks = []
        for row, deadline, required in zip(rows, deadline_s, accuracy, strict=True):
            device = int(self.ids[row])
            tasks.append(
                Task(
                    task_id=device * TASKS_PER_DEVICE + self.slot,
                    device_id=device,
                    slot=self.slot,
                    created_s=self.slot * self._settings.slot_s,
                    deadline_s=float(deadline),
                    accuracy=float(required),
                    answer_bit=wanted.answer_bit,
                )
            )
        return tasks
