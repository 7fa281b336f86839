"""What happens to the mllm scenario whatever is decided: requests, fading, where devices are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics.fading import ShadowedRician, rician_power
from sec_nodes.physics.randomness import Stream, choice, fraction, halves, poisson, uniform, words
from sec_nodes.scenarios.mllm_settings import MllmSettings
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_TASK_WORDS = 2
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
        # One address for the whole slot: its words lie one after the other, device by device.
        drawn = words(seed, Stream.TASK, 0, slot, devices * (_TASK_WORDS + m + n))
        drawn = drawn.reshape(len(seed), devices, -1)
        size, length = halves(drawn[..., 0])
        deadline, accuracy = halves(drawn[..., 1])
        high, low = halves(drawn[..., _TASK_WORDS:])
        active = self._active(seed, slot)
        level = fraction(high, self._dtype)
        turn = fraction(low[..., :m], self._dtype)
        # A satellite's second half is shared by the phase and the shadowing.
        turn_space = fraction(low[..., m:] << np.uint32(16), self._dtype)
        shadow = (low[..., m:] >> np.uint32(16)).astype(np.uint16)
        return Requests(
            size_bit=self._between(tasks.size_bit, size),
            words=self._levels[choice(length, len(self._levels))],
            deadline_s=self._between(tasks.deadline_s, deadline),
            accuracy=self._between(tasks.accuracy, accuracy),
            active=active,
            fading_uav=rician_power(settings.radio.rician_factor, level[..., :m], turn),
            fading_satellite=self._shadowing.power(shadow, level[..., m:], turn_space),
        )

    def _between(self, limits: tuple[float, float], half: np.ndarray) -> FloatArray:
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
        ticket = words(seed, Stream.ARRIVAL, 0, slot, devices)
        rank = ticket.argsort(axis=-1).argsort(axis=-1)
        return rank < asking
