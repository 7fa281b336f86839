"""Prompts, streams of text, and pictures: what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_language import IMAGE, STOPS, tokenizer, toy_spec

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.language.preprocessing import pixel_values
from sec_nodes.inference.language.rows import Row
from sec_nodes.inference.language.spec import ImageSpec, PromptSpec
from sec_nodes.inference.language.text import Text, TextStream
from sec_nodes.inference.language.types import Question
from sec_nodes.inference.manifest import ModelError


@pytest.fixture(scope='module')
def text():
    return Text(tokenizer().to_str().encode(), toy_spec().prompt)


def bytes_of(words: str) -> list[int]:
    return tokenizer().encode(words).ids


def stream(text: Text, ids: list[int]) -> list[str]:
    made = TextStream(text)
    return [*(made.push(token) for token in ids), made.flush()]


def test_a_prompt_is_its_template_with_places_for_the_picture(text):
    ids = text.encode('hm?', pictured=True)
    assert ids == [1, IMAGE, IMAGE, IMAGE, IMAGE, *bytes_of('Q: hm?\n')]
    assert text.encode('hm?', pictured=False) == [1, *bytes_of('Q: hm?\n')]
    # marks of the template are plain words in a question
    assert text.encode('{image}{question}', pictured=False) == [
        1, *bytes_of('Q: {image}{question}\n'),
    ]  # fmt: skip


def test_a_model_that_always_wants_a_picture_says_so():
    prompt = toy_spec().prompt.model_copy(update={'without_image': None})
    with pytest.raises(ValueError, match='give image or features'):
        Text(tokenizer().to_str().encode(), prompt).encode('a', pictured=False)


def test_a_broken_tokenizer_is_named():
    with pytest.raises(ModelError, match='tokenizer cannot be read'):
        Text(b'{}', toy_spec().prompt)


def test_a_character_of_several_tokens_comes_with_its_last(text):
    """A ship is four bytes, four tokens in this tokenizer."""
    ids = bytes_of('a🚢é')
    assert len(ids) == 1 + 4 + 2
    assert stream(text, ids) == ['a', '', '', '', '🚢', '', 'é', '']


def test_bytes_that_never_become_a_character_are_flushed(text):
    pieces = stream(text, bytes_of('ab🚢')[:4])
    assert pieces[:4] == ['a', 'b', '', '']
    assert pieces[4] == '\ufffd'


def test_special_tokens_and_the_first_blank_are_no_text(text):
    assert stream(text, [*bytes_of(' 3'), STOPS[0], *bytes_of(' b')]) == [
        '',
        '3',
        '',
        ' ',
        'b',
        '',
    ]


@given(st.text(max_size=30))
def test_pieces_join_to_the_text(words):
    made = Text(tokenizer().to_str().encode(), toy_spec().prompt)
    ids = bytes_of(words)
    assert ''.join(stream(made, ids)) == made.decode(ids).lstrip()


def test_rows_end_by_stop_token_or_length(text):
    row = Row(0, Question('a', max_tokens=3), [1], 5, TextStream(text))
    first, second = bytes_of('hi')
    assert row.take(first, -1.0, 0.1, False).last is False
    assert row.take(second, -2.0, 0.2, False).last is False
    event = row.take(STOPS[0], -3.0, 0.4, True)
    assert (event.text, event.last) == ('', True)
    answer = row.answer()
    assert (answer.text, answer.finish, answer.prompt_tokens) == ('hi', 'stop', 5)
    assert answer.confidence == pytest.approx(np.exp(-2.0))
    assert (answer.first_token_s, answer.total_s) == (0.1, 0.4)


def test_a_row_cut_short_within_a_character_shows_it(text):
    row = Row(0, Question('a', max_tokens=2), [1], 5, TextStream(text))
    first, second = bytes_of('🚢')[:2]
    assert row.take(first, -1.0, 0.1, False).text == ''
    assert row.take(second, -1.0, 0.2, False).text == '\ufffd'
    assert (row.answer().text, row.answer().finish) == ('\ufffd', 'length')


def spec(*steps: tuple[str, int, int], **changes: object) -> ImageSpec:
    made = [{'kind': kind, 'height': h, 'width': w} for kind, h, w in steps]
    plain = {'mean': (0, 0, 0), 'std': (1, 1, 1), 'rescale': 1.0, 'resample': 'bicubic'}
    return ImageSpec.model_validate({'steps': made, **plain, **changes})


def test_pixels_are_scaled_and_shifted_by_channel():
    picture = np.full((2, 2, 3), 51, np.uint8)
    rule = spec(('fit', 2, 2), rescale=1 / 255, mean=(0.2, 0.1, 0.0), std=(1.0, 0.5, 0.1))
    pixels = pixel_values(picture, rule)
    assert (pixels.shape, pixels.dtype) == ((3, 2, 2), np.float32)
    np.testing.assert_allclose(pixels[:, 0, 0], [0.0, 0.2, 2.0], atol=1e-6)


def test_resizing_is_pillows():
    picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(picture).resize((16, 24), Image.Resampling.LANCZOS))
    got = pixel_values(picture, spec(('fit', 24, 16), resample='lanczos'))
    np.testing.assert_array_equal(got, wanted.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ('shape', 'step', 'wanted'),
    [
        ((50, 100), ('longest_edge', 80, 80), (40, 80)),
        ((100, 50), ('longest_edge', 81, 81), (81, 40)),  # 40.5 down, even
        ((30, 100), ('longest_edge', 50, 50), (16, 50)),  # 15 is odd
        ((50, 100), ('shortest_edge', 20, 20), (20, 40)),
        ((100, 50), ('shortest_edge', 20, 20), (40, 20)),
    ],
)
def test_edges(shape, step, wanted):
    picture = np.zeros((*shape, 3), np.uint8)
    assert pixel_values(picture, spec(step)).shape[1:] == wanted


def test_the_middle_is_cropped_and_zeros_pad():
    picture = np.arange(1, 7, dtype=np.uint8).reshape(1, 6, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(pixel_values(picture, spec(('crop', 1, 2)))[0], [[3, 4]])
    np.testing.assert_array_equal(
        pixel_values(picture, spec(('crop', 3, 4)))[0], [[0] * 4, [2, 3, 4, 5], [0] * 4]
    )


def test_what_is_no_picture_is_refused():
    for wrong in (np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3)), None):
        with pytest.raises(PayloadError, match='expected uint8'):
            pixel_values(wrong, spec(('fit', 2, 2)))


def test_the_picture_comes_before_the_question():
    prompt = toy_spec().prompt.model_dump()
    for wrong in ('{question}{image}', '{image}', '{question}', '{image}{image}{question}'):
        with pytest.raises(ValueError, match='with_image'):
            PromptSpec.model_validate({**prompt, 'with_image': wrong})
