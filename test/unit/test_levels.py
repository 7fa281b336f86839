"""Models that a scenario names: their accuracies, times and powers in its settings."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from model_entries import SEA_LEVELS, write_manifest

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import ModelError, load_manifest
from sec_nodes.inference.profiles import (
    Accuracy,
    GenerationEntry,
    PlatformProfile,
    Positive,
    load_profile,
    write_profile,
)
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.registry import read_settings

UAVS, SATELLITES = ['sea-s-q2', 'sea-s-q4', 'sea-s-q8'], ['sea-l-q4', 'sea-l-q8', 'sea-l-fp16']


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A models folder with the levels of the sea models."""
    folder = tmp_path / 'models'
    folder.mkdir()
    monkeypatch.setenv('SEC_MODELS_DIR', str(folder))
    return write_manifest(folder, SEA_LEVELS)


@pytest.fixture
def sea_levels(request):
    """Accuracies by model: of the shipped models, or of made-up ones while there are none."""
    try:
        shipped = {entry.id: entry.accuracy for entry in load_manifest().models}
    except ModelError:
        shipped = {}
    if SEA_LEVELS.keys() <= shipped.keys():
        return {model: shipped[model].value for model in SEA_LEVELS}
    request.getfixturevalue('made_up')
    return SEA_LEVELS


def number(value):
    return Positive(value=value, source='measured')


@pytest.fixture
def board(tmp_path):
    """A platform where model number n takes 0.1 n s to the first token, then 0.01 n s each."""
    generation = {
        model: GenerationEntry(
            model=model, quantisation='q', provider='cpu', token_s=number(0.01 * n),
            first_token_s=number(0.1 * n), power_w=number(5.0 * n) if n > 1 else None,
        )
        for n, model in enumerate([*UAVS, *SATELLITES], start=1)
    }  # fmt: skip
    profile = PlatformProfile(
        id='board', description='', source='measured', date='2026-01-01', power_mode=None,
        processor='', provider='cpu', memory_byte=number(8e9), compute_power_w=number(15.0),
        generation=generation,
    )  # fmt: skip
    path = tmp_path / 'board.yaml'
    write_profile(profile, path)
    return str(path)


def test_measured_levels_replace_the_abstract_ones(sea_levels):
    settings = read_settings('mllm:measured')
    extended = read_settings('mllm:extended')
    named = (*settings.uavs.models, *settings.satellites.models)
    found = (*settings.uavs.accuracy, *settings.satellites.accuracy)
    assert found == tuple(sea_levels[model] for model in named)
    # nothing else differs from `extended`
    assert settings.uavs.pace == extended.uavs.pace
    assert settings.queue == extended.queue
    assert settings.objective == extended.objective
    assert settings.uavs.speed_m_s == extended.uavs.speed_m_s
    # every requirement is met by some model, and not every model meets every one
    low, high = settings.tasks.accuracy
    assert high <= max(found)
    assert min(found) <= low + 0.1
    assert max(found) - min(found) > 0.3


def test_the_profile_mode_is_measured_with_the_times_of_a_platform(sea_levels, board):
    given = {'uavs.platform': board, 'satellites.platform': board}
    settings, measured = read_settings('mllm:profile', given), read_settings('mllm:measured')
    assert settings.uavs.accuracy == measured.uavs.accuracy
    assert settings.objective == measured.objective
    # what an answer takes besides its tokens is the time to the first one less that of a token
    uavs = [(pace.start_s, pace.word_s, pace.power_w) for pace in settings.uavs.pace]
    np.testing.assert_allclose(uavs, [(0.09, 0.01, 15), (0.18, 0.02, 10), (0.27, 0.03, 15)])
    last = settings.satellites.pace[-1]
    np.testing.assert_allclose((last.start_s, last.word_s, last.power_w), (0.54, 0.06, 30))


