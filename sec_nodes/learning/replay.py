"""What was experienced, for learners that learn from it more than once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sec_nodes.learning.problem import Action, Shape, Turn


class Batch(NamedTuple):
    """Transitions; observations and rewards as the problem gave them."""

    observation: Tensor
    """(B, n)."""
    choice: Tensor
    """(B, K) int64."""
    continuous: Tensor
    """(B, D)."""
    reward: Tensor
    """(B, K), or (B, parts) where K is 0."""
    next_observation: Tensor
    """(B, n)."""
    terminated: Tensor
    """(B,) float32, 1 where nothing followed."""


class Replay:
    """The latest transitions.

    Args:
        shape: of the problem.
        capacity: how many are kept.
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        self.capacity = capacity
        self._rows = Batch(
            torch.zeros(capacity, shape.observation),
            torch.zeros(capacity, shape.devices, dtype=torch.int64),
            torch.zeros(capacity, shape.continuous),
            torch.zeros(capacity, shape.rewards),
            torch.zeros(capacity, shape.observation),
            torch.zeros(capacity),
        )
        self._seen = 0

    def __len__(self) -> int:
        """How many transitions there are."""
        return min(self._seen, self.capacity)

    @property
    def seen(self) -> int:
        """How many transitions have ever been added."""
        return self._seen

    def add(self, observation: Tensor, action: Action, turn: Turn) -> Tensor:
        """Remember one step of E copies, E up to the capacity.

        Returns:
            Indices (E,) at which they are kept.
        """
        rows = len(observation)
        index = torch.arange(self._seen, self._seen + rows) % self.capacity
        added = (observation, *action, turn.reward, turn.observation, turn.terminated.float())
        for kept, new in zip(self._rows, added, strict=True):
            kept[index] = new.to(kept.dtype)
        self._seen += rows
        return index

    def at(self, index: Tensor) -> Batch:
        """Transitions with indices (B,) int64."""
        return Batch(*(kept.index_select(0, index) for kept in self._rows))

    def sample(self, rows: int) -> Batch:
        """Transitions drawn uniformly, with replacement."""
        return self.at(torch.randint(len(self), (rows,)))

    def everything(self) -> Batch:
        """All transitions, as views."""
        return Batch(*(kept[: len(self)] for kept in self._rows))

    def state_dict(self) -> dict[str, Any]:
        """The transitions, and where the next one goes."""
        rows = {name: kept.clone() for name, kept in self.everything()._asdict().items()}
        return {'rows': rows, 'seen': self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was.

        Raises:
            ValueError: the state is of another capacity.
        """
        seen, rows = int(state['seen']), state['rows']
        kept_rows = len(rows['terminated'])
        if kept_rows != min(seen, self.capacity):
            raise ValueError(
                f'the saved replay holds {kept_rows} of {seen} transitions, this one '
                f'{self.capacity}: set buffer to what it was when the replay was saved'
            )
        for name, kept in self._rows._asdict().items():
            kept[:kept_rows] = rows[name]
        self._seen = seen
