"""Radio: path gains, small-scale fading, interference, rates and transmission times.

Gains are *power* gains throughout.  Yan et al. (Drones 2025, 9, 500) print (6) as an amplitude
and use it as a power in (8); with amplitudes the distance would hardly matter.
"""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.physics.checks import (
    FloatArray,
    Floats,
    IntArray,
    require_last_axis,
    require_nonnegative,
    require_positive,
)
from sec_nodes.physics.constants import BOLTZMANN_J_K, NOISE_TEMPERATURE_K, SPEED_OF_LIGHT_M_S

_LN2 = math.log(2.0)


def db_to_ratio(value_db: Floats) -> FloatArray:
    """Convert decibel [dB] to a power ratio [-]."""
    return np.power(10.0, np.asarray(value_db) / 10.0)


def ratio_to_db(ratio: Floats) -> FloatArray:
    """Convert a power ratio [-] to decibel [dB]; a ratio of 0 is -inf dB.

    Raises ValueError for a negative ratio.
    """
    require_nonnegative('ratio', ratio, 'Pass a power ratio, not a value in dB.')
    with np.errstate(divide='ignore'):
        return 10.0 * np.log10(ratio)


def dbm_to_watt(power_dbm: Floats) -> FloatArray:
    """Convert a power level [dBm] to a power [W]."""
    return np.power(10.0, (np.asarray(power_dbm) - 30.0) / 10.0)


def thermal_noise_w(bandwidth_hz: Floats, noise_figure_db: Floats) -> FloatArray:
    """Return the noise power k T B F of a receiver [W] at 290 K.

    10 MHz with a noise figure of 4 dB give the -100 dBm that Yan et al. 2025 print as a density.
    Raises ValueError for a negative bandwidth.
    """
    require_nonnegative('bandwidth_hz', bandwidth_hz, 'Pass the occupied bandwidth in Hz.')
    noise_w = BOLTZMANN_J_K * NOISE_TEMPERATURE_K * np.asarray(bandwidth_hz)
    return noise_w * db_to_ratio(noise_figure_db)


def rician_fading_power(kappa: float, normals: FloatArray) -> FloatArray:
    """Return the Rician fading power |h|^2 [-], unit mean: Yan et al. 2025, eq. (7).

    h = sqrt(kappa/(kappa+1)) + sqrt(1/(kappa+1)) z with z ~ CN(0, 1); the phase of the line of
    sight does not change |h|^2 and is taken as 0.  `kappa` is linear, not dB;
    `normals` (..., 2) are the standard normal draws behind z.  Also (14) of Meng & Li.  Raises
    ValueError for kappa < 0 or a wrong last axis.
    """
    require_nonnegative('kappa', kappa, 'Pass the Rician factor as a ratio, not in dB.')
    require_last_axis('normals', normals, 2)
    scatter = math.sqrt(0.5 / (kappa + 1.0))  # CN(0, 1) has variance 1/2 in each component
    in_phase = math.sqrt(kappa / (kappa + 1.0)) + scatter * normals[..., 0]
    return np.square(in_phase) + np.square(scatter * normals[..., 1])


def shadowed_rician_power(
    b: float, m: float, omega: float, gamma_draw: FloatArray, normals: FloatArray
) -> FloatArray:
    """Return the shadowed-Rician fading power |h|^2 [-] of a land-mobile satellite link.

    h = A + sqrt(2 b) z, A^2 ~ Gamma(shape m, scale omega/m), z ~ CN(0, 1): Abdi et al., IEEE
    Trans. Wireless Commun. 2(3), 2003, as used by Yan et al. 2025.  The mean is 2 b + omega.
    `gamma_draw` (...) is a gamma variable of shape m and scale 1, `normals` (..., 2) are standard
    normal.  Raises ValueError for b or omega < 0, m <= 0, a negative gamma draw.
    """
    require_nonnegative('b', b, 'b is half the mean scattered power.')
    require_positive('m', m, 'm is the Nakagami parameter of the line of sight.')
    require_nonnegative('omega', omega, 'omega is the mean power of the line of sight.')
    require_nonnegative('gamma_draw', gamma_draw, 'Draw it from Gamma(shape=m, scale=1).')
    require_last_axis('normals', normals, 2)
    line_of_sight = np.sqrt(gamma_draw * (omega / m))
    scatter = math.sqrt(b)
    return np.square(line_of_sight + scatter * normals[..., 0]) + np.square(
        scatter * normals[..., 1]
    )


