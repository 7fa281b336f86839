import subprocess
import sys

import numpy as np
import pytest
from scipy import special, stats

from sec_nodes.physics import randomness
from sec_nodes.physics.randomness import Stream

ENTITIES = np.arange(200)
SLOTS = np.arange(100)


def test_an_entity_draws_the_same_alone_and_in_any_batch():
    together = randomness.uniform(7, Stream.LOSS, ENTITIES[:, None], SLOTS, 3)
    assert together.shape == (200, 100, 3)
    alone = randomness.uniform(7, Stream.LOSS, 123, 45, 3)
    np.testing.assert_array_equal(alone, together[123, 45])
    backwards = randomness.uniform(7, Stream.LOSS, ENTITIES[::-1], 45, 3)
    np.testing.assert_array_equal(backwards[::-1], together[:, 45])


def test_more_draws_continue_fewer():
    few = randomness.normal(1, Stream.TASK, ENTITIES, 0, 2)
    many = randomness.normal(1, Stream.TASK, ENTITIES, 0, 5)
    np.testing.assert_array_equal(many[:, :2], few)


def test_numbers_do_not_change_between_versions():
    # Frozen: a change here changes every recorded run.  The splitmix64 finaliser itself is
    # checked against the published sequence below.
    drawn = randomness.uniform(0, Stream.FADING_AIR, [0, 1], 0, 1)[:, 0]
    assert drawn.tolist() == [0.8304856397256598, 0.40882479850995146]


def test_finaliser_gives_the_published_splitmix64_sequence():
    # First outputs of splitmix64 seeded with 1234567 (Vigna's splitmix64.c; Rosetta Code).
    counter = np.arange(1, 6, dtype=np.uint64)
    state = np.uint64(1234567) + counter * np.uint64(0x9E3779B97F4A7C15)
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert randomness._mix(state).tolist() == expected


@pytest.mark.parametrize(
    'change',
    [
        {'seed': 1},
        {'stream': Stream.LOSS},
        {'slot': 1},
        {'entity': ENTITIES + 1000},
    ],
)
def test_every_part_of_the_address_decorrelates(change):
    base = {'seed': 0, 'stream': Stream.FADING_AIR, 'entity': ENTITIES, 'slot': 0, 'draws': 50}
    a = randomness.uniform(**base).ravel()
    b = randomness.uniform(**{**base, **change}).ravel()
    # 10 000 pairs: the correlation has a standard deviation of 0.01.
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05
    assert not np.any(a == b)


def test_entity_and_slot_do_not_trade_places():
    a = randomness.uniform(0, 0, ENTITIES[:, None], SLOTS, 1)[:100, :, 0]
    swapped = a.T[~np.eye(100, dtype=bool)]
    assert not np.any(a[~np.eye(100, dtype=bool)] == swapped)
    assert len(np.unique(a)) == a.size


def test_distributions_of_one_address_are_independent():
    level = randomness.uniform(0, 0, ENTITIES[:, None], SLOTS, 1).ravel()
    normal = randomness.normal(0, 0, ENTITIES[:, None], SLOTS, 1).ravel()
    gamma = randomness.gamma(0, 0, ENTITIES[:, None], SLOTS, 1, 10.1).ravel()
    correlation = np.corrcoef([level, normal, gamma])
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.03


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_uniform_is_uniform_along_entities_slots_and_draws(axis):
    shape = [1, 1, 1]
    shape[axis] = 20_000
    drawn = randomness.uniform(
        3, Stream.ARRIVAL, np.arange(shape[0])[:, None], np.arange(shape[1]), shape[2]
    ).ravel()
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    assert stats.kstest(drawn, 'uniform').pvalue > 1e-3
    # Neighbours: the pairs fill 16 x 16 cells evenly.
    cells, _, _ = np.histogram2d(drawn[:-1], drawn[1:], bins=16, range=[[0, 1], [0, 1]])
    assert stats.chisquare(cells.ravel()).pvalue > 1e-3


def test_every_bit_of_the_address_moves_half_of_the_bits():
    words = randomness._bits(0, 0, randomness._Kind.UNIFORM, np.arange(256), 0, 1)[:, 0]
    for bit in range(8):
        flipped = randomness._bits(
            0, 0, randomness._Kind.UNIFORM, np.arange(256) ^ (1 << bit), 0, 1
        )[:, 0]
        changed = np.unpackbits((words ^ flipped).view(np.uint8)).mean()
        # 128 different pairs of 64 bits: standard deviation 0.5 / sqrt(8192) = 0.0055.
        assert changed == pytest.approx(0.5, abs=0.03)


