"""Fading drawn by its magnitude and phase: one logarithm and one cosine a link.

The distributions are those of `channel.rician_fading_power` and `channel.shadowed_rician_power`,
which take normal and gamma draws. A sum of a fixed and a scattered wave depends on the scattered
wave's power, which is exponential, and on the angle between the two, which is uniform, so that no
normal distribution has to be inverted.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import DTypeLike, NDArray

from sec_nodes.physics.checks import FloatArray, Floats, require_nonnegative, require_positive

SLICES = 1 << 16
"""Equally likely values that stand for a gamma distribution in `ShadowedRician`."""
_LEAST_POWER = 1e-12


def wave_sum_power(steady: Floats, level: FloatArray, turn: FloatArray) -> FloatArray:
    """Return |A + z|^2 (...) of a steady wave of amplitude A and a scattered one, z ~ CN(0, 1).

    `steady` is A (...), `level` and `turn` (...) are uniform in (0, 1]: |z|^2 = -ln(level), and
    the angle of z is 2 pi turn.
    """
    scattered = -np.log(level)
    power = np.sqrt(scattered)
    power *= np.cos(turn * (2.0 * math.pi))
    power *= 2.0
    power += steady
    power *= steady
    power += scattered
    # |A + z|^2 is positive, but A^2 + 2 A |z| cos + |z|^2 may round to what is not; a power of 0
    # would mean a rate of 0.
    return np.maximum(power, _LEAST_POWER, out=power)


def rician_power(kappa: float, level: FloatArray, turn: FloatArray) -> FloatArray:
    """Return the Rician fading power |h|^2 (...), unit mean: Yan et al. 2025, eq. (7).

    `kappa` is linear; `level` and `turn` as in `wave_sum_power`.  Raises ValueError for kappa < 0.
    """
    require_nonnegative('kappa', kappa, 'Pass the Rician factor as a ratio, not in dB.')
    power = wave_sum_power(math.sqrt(kappa), level, turn)
    power /= kappa + 1.0
    return power


@lru_cache
def _gamma_medians(shape: float) -> FloatArray:
    """Return the medians of the slices of a gamma distribution of scale 1; they are shared."""
    medians = np.asarray(scipy.special.gammaincinv(shape, (np.arange(SLICES) + 0.5) / SLICES))
    medians.flags.writeable = False
    return medians


class ShadowedRician:
    """Fading power of a land-mobile satellite link, Abdi et al. 2003.

    h = A + sqrt(2 b) z, A^2 ~ Gamma(shape m, scale omega/m), z ~ CN(0, 1).  A is drawn from a
    table: the medians of 2^16 equally likely slices of its distribution.

    Raises ValueError unless b, m and omega are positive.
    """

    def __init__(self, b: float, m: float, omega: float, dtype: DTypeLike = np.float64) -> None:
        require_positive('b', b, 'b is half the mean scattered power.')
        require_positive('m', m, 'm is the Nakagami parameter of the line of sight.')
        require_positive('omega', omega, 'omega is the mean power of the line of sight.')
        line_of_sight2 = _gamma_medians(m) * (omega / m)
        self._scattered = 2.0 * b
        self._amplitude = np.sqrt(line_of_sight2 / self._scattered).astype(dtype)

    def power(self, shadow: NDArray[np.uint16], level: FloatArray, turn: FloatArray) -> FloatArray:
        """Return |h|^2 (...); its mean is 2 b + omega.

        `shadow` (...) are 16 random bits, `level` and `turn` as in `wave_sum_power`.
        """
        power = wave_sum_power(self._amplitude.take(shadow), level, turn)
        power *= self._scattered
        return power