def air_ground_gain(
    distance_m: Floats, reference_gain: Floats, exponent: float, fading_power: Floats
) -> FloatArray:
    """Return the power gain beta_0 d^-alpha |h|^2 [-]: Yan et al. 2025, eq. (6) as a power gain.

    `distance_m` is the 3-D distance, `reference_gain` [-] the gain at 1 m (a ratio, not dB).
    Raises ValueError for a distance that is not positive.
    """
    require_positive('distance_m', distance_m, 'Keep transmitter and receiver apart.')
    return reference_gain * np.power(distance_m, -exponent) * fading_power


def satellite_gain(
    slant_m: Floats,
    carrier_hz: float,
    satellite_antenna_gain: Floats,
    device_antenna_gain: Floats,
    additional_loss: Floats,
    fading_power: Floats,
) -> FloatArray:
    """Return the power gain [-] of a device-satellite link, antennas and losses included.

    G_sat G_dev / L_add (c / (4 pi d f_c))^2 |h|^2, the link budget of 3GPP TR 38.821, sec. 6.1.3.
    `slant_m` is the slant range; gains and `additional_loss` (>= 1) are ratios, not dB.  Raises
    ValueError for a distance or carrier that is not positive, or a loss below 1.
    """
    require_positive('slant_m', slant_m, 'Pass the slant range in metres.')
    require_positive('carrier_hz', carrier_hz, 'Pass the carrier frequency in Hz.')
    require_nonnegative(
        'additional_loss - 1',
        np.asarray(additional_loss) - 1.0,
        'A loss is a ratio >= 1: convert dB with db_to_ratio.',
    )
    free_space = np.square(SPEED_OF_LIGHT_M_S / (4.0 * math.pi * carrier_hz) / slant_m)
    antennas = satellite_antenna_gain * device_antenna_gain / additional_loss
    return antennas * free_space * fading_power


def same_receiver_interference_w(
    received_power_w: FloatArray, receiver: IntArray, n_receivers: int
) -> FloatArray:
    """Return for each device the power of all others at its receiver [W], (..., K).

    I_k = sum over j != k with recv(j) = recv(k) of g_j P_j: Yan et al. 2025, eqs. (8) and (10) as
    corrected to the devices that share the receiver, as in Chen et al., IEEE/ACM Trans. Netw.
    2016.  `received_power_w` (..., K) is g_k P_k at the device's own receiver, `receiver` (..., K)
    its index in [0, n_receivers), or -1 for a device that does not transmit: it neither causes
    nor suffers interference.  Raises ValueError for an index outside that range.
    """
    require_nonnegative('received_power_w', received_power_w, 'Powers are never negative.')
    chosen = np.asarray(receiver)
    if chosen.size and not (chosen.min() >= -1 and chosen.max() < n_receivers):
        raise ValueError(
            f'receiver holds {chosen.min()} to {chosen.max()}, but must lie in '
            f'[-1, {n_receivers}). Use -1 for a device that does not transmit.'
        )
    at = chosen[..., :, None] == np.arange(n_receivers)  # (..., K, receivers)
    power = np.where(at, received_power_w[..., :, None], 0)
    # Others = those before plus those after.  "Total minus own" would lose a weak interferer
    # beside a strong own signal to rounding, in float32 completely.
    before = _running(power)
    after = _running(power[..., ::-1, :])[..., ::-1, :]
    return np.where(at, before + after, 0).sum(axis=-1)


