"""A converted model says what transformers says, token by token, in either architecture."""

import json
import shutil

import numpy as np
import onnx
import pytest

pytest.importorskip('torch')

from sec_nodes.conversion.golden import write_golden
from sec_nodes.conversion.mllm import convert_mllm, load_transformers, transformers_answer
from sec_nodes.conversion.quantise_mllm import LEVELS, quantise_mllm
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.language.golden import differences
from sec_nodes.inference.manifest import ModelError

WORDS = ('ship', 'oil', 'buoy', 'how many', 'colour', 'is it', 'north?', 'red', '7', 'é', '🚢')


def questions(count: int) -> list[Question]:
    random = np.random.default_rng(11)
    made = []
    for _ in range(count):
        prompt = ' '.join(random.choice(WORDS, random.integers(1, 7)))
        size = tuple(random.integers(20, 120, 2))
        made.append(Question(prompt, random.integers(0, 256, (*size, 3), np.uint8), max_tokens=12))
    return made


@pytest.fixture(scope='module')
def answers(original):
    model, processor = load_transformers(original)
    return [
        transformers_answer(model, processor, q.prompt, q.image, q.max_tokens)
        for q in questions(24)
    ]


def test_greedy_tokens_are_those_of_transformers(converted, answers):
    model = LanguageModel.load(converted)
    alone = [model.generate([question])[0] for question in questions(24)]
    assert [list(answer.token_ids) for answer in alone] == answers
    assert len({tuple(answer.token_ids) for answer in alone}) > 12, 'the model must not babble'


def test_batches_say_the_same(converted, answers):
    model = LanguageModel.load(converted)
    asked = questions(24)
    batches = [model.generate(asked[i : i + 8]) for i in range(0, 24, 8)]
    assert [list(answer.token_ids) for batch in batches for answer in batch] == answers


def test_graphs_are_lean(converted):
    for path in converted.glob('*.onnx'):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert (model.ir_version, model.opset_import[0].version) == (10, 20)


def test_every_level_runs(converted, tmp_path, answers):
    folder = shutil.copytree(converted, tmp_path / 'levels')
    right = {}
    for level in LEVELS:
        quantise_mllm(folder, level)
        model = LanguageModel.load(folder, quantisation=level)
        got = [model.generate([question])[0].token_ids for question in questions(24)]
        pairs = zip(got, answers, strict=True)
        right[level] = sum(ids[0] == wanted[0] for ids, wanted in pairs)
    assert right['fp16'] >= 23, right
    assert right['q8'] >= 16, right


def test_golden_answers_are_written_and_checked(original, converted):
    def picture(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (50, 60, 3), np.uint8)

    asked = [(seed, f'{WORDS[seed]}?') for seed in range(4)]
    path = write_golden(converted, original, asked, picture, new_tokens=6)
    model = LanguageModel.load(converted)
    assert differences(path, model, picture) == []
    content = json.loads(path.read_text())
    content['answers'][2]['token_ids'][1] += 1
    path.write_text(json.dumps(content))
    found = differences(path, model, picture)
    assert len(found) == 1
    assert found[0].startswith("'buoy?' about picture 2")


def test_what_is_not_supported_is_refused(original, tmp_path):
    from transformers import AutoConfig

    with pytest.raises(ModelError, match=r'cannot load .* as an MLLM'):
        convert_mllm(tmp_path / 'nothing', tmp_path / 'out')
    folder = shutil.copytree(original, tmp_path / 'mrope')
    config = json.loads((folder / 'config.json').read_text())
    rope = config['text_config'].setdefault('rope_parameters', {'rope_type': 'default'})
    rope['mrope_section'] = [1, 1, 2]
    (folder / 'config.json').write_text(json.dumps(config))
    assert AutoConfig.from_pretrained(folder)
    with pytest.raises(ModelError, match='multi-axis rope'):
        convert_mllm(folder, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
