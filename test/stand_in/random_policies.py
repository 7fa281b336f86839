"""Untrained policies in the format of trained ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sec_nodes.controllers.learned import trained_on, write_policy
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.observation import Observer
from sec_nodes.scenarios.registry import read_settings


def flat_policy(
    observation, devices, options, continuous, *, bins=None, widths=((32, 24), (16,)), seed=0
):
    """Description and arrays of random fully connected networks.

    The last network says all but the scores of the choices, if there are several.
    """
    rng = np.random.default_rng(seed)
    arrays = {
        'obs_mean': rng.normal(0.3, 0.1, observation).astype(np.float32),
        'obs_std': rng.uniform(0.1, 0.6, observation).astype(np.float32),
    }
    scores, rest = devices * options, continuous if bins is None else sum(bins)
    said = [scores + rest] if len(widths) == 1 else [scores, rest]
    for number, (hidden, last) in enumerate(zip(widths, said, strict=True)):
        sizes = [observation, *hidden, last]
        for layer, (into, out) in enumerate(pairwise(sizes)):
            weight = rng.normal(0, 1.5 / np.sqrt(into), (into, out))
            arrays[f'n{number}_w{layer}'] = weight.astype(np.float32)
            arrays[f'n{number}_b{layer}'] = rng.normal(0, 0.1, out).astype(np.float32)
    description = {
        'kind': 'flat',
        'algorithm': 'nobody',
        'shape': {
            'observation': observation,
            'devices': devices,
            'options': options,
            'continuous': continuous,
        },
        'networks': len(widths),
        'bins': None if bins is None else list(bins),
    }
    return description, arrays


def mllm_policy(path, scenario='mllm:stress', changes=None, **options):
    """Write a random flat policy for a scenario, as if trained on it; returns its path.

    Options are those of `flat_policy`.
    """
    settings = read_settings(scenario, changes)
    system = Mllm(settings)
    devices, moves = system.n_devices, 2 * system.n_uavs
    description, arrays = flat_policy(
        Observer(system).length, devices, system.n_servers, devices + moves, **options
    )
    # observations are near [0, 1]; so standardised, the networks tell slots apart
    arrays['obs_std'][:] = 0.3
    description |= trained_on(scenario, changes)
    write_policy(path, description, arrays)
    return path
