"""`sec models`: what it writes, and what it says to wrong input."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
import yaml
from typer.testing import CliRunner

from sec_nodes.cli import examination, profiling, training_environment
from sec_nodes.cli import main as cli
from sec_nodes.cli import models as commands
from sec_nodes.cli.cards import kinds_tables
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.language import LanguageModel
from sec_nodes.inference.manifest import ModelError, default_models_dir, load_manifest
from sec_nodes.inference.power import NoMeter, Reading
from sec_nodes.inference.profiles import load_profile
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


def change(models: Path, model: str, **update) -> None:
    """Set fields of an entry; None takes them out."""
    path = models / 'manifest.yaml'
    tree = yaml.safe_load(path.read_text())
    entry = next(entry for entry in tree['models'] if entry['id'] == model)
    entry.update(update)
    tree['models'] = [
        {key: value for key, value in entry.items() if value is not None}
        for entry in tree['models']
    ]
    path.write_text(yaml.safe_dump(tree))


@pytest.fixture
def questions(tmp_path) -> str:
    """A folder with one question."""
    folder = tmp_path / 'mmmu'
    folder.mkdir()
    (folder / 'dev.jsonl').write_text(
        '{"question": "1 + 1?", "options": ["2", "3"], "answer": "A", "subfield": "Sums"}\n'
    )
    return str(folder)


@pytest.fixture
def no_loading(monkeypatch):
    """Whoever refuses must do so before a model is loaded, and with that asked."""

    def load(*_, **__):
        raise AssertionError('loaded')

    monkeypatch.setattr(LanguageModel, 'load', load)
    monkeypatch.setattr(SplitModel, 'load', load)


def test_eval_measures_and_writes_entry_and_card(sec, shipped_copy):
    change(shipped_copy, 'sea-s-q4', accuracy=None)
    done = sec(
        'eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--per-kind', '2', '--save',
        '--platform', 'a test',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert 'of 24 questions' in done.output.replace('\n', ' ')
    entry = load_manifest(shipped_copy).mllm('sea-s-q4')
    assert entry.accuracy is not None and entry.accuracy.n_heldout == 24
    assert set(entry.accuracy.per_kind) == set(NAMES)
    assert entry.measured[-1].platform == 'a test'
    card = (shipped_copy / 'sea-s' / 'card.md').read_text()
    assert '`sea-s-q4`' in card and 'a test' in card and '`sea-s-q8`' in card


def test_eval_of_a_folder_of_questions(sec, questions):
    done = sec('eval', 'sea-s-q4', '--set', questions)
    assert done.exit_code == 0
    assert '0 pictures instead of one' in done.output


def test_another_set_may_be_kept_where_none_is_and_the_card_shows_both(
    sec, shipped_copy, questions
):
    change(shipped_copy, 'sea-s-q4', accuracy=None)
    order = ['eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--save']
    done = sec(*order, '--set', questions)
    assert done.exit_code == 0, done.output
    card = (shipped_copy / 'sea-s' / 'card.md').read_text()
    assert 'Questions of mmmu:' in card and 'Questions of sea:' in card and '1 of mmmu' in card
    listed = sec('list', '--models-dir', str(shipped_copy)).output
    sets = {line.split()[0]: line.split()[-1] for line in listed.splitlines() if 'sea-s-' in line}
    assert sets['sea-s-q4'] == 'mmmu' and sets['sea-s-q8'] == 'sea'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--set', 'mmmu'], 'is on set sea, and accuracies on two sets do not compare'),
        (['--per-kind', '2'], 'is kept from 2400 questions, and 24 must not replace them'),
    ],
)
def test_an_accuracy_is_not_replaced_by_a_lesser_one(
    sec, shipped_copy, questions, no_loading, arguments, message
):
    before = (shipped_copy / 'manifest.yaml').read_bytes()
    done = sec(
        'eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--save', *arguments
    )  # fmt: skip
    assert done.exit_code == 2
    assert message in done.stderr and 'use --print' in done.stderr
    assert (shipped_copy / 'manifest.yaml').read_bytes() == before


def test_a_model_in_no_models_folder_is_refused_before_it_is_asked(
    sec, shipped_copy, tmp_path, no_loading
):
    lone = shutil.copytree(shipped_copy / 'sea-s', tmp_path / 'lone' / 'sea-s')
    for named in (str(lone), f'{lone}:q4', 'some/model'):
        done = sec('eval', named, '--per-kind', '1', '--save')
        assert done.exit_code == 2
        assert 'lies in no models folder' in done.stderr


def test_a_users_folder_called_sea_is_not_taken_for_the_built_in_set(
    sec, shipped_copy, questions, tmp_path, no_loading
):
    Path(questions).rename(tmp_path / 'sea')
    done = sec(
        'eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--save', '--set', './sea'
    )  # fmt: skip
    assert done.exit_code == 2 and 'rename the folder' in done.stderr


def test_speeds_of_other_platforms_stay(sec, shipped_copy):
    speed = {'tokens_per_s': 1.0, 'first_token_s': 1.0, 'peak_byte': 1}
    measured = [speed | {'platform': name} for name in ('a test', 'another')]
    change(shipped_copy, 'sea-s-q4', accuracy=None, measured=measured)
    sec(
        'eval', str(shipped_copy / 'sea-s:q4'), '--per-kind', '1', '--save', '--platform', 'a test'
    )
    measured = load_manifest(shipped_copy).mllm('sea-s-q4').measured
    found = {speed.platform: speed.tokens_per_s for speed in measured}
    assert len(measured) == 2
    assert found.keys() == {'a test', 'another'}
    assert found['another'] == 1.0 != found['a test']


def test_memory_is_measured_before_questions_are_asked_in_batches(sec, shipped_copy, monkeypatch):
    change(shipped_copy, 'sea-s-q4', accuracy=None)
    called, generate, profile = [], LanguageModel.generate, LanguageModel.profile
    monkeypatch.setattr(
        LanguageModel, 'generate', lambda *a, **k: called.append('asked') or generate(*a, **k)
    )
    monkeypatch.setattr(
        LanguageModel, 'profile', lambda *a, **k: called.append('profiled') or profile(*a, **k)
    )
    sec('eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--per-kind', '1', '--save')
    assert called[0] == 'profiled' and called.count('profiled') == 1 and 'asked' in called


def test_nothing_is_written_if_the_card_cannot_be_made(sec, shipped_copy, monkeypatch):
    def fail(*_):
        raise ModelError('no card')

    change(shipped_copy, 'sea-s-q4', accuracy=None)
    monkeypatch.setattr(examination, 'made_card', fail)
    before = (shipped_copy / 'manifest.yaml').read_bytes()
    done = sec('eval', 'sea-s-q4', '--models-dir', str(shipped_copy), '--per-kind', '1', '--save')
    assert done.exit_code == 2 and 'no card' in done.stderr
    assert (shipped_copy / 'manifest.yaml').read_bytes() == before


def test_a_card_of_levels_with_different_kinds():
    first, second, third = (
        load_manifest().mllm(name) for name in ('sea-s-q2', 'sea-s-q4', 'sea-s-q8')
    )
    fewer = first.accuracy.model_copy(
        update={'per_kind': {'count': 0.25}, 'majority_baseline': {'count': 0.5}}
    )
    other = fewer.model_copy(update={'set': 'mine', 'per_kind': {'Sums': 1.0}})
    other = other.model_copy(update={'majority_baseline': {'Sums': 0.75}})
    entries = [
        first.model_copy(update={'accuracy': fewer}),
        second,
        third.model_copy(update={'accuracy': other}),
    ]
    text = kinds_tables(entries, lambda entry: entry.quantisation)
    assert '| Sums | 0.75 | 1.000 |' in text and '| kind | commonest answer | q8 |' in text
    coast = next(line for line in text.splitlines() if line.startswith('| coast'))
    assert coast.split(' | ')[2] == '-', 'q2 was not asked that'
    assert coast.split(' | ')[3].startswith(f'{second.accuracy.per_kind["coast"]:.3f}')


NO_SENSOR = NoMeter('no sensor here')


class Sensor:
    """Says that everything takes 7 W."""

    @contextmanager
    def measure(self):
        reading = Reading(source='a sensor')
        yield reading
        reading.energy_j, reading.duration_s = 14.0, 2.0


@pytest.fixture
def network(sec) -> str:
    sec('build', 'alexnet', *SMALL)
    return 'build/models/alexnet'


def test_what_a_sensor_measured_goes_into_a_new_profile(sec, network, monkeypatch):
    monkeypatch.setattr(profiling, 'find_meter', Sensor)
    done = sec('profile', network, '--reps', '3', '--platform', 'mine.yaml')
    assert done.exit_code == 0, done.output
    profile = load_profile('mine.yaml')
    assert profile.compute_power_w.value == 7.0 and profile.compute_power_w.source == 'measured'
    assert list(profile.split) == ['alexnet'], 'called as the folder that build wrote'
    assert profile.split['alexnet'].quantisation == 'fp32'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--platform', 'new.yaml'], 'with --power-w'),
        (['--power-w', '5'], 'name one with --platform'),
        (['--platform', 'mine.yaml', '--power-w', '5'], 'says already that it draws 12 W'),
        (['--platform', 'agx_orin'], "profile 'agx_orin' is quoted"),
        (['--platform', 'orin_nx'], "profile 'orin_nx' is estimated"),
    ],
)
def test_figures_that_cannot_be_kept_are_not_measured(
    sec, network, monkeypatch, arguments, message
):
    monkeypatch.setattr(profiling, 'find_meter', lambda: NO_SENSOR)
    order = ['profile', network, '--reps', '3']
    assert sec(*order, '--platform', 'mine.yaml', '--power-w', '12').exit_code == 0
    monkeypatch.setattr(profiling, 'measure_split', lambda *_, **__: pytest.fail('measured'))
    refused = sec(*order, *arguments)
    assert refused.exit_code == 2 and message in refused.stderr


def test_eight_bit_graphs_are_called_so(sec, network):
    path = Path(network) / 'model.onnx'
    graph = onnx.load(path)
    assert profiling._quantisation(path) == 'fp32'
    graph.graph.node.add(op_type='QuantizeLinear', input=['image', 's'], output=['unused'])
    onnx.save(graph, path)
    assert profiling._quantisation(path) == 'int8'


def test_scale_and_level_of_a_profile_are_those_of_the_entry(sec, shipped_copy, monkeypatch):
    accuracy = load_manifest(shipped_copy).mllm('sea-s-q4').accuracy.model_dump(mode='json')
    change(shipped_copy, 'sea-s-q4', accuracy=accuracy | {'set': 'mine'}, quantisation='four')
    monkeypatch.setattr(profiling, 'find_meter', lambda: NO_SENSOR)
    monkeypatch.setattr(profiling, '_BATCHES', (1,))
    order = ['profile', 'sea-s-q4', '--models-dir', str(shipped_copy)]
    done = sec(*order, '--platform', 'mine.yaml', '--power-w', '3')
    assert done.exit_code == 0, done.output
    entry = load_profile('mine.yaml').generation['sea-s-q4']
    assert entry.accuracy.scale == 'mine' and entry.quantisation == 'four'


@pytest.mark.parametrize('given', [[], ['--build-engines']])
def test_engines_are_built_only_if_the_user_says_so(sec, monkeypatch, given):
    orders = []
    monkeypatch.setattr(profiling, 'profile_model', lambda order, console: orders.append(order))
    assert sec('profile', 'scene-s', *given).exit_code == 0
    assert orders[0].policy.build_engines == bool(given)
    assert orders[0].policy.cache_dir is not None


def test_whoever_builds_is_told_how_to_use_it(sec, tmp_path):
    told = sec('build', 'alexnet', *SMALL).output.replace('\n', '')
    assert 'sec models profile alexnet --models-dir build/models' in told
    assert f'SEC_MODELS_DIR={tmp_path / "build/models"}' in told


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['build', 'alexnt'], "unknown model 'alexnt'; choose from alexnet"),
        (['build', 'vit-tiny', '--image-size', '33'], 'image_size is 33'),
        (['build', 'alexnet', '--weights', 'none.npz'], 'none.npz'),
        (['build', 'scene-s', '--seed', '3'], '--seed is for networks that are built untrained'),
        (['build', 'sea-l', '--image-size', '96'], '--image-size is for networks'),
        (['convert', 'some/model', '--levels', 'q4,q3'], "level 'q3' in --levels is unknown"),
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
    monkeypatch.setattr(commands, 'has_libraries', lambda names: False)
    monkeypatch.setattr(training_environment, 'has_libraries', lambda names: False)
    monkeypatch.setattr(training_environment, 'training_python', lambda: tmp_path / 'none')
    result = sec('convert', 'some/model')
    assert result.exit_code == 2
    assert 'make setup-train' in result.stderr