def _running(power: FloatArray) -> FloatArray:
    """Return the exclusive running sum along the device axis (the last but one)."""
    total = np.zeros_like(power)
    np.cumsum(power[..., :-1, :], axis=-2, out=total[..., 1:, :])
    return total


def sinr(
    received_power_w: Floats,
    interference_w: Floats,
    noise_w: Floats,
    residual: Floats,
) -> FloatArray:
    """Return the signal-to-interference-plus-noise ratio g P / (xi I + N0) [-].

    Yan et al. 2025, eq. (8) as corrected: N0 is a noise *power* [W], and `residual` is xi [-],
    the share of interference left after multi-antenna reception (1 is the printed equation).
    Raises ValueError for a noise power that is not positive or a negative interference.
    """
    require_positive('noise_w', noise_w, 'Use thermal_noise_w(bandwidth_hz, noise_figure_db).')
    require_nonnegative('interference_w', interference_w, 'Powers are never negative.')
    require_nonnegative('residual', residual, 'xi is a share between 0 and 1.')
    return np.divide(received_power_w, residual * interference_w + noise_w)


def shannon_rate_bit_s(bandwidth_hz: Floats, sinr_ratio: Floats) -> FloatArray:
    """Return the Shannon rate B log2(1 + SINR) [bit/s]: Yan et al. 2025, eqs. (8) to (11).

    `sinr_ratio` is a ratio, not dB.  Raises ValueError for a negative bandwidth or SINR.
    """
    require_nonnegative('bandwidth_hz', bandwidth_hz, 'Pass the occupied bandwidth in Hz.')
    require_nonnegative('sinr_ratio', sinr_ratio, 'Pass a ratio: convert dB with db_to_ratio.')
    # log1p keeps the rate of a link far below the noise, where 1 + SINR rounds to 1.
    return np.log1p(sinr_ratio) * (bandwidth_hz / _LN2)


def transmission_time_s(size_bit: Floats, rate_bit_s: Floats) -> FloatArray:
    """Return the time u / R to send a payload [s]: Yan et al. 2025, eq. (12).

    0 for an empty payload whatever the rate, infinite for a payload on a link of rate 0.  Raises
    ValueError for a negative size or rate.
    """
    require_nonnegative('size_bit', size_bit, 'Pass the payload size in bits.')
    require_nonnegative('rate_bit_s', rate_bit_s, 'Pass the link rate in bit/s.')
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        time_s = np.divide(size_bit, rate_bit_s)
    return np.where(np.equal(size_bit, 0), time_s.dtype.type(0), time_s)


def minimum_power_w(
    size_bit: Floats,
    time_s: Floats,
    bandwidth_hz: Floats,
    noise_w: Floats,
    gain: Floats,
) -> FloatArray:
    """Return the least transmit power [W] that sends a payload within a time.

    p_hat = (2^(D / (B T)) - 1) N / g: Meng & Li, (33), with the time that is really left for the
    transmission as corrected (the printed budget of a whole slot always violates (28k)).
    Infinite when no power is enough: no time left (time_s <= 0) or no gain; 0 for an empty
    payload.  Raises ValueError for a negative size, gain or noise, or a bandwidth <= 0.
    """
    require_nonnegative('size_bit', size_bit, 'Pass the payload size in bits.')
    require_positive('bandwidth_hz', bandwidth_hz, 'Pass the occupied bandwidth in Hz.')
    require_nonnegative('noise_w', noise_w, 'Use thermal_noise_w(bandwidth_hz, figure_db).')
    require_nonnegative('gain', gain, 'Pass a power gain as a ratio.')
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        # expm1 for the same reason as log1p above: it is the inverse of the rate.
        needed_sinr = np.expm1(np.divide(_LN2 * size_bit, bandwidth_hz * time_s))
        power_w = np.divide(needed_sinr * noise_w, gain)
    possible = np.greater(time_s, 0) & np.greater(gain, 0)
    kind = power_w.dtype.type
    power_w = np.where(possible, power_w, kind(np.inf))
    return np.where(np.equal(size_bit, 0), kind(0), power_w)
