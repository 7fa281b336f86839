"""Generation against a toy whose answers follow from its definition (toy_language.reference)."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from toy_language import (
    CONTEXT,
    HIDDEN,
    IMAGE_TOKENS,
    SIDE,
    STOPS,
    features_of,
    reference,
    tokenizer,
    toy_decoder,
    toy_folder,
)

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.language.spec import parse_spec

PROMPTS = ('abc', 'how many ships are there?', 'x', 'where is the oil?', 'is it 3 or 4', '#')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return toy_folder(tmp_path_factory.mktemp('toy'))


@pytest.fixture(scope='module')
def model(folder):
    return LanguageModel.load(folder)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def expected(prompt: str, features: np.ndarray | None, new_tokens: int) -> list[int]:
    places = '' if features is None else '<image>' * IMAGE_TOKENS
    ids = tokenizer().encode(f'<s>{places}Q: {prompt}\n').ids
    return reference(ids, features, new_tokens)


@pytest.mark.parametrize('prompt', PROMPTS)
def test_an_answer_is_what_the_definition_says(model, prompt):
    image = picture(len(prompt))
    answer = model.generate([Question(prompt, image, max_tokens=20)])[0]
    assert list(answer.token_ids) == expected(prompt, features_of(image), 20)
    alone = model.generate([Question(prompt, max_tokens=20)])[0]
    assert list(alone.token_ids) == expected(prompt, None, 20)


def test_rows_of_a_batch_answer_as_if_alone(model):
    """Different lengths, pictures, features and none; rows end at different times."""
    shared = picture(1)
    questions = [
        Question(PROMPTS[0], shared, max_tokens=20),
        Question(PROMPTS[1], picture(2), max_tokens=9),
        Question(PROMPTS[2], max_tokens=20),
        Question(PROMPTS[3], shared, max_tokens=1),
        Question(PROMPTS[4], features=features_of(picture(3)), max_tokens=20),
        Question(PROMPTS[5], picture(4), max_tokens=14),
    ]
    seen = [features_of(shared), features_of(picture(2)), None, features_of(shared),
            features_of(picture(3)), features_of(picture(4))]  # fmt: skip
    answers = model.generate(questions)
    wanted = [expected(q.prompt, f, q.max_tokens) for q, f in zip(questions, seen, strict=True)]
    assert [list(answer.token_ids) for answer in answers] == wanted
    assert len({len(ids) for ids in wanted}) > 3, 'the rows must end at different times'
    assert {a.finish for a in answers} == {'stop', 'length'}
    for answer, ids in zip(answers, wanted, strict=True):
        assert (answer.finish == 'stop') == (ids[-1] in STOPS)


def test_features_give_the_answer_of_their_picture(model):
    images = [picture(5), picture(6)]
    features = model.encode(images)
    for image, feature in zip(images, features, strict=True):
        assert feature.shape == (IMAGE_TOKENS, HIDDEN)
        np.testing.assert_allclose(feature, features_of(image), rtol=1e-5)
        by_image, by_features = model.generate(
            [Question('abc', image), Question('abc', features=feature)]
        )
        assert by_image.token_ids == by_features.token_ids


def test_a_picture_is_encoded_once_however_many_questions_follow(folder, monkeypatch):
    model = LanguageModel.load(folder)
    runs = []
    vision = model._vision
    original = vision.run
    monkeypatch.setattr(vision, 'run', lambda pixels: runs.append(len(pixels)) or original(pixels))
    first, second = picture(7), picture(8)
    model.generate([Question('a', first), Question('b', first), Question('c', second)])
    model.generate([Question('d', second)])
    again = model.generate([Question('e', first, max_tokens=12)])[0]
    assert runs == [2]
    assert list(again.token_ids) == expected('e', features_of(first), 12)
    for seed in range(model.max_batch):
        model.generate([Question('f', picture(100 + seed))])
    model.generate([Question('g', first)])
    assert sum(runs) == 2 + model.max_batch + 1, 'only as many as fit a batch are remembered'
    encoded, turns = sum(runs), model.max_batch
    for seed in range(turns):
        model.generate([Question('h', first), Question('i', picture(200 + seed))])
        model.generate([Question('j', picture(300 + seed))])
    assert sum(runs) == encoded + 2 * turns, 'what is asked about again and again stays'


def test_tokens_are_told_as_they_come(model):
    questions = [Question('abc', picture(1), max_tokens=10), Question('x', max_tokens=6)]
    events = []
    answers = model.generate(questions, on_token=events.append)
    assert [event.row for event in events[:2]] == [0, 1], 'rows advance together'
    times = [event.time_s for event in events]
    assert times == sorted(times)
    for row, answer in enumerate(answers):
        own = [event for event in events if event.row == row]
        assert tuple(event.token_id for event in own) == answer.token_ids
        assert ''.join(event.text for event in own) == answer.text
        assert [event.last for event in own] == [False] * (len(own) - 1) + [True]
        assert answer.first_token_s == own[0].time_s <= answer.total_s == own[-1].time_s
    streamed = list(model.stream(questions[0]))
    assert tuple(event.token_id for event in streamed) == answers[0].token_ids


def test_confidence_is_the_geometric_mean_of_probabilities(model):
    from toy_language import weights

    ids = tokenizer().encode('<s>Q: abc\n').ids
    w = weights()
    state = sum((place + 1) * w['table'][token] for place, token in enumerate(ids))
    scores = (state @ w['head']).astype(np.float64)
    probability = 1 / np.exp(scores - scores.max()).sum()
    answer = model.generate([Question('abc', max_tokens=1)])[0]
    assert answer.confidence == pytest.approx(probability, rel=1e-4)


def test_cancelling_keeps_what_is_there(model):
    asked = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 3

    answer = model.generate([Question('abc', picture(1), max_tokens=20)], cancelled=cancelled)[0]
    assert answer.finish == 'cancelled'
    assert list(answer.token_ids) == expected('abc', features_of(picture(1)), 20)[:3]
    nothing = model.generate([Question('abc')], cancelled=lambda: True)[0]
    assert (nothing.token_ids, nothing.confidence, nothing.finish) == ((), 0.0, 'cancelled')


def test_a_half_precision_cache_is_taken_from_the_graph(tmp_path):
    model = LanguageModel.load(toy_folder(tmp_path, TensorProto.FLOAT16))
    answers = model.generate([Question(prompt, max_tokens=3) for prompt in PROMPTS])
    right = [
        list(a.token_ids) == expected(p, None, 3) for a, p in zip(answers, PROMPTS, strict=True)
    ]
    assert sum(right) >= len(PROMPTS) - 1, 'rounding may turn a near tie, not all'


def test_a_decoder_that_cannot_pad_gets_one_row_at_a_time(tmp_path, monkeypatch):
    folder = toy_folder(tmp_path)
    toy_decoder(folder / 'decoder_model_merged.onnx', first='GroupQueryAttention')
    model = LanguageModel.load(folder)
    decoder, rows = model._decoder, []
    original = decoder.run
    monkeypatch.setattr(decoder, 'run', lambda *args: rows.append(len(args[0])) or original(*args))
    answers = model.generate([Question(prompt, max_tokens=6) for prompt in PROMPTS])
    wanted = [expected(prompt, None, 6) for prompt in PROMPTS]
    assert [list(answer.token_ids) for answer in answers] == wanted
    assert set(rows) == {1}


@pytest.mark.parametrize(
    ('question', 'error', 'words'),
    [
        (Question('a' * CONTEXT), ValueError, f'context of {CONTEXT} tokens'),
        (Question('a', max_tokens=CONTEXT), ValueError, 'shorten either'),
        (Question('a', max_tokens=0), ValueError, 'max_tokens is 0'),
        (Question('a <image> b'), ValueError, "special token '<image>'"),
        (Question('a</s>'), ValueError, "special token '</s>'"),
        (Question('a', np.zeros((8, 8), np.uint8)), PayloadError, r'uint8 \(8, 8\)'),
        (Question('a', np.zeros((8, 8, 3), np.float32)), PayloadError, 'expected uint8'),
        (Question('a', np.zeros((0, 8, 3), np.uint8)), PayloadError, r'\(0, 8, 3\)'),
        (Question('a', features=np.zeros((4, 5), np.float32)), PayloadError, r'\(4, 6\)'),
        (Question('a', features=np.zeros((4, 6), np.int32)), PayloadError, 'int32'),
        (Question('a', picture(0), np.zeros((4, 6), np.float32)), ValueError, 'not both'),
    ],
)  # fmt: skip
def test_bad_questions_are_refused_before_anything_runs(model, question, error, words):
    with pytest.raises(error, match=words):
        model.stream(question)


def test_features_out_of_all_proportion_end_their_own_row_only(model):
    wild = np.full((IMAGE_TOKENS, HIDDEN), np.nan, np.float32)
    bad, good = model.generate(
        [Question('abc', features=wild, max_tokens=8), Question('abc', max_tokens=8)]
    )
    assert (bad.finish, bad.token_ids, bad.confidence) == ('invalid', (), 0.0)
    assert list(good.token_ids) == expected('abc', None, 8)


def test_too_many_questions_at_once(model):
    with pytest.raises(ValueError, match='9 questions at once, max_batch is 8'):
        model.generate([Question('a')] * 9)
    assert model.generate([]) == []


def test_a_profile_has_plausible_numbers(model):
    profile = model.profile(batch=2, new_tokens=4, reps=2)
    assert profile.batch == 2
    assert 0 < profile.prefix_s < 1
    assert 0 < profile.first_token_s < 1
    assert profile.tokens_per_s > 1


def test_attributes_come_from_the_spec(model, folder):
    spec = parse_spec((folder / 'model.yaml').read_text(), 'model.yaml')
    assert (model.id, model.provider, model.accuracy) == ('toy-fp32', 'cpu', None)
    assert model.image_shape == (SIDE, SIDE, 3)
    assert model.context_tokens == spec.decoder.context == CONTEXT
    assert (model.flop_prefix, model.flop_per_token) == (100, 10)
