"""Prompts to token ids, and token ids to text as they come."""

from __future__ import annotations

from typing import Any

from sec_nodes.inference.language.spec import IMAGE_MARK, QUESTION_MARK, PromptSpec
from sec_nodes.inference.manifest import ModelError

_BROKEN = '\ufffd'
"""What a decoder makes of bytes that are not a whole character."""


class Text:
    """A tokenizer with the model's prompt."""

    def __init__(self, tokenizer_json: bytes, prompt: PromptSpec) -> None:
        """ModelError if the tokenizer cannot be read or lacks the image token."""
        # here, so that machines that only classify never load it
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_buffer(tokenizer_json)
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f'the tokenizer cannot be read: {error}') from error
        if self._tokenizer.token_to_id(prompt.image_token) != prompt.image_token_id:
            raise ModelError(
                f'the tokenizer does not know {prompt.image_token!r} as token '
                f'{prompt.image_token_id}; tokenizer and model.yaml are of different models'
            )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        added = self._tokenizer.get_added_tokens_decoder().values()
        self._special = tuple(token.content for token in added if token.special)
        self._prompt = prompt

    def encode(self, question: str, *, pictured: bool) -> list[int]:
        """Token ids of the whole prompt, the picture's places included.

        ValueError for a question that would smuggle in special tokens, and for one without a
        picture if the model always wants one.
        """
        for token in self._special:
            if token in question:
                raise ValueError(f'prompt contains the special token {token!r}; leave it out')
        template = self._prompt.with_image if pictured else self._prompt.without_image
        if template is None:
            raise ValueError('this model answers only about a picture; give image or features')
        places = self._prompt.image_token * self._prompt.image_tokens
        text = template.replace(IMAGE_MARK, places).replace(QUESTION_MARK, question)
        encoded = self._tokenizer.encode(text, add_special_tokens=self._prompt.add_special_tokens)
        return list(encoded.ids)

    def decode(self, token_ids: list[int]) -> str:
        """Text of token ids, special tokens left out."""
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True))


class TextStream:
    """The text of one answer, token by token; its pieces joined are the answer.

    A piece is the difference between two decodings that both begin a few tokens earlier: decoders
    treat the first token of a text in a special way, and a character may take several tokens.
    """

    def __init__(self, text: Text) -> None:
        """An answer that is still empty."""
        self._text = text
        self._ids: list[int] = []
        self._begin = 0
        self._seen = 0
        self._started = False

    def push(self, token_id: int) -> str:
        """What a token adds; empty while its bytes do not end a character."""
        self._ids.append(token_id)
        before, after = self._window()
        if after.endswith(_BROKEN):
            return ''
        return self._advance(before, after)

    def flush(self) -> str:
        """What was held back, broken characters and all."""
        return self._advance(*self._window())

    def _window(self) -> tuple[str, str]:
        before = self._text.decode(self._ids[self._begin : self._seen])
        return before, self._text.decode(self._ids[self._begin :])

    def _advance(self, before: str, after: str) -> str:
        piece = after[len(before) :]
        self._begin, self._seen = self._seen, len(self._ids)
        if not self._started:  # the blank between prompt and answer belongs to neither
            piece = piece.lstrip()
            self._started = bool(piece)
        return piece
