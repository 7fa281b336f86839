"""Air-to-ground links over a city: line of sight by elevation, mean path loss, rate.

Al-Hourani, Kandeepan and Lardner, IEEE Wireless Commun. Lett. 3(6), 2014, as equations (2) to (4)
of the partial-offloading paper (Liu et al., Sensors 2026, 26, 3540) use them.  Corrected there:
the angle is in degrees, (3) has a square root under its logarithm, and A = eta_LoS - eta_NLoS is
negative, so that the line of sight *lowers* the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.physics.channel import db_to_ratio, dbm_to_watt, shannon_rate_bit_s
from sec_nodes.physics.checks import FloatArray, Floats, require_nonnegative
from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S

_DEGREES = 180.0 / math.pi
_LN10 = math.log(10.0)
_LN2 = math.log(2.0)


@dataclass(frozen=True)
class UrbanLink:
    """Uplink from a terminal on the ground to a UAV at a fixed altitude."""

    altitude_m: Floats
    """Height H of the UAV above the terminals [m]; an array broadcasts against distances."""
    los_midpoint_deg: float
    """a of the line-of-sight probability [degrees; also its factor]."""
    los_steepness_per_deg: float
    """b of the line-of-sight probability [1/degree]."""
    los_loss_db: float
    """Excess loss eta_LoS with a line of sight [dB]."""
    nlos_loss_db: float
    """Excess loss eta_NLoS without one [dB]."""
    penetration_loss_db: Floats
    """Further loss, e.g. through rubble or walls [dB]; an array broadcasts against distances."""
    carrier_hz: float
    """Carrier f_c [Hz]."""
    bandwidth_hz: float
    """Sub-channel B of one terminal [Hz]."""
    transmit_power_w: float
    """Power P of the terminal [W]."""
    noise_dbm_hz: float
    """Noise density N0 [dBm/Hz]."""
    light_speed_m_s: float = SPEED_OF_LIGHT_M_S
    """c [m/s]; path-loss formulas are often quoted for 3e8."""

    @property
    def los_gain_db(self) -> float:
        """A = eta_LoS - eta_NLoS [dB]; negative where walls cost something."""
        return self.los_loss_db - self.nlos_loss_db


def elevation_deg(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the elevation of the UAV [degrees], 90 overhead.

    `distance_m` is the horizontal distance, any shape.  Raises ValueError if it is negative.
    """
    require_nonnegative('distance_m', distance_m, 'Pass the norm of the horizontal offset.')
    return np.arctan2(link.altitude_m, distance_m) * _DEGREES


def los_probability(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the probability of a line of sight [-]: (2), 1 / (1 + a exp(-b (theta - a))).

    Corrected: theta is in degrees (with the printed arctan in radians it would be nearly
    constant).  Errors as `elevation_deg`.
    """
    above = elevation_deg(distance_m, link) - link.los_midpoint_deg
    return 1.0 / (1.0 + link.los_midpoint_deg * np.exp(-link.los_steepness_per_deg * above))


def path_loss_db(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the mean path loss [dB]: (3), 20 log10 sqrt(H^2 + d^2) + A p(d) + C.

    C = 20 log10(4 pi f_c / c) + eta_NLoS + penetration loss.  Corrected: the square root, which
    print lost.  Errors as `elevation_deg`.
    """
    wave = 20.0 * math.log10(4.0 * math.pi * link.carrier_hz / link.light_speed_m_s)
    constant_db = wave + link.nlos_loss_db + link.penetration_loss_db
    slant2_m2 = np.square(link.altitude_m) + np.square(distance_m)
    line_of_sight_db = link.los_gain_db * los_probability(distance_m, link)
    return 10.0 * np.log10(slant2_m2) + line_of_sight_db + constant_db


def snr(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the mean signal-to-noise ratio [-]: the fraction in (4).

    Errors as `elevation_deg`.
    """
    noise_w = dbm_to_watt(link.noise_dbm_hz) * link.bandwidth_hz
    return link.transmit_power_w / noise_w * db_to_ratio(-path_loss_db(distance_m, link))


def rate_bit_s(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the rate r(d) [bit/s]: (4), B log2(1 + P 10^(-l/10) / (B N0)).

    Strictly decreasing in the distance.  Errors as `elevation_deg`.
    """
    return shannon_rate_bit_s(link.bandwidth_hz, snr(distance_m, link))


def rate_slope_bit_s_m(distance_m: Floats, link: UrbanLink) -> FloatArray:
    """Return the derivative r'(d) of `rate_bit_s` [bit/s/m], negative.

    At d = 0 it is the one-sided derivative: the elevation has a kink overhead.  Errors as
    `elevation_deg`.
    """
    return rate_with_slope(distance_m, link)[1]


def rate_with_slope(distance_m: Floats, link: UrbanLink) -> tuple[FloatArray, FloatArray]:
    """Return `rate_bit_s` and `rate_slope_bit_s_m` at the price of little more than one."""
    ratio = snr(distance_m, link)
    weight = link.bandwidth_hz / _LN2 * ratio / (1.0 + ratio)
    probability = los_probability(distance_m, link)
    slant2_m2 = np.square(link.altitude_m) + np.square(distance_m)
    angle_slope = -_DEGREES * link.altitude_m / slant2_m2
    los_slope = probability * (1.0 - probability) * link.los_steepness_per_deg * angle_slope
    spread = 2.0 * np.asarray(distance_m) / slant2_m2
    slope = weight * (-link.los_gain_db * _LN10 / 10.0 * los_slope - spread)
    return shannon_rate_bit_s(link.bandwidth_hz, ratio), slope
