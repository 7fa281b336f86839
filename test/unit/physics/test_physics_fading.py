"""Fading by magnitude and phase has the distributions of fading by normal draws."""

import numpy as np
import pytest
from scipy import special, stats

from sec_nodes.physics import channel, fading, randomness

N = 40_000


def bits(stream):
    return randomness.words(randomness.word_source(11, stream, 0), 0, np.arange(N))


def levels(stream):
    high, low = randomness.halves(bits(stream))
    return randomness.fraction(high), randomness.fraction(low)


@pytest.mark.parametrize('kappa', [0.0, 1.0, 10.0])
def test_rician_power_has_the_rice_distribution(kappa):
    power = fading.rician_power(kappa, *levels(0))
    # (kappa + 1) |h|^2 = |sqrt(kappa) + z|^2: half of a non-central chi-square with 2 degrees.
    doubled = 2 * (kappa + 1) * power
    law = stats.ncx2(2, 2 * kappa) if kappa else stats.chi2(2)
    assert stats.kstest(doubled, law.cdf).pvalue > 1e-3
    # Var |h|^2 = (1 + 2 kappa) / (1 + kappa)^2.
    assert power.mean() == pytest.approx(1.0, abs=0.02)
    assert power.var() == pytest.approx((1 + 2 * kappa) / (1 + kappa) ** 2, rel=0.05)


def test_the_wave_sum_is_the_square_of_a_complex_sum():
    level, turn = levels(1)
    scattered = np.sqrt(-np.log(level)) * np.exp(2j * np.pi * turn)
    expected = np.abs(0.7 + scattered) ** 2
    np.testing.assert_allclose(fading.wave_sum_power(0.7, level, turn), expected, atol=1e-12)


def test_shadowed_rician_agrees_with_normal_and_gamma_draws():
    b, m, omega = 0.126, 10.1, 0.835
    high, low = randomness.halves(bits(2))
    shadow = (low >> np.uint32(16)).astype(np.uint16)
    turn = randomness.fraction(low << np.uint32(16))
    power = fading.ShadowedRician(b, m, omega).power(shadow, randomness.fraction(high), turn)
    normals = randomness.normal(5, 0, np.arange(N), 0, 2)
    gamma = randomness.gamma(5, 0, np.arange(N), 0, 1, m)[:, 0]
    slow = channel.shadowed_rician_power(b, m, omega, gamma, normals)
    assert stats.ks_2samp(power, slow).pvalue > 1e-3
    assert power.mean() == pytest.approx(2 * b + omega, rel=0.01)
    assert power.var() == pytest.approx(slow.var(), rel=0.05)


def test_the_table_of_shadowing_is_the_gamma_quantile_function():
    table = fading.ShadowedRician(0.126, 10.1, 0.835)
    slices = np.array([0, 1, 500, 32_768, 65_535], dtype=np.uint16)
    # Without scattering (level 1) only the line of sight is left.
    power = table.power(slices, np.ones(5), np.zeros(5))
    quantile = stats.gamma(10.1, scale=0.835 / 10.1).ppf((slices + 0.5) / 65_536)
    np.testing.assert_allclose(power, quantile, rtol=1e-9)
    every = table.power(np.arange(1 << 16).astype(np.uint16), np.ones(1 << 16), np.zeros(1 << 16))
    assert every.mean() == pytest.approx(0.835, rel=1e-5)
    assert every.var() == pytest.approx(0.835**2 / 10.1, rel=1e-3)


def test_float32_draws_the_same_world():
    high, low = randomness.halves(bits(3))
    double = fading.rician_power(10.0, randomness.fraction(high), randomness.fraction(low))
    level, turn = (randomness.fraction(half, np.float32) for half in (high, low))
    single = fading.rician_power(10.0, level, turn)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=2e-6)


def test_power_is_never_zero():
    # A steady wave that the scattered one cancels exactly: e^-1 has |z| = 1, half a turn away.
    power = fading.wave_sum_power(1.0, np.array([np.exp(-1.0)]), np.array([0.5]))
    assert 0 < power[0] < 1e-9


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (lambda: fading.rician_power(-1.0, np.ones(1), np.ones(1)), 'kappa'),
        (lambda: fading.ShadowedRician(0.0, 1.0, 1.0), 'b is'),
        (lambda: fading.ShadowedRician(1.0, 0.0, 1.0), 'm is'),
        (lambda: fading.ShadowedRician(1.0, 1.0, -1.0), 'omega is'),
    ],
)
def test_wrong_parameters_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_halves_split_a_word():
    high, low = randomness.halves(np.array([0x0123456789ABCDEF], dtype=np.uint64))
    assert (high[0], low[0]) == (0x01234567, 0x89ABCDEF)
    assert high.dtype == low.dtype == np.uint32


def test_halves_are_independent_and_uniform():
    high, low = levels(4)
    assert stats.kstest(high, 'uniform').pvalue > 1e-3
    assert stats.kstest(low, 'uniform').pvalue > 1e-3
    assert abs(np.corrcoef(high, low)[0, 1]) < 0.02


def test_fraction_at_both_ends():
    ends = np.array([0, 2**32 - 1], dtype=np.uint32)
    assert randomness.fraction(ends).tolist() == [2.0**-33, 1 - 2.0**-33]
    assert randomness.fraction(ends, np.float32).tolist() == [2.0**-33, 1.0]


def test_choice_is_even_and_reaches_both_ends():
    ends = np.array([0, 2**32 - 1], dtype=np.uint32)
    assert randomness.choice(ends, 7).tolist() == [0, 6]
    high, _ = randomness.halves(bits(5))
    counts = np.bincount(randomness.choice(high, 4), minlength=4)
    assert stats.chisquare(counts).pvalue > 1e-3
    with pytest.raises(ValueError, match='options'):
        randomness.choice(high, 0)


def test_words_can_be_had_by_number():
    source = randomness.word_source(3, 1, 0)
    some = randomness.words(source, [4, 5], np.array([7, 2]))
    every = randomness.words(source, [4, 5], np.arange(8))
    assert every.shape == (2, 8)
    np.testing.assert_array_equal(some, every[:, [7, 2]])
    # A kind of its own: words are not the bits behind uniform numbers.
    assert not np.any(randomness._open_interval(every) == randomness.uniform(3, 1, 0, [4, 5], 8))
    with pytest.raises(ValueError, match='numbers'):
        randomness.words(source, 4, np.array([-1]))


def test_gamma_table_and_exact_inverse_agree_in_the_tails():
    table = fading.ShadowedRician(0.5, 10.1, 10.1)  # scale 1, scattered power 1
    first = table.power(np.zeros(1, dtype=np.uint16), np.ones(1), np.zeros(1))[0]
    assert first == pytest.approx(special.gammaincinv(10.1, 2.0**-17), rel=1e-9)
