"""Where models are found, and what is refused before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from toy_language import toy_decoder, toy_folder, toy_spec

from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.language.memory import needed_byte
from sec_nodes.inference.language.spec import write_spec
from sec_nodes.inference.manifest import ModelError, load_manifest

ROLES = {
    'vision': 'vision_encoder.onnx',
    'embed': 'embed_tokens.onnx',
    'decoder': 'decoder_model_merged.onnx',
    'tokenizer': 'tokenizer.json',
    'config': 'model.yaml',
}


def entry(folder, **changes) -> dict:
    def file(role: str, name: str) -> dict:
        content = (folder / 'toy' / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return {'path': f'toy/{name}', 'sha256': digest, 'bytes': len(content), 'role': role}

    return {
        'id': 'toy-fp32', 'kind': 'mllm', 'task': 'tests', 'source': 'test', 'license': 'MIT',
        'base': 'toy', 'quantisation': 'fp32', 'files': [file(*item) for item in ROLES.items()],
        'parameters': 9, 'image': [8, 8, 3], 'image_tokens': 4, 'hidden': 6, 'layers': 1,
        'context': 96, 'flop_prefix': 100, 'flop_per_token': 10, 'weights_byte': 20,
        'accuracy': {
            'value': 0.5, 'interval_95': [0.4, 0.6], 'n_heldout': 100, 'heldout_first_seed': 1,
            'per_kind': {'count': 0.5}, 'majority_baseline': {'count': 0.2},
        },
        'measured': [
            {'platform': 'here', 'tokens_per_s': 9.0, 'first_token_s': 0.1, 'peak_byte': 7}
        ],
        **changes,
    }  # fmt: skip


@pytest.fixture
def models_dir(tmp_path):
    toy_folder(tmp_path / 'toy')
    return write_manifest(tmp_path, entry(tmp_path))


def write_manifest(folder, *entries):
    (folder / 'manifest.yaml').write_text(yaml.safe_dump({'models': list(entries)}))
    return folder


def test_a_model_of_the_manifest_is_checked_and_answers(models_dir):
    model = LanguageModel.load('toy-fp32', models_dir=models_dir)
    same = LanguageModel.load(models_dir / 'toy')
    assert (model.id, model.accuracy) == ('toy-fp32', 0.5)
    question = Question('how many?', max_tokens=5)
    assert model.generate([question])[0].token_ids == same.generate([question])[0].token_ids


@pytest.mark.parametrize('name', ROLES.values())
def test_an_altered_file_is_refused(models_dir, name):
    with (models_dir / 'toy' / name).open('ab') as file:
        file.write(b' ')
    with pytest.raises(ModelError, match=f'{name} has SHA-256'):
        LanguageModel.load('toy-fp32', models_dir=models_dir)


def test_entries_are_checked(models_dir):
    files = entry(models_dir)['files']
    write_manifest(models_dir, entry(models_dir, files=files[:-1]))
    with pytest.raises(ModelError, match=r'models.0.mllm.*expected each of'):
        load_manifest(models_dir)
    write_manifest(models_dir, entry(models_dir, kind='mlm'))
    with pytest.raises(ModelError, match=r'models.0.*mlm'):
        load_manifest(models_dir)


def test_kinds_are_not_mixed_up(models_dir):
    manifest = load_manifest(models_dir)
    assert manifest.mllm('toy-fp32').measured[0].tokens_per_s == 9.0
    with pytest.raises(ModelError, match='cannot be cut at layers'):
        manifest.network('toy-fp32')
    with pytest.raises(ModelError, match='not a classifier'):
        manifest.classifier('toy-fp32')
    with pytest.raises(ModelError, match='is of kind classifier; it answers no questions'):
        LanguageModel.load('scene-s')


def test_needed_memory_by_hand():
    """One layer, one head of 6, hidden 6, 4 image tokens, 10 words, context 16, 2 rows, floats."""
    spec = toy_spec(
        decoder={
            'layers': 1, 'kv_heads': 1, 'head_dim': 6, 'hidden': 6, 'vocabulary': 10,
            'context': 16,
        }
    )  # fmt: skip
    cache = 2 * 6 * (16 + 16 + 4)
    activations = 16 * 2 * 16 + 16 * 8 * 6 + 10
    rest = 24 * 2**20 + 4 * 2 * (cache + activations)
    assert needed_byte(spec, 1000, 'q4', 2, 16) == 2000 + rest, 'as read and as packed'
    assert needed_byte(spec, 1000, 'fp16', 2, 16) == 4000 + rest, 'computed in float32'


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(models_dir, monkeypatch):
    needed = LanguageModel.load(models_dir / 'toy').needed_byte
    assert LanguageModel.load(models_dir / 'toy', memory_limit_byte=needed)
    monkeypatch.setattr('sec_nodes.inference.language.model.open_session', pytest.fail)
    with pytest.raises(ModelError, match=r'needs \d+\.\d MiB .* batches of 8 with 96 tokens'):
        LanguageModel.load(models_dir / 'toy', memory_limit_byte=needed - 1)
    with pytest.raises(ModelError, match='lower max_batch'):
        LanguageModel.load('toy-fp32', models_dir=models_dir, memory_limit_byte=1)


def test_a_shorter_context_needs_less_and_is_kept_to(models_dir):
    whole = LanguageModel.load(models_dir / 'toy')
    short = LanguageModel.load(models_dir / 'toy', context_tokens=20, max_batch=1)
    assert short.needed_byte < whole.needed_byte
    with pytest.raises(ValueError, match='context of 20 tokens'):
        short.generate([Question('abc', max_tokens=16)])
    for wrong in ({'context_tokens': 97}, {'context_tokens': 0}, {'max_batch': 0}):
        with pytest.raises(ValueError, match=r'context_tokens is|max_batch is'):
            LanguageModel.load(models_dir / 'toy', **wrong)


def test_levels_are_chosen_by_name_or_after_a_colon(models_dir):
    folder = models_dir / 'toy'
    spec = toy_spec()
    level = spec.levels['fp32']
    write_spec(spec.model_copy(update={'levels': {'q4': level, 'fp32': level}}), folder)
    assert LanguageModel.load(folder).id == 'toy-fp32'
    assert LanguageModel.load(folder, quantisation='q4').id == 'toy-q4'
    assert LanguageModel.load(f'{folder}:q4').id == 'toy-q4'
    with pytest.raises(ModelError, match="no quantisation 'q3'; choose from q4, fp32"):
        LanguageModel.load(f'{folder}:q3')


def test_what_is_wrong_with_a_folder_is_named(models_dir, tmp_path):
    folder = models_dir / 'toy'
    toy_decoder(folder / 'decoder_model_merged.onnx', extra='beam')
    with pytest.raises(ModelError, match="takes input 'beam'"):
        LanguageModel.load(folder)
    (folder / 'embed_tokens.onnx').unlink()
    with pytest.raises(ModelError, match=r'embed_tokens.onnx is missing'):
        LanguageModel.load(folder)
    (folder / 'model.yaml').write_text('schema_version: 1\nid: x\n')
    with pytest.raises(ModelError, match=r'model.yaml: source'):
        LanguageModel.load(folder)
    with pytest.raises(ModelError, match='not in the manifest'):
        LanguageModel.load('nothing-here', models_dir=models_dir)
    torch_folder = tmp_path / 'unconverted'
    torch_folder.mkdir()
    (torch_folder / 'config.json').write_text(json.dumps({'model_type': 'llava'}))
    with pytest.raises(ModelError, match=r'sec models convert .*unconverted'):
        LanguageModel.load(torch_folder)


def test_an_image_token_of_another_tokenizer_is_refused(models_dir):
    folder = models_dir / 'toy'
    prompt = toy_spec().prompt.model_copy(update={'image_token_id': 7})
    write_spec(toy_spec(prompt=prompt.model_dump()), folder)
    with pytest.raises(ModelError, match="does not know '<image>' as token 7"):
        LanguageModel.load(folder)


def test_vision_output_of_a_wrong_size_is_refused(models_dir):
    folder = models_dir / 'toy'
    prompt = toy_spec().prompt.model_copy(update={'image_tokens': 5})
    write_spec(toy_spec(prompt=prompt.model_dump()), folder)
    model = LanguageModel.load(folder)
    with pytest.raises(ModelError, match=r'promises \(5, 6\) each'):
        model.encode([np.zeros((8, 8, 3), np.uint8)])


def test_a_level_of_the_manifest_may_follow_a_colon(tmp_path):
    with pytest.raises(ModelError, match="model 'sea-l-q4-q2' is not in the manifest"):
        LanguageModel.load('sea-l-q4:q2')
    assert LanguageModel.load('sea-l:q4').id == 'sea-l-q4'


def test_the_peak_is_that_of_the_process_itself():
    """A parent's peak outlives fork and exec; a child must not report it."""
    held = bytearray(300 * 2**20)
    held[::4096] = b'x' * len(held[::4096])
    code = (
        'from sec_nodes.inference.language.memory import begin_peak, peak_byte\n'
        'began = begin_peak()\n'
        'print(peak_byte() - began)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)
    grown = int(done.stdout)
    assert grown < 50 * 2**20, f'{len(held)} byte of the parent were counted'
