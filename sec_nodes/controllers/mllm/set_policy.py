"""Policies of AD-SAC with structured networks: the same weights for every pair, any fleet.

See `sec_nodes.learning.set_networks`, where these networks are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sec_nodes.controllers.learned import MaskOf, require_numbers
from sec_nodes.controllers.mllm.pairs import (
    LARGEST_MOVE,
    N_FEATURES,
    SLIGHT,
    Scene,
    beside,
    first_guess,
    scene_at,
    shares,
)
from sec_nodes.controllers.mllm.sight import Seen, Sight
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.slot import FloatArray, IntArray

GROUPS, FEWER_GROUPS, MANY = 10, 5, 100
"""Devices are settled in at most that many groups, those that are surest first; in fewer if there
are many of them."""


class PairForward:
    """`set_networks.PairNet` in numpy.

    Args:
        arrays: weights (in, out) and biases by name, as `PairNet` calls its layers.
        prefix: what the names begin with.
        outputs: numbers for each pair; None for any.

    Raises:
        KeyError: something is missing.
        ValueError: arrays that do not fit.
    """

    def __init__(
        self, arrays: Mapping[str, FloatArray], prefix: str, outputs: int | None = None
    ) -> None:
        self.first_w, self.first_b = _layer(arrays, f'{prefix}first', N_FEATURES)
        hidden = len(self.first_b)
        self.second_w, self.second_b = _layer(arrays, f'{prefix}second', hidden, hidden)
        self.last_w, self.last_b = _layer(arrays, f'{prefix}last', hidden, outputs)
        self.of_server, self.of_device, self.of_all = (
            require_numbers(arrays, f'{prefix}of_{whom}_w', (hidden, hidden))
            for whom in ('server', 'device', 'all')
        )

    def __call__(self, row: FloatArray, weight: FloatArray, asks: FloatArray) -> FloatArray:
        """Outputs (X, K, S, outputs) from features, weights (X, K, S) and who asks (X, K)."""
        own = row @ self.first_w
        own += self.first_b
        np.maximum(own, 0, out=own)
        server = np.matmul(weight.transpose(0, 2, 1)[:, :, None], own.transpose(0, 2, 1, 3))[
            :, :, 0
        ]
        device = own.mean(axis=2)
        count = np.maximum(asks.sum(axis=1), 1.0)[:, None]
        everyone = np.matmul(asks[:, None], device)[:, 0] / count
        own = own @ self.second_w
        own += (server @ self.of_server)[:, None]
        own += (device @ self.of_device + (everyone @ self.of_all)[:, None] + self.second_b)[
            :, :, None
        ]
        np.maximum(own, 0, out=own)
        return own @ self.last_w + self.last_b


class SetPolicy:
    """Decides slots of mllm, for any number of devices, UAVs and satellites.

    Args:
        description: nothing in it is needed.
        arrays: weights (in, out), biases and `sharpness`, float32, by the names that
            `PairForward` and the layers of `set_networks.SetMover` have.
        settings: the scenario.
        moves_first: whether UAVs have moved when devices transmit.

    Raises:
        KeyError: something is missing.
        ValueError: arrays that do not fit.
    """

    any_fleet: ClassVar[bool] = True

    def __init__(
        self,
        description: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        settings: MllmSettings,
        moves_first: bool = True,
    ) -> None:
        self.sight, self._moves_first = Sight(settings), moves_first
        self._mover = PairForward(arrays, 'mover_')
        width = len(self._mover.last_b)
        self._power = _layer(arrays, 'power', width, 2)
        self._attention = _layer(arrays, 'attention', width)
        self._mix = _layer(arrays, 'mix', width, len(self._attention[1]) + 1)
        self._chooser = PairForward(arrays, 'chooser_', 1)
        self._sharpness = float(require_numbers(arrays, 'sharpness', ()))

    def answer(self, observation: FloatArray, mask_of: MaskOf) -> tuple[IntArray, FloatArray]:
        """Choices (B, K) and continuous parts (B, D) in [-1, 1] for observations (B, n).

        Raises:
            ValueError: observations of another scenario.
        """
        seen = self.sight.see(observation.astype(np.float32, copy=False))
        level, move = self.move(seen)
        continuous = np.concatenate([level, move.reshape(len(move), -1)], axis=1)
        uav = self.sight.moved(seen, move) if self._moves_first else seen.uav
        at = scene_at(self.sight, seen, level, uav)._replace(allowed=mask_of(continuous))
        return self.choose(at), continuous

    def move(self, seen: Seen) -> tuple[FloatArray, FloatArray]:
        """Levels of power (X, K) and moves (X, M, 2), in [-1, 1]."""
        sight = self.sight
        at = scene_at(sight, seen, np.ones_like(seen.size_bit), seen.uav)
        weight = first_guess(sight, at)
        row, _ = beside(sight, at, weight)
        hidden = np.maximum(self._mover(row, weight, seen.asks.astype(weight.dtype)), 0)
        pooled = np.matmul(weight[:, :, None], hidden)[:, :, 0]
        level = np.tanh(pooled @ self._power[0][:, 0] + self._power[1][0])
        return level, self._way(seen, hidden, weight)

    def choose(self, at: Scene, noise: FloatArray | None = None) -> IntArray:
        """Servers (X, K): settle the surest devices, score the others anew beside them, and so on.

        Args:
            at: slots.
            noise: (X, K, S) added to scores before the best is taken: standard Gumbel numbers
                make choices random in proportion to their shares.
        """
        weight: FloatArray = first_guess(self.sight, at)
        devices, servers = weight.shape[1], np.arange(weight.shape[2])
        size = -(-devices // (GROUPS if devices <= MANY else FEWER_GROUPS))
        is_open = np.ones(weight.shape[:2], dtype=bool)
        choice = np.zeros(weight.shape[:2], dtype=np.int64)
        asks = at.seen.asks[..., None]
        for settled in range(0, devices, size):
            score = self._scores(at, weight)
            share = shares(score, at)
            wanted = score if noise is None else score + noise
            best = np.where(at.allowed, wanted, -np.inf).argmax(axis=2)
            sure = np.where(is_open, share.max(axis=2), -1)
            now = np.argsort(-sure, axis=1, kind='stable')[:, : min(size, devices - settled)]
            np.put_along_axis(is_open, now, False, axis=1)
            np.put_along_axis(choice, now, np.take_along_axis(best, now, 1), axis=1)
            chosen = ((choice[..., None] == servers) & asks).astype(share.dtype)
            weight = np.where(is_open[..., None], (weight + share) / 2, chosen)
        return choice

    def _scores(self, at: Scene, weight: FloatArray) -> FloatArray:
        row, guess = beside(self.sight, at, weight)
        asks = at.seen.asks.astype(row.dtype)
        learnt = self._chooser(row, weight, asks)[..., 0]
        return learnt - self._sharpness * (guess.cost + guess.toll)

    def _way(self, seen: Seen, hidden: FloatArray, weight: FloatArray) -> FloatArray:
        """Moves (X, M, 2) from hidden values (X, K, S, H) and weights (X, K, S)."""
        sight = self.sight
        of_uav, chosen = hidden[:, :, : sight.m], weight[:, :, : sight.m]
        attention: FloatArray = of_uav @ self._attention[0] + self._attention[1]
        attention = _softmax(attention + np.log(chosen + SLIGHT)[..., None], 1)
        offset = seen.device[:, :, None] - seen.uav[:, None]
        middles = np.einsum('bkmh,bkmx->bmhx', attention, offset)
        mix = _softmax(of_uav.mean(axis=1) @ self._mix[0] + self._mix[1], -1)[..., :-1]
        goal = (mix[..., None] * middles).sum(axis=2)
        if sight.step_m is None:
            way = 2 * (seen.uav + goal) - 1
        else:
            step = goal * (sight.area_m / sight.step_m)
            way = step / np.maximum(np.linalg.norm(step, axis=-1, keepdims=True), 1.0)
        return np.clip(way, -LARGEST_MOVE, LARGEST_MOVE)


def _layer(
    arrays: Mapping[str, FloatArray], name: str, into: int | None = None, out: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Weights (into, out) and biases (out,)."""
    weight = require_numbers(arrays, f'{name}_w', (into, out))
    return weight, require_numbers(arrays, f'{name}_b', (weight.shape[1],))


def _softmax(array: FloatArray, axis: int) -> FloatArray:
    weight = np.exp(array - array.max(axis=axis, keepdims=True))
    share: FloatArray = weight / weight.sum(axis=axis, keepdims=True)
    return share
