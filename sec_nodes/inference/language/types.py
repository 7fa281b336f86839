"""What is asked of a language model, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Finish = Literal['stop', 'length', 'cancelled', 'invalid']


@dataclass(frozen=True)
class Question:
    """A prompt, with a picture, with a picture's features from `LanguageModel.encode`, or alone.

    `image` is uint8 (H, W, 3) of any size; `features` float (image_tokens, hidden);
    `max_tokens` the longest answer [token].
    """

    prompt: str
    image: NDArray[np.uint8] | None = None
    features: NDArray[Any] | None = None
    max_tokens: int = 64


@dataclass(frozen=True)
class TokenEvent:
    """One token of question `row` of a batch, as soon as it is known.

    `text` is what it adds to the answer: empty for a stop token and for bytes that are not a whole
    character yet. `time_s` counts from the call of `generate`. `last` ends the row.
    """

    row: int
    token_id: int
    text: str
    time_s: float
    last: bool


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    `token_ids` include the stop token if there was one; `prompt_tokens` count the picture's too.
    `confidence` is the geometric mean of the tokens' probabilities, 0 for an empty answer.
    `finish`: a stop token came, `max_tokens` did, the caller cancelled, or the scores were not
    finite (features out of all proportion).
    """

    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    first_token_s: float
    total_s: float
    confidence: float
    finish: Finish = 'stop'


@dataclass(frozen=True)
class GenerationProfile:
    """Medians measured on this machine for one batch size.

    `prefix_s` encodes one picture and the text before it, once per picture; `first_token_s` is the
    rest of the way to the first token; `tokens_per_s` counts all rows together after that;
    `peak_byte` is how much the process grew at most since before the model was loaded.
    """

    batch: int
    prefix_s: float
    first_token_s: float
    tokens_per_s: float
    peak_byte: int
