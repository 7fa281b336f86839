"""Fully connected policies as the arrays that `sec_nodes.controllers.learned` plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from sec_nodes.learning.networks import Normaliser, flat_arrays
from sec_nodes.learning.problem import Shape


def flat_policy(
    algorithm: str,
    shape: Shape,
    normaliser: Normaliser,
    networks: Sequence[nn.Sequential],
    bins: Sequence[int] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Description and arrays of a policy of kind `flat`.

    Args:
        algorithm: who learnt it.
        shape: of the problem.
        normaliser: of observations.
        networks: whose outputs, one after the other, are K S scores and D means before tanh, or
            scores of bins.
        bins: how many values each of the D numbers takes; None if they are means.
    """
    arrays: dict[str, Any] = {
        'obs_mean': normaliser.mean.numpy().copy(),
        'obs_std': normaliser.std.numpy().copy(),
    }
    for index, network in enumerate(networks):
        arrays |= flat_arrays(network, index)
    description = {
        'kind': 'flat',
        'algorithm': algorithm,
        'shape': asdict(shape),
        'networks': len(networks),
        'bins': None if bins is None else list(bins),
    }
    return description, arrays
