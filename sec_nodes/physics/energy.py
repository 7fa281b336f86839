"""Energy: rotary-wing propulsion, computing and transmission."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.physics.checks import FloatArray, Floats, require_nonnegative, require_positive


@dataclass(frozen=True)
class RotaryWing:
    """Parameters of the rotary-wing power model (Zeng, Xu and Zhang 2019, Table I)."""

    blade_power_w: float
    """Blade profile power in hover P_0 [W] (P_1 of Meng & Li)."""
    induced_power_w: float
    """Induced power in hover P_i [W] (P_2 of Meng & Li)."""
    tip_speed_m_s: float
    """Tip speed of the rotor blade U_tip [m/s]."""
    induced_speed_m_s: float
    """Mean rotor induced velocity in hover v_0 [m/s]."""
    drag_ratio: float
    """Fuselage drag ratio d_0 [-]."""
    air_density_kg_m3: float
    """Air density rho [kg/m^3]."""
    solidity: float
    """Rotor solidity s [-] (printed g by Meng & Li; it is not gravity)."""
    disc_area_m2: float
    """Rotor disc area A [m^2]."""


ZENG_2019 = RotaryWing(
    blade_power_w=79.85628,
    induced_power_w=88.62794,
    tip_speed_m_s=120.0,
    induced_speed_m_s=4.03,
    drag_ratio=0.6,
    air_density_kg_m3=1.225,
    solidity=0.05,
    disc_area_m2=0.503,
)
"""The 20 N quadrotor of Zeng, Xu and Zhang, IEEE Trans. Wireless Commun. 18(4), 2019, Table I."""


def propulsion_power_w(speed_m_s: Floats, parameters: RotaryWing = ZENG_2019) -> FloatArray:
    """Return the propulsion power of a rotary-wing UAV in level flight [W].

    Zeng, Xu and Zhang 2019, eq. (12); also Meng & Li, eq. (2), whose blade term prints v^3 for
    v^2, and eq. (1) of the partial-offloading paper (Sensors 26(11), 3540).  `speed_m_s` has any
    shape; climb power is not modelled.  Raises ValueError for a negative speed.
    """
    require_nonnegative('speed_m_s', speed_m_s, 'Pass the norm of the velocity.')
    p = parameters
    v2 = np.square(speed_m_s)
    blade = p.blade_power_w * (1.0 + 3.0 * v2 / p.tip_speed_m_s**2)
    x = v2 / (2.0 * p.induced_speed_m_s**2)
    # sqrt(1 + x^2) - x cancels at speed; its reciprocal form does not.
    induced = p.induced_power_w / np.sqrt(np.sqrt(1.0 + x * x) + x)
    drag = 0.5 * p.drag_ratio * p.air_density_kg_m3 * p.solidity * p.disc_area_m2
    return blade + induced + drag * v2 * speed_m_s


def propulsion_slope_kg_s(speed_m_s: Floats, parameters: RotaryWing = ZENG_2019) -> FloatArray:
    """Return dP/d(v^2) of `propulsion_power_w` [W s^2/m^2 = kg/s].

    By the square of the speed, for that is smooth where the UAV hovers.  Raises ValueError for a
    negative speed.
    """
    require_nonnegative('speed_m_s', speed_m_s, 'Pass the norm of the velocity.')
    p = parameters
    x = np.square(speed_m_s) / (2.0 * p.induced_speed_m_s**2)
    root = np.sqrt(1.0 + x * x)
    induced = p.induced_power_w / np.sqrt(root + x) / (4.0 * p.induced_speed_m_s**2 * root)
    drag = 0.5 * p.drag_ratio * p.air_density_kg_m3 * p.solidity * p.disc_area_m2
    return 3.0 * p.blade_power_w / p.tip_speed_m_s**2 + 1.5 * drag * speed_m_s - induced


def computing_energy_j(
    cycles: Floats, frequency_hz: Floats, capacitance_j_s2: float
) -> FloatArray:
    """Return the CPU energy kappa f^2 C [J] of `cycles` at `frequency_hz`.

    Meng & Li, eqs. (19) and (25); `capacitance_j_s2` is kappa [J s^2/cycle^3], the effective
    switched capacitance.  Raises ValueError for a negative argument.
    """
    require_nonnegative('cycles', cycles, 'Pass the number of CPU cycles.')
    require_nonnegative('frequency_hz', frequency_hz, 'Pass the clock frequency in Hz.')
    require_positive('capacitance_j_s2', capacitance_j_s2, 'A usual value is 1e-28.')
    return capacitance_j_s2 * np.square(frequency_hz) * cycles


def transmission_energy_j(power_w: Floats, time_s: Floats) -> FloatArray:
    """Return the energy P t of a transmission [J]: Yan et al. 2025, eq. (13).

    A silent transmitter (0 W) spends nothing even on a link that would take for ever.  Raises
    ValueError for a negative power or time.
    """
    require_nonnegative('power_w', power_w, 'Pass the transmit power in watts.')
    require_nonnegative('time_s', time_s, 'Pass the time on air in seconds.')
    with np.errstate(invalid='ignore'):
        energy_j = np.multiply(power_w, time_s)
    return np.where(np.equal(power_w, 0), energy_j.dtype.type(0), energy_j)
