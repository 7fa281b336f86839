"""What each stage of a slot takes: times, energies and data, where they happen.

Qi et al., IEEE Internet Things J. 2025, eqs (12) to (26).  `Maritime.evaluate` chains these for a
whole slot, and the nodes call them one by one.  Any shapes that broadcast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sec_nodes.physics import channel, energy
from sec_nodes.physics.checks import Floats
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.slot import BoolArray, FloatArray

TOLERANCE = 1e-9
"""How far beyond a limit, in parts of it, a number may be by rounding."""


class Stage(NamedTuple):
    """Time and energy that a stage takes."""

    time_s: FloatArray
    energy_j: FloatArray


def on_uav(settings: MaritimeSettings, size_bit: Floats) -> Stage:
    """Computing on the UAV, (12) and (24)."""
    cycles = settings.devices.cycles_per_bit * np.asarray(size_bit)
    uavs = settings.uavs
    return Stage(
        cycles / uavs.cpu_hz,
        energy.computing_energy_j(cycles, uavs.cpu_hz, uavs.capacitance_j_s2),
    )


def sending(size_bit: Floats, rate_bit_s: Floats, power_w: Floats) -> Stage:
    """Sending urgent data to the satellite, (13) and the first term of (23).

    For ever on a link of rate 0, which costs nothing, since nobody uses it.
    """
    time_s = channel.transmission_time_s(size_bit, rate_bit_s)
    return Stage(time_s, power_w * np.where(np.isfinite(time_s), time_s, 0.0))


def on_satellite(settings: MaritimeSettings, size_bit: Floats, cpu_hz: Floats) -> Stage:
    """Computing on the satellite, (15) and (26); for ever without CPU."""
    cycles = settings.devices.cycles_per_bit * np.asarray(size_bit)
    return Stage(
        channel.transmission_time_s(cycles, cpu_hz),
        energy.computing_energy_j(cycles, cpu_hz, settings.satellite.capacitance_j_s2),
    )


def is_late(settings: MaritimeSettings, finish_s: Floats) -> BoolArray:
    """Whether urgent data are not done when the slot ends."""
    return np.asarray(finish_s) > settings.slot_s * (1.0 + TOLERANCE)


def collected_bit(
    settings: MaritimeSettings, offered_bit: Floats, stored_bit: Floats
) -> FloatArray:
    """What a UAV takes in of what devices offer, (17) under (18) [bit]."""
    return np.minimum(offered_bit, settings.uavs.storage_bit - np.asarray(stored_bit))


def uploading(
    settings: MaritimeSettings, start_s: Floats, rate_bit_s: Floats, stored_bit: Floats
) -> tuple[FloatArray, FloatArray]:
    """What goes up from an instant of the slot on, (19) under (20) and (21).

    Args:
        settings: the scenario.
        start_s: when the upload begins, since the start of the slot [s].
        rate_bit_s: R^T; 0 while no satellite is in view [bit/s].
        stored_bit: what is in the storage then, collected data included [bit].

    Returns:
        The data [bit], and the energy of the radio, the second term of (23) [J].
    """
    offered_bit = np.asarray(rate_bit_s) * (settings.slot_s - np.asarray(start_s))
    uploaded_bit = np.minimum(offered_bit, stored_bit)
    seconds = channel.transmission_time_s(uploaded_bit, rate_bit_s)
    return uploaded_bit, settings.uavs.upload_power_w * seconds
