"""What happens to the mllm scenario whatever is decided: requests, fading, where devices are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sec_nodes.physics.fading import ShadowedRician, rician_power
from sec_nodes.physics.randomness import (
    Stream,
    choice,
    fraction,
    halves,
    poisson,
    uniform,
    word_source,
    words,
)
from sec_nodes.scenarios.mllm.kept import Kept
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_TASK_WORDS = 2
_HALF_OF_HALF = np.uint32(16)
_DRAWS_OF_DEVICE, _FIRST_UAV, _FIRST_SATELLITE = 1 << 32, 1 << 16, 1 << 24
_POPULATION = 1 << 20
"""Entity number of what belongs to no device, above every device's own."""


class Requests(NamedTuple):
    """What a slot brings; shapes as in `MllmState`."""

    size_bit: FloatArray
    words: FloatArray
    deadline_s: FloatArray
    accuracy: FloatArray
    active: BoolArray
    fading_uav: FloatArray
    fading_satellite: FloatArray


class World:
    """Draws requests and fading; the same seed and slot always give the same.

    Devices have their own numbers: those of the first ten of twenty devices are those of ten.

    Args:
        settings: the scenario.
        dtype: of all that is drawn.
    """

    def __init__(self, settings: MllmSettings, dtype: DTypeLike = np.float64) -> None:
        self._settings, self._dtype = settings, dtype
        self._levels = np.array(settings.tasks.words, dtype=dtype)
        self._numbers = _draw_numbers(
            settings.devices.count, _TASK_WORDS, settings.uavs.count, settings.satellites.count
        )
        self._source = Kept(_task_source)
        self._shadowing = ShadowedRician(*settings.radio.shadowing, dtype=dtype)

    def places_m(self, seed: IntArray) -> FloatArray:
        """Positions (B, K, 2) of the devices, uniform in the area, for seeds (B,)."""
        devices = np.arange(self._settings.devices.count)
        level = uniform(seed[:, None], Stream.PLACEMENT, devices, 0, 2)
        return (level * np.array(self._settings.area_m)).astype(self._dtype)

    def phase(self, seed: IntArray) -> FloatArray:
        """Where in their window the satellites begin, (B,) in (0, 1), float64."""
        return uniform(seed, Stream.PLACEMENT, _POPULATION, 0, 1)[:, 0]

    def requests(self, seed: IntArray, slot: IntArray) -> Requests:
        """What the slots (B,) of the copies with seeds (B,) bring."""
        settings = self._settings
        tasks, devices = settings.tasks, settings.devices.count
        m, n = settings.uavs.count, settings.satellites.count
        drawn = words(self._source(seed), slot, self._numbers)
        split = devices * _TASK_WORDS, devices * (_TASK_WORDS + m)
        size, length = halves(drawn[:, :devices])
        deadline, accuracy = halves(drawn[:, devices : split[0]])
        level, turn = (fraction(half, self._dtype) for half in halves(drawn[:, slice(*split)]))
        fading_uav = rician_power(settings.radio.rician_factor, level, turn)
        level_space, shared = halves(drawn[:, split[1] :])
        # The second half of a satellite's word serves both the phase and the shadowing.
        fading_satellite = self._shadowing.power(
            (shared >> _HALF_OF_HALF).astype(np.uint16),
            fraction(level_space, self._dtype),
            fraction(shared << _HALF_OF_HALF, self._dtype),
        )
        return Requests(
            size_bit=self._between(tasks.size_bit, size),
            words=self._levels.take(choice(length, len(self._levels))),
            deadline_s=self._between(tasks.deadline_s, deadline),
            accuracy=self._between(tasks.accuracy, accuracy),
            active=self._active(seed, slot),
            fading_uav=fading_uav.reshape(len(seed), devices, m),
            fading_satellite=fading_satellite.reshape(len(seed), devices, n),
        )

    def _between(self, limits: tuple[float, float], half: NDArray[np.uint32]) -> FloatArray:
        low, high = limits
        value = fraction(half, self._dtype)
        value *= high - low
        value += low
        return value

    def _active(self, seed: IntArray, slot: IntArray) -> BoolArray:
        """Which devices ask (B, K): all, or a random set whose size is Poisson, clipped."""
        devices, mean = self._settings.devices.count, self._settings.devices.requests_per_slot
        if mean is None:
            return np.ones((len(seed), devices), dtype=np.bool_)
        asking = poisson(seed, Stream.ARRIVAL, _POPULATION, slot, 1, mean)
        asking = np.clip(asking, 1, devices)
        ticket = words(word_source(seed, Stream.ARRIVAL, 0), slot, np.arange(devices))
        rank = ticket.argsort(axis=-1).argsort(axis=-1)
        return rank < asking


def _task_source(seed: IntArray) -> NDArray[np.uint64]:
    return word_source(seed, Stream.TASK, 0)


def _draw_numbers(devices: int, tasks: int, uavs: int, satellites: int) -> IntArray:
    """Numbers of the draws of a slot: all devices' task words, UAV links, satellite links.

    Each kind lies together because arrays are computed faster so, yet a device's numbers depend
    on how many devices there are in nothing.
    """
    own = np.arange(devices)[:, None] * _DRAWS_OF_DEVICE
    task = np.arange(tasks)[:, None] + own.T
    uav = own + _FIRST_UAV + np.arange(uavs)
    satellite = own + _FIRST_SATELLITE + np.arange(satellites)
    return np.concatenate([task.reshape(-1), uav.reshape(-1), satellite.reshape(-1)])
