"""`sec models`: what it writes, and what it says to wrong input."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sec_nodes.cli import main as cli
from sec_nodes.cli import models as commands
from sec_nodes.inference.manifest import default_models_dir, load_manifest
from sec_nodes.inference.sea.kinds import NAMES

SMALL = ['--width', '0.1', '--image-size', '64', '--classes', '4']


@pytest.fixture
def sec(tmp_path, monkeypatch):
    """Call `sec models` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str):
        arguments = ('models', *arguments)
        return CliRunner().invoke(cli.app, list(arguments), env={'COLUMNS': '180'})

    return call


def test_a_built_network_is_listed_and_can_be_profiled(sec):
    built = sec('build', 'alexnet', *SMALL)
    assert built.exit_code == 0 and 'its answers mean nothing' in built.output
    entry = load_manifest('build/models').network('alexnet')
    assert entry.kind == 'network' and entry.accuracy is None
    assert len(entry.cuts) == 9, "the picture, and AlexNet's eight layers"
    listed = sec('list', '--models-dir', 'build/models').output
    assert 'alexnet' in listed and 'random weights, seed 0' in listed
    timed = sec('profile', 'alexnet', '--models-dir', 'build/models', '--reps', '3')
    assert timed.exit_code == 0 and 'features.2' in timed.output


def test_building_twice_replaces_the_entry(sec):
    sec('build', 'vgg13', *SMALL)
    first = load_manifest('build/models').entry('vgg13')
    sec('build', 'vgg13', *SMALL, '--seed', '1')
    second = load_manifest('build/models')
    assert [entry.id for entry in second.models] == ['vgg13']
    assert second.models[0].files != first.files and second.models[0].flop == first.flop


def test_figures_go_into_a_profile(sec, tmp_path):
    sec('build', 'alexnet', *SMALL)
    order = ['profile', 'build/models/alexnet/model.onnx', '--reps', '3']
    order += ['--platform', str(tmp_path / 'mine.yaml')]
    refused = sec(*order)
    if refused.exit_code:  # a machine without a power sensor must be told
        assert 'with --power-w' in refused.stderr
    assert sec(*order, '--power-w', '12').exit_code == 0
    kept = yaml.safe_load((tmp_path / 'mine.yaml').read_text())
    assert list(kept['split']) == ['model'] and len(kept['split']['model']['cuts']) == 9


@pytest.fixture
def shipped_copy(tmp_path) -> Path:
    """The shipped models, where an evaluation may write."""
    return Path(shutil.copytree(default_models_dir(), tmp_path / 'models'))


def test_eval_measures_and_writes_entry_and_card(sec, shipped_copy):
    done = sec(
        'eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--per-kind', '2', '--save',
        '--platform', 'a test',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert 'of 24 questions' in done.output.replace('\n', ' ')
    entry = load_manifest(shipped_copy).mllm('sea-s-q4')
    assert entry.accuracy is not None and entry.accuracy.n_heldout == 24
    assert set(entry.accuracy.per_kind) == set(NAMES)
    assert entry.measured[0].platform == 'a test'
    card = (shipped_copy / 'sea-s' / 'card.md').read_text()
    assert '`sea-s-q4`' in card and 'a test' in card and '`sea-s-q8`' in card


def test_eval_of_a_folder_of_questions(sec, tmp_path):
    folder = tmp_path / 'mmmu'
    folder.mkdir()
    (folder / 'dev.jsonl').write_text(
        '{"question": "1 + 1?", "options": ["2", "3"], "answer": "A", "subfield": "Sums"}\n'
    )
    done = sec('eval', 'sea-s-q4', '--set', str(folder))
    assert done.exit_code == 0
    assert '0 pictures instead of one' in done.output


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['build', 'alexnt'], "unknown model 'alexnt'; choose from alexnet"),
        (['build', 'vit-tiny', '--image-size', '33'], 'image_size is 33'),
        (['build', 'alexnet', '--weights', 'none.npz'], 'none.npz'),
        (['list', '--models-dir', 'nowhere'], 'cannot read nowhere/manifest.yaml'),
        (['profile', 'scene-q'], "model 'scene-q' is not in the manifest; did you mean"),
        (['profile', 'none.onnx'], 'model file none.onnx cannot be read'),
        (['profile', 'scene-s', '--providers', 'tpu'], 'tpu'),
        (['eval', 'scene-s'], "model 'scene-s' is of kind classifier"),
        (['eval', 'sea-s-q4', '--set', 'nowhere'], 'question folder nowhere does not exist'),
        (['eval', 'sea-s-q3'], "model 'sea-s-q3' is not in the manifest; did you mean"),
    ],
)
def test_wrong_input_says_what_and_how_to_mend_it(sec, arguments, message):
    result = sec(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith('error: ') and message in result.stderr
    assert 'Traceback' not in result.output


def test_converting_without_the_libraries_names_the_remedy(sec, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, '_has_training_libraries', lambda: False)
    monkeypatch.setattr(commands, '_training_python', lambda: tmp_path / 'none')
    result = sec('convert', 'some/model')
    assert result.exit_code == 2
    assert 'make setup-train' in result.stderr
