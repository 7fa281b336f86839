"""Counter-based randomness: every entity draws from its own stream, whoever computes it.

A draw is a hash of its address (seed, stream, kind of distribution, entity, slot, number of the
draw), so it does not matter in which order, batch or process entities are computed: a ROS node
that owns one UAV and a simulation that steps all of them see the same numbers.

The hash is the splitmix64 finaliser (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014; constants of Stafford's variant 13), applied once for each part of the
address.  The draws of one (entity, slot) are then a splitmix64 sequence, which passes BigCrush.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import scipy
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sec_nodes.physics.checks import FloatArray, IntArray, require_nonnegative, require_positive

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: the splitmix64 increment
_FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
_FACTOR_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_HALF = np.uint64(32)
_DROP_BITS = np.uint64(12)  # keep 52 bits, so that half a step more is still below 1 in float64
_PAIR_LIMIT = 1 << 31


class Stream(IntEnum):
    """What the numbers are for; streams of one seed are independent of each other."""

    FADING_AIR = 0
    FADING_SPACE = 1
    LOSS = 2
    MOBILITY = 3
    ARRIVAL = 4
    TASK = 5
    PLACEMENT = 6
    CONTROLLER = 7
    PICTURE = 8
    FAILURE = 9


class _Kind(IntEnum):
    """The distribution is part of the address: a gamma and a normal of one slot never share."""

    UNIFORM = 0
    NORMAL = 1
    POISSON = 2
    GAMMA = 3
    WORD = 4


def uniform(
    seed: ArrayLike, stream: int, entity: ArrayLike, slot: ArrayLike, draws: int
) -> FloatArray:
    """Draw uniform numbers in the open interval (0, 1).

    `seed`, `entity` and `slot` are integers or integer arrays in [0, 2^64) that broadcast to a
    shape (...).  Returns (..., draws) in float64.  The first d of n draws are the same
    numbers as d draws.  Raises ValueError for a negative address or draws < 0.
    """
    return _open_interval(_bits(seed, stream, _Kind.UNIFORM, entity, slot, draws))


def load_distributions() -> None:
    """Load what the draws below take, a quarter of a second, before time counts.

    Scipy loads its parts when they are used first; many who import this never draw.
    """
    normal(0, 0, 0, 0, 1)


def normal(
    seed: ArrayLike, stream: int, entity: ArrayLike, slot: ArrayLike, draws: int
) -> FloatArray:
    """Draw standard normal numbers, (..., draws), by inverting the normal CDF.

    Arguments and errors as `uniform`.
    """
    bits = _bits(seed, stream, _Kind.NORMAL, entity, slot, draws)
    return np.asarray(scipy.special.ndtri(_open_interval(bits)))


def poisson(
    seed: ArrayLike, stream: int, entity: ArrayLike, slot: ArrayLike, draws: int, mean: ArrayLike
) -> IntArray:
    """Draw Poisson numbers, (..., draws) int64, by inverting the Poisson CDF.

    `mean` (>= 0) broadcasts against the shape (...) of entity and slot, so each entity may have
    its own.  The same address with a larger mean never gives a smaller count.  Errors as
    `uniform`, and ValueError for a negative mean.
    """
    require_nonnegative('mean', mean, 'A Poisson mean is an expected count.')
    level = _open_interval(_bits(seed, stream, _Kind.POISSON, entity, slot, draws))
    rate = np.broadcast_to(np.asarray(mean, dtype=float)[..., None], level.shape)
    # pdtrik inverts the CDF continued to real counts; round up, then correct its rounding.
    count = np.ceil(scipy.special.pdtrik(level, np.where(rate > 0, rate, 1.0)))
    count = np.where(np.isfinite(count) & (count > 0), count, 0.0)
    below = np.maximum(count - 1, 0.0)
    count = np.where(scipy.special.pdtr(below, rate) >= level, below, count)
    count = np.where(scipy.special.pdtr(count, rate) < level, count + 1, count)
    return np.where(rate > 0, count, 0.0).astype(np.int64)


def gamma(
    seed: ArrayLike, stream: int, entity: ArrayLike, slot: ArrayLike, draws: int, shape: ArrayLike
) -> FloatArray:
    """Draw gamma numbers of scale 1, (..., draws), by inverting the gamma CDF.

    `shape` (> 0) broadcasts against the shape (...) of entity and slot; multiply by a scale to get
    any gamma variable.  Errors as `uniform`, and ValueError for shape <= 0.
    """
    require_positive('shape', shape, 'Pass the shape parameter of the gamma distribution.')
    level = _open_interval(_bits(seed, stream, _Kind.GAMMA, entity, slot, draws))
    return np.asarray(scipy.special.gammaincinv(np.asarray(shape, dtype=float)[..., None], level))


def word_source(seed: ArrayLike, stream: int, entity: ArrayLike) -> U64:
    """Return what `words` needs to know, (..., 1), to draw for an entity in any slot.

    Arguments and errors as `uniform`.
    """
    return _source(seed, stream, _Kind.WORD, entity)


def words(source: U64, slot: ArrayLike, numbers: IntArray) -> U64:
    """Draw words of 64 random bits, (..., n), for callers that share a word out themselves.

    Hashing is most of the cost of a cheap draw, and few numbers need 52 bits.  `source` is from
    `word_source`.  `numbers` (n,) are the numbers of the draws that are wanted, counted from 0:
    each can be had without those before it.  Raises ValueError for a negative slot or number.
    """
    if numbers.size and numbers.min() < 0:
        raise ValueError(f'numbers holds {numbers.min()}, but draws are counted from 0.')
    return _sequence(source, slot, numbers.astype(np.uint64))


def halves(word: U64) -> tuple[U32, U32]:
    """Split words (...) of 64 random bits into two independent halves (...) of 32 bits each."""
    return (word >> _HALF).astype(np.uint32), word.astype(np.uint32)


def fraction(half: U32, dtype: DTypeLike = np.float64) -> FloatArray:
    """Turn 32 random bits (...) into uniform numbers (...): centres of 2^32 cells of (0, 1).

    In float32 the topmost cells round to 1, no cell rounds to 0.
    """
    level = half.astype(dtype)
    level *= 2.0**-32
    level += 2.0**-33
    return level


def choice(half: U32, options: int) -> IntArray:
    """Turn 32 random bits (...) into indices (...) in [0, options), evenly, whatever the dtype.

    Raises ValueError unless 1 <= options <= 65536, where the unevenness is below 2^-16.
    """
    if not 1 <= options <= 1 << 16:
        raise ValueError(f'options is {options}, but must lie in [1, 65536].')
    return ((half.astype(np.uint64) * np.uint64(options)) >> _HALF).astype(np.int64)


def pair(a: ArrayLike, b: ArrayLike) -> IntArray:
    """Combine two indices into the index of their ordered pair, e.g. (device, UAV) of a link.

    Both broadcast, integers in [0, 2^31); the result a 2^31 + b is unique and below 2^62.
    Raises ValueError outside that range.
    """
    first, second = np.asarray(a), np.asarray(b)
    for name, index in (('a', first), ('b', second)):
        if index.dtype.kind not in 'iu' or (index.size and index.max() >= _PAIR_LIMIT):
            raise ValueError(
                f'{name} is {index}, but must hold integers below 2^31. '
                'Pass the indices of two single entities, not of a pair.'
            )
        require_nonnegative(name, index, 'Entities are counted from 0.')
    return first.astype(np.int64) * _PAIR_LIMIT + second.astype(np.int64)


def _bits(
    seed: ArrayLike, stream: int, kind: _Kind, entity: ArrayLike, slot: ArrayLike, draws: int
) -> U64:
    """Return 64 random bits for each draw, (..., draws)."""
    if draws < 0:
        raise ValueError(f'draws is {draws}, but must be >= 0. Say how many numbers to draw.')
    source = _source(seed, stream, kind, entity)
    return _sequence(source, slot, np.arange(draws, dtype=np.uint64))


def _source(seed: ArrayLike, stream: int, kind: _Kind, entity: ArrayLike) -> U64:
    """Return the state (..., 1) that all draws of an entity start from.

    The last axis is that of the draws. It also keeps everything an array: numpy warns of the
    overflow of scalars, and arithmetic modulo 2^64 is the point.
    """
    state = _absorb(_address('seed', seed), np.array([stream], dtype=np.uint64))
    state = _absorb(state, np.array([kind], dtype=np.uint64))
    return _absorb(state, _address('entity', entity))


def _sequence(source: U64, slot: ArrayLike, numbers: U64) -> U64:
    """Return the words (..., n) of the given numbers (n,) of the slot's splitmix64 sequence."""
    state = _absorb(source, _address('slot', slot))
    return _mix(state + (numbers + np.uint64(1)) * _GOLDEN)


