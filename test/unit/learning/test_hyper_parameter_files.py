"""Profiles and modes of config/controllers come together as documented; no torch."""

from __future__ import annotations

import pytest

from sec_nodes.config import ConfigError
from sec_nodes.learning import registry
from sec_nodes.learning.problems import learnable

FILE = """
profiles:
  default:
    copies: 4
    gamma: 0.9
    merge:
      every: 2
      eta: 1.3
  paper_text:
    gamma: 0.995
modes:
  stress:
    gamma: 0.0
    merge.every: 0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """config/ with a file of ppo for mllm."""
    place = tmp_path / 'controllers' / 'mllm'
    place.mkdir(parents=True)
    (place / 'ppo.yaml').write_text(FILE)
    monkeypatch.setattr(registry, 'config_dir', lambda: tmp_path)
    return place


@pytest.mark.parametrize(
    ('profile', 'mode', 'expected'),
    [
        ('default', None, (0.9, 2)),
        ('default', 'stress', (0.0, 0)),
        ('default', 'extended', (0.9, 2)),
        ('paper_text', None, (0.995, 2)),
        ('paper_text', 'stress', (0.995, 2)),  # modes change `default` only
    ],
)
def test_a_profile_differs_from_default_and_default_from_mode_to_mode(
    folder, profile, mode, expected
):
    found = registry.values('ppo', 'mllm', profile, mode)
    assert (found['gamma'], found['merge.every']) == expected
    assert (found['copies'], found['merge.eta']) == (4, 1.3)


def test_overrides_go_before_everything():
    changed = registry.values('ad_sac_flat', 'mllm', overrides={'gamma': 0.5, 'merge.every': 7})
    plain = registry.values('ad_sac_flat', 'mllm')
    assert {key for key in plain if plain[key] != changed[key]} == {'gamma', 'merge.every'}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('pppo', 'mllm'), "unknown algorithm 'pppo'; did you mean 'ppo'?"),
        (('ddpg', 'mllm'), 'so ddpg has no hyper-parameters for mllm; known: ppo'),
        (('ppo', 'robust'), 'so ppo has no hyper-parameters for robust; known: none'),
        (('ppo', 'mllm', 'paper'), "unknown profile 'paper'; did you mean 'paper_text'?"),
        (
            ('ppo', 'mllm', 'default', None, {'gama': 1}),
            "command line: unknown key 'gama'; did you mean 'gamma'?",
        ),
        (
            ('ppo', 'mllm', 'default', None, {'merge': 1}),
            "command line: unknown key 'merge'; ",
        ),
    ],
)
def test_unknown_names_are_refused_with_what_is_known(folder, arguments, message):
    with pytest.raises(ConfigError) as refused:
        registry.values(*arguments)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ('before', 'after', 'message'),
    [
        ('gamma: 0.0', 'gmma: 0.0', "mode 'stress': unknown key 'gmma'; did you mean 'gamma'?"),
        ('gamma: 0.995', 'batch: 3', "profile 'paper_text': unknown key 'batch'"),
        (
            '  stress:\n    gamma: 0.0\n    merge.every: 0',
            '  stress: 3',
            'stress of modes must map',
        ),
    ],
)
def test_mistakes_in_files_are_found(folder, before, after, message):
    (folder / 'ppo.yaml').write_text(FILE.replace(before, after))
    with pytest.raises(ConfigError) as refused:
        for profile in ('paper_text', 'default'):
            registry.values('ppo', 'mllm', profile, 'stress')
    assert 'ppo.yaml' in str(refused.value) and message in str(refused.value)


@pytest.mark.parametrize(
    ('scenario', 'message'),
    [
        ('maritime', "scenario 'maritime' cannot be learnt yet"),
        ('mlm', "unknown scenario 'mlm' for training; did you mean 'mllm'?"),
        ('mllm:stres', "mllm: unknown mode 'stres'; did you mean 'stress'?"),
    ],
)
def test_scenarios_that_cannot_be_learnt_are_refused(scenario, message):
    with pytest.raises(ConfigError) as refused:
        learnable(scenario)
    assert message in str(refused.value)


def test_a_scenario_is_parted_into_name_and_mode():
    assert learnable('mllm') == ('mllm', None)
    assert learnable('mllm:stress', {'devices.count': 4}) == ('mllm', 'stress')