def test_open_interval_at_both_ends():
    ends = randomness._open_interval(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert ends[0] == 2.0**-53
    assert ends[1] == 1.0 - 2.0**-53
    assert np.all(np.isfinite(special.ndtri(ends)))


def test_normal_has_the_normal_distribution():
    drawn = randomness.normal(5, Stream.MOBILITY, ENTITIES[:, None], SLOTS, 1).ravel()
    assert stats.kstest(drawn, 'norm').pvalue > 1e-3


def test_gamma_has_the_gamma_distribution():
    drawn = randomness.gamma(5, Stream.FADING_SPACE, ENTITIES[:, None], SLOTS, 1, 10.1).ravel()
    assert stats.kstest(drawn, 'gamma', args=(10.1,)).pvalue > 1e-3


@pytest.mark.parametrize('mean', [0.05, 1.25, 12.5, 300.0])
def test_poisson_inverts_the_cdf(mean):
    drawn = randomness.poisson(9, Stream.ARRIVAL, ENTITIES[:, None], SLOTS, 1, mean)
    again = randomness._open_interval(
        randomness._bits(9, Stream.ARRIVAL, randomness._Kind.POISSON, ENTITIES[:, None], SLOTS, 1)
    )
    np.testing.assert_array_equal(drawn, stats.poisson.ppf(again, mean))
    assert drawn.dtype == np.int64
    # 20 000 draws: the mean has a standard deviation of sqrt(mean / 20 000).
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 20_000))


def test_poisson_mean_may_differ_by_entity_and_be_zero():
    drawn = randomness.poisson(0, 0, np.arange(3), 0, 1000, np.array([0.0, 1.0, 50.0]))
    assert np.all(drawn[0] == 0)
    assert 0.8 < drawn[1].mean() < 1.2
    assert 48 < drawn[2].mean() < 52


def test_poisson_is_monotone_in_the_mean():
    means = np.linspace(0.0, 20.0, 50)
    counts = randomness.poisson(4, 0, np.zeros(50, dtype=int), 0, 20, means)
    assert np.all(np.diff(counts, axis=0) >= 0)
    assert counts[-1].min() > 0


def test_pair_is_unique_and_ordered():
    a, b = np.meshgrid(np.arange(50), np.arange(60), indexing='ij')
    pairs = randomness.pair(a, b)
    assert len(np.unique(pairs)) == 3000
    assert randomness.pair(1, 2) != randomness.pair(2, 1)
    # 3 * 2^31 + 5
    assert randomness.pair(3, 5) == 6442450949


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (lambda: randomness.uniform(-1, 0, 0, 0, 1), 'seed'),
        (lambda: randomness.uniform(1 << 64, 0, 0, 0, 1), 'seed'),
        (lambda: randomness.uniform(0, 0, [-3], 0, 1), 'entity'),
        (lambda: randomness.uniform(0, 0, 0, 1.5, 1), 'slot'),
        (lambda: randomness.uniform(0, 0, 0, 0, -1), 'draws'),
        (lambda: randomness.poisson(0, 0, 0, 0, 1, -2.0), 'mean'),
        (lambda: randomness.gamma(0, 0, 0, 0, 1, 0.0), 'shape'),
        (lambda: randomness.pair(1 << 31, 0), 'a is'),
        (lambda: randomness.pair(0, -1), 'b is'),
    ],
)
def test_wrong_addresses_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_distributions_are_loaded_by_those_who_draw_and_before_they_do():
    script = """
import sys
from sec_nodes import world
from sec_nodes.physics import randomness
assert 'scipy.special' not in sys.modules, 'loaded for nodes that never draw'
randomness.load_distributions()
loaded = set(sys.modules)
randomness.normal(1, 0, 0, 0, 1)
randomness.poisson(1, 0, 0, 0, 1, 3.0)
randomness.gamma(1, 0, 0, 0, 1, 2.0)
assert set(sys.modules) == loaded, 'loaded while time counts'
"""
    ended = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
