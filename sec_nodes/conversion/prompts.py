"""How a model wants to be asked: its chat template and processor as one line of text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.language.spec import IMAGE_MARK, QUESTION_MARK, PromptSpec
from sec_nodes.inference.manifest import ModelError

_DEFAULT = '{image}\nQ: {question}\nA:'
"""For processors without a chat template."""


def example(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """A random picture, larger than the model's and not square."""
    height, width, channels = shape
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height + 10, 2 * width, channels), np.uint8)


def chat(processor: Any, question: str, *, pictured: bool = True) -> str:
    """The text of a question with the model's image token once, as its processor takes it."""
    image_token = str(processor.image_token)
    if not getattr(processor, 'chat_template', None):
        text = _DEFAULT if pictured else _DEFAULT.partition('\n')[2]
        return text.replace(IMAGE_MARK, image_token).replace(QUESTION_MARK, question)
    content = [{'type': 'image'}] if pictured else []
    message = {'role': 'user', 'content': [*content, {'type': 'text', 'text': question}]}
    return str(
        processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    )


def prompt_spec(processor: Any, picture: NDArray[np.uint8]) -> PromptSpec:
    """The model's prompt, checked against what the processor makes of questions.

    ModelError if the processor does more with a picture than to repeat its token.
    """
    template = chat(processor, QUESTION_MARK)
    image_token = str(processor.image_token)
    if template.count(image_token) != 1 or template.count(QUESTION_MARK) != 1:
        raise ModelError(
            f'the chat template makes {template!r}; expected one picture, one question'
        )
    if template.index(QUESTION_MARK) < template.index(image_token):
        raise ModelError('the chat template puts the question before the picture; not supported')
    special = bool(processor.tokenizer('', add_special_tokens=True)['input_ids'])
    wanted = _ids(processor, chat(processor, 'how many?'), picture)
    image_id = processor.tokenizer.convert_tokens_to_ids(image_token)
    for around in (IMAGE_MARK, *_wrapped(processor)):
        spec = PromptSpec(
            with_image=template.replace(image_token, around),
            without_image=_without_image(processor),
            image_token=image_token,
            image_token_id=image_id,
            image_tokens=wanted.count(image_id),
            add_special_tokens=special,
        )
        places = image_token * spec.image_tokens
        text = spec.with_image.replace(IMAGE_MARK, places).replace(QUESTION_MARK, 'how many?')
        if processor.tokenizer(text, add_special_tokens=special)['input_ids'] == wanted:
            return spec
    raise ModelError(
        f'{type(processor).__name__} puts a picture into the prompt in a way that is not known'
    )


def _ids(processor: Any, text: str, picture: NDArray[np.uint8]) -> list[int]:
    encoded = processor(text=text, images=picture)['input_ids']
    return [int(token) for token in np.asarray(encoded).ravel()]


def _wrapped(processor: Any) -> list[str]:
    """What stands around the places of a picture of one tile in Idefics 3 and SmolVLM."""
    border = getattr(processor, 'fake_image_token', None)
    inside = getattr(processor, 'global_image_token', None) or getattr(
        processor, 'global_image_tag', None
    )
    return [f'{border}{inside}{IMAGE_MARK}{border}'] if border and inside else []


def _without_image(processor: Any) -> str | None:
    text = chat(processor, QUESTION_MARK, pictured=False)
    return text if text.count(QUESTION_MARK) == 1 else None
