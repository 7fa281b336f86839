"""REDQ: randomised ensembled double Q-learning, Chen et al. 2021, a benchmark of Meng and Li.

SAC with N critics: in a target the smallest of M of them, drawn anew for each step of the critics
(algorithm 1, line 8), of which G come before one step of the policy, which ascends the mean of all
(line 12). Meng and Li give neither G nor N nor M; those of Chen et al. are G = 20, N = 10, M = 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.learning.algorithms.sac import Sac, SacHyper


class RedqHyper(SacHyper):
    """Hyper-parameters of REDQ."""

    ensemble: int = Field(10, ge=1)
    """N, critics."""
    trusted: int = Field(2, ge=1)
    """M, critics of which the smallest value counts."""
    critic_steps: int = Field(20, ge=1)
    """G, steps of the critics for one of the policy."""

    @model_validator(mode='after')
    def _trusted_exist(self) -> RedqHyper:
        if self.trusted > self.ensemble:
            raise ValueError(
                f'trusted = {self.trusted} of ensemble = {self.ensemble} critics; lower it'
            )
        return self


class Redq(Sac):
    """REDQ."""

    name: ClassVar[str] = 'redq'
    Hyper: ClassVar[type[Settings]] = RedqHyper
    hyper: RedqHyper

    @property
    def critics(self) -> int:
        """N."""
        return self.hyper.ensemble

    @property
    def updates(self) -> int:
        """Gradient steps of critics so far."""
        return super().updates * self.hyper.critic_steps

    def train_once(self) -> Mapping[str, Tensor]:
        """G steps of the critics, each on other transitions, and one of policy and temperature."""
        for _ in range(self.hyper.critic_steps):
            batch = self.replay.sample(self.hyper.batch)
            seen = self.networks.see(batch.observation)
            judged = self.judge(batch, seen)
        return {'critic_loss': judged.loss, **self.improve(seen)}

    def cautious(self, values: Tensor) -> Tensor:
        """The smallest (B,) of M of the values (N, B)."""
        chosen = torch.randperm(len(values))[: self.hyper.trusted]
        return values[chosen].amin(0)

    def worth(self, values: Tensor) -> Tensor:
        """Their mean (B,)."""
        return values.mean(0)