def _address(name: str, value: ArrayLike) -> U64:
    """Return a seed, entity or slot number as uint64, with an axis for draws behind it."""
    array = np.asarray(value)
    if array.dtype.kind not in 'iu':
        raise ValueError(
            f'{name} has type {array.dtype}, but must be an integer. Pass indices, not times.'
        )
    require_nonnegative(name, array, 'Entities and slots are counted from 0.')
    return array.astype(np.uint64)[..., None]


def _absorb(state: U64, word: U64) -> U64:
    """Mix one more word of the address into the state.

    The word is multiplied by an odd constant and the state finalised before they meet, so that
    (entity 1, slot 2) and (entity 2, slot 1) have nothing in common.
    """
    return _mix(_mix(state + _GOLDEN) + (word + np.uint64(1)) * _GOLDEN)


def _mix(z: U64) -> U64:
    """Apply the splitmix64 finaliser in place: a bijection of 64-bit words, good avalanche."""
    shifted = z >> _SHIFT_1
    z ^= shifted
    z *= _FACTOR_1
    z ^= np.right_shift(z, _SHIFT_2, out=shifted)
    z *= _FACTOR_2
    z ^= np.right_shift(z, _SHIFT_3, out=shifted)
    return z


def _open_interval(bits: U64) -> FloatArray:
    """Map 64 random bits to the centres of 2^52 equal cells of (0, 1): never 0, never 1."""
    return ((bits >> _DROP_BITS).astype(np.float64) + 0.5) * 2.0**-52
