"""Untrained policies of kind `set`, in the format of trained ones."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.mllm.pairs import N_FEATURES

HEADS = 4


def set_policy_arrays(hidden=8, seed=0, last=1.0, sharpness=1.0):
    """Random weights (in, out), biases and `sharpness`.

    Args:
        hidden: width of all networks.
        seed: of the weights.
        last: scale of the layers that training begins with zeros in; 0 is an untrained policy.
        sharpness: how strongly choices follow estimated costs.
    """
    rng = np.random.default_rng(seed)
    shapes = {
        'power': (hidden, 2),
        'attention': (hidden, HEADS),
        'mix': (hidden, HEADS + 1),
    }
    for prefix, outputs in (('chooser_', 1), ('mover_', hidden)):
        shapes |= {
            f'{prefix}first': (N_FEATURES, hidden),
            f'{prefix}second': (hidden, hidden),
            f'{prefix}last': (hidden, outputs),
        }
        shapes |= {f'{prefix}of_{whom}': (hidden, hidden) for whom in ('server', 'device', 'all')}
    arrays = {'sharpness': np.array(sharpness, dtype=np.float32)}
    for name, (into, out) in shapes.items():
        scale = last if name in ('chooser_last', 'power') else 1.0
        weight = scale * rng.normal(0, 1 / np.sqrt(into), (into, out))
        arrays[f'{name}_w'] = weight.astype(np.float32)
        if 'of_' not in name:
            arrays[f'{name}_b'] = (scale * rng.normal(0, 0.1, out)).astype(np.float32)
    if not last:
        arrays['power_b'] = np.array([1.5, -1.0], dtype=np.float32)
    return arrays
