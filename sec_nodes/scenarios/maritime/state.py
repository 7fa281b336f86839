"""States, decisions and outcomes of the maritime scenario.

Equation numbers are those of Qi et al., IEEE Internet Things J. 2025.  Shapes: B copies, M UAVs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sec_nodes.scenarios.maritime.devices import Devices
from sec_nodes.slot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class MaritimeState:
    """What is known at the start of a slot."""

    seed: IntArray
    """(B,) seeds of the copies."""
    slot: IntArray
    """(B,) slots, counted from 0."""
    stored_bit: FloatArray
    """(B, M) delay-tolerant data on the UAVs [bit]; what remains free is the rest, S of (18)."""
    uav_m: FloatArray
    """(B, M, 2) where the UAVs are, east and north [m]."""
    devices: Devices
    """Devices of this slot."""
    upload_s: FloatArray
    """(B, M) time until the delay-sensitive data are on the UAV T_up, (11) [s]."""
    batch_bit: FloatArray
    """(B, M) delay-sensitive data D_m [bit]; 0 where no device asks."""
    collect_rate_bit_s: FloatArray
    """(B, M) rate at which delay-tolerant data come in R^U, sum of (6) [bit/s]."""
    leo_gain: FloatArray
    """(B, M) power gain from UAV to satellite h^L, (7); 0 in slots without it in view."""


@dataclass(frozen=True)
class MaritimeDecision:
    """What is decided for a slot, all (B, M)."""

    power_w: FloatArray
    """Transmit power of a UAV for delay-sensitive data p [W]."""
    cpu_hz: FloatArray
    """The satellite's CPU given to a UAV f [cycle/s]."""
    ratio: FloatArray
    """Share of its delay-sensitive data that a UAV offloads x, in [0, 1]."""
    start_s: FloatArray
    """When in the slot the upload of delay-tolerant data begins t [s]."""


@dataclass(frozen=True)
class MaritimeOutcome:
    """What a decision leads to; (B, M) but where said otherwise."""

    local_s: FloatArray
    """Computing on the UAV T_loc, (12) [s]."""
    transmit_s: FloatArray
    """Sending to the satellite T_tx, (13) [s]; infinite without power or satellite."""
    propagation_s: FloatArray
    """One way to the satellite T_prop, (14) [s]; 0 where nothing is offloaded."""
    execute_s: FloatArray
    """Computing on the satellite T_exe, (15) [s]; infinite without CPU."""
    finish_s: FloatArray
    """When the delay-sensitive tasks are done T_DS, (16) [s]; 0 where there are none."""
    late: BoolArray
    """Whether they are not done when the slot ends."""
    start_s: FloatArray
    """When the upload really begins [s]: at the end of the slot after a late task."""
    collected_bit: FloatArray
    """Delay-tolerant data that the UAV took in V_U, (17) under (18) [bit]."""
    overflow_bit: FloatArray
    """What it had no room for [bit]."""
    uploaded_bit: FloatArray
    """Delay-tolerant data that reached the satellite V_L, (19) under (20) and (21) [bit]."""
    next_stored_bit: FloatArray
    """Data on the UAV after the slot, (22) [bit]."""
    sensitive_radio_j: FloatArray
    """First term of (23) [J]."""
    tolerant_radio_j: FloatArray
    """Second term of (23) [J]."""
    uav_compute_j: FloatArray
    """E_cpu, (24) [J]."""
    satellite_compute_j: FloatArray
    """E_LEO, (26) [J]."""
    energy_j: FloatArray
    """(B,) everything, (27) [J]."""
    utility_mbit: FloatArray
    """(B,) the objective U of (28) [Mbit]."""
    violations: Mapping[str, BoolArray]
    """Broken constraints of (28) by their letter, `a` to `h`."""

    @property
    def uav_j(self) -> FloatArray:
        """(B, M) energy of the UAVs, (25) [J]."""
        return self.sensitive_radio_j + self.tolerant_radio_j + self.uav_compute_j
