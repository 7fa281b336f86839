"""SAC-PER: SAC with prioritised experience replay, the algorithm of Meng and Li.

Transitions are replayed by their error delta = 1/2 sum_i |y - Q_i|, refreshed after each step of
the critics; weights that take the bias of the draw away are in the critics' loss alone. Their
exponent beta_2 grows to 1. See `prioritised` for the priorities.

With `eq39_literal` the target is (39) as printed: r + Q(s', a') of the critic itself, without
entropy, target network, smaller twin and end; a', which the paper leaves open, is drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.learning.algorithms.sac import Sac, SacHyper
from sec_nodes.learning.prioritised import Prioritised
from sec_nodes.learning.replay import Batch

Exponent = Annotated[float, Field(ge=0, le=1)]


class SacPerHyper(SacHyper):
    """Hyper-parameters of SAC-PER."""

    exponents: tuple[Exponent, Exponent] = (0.6, 1.0)
    """eta and beta_1, one after the other, as printed; their product counts."""
    correction: Exponent = 0.4
    """First beta_2."""
    correction_slots: int = Field(100_000, ge=1)
    """Slots of all copies together after which beta_2 is 1."""
    eq39_literal: bool = False
    """The target as printed."""


class SacPer(Sac):
    """SAC-PER."""

    name: ClassVar[str] = 'sac_per'
    Hyper: ClassVar[type[Settings]] = SacPerHyper
    hyper: SacPerHyper
    replay: Prioritised

    def make_replay(self) -> Prioritised:
        """Where experience is kept."""
        return Prioritised(self.shape, self.hyper.buffer, self.hyper.exponents)

    @property
    def beta_2(self) -> float:
        """Exponent of the weights now: from `correction` to 1, linearly."""
        done = min(self.replay.seen / self.hyper.correction_slots, 1.0)
        return self.hyper.correction + done * (1.0 - self.hyper.correction)

    def train_once(self) -> Mapping[str, Tensor]:
        """One gradient step on transitions drawn by priority, and their priorities."""
        drawn = self.replay.draw(self.hyper.batch, self.beta_2)
        figures, judged = self.step(drawn.batch, drawn.weight)
        self.replay.refresh(drawn.index, judged.error)
        return {**figures, 'error': judged.error.mean()}

    @torch.no_grad()
    def goal(self, batch: Batch) -> Tensor:
        """What critics are to say: each its own (n, B, P) where (39) is taken literally."""
        if not self.hyper.eq39_literal:
            return super().goal(batch)
        next_seen = self.networks.see(batch.next_observation)
        values = self.networks.critic(next_seen, self.draw(next_seen).numbers).sum(-1)
        goal = self.reward(batch).repeat(len(values), 1, 1)
        goal[..., -1] += self.hyper.gamma * values
        return goal