def test_time_and_energy_of_an_answer_by_a_profile(sea_levels, board):
    scenario = Mllm(
        read_settings(
            'mllm:profile',
            {
                'uavs.platform': board,
                'satellites.platform': board,
                'queue.enabled': False,
                'tasks.words': [40],
                'devices.count': 7,
            },
        )
    )
    state = scenario.reset(np.arange(2))
    decision = MllmDecision(np.tile(np.arange(7), (2, 1)), np.ones((2, 7)), state.uav_m)
    outcome = scenario.evaluate(state, decision)
    # first token after 0.1 n s and 39 more of 0.01 n s, n = 1 to 6 and 6 again
    n = np.array([1, 2, 3, 4, 5, 6, 6.0])
    np.testing.assert_allclose(outcome.compute_s[0], 0.1 * n + 39 * 0.01 * n)
    power_w = np.where(n > 1, 5 * n, 15)
    np.testing.assert_allclose(outcome.compute_j[0], power_w * outcome.compute_s[0])


def test_in_float32_too(sea_levels, board):
    given = {'uavs.platform': board, 'satellites.platform': board}
    scenario = Mllm(read_settings('mllm:profile', given), np.float32)
    state = scenario.reset(np.arange(2))
    shape = state.size_bit.shape
    decision = MllmDecision(np.full(shape, 3), np.ones(shape, np.float32), state.uav_m)
    assert scenario.evaluate(state, decision).compute_s.dtype == np.float32


def test_quoted_models_bring_scores_and_times_of_their_platforms():
    settings = read_settings('mllm:quoted')
    profiles = {tier: load_profile(getattr(settings, tier).platform) for tier in TIERS}
    for tier, profile in profiles.items():
        servers = getattr(settings, tier)
        for model, accuracy, pace in zip(
            servers.models, servers.accuracy, servers.pace, strict=True
        ):
            entry = profile.generation_entry(model)
            assert accuracy == entry.accuracy.value
            assert pace.word_s == entry.token_s.value
            assert pace.start_s == entry.first_token_s.value - entry.token_s.value
            assert pace.power_w == profile.compute_power_w.value
    found = (*settings.uavs.accuracy, *settings.satellites.accuracy)
    assert settings.tasks.accuracy[1] <= max(found)
    assert settings.tasks.accuracy_scale == 'mmmu_val'


TIERS = ('uavs', 'satellites')


def test_what_is_missing_may_be_assumed():
    with pytest.raises(ConfigError, match=r'no first_token_s.*assumed_start_s'):
        read_settings('mllm:quoted', {'uavs.models': ['vila1.5-3b-fp16'] * 3})
    settings = read_settings(
        'mllm:quoted', {'uavs.models': ['vila1.5-3b-fp16'] * 3, 'assumed_start_s': 0.7}
    )
    assert settings.uavs.pace[0].start_s == 0.7
    # what is known stays
    assert settings.satellites.pace == read_settings('mllm:quoted').satellites.pace


def test_settings_that_were_filled_in_can_be_read_again(sea_levels, board, tmp_path):
    given = {'uavs.platform': board, 'satellites.platform': board}
    for settings in (read_settings('mllm:profile', given), read_settings('mllm:quoted')):
        tree = settings.model_dump(mode='json')
        assert MllmSettings.model_validate(tree) == settings
        path = tmp_path / 'scenario.yaml'
        path.write_text(yaml.safe_dump(tree))
        assert read_settings(str(path)) == settings


