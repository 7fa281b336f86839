"""Learners' tests run on one core, so that several of them can."""

from __future__ import annotations

try:
    import torch
except ImportError:
    pass
else:
    torch.set_num_threads(1)
