"""One question of a batch while it is being answered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sec_nodes.inference.language.text import TextStream
from sec_nodes.inference.language.types import Answer, Finish, Question, TokenEvent


@dataclass
class Row:
    """`own_ids` are the prompt's tokens after the picture; `finish` is None while it is open."""

    index: int
    question: Question
    own_ids: list[int]
    prompt_tokens: int
    stream: TextStream
    token_ids: list[int] = field(default_factory=list)
    text: str = ''
    log_probability: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0
    finish: Finish | None = None

    def take(
        self, token_id: int, log_probability: float, time_s: float, stops: bool
    ) -> TokenEvent | None:
        """Add the next token; None and the end of the row if its scores were not finite."""
        self.total_s = time_s
        if not math.isfinite(log_probability):
            self.finish = 'invalid'
            return None
        if not self.token_ids:
            self.first_token_s = time_s
        self.token_ids.append(token_id)
        self.log_probability += log_probability
        piece = '' if stops else self.stream.push(token_id)
        if stops:
            self.finish = 'stop'
        elif len(self.token_ids) >= self.question.max_tokens:
            self.finish = 'length'
        if self.finish:
            piece += self.stream.flush()
        self.text += piece
        return TokenEvent(self.index, token_id, piece, time_s, self.finish is not None)

    def cancel(self, time_s: float) -> None:
        """End the row with what it has."""
        self.text += self.stream.flush()
        self.finish, self.total_s = 'cancelled', time_s

    def answer(self) -> Answer:
        """The row as it stands."""
        count = len(self.token_ids)
        sure = self.finish != 'invalid' and count > 0
        return Answer(
            self.text,
            tuple(self.token_ids),
            self.prompt_tokens,
            self.first_token_s,
            self.total_s,
            math.exp(self.log_probability / count) if sure else 0.0,
            self.finish or 'cancelled',
        )