@pytest.mark.parametrize(
    ('changes', 'complaint'),
    [
        ({'uavs.models': None}, 'satellites.models are named, but not those of the other'),
        ({'uavs.models': ['sea-s-q2', 'sea-s-q4']}, 'models has 2 entries, but altitude_m has 3'),
        ({'satellites.models': SATELLITES}, 'cross_track_deg has 4 entries, but models has 3'),
        ({'uavs.models': ['sea-s-q3'] * 3}, "model 'sea-s-q3' is not in models/manifest.yaml"),
        (
            {'uavs.models': ['sea-s-none'] * 3},
            "nobody measured the accuracy of model 'sea-s-none'",
        ),
        ({'uavs.models': ['other'] * 3}, 'different scales cannot be compared'),
        ({'tasks.accuracy_scale': 'abstract'}, 'requirements must be on the scale'),
        ({'tasks.accuracy_scale': 'mmmu_val'}, "on scale 'sea', but tasks.accuracy_scale ="),
        ({'uavs.platform': None, 'compute': 'profile'}, 'needs uavs.models and uavs.platform'),
        ({'uavs.platform': 'orin'}, "unknown profile 'orin'"),
        (
            {'compute': 'profile', 'uavs.platform': 'orin_nx', 'satellites.platform': 'orin_nx'},
            "profile 'orin_nx' has no generation entry for model 'sea-s-q2'",
        ),
    ],
)
def test_what_cannot_be_used_is_named(made_up, changes, complaint):
    write_manifest(made_up, {**SEA_LEVELS, 'sea-s-none': None})
    other = write_manifest_entry(made_up)
    assert 'other' in other
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        read_settings('mllm:measured', changes)


def write_manifest_entry(folder):
    """Add a model that was asked other questions; returns the ids."""
    path = folder / 'manifest.yaml'
    models = yaml.safe_load(path.read_text())['models']
    write_manifest(folder, {'other': 0.5}, 'mmmu_val')
    models += yaml.safe_load(path.read_text())['models']
    path.write_text(yaml.safe_dump({'models': models}))
    return [model['id'] for model in models]


def test_scales_of_a_shipped_and_a_quoted_model_are_not_mixed(made_up):
    changes = {'satellites.models': ['nvila-8b-int4'] * 4, 'satellites.platform': 'agx_orin'}
    with pytest.raises(ConfigError, match=r'different scales.*sea-s-q2: sea.*nvila.*mmmu_val'):
        read_settings('mllm:measured', changes)


def test_scores_need_a_scale_and_a_scale_needs_models():
    with pytest.raises(ConfigError, match='with no models named'):
        read_settings('mllm', {'tasks.accuracy_scale': 'sea'})


def test_settings_that_nobody_filled_in_do_not_run():
    tree = read_settings('mllm:quoted').model_dump(mode='json')
    for tier in TIERS:
        tree[tier]['paces'] = None
    with pytest.raises(ValueError, match=r'uavs\.paces are not those of uavs\.models'):
        Mllm(MllmSettings.model_validate(tree))


def test_paces_without_a_profile_are_refused():
    pace = {'start_s': 0.0, 'word_s': 0.1, 'power_w': 1.0}
    with pytest.raises(ConfigError, match=r'uavs\.paces are given, but compute = paper'):
        read_settings('mllm', {'uavs.paces': [pace] * 3})


def test_accuracy_of_a_shipped_model_comes_from_the_manifest(made_up, board):
    profile = load_profile(board)
    other = Accuracy(value=0.01, source='measured', scale='sea')
    generation = {
        m: e.model_copy(update={'accuracy': other}) for m, e in profile.generation.items()
    }
    write_profile(profile.model_copy(update={'generation': generation}), Path(board))
    given = {'uavs.platform': board, 'satellites.platform': board}
    assert read_settings('mllm:profile', given).uavs.accuracy == (0.35, 0.62, 0.71)


def test_survey_takes_the_speed_of_a_platform():
    profile = load_profile('laptop_x86')
    settings = read_settings('survey', {'satellites.platform': 'laptop_x86'})
    cut = profile.split['scene-l'].cuts[0]
    assert settings.satellites.flop_s == pytest.approx(cut.back_flop / cut.back_p50_s)
    assert settings.satellites.compute_power_w == profile.compute_power_w.value
    assert settings.uavs == read_settings('survey').uavs
    with pytest.raises(ConfigError, match=r"'orin_nx' has no split entry for model 'scene-l'"):
        read_settings('survey', {'satellites.platform': 'orin_nx'})
