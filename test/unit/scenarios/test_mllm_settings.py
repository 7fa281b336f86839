"""The file of the mllm scenario and its modes."""

import re

import pytest

from sec_nodes.config import ConfigError
from sec_nodes.paths import config_dir
from sec_nodes.scenarios.registry import read_settings, scenario_modes


def test_every_value_says_where_it_comes_from():
    tags = r'#.*\[(paper|chosen|corrected)\]'
    text = (config_dir() / 'scenarios' / 'mllm.yaml').read_text()
    for line in text.splitlines():
        key, _, value = line.partition(': ')
        if line.startswith('#') or not key.strip() or not value.split('#')[0].strip():
            continue
        if key.strip() != 'name':
            assert re.search(tags, line), line


def test_modes():
    five = ['paper', 'fig7', 'stress', 'extended', 'literal']
    assert scenario_modes('mllm') == [*five, 'measured', 'profile', 'quoted']
    assert read_settings('mllm:paper') == read_settings('mllm')
    paper, extended = read_settings('mllm'), read_settings('mllm:extended')
    assert paper.objective.energy_reference_j == 1
    assert not paper.queue.enabled
    assert paper.uavs.speed_m_s is None
    # The balanced objective: T_ref = 1 s, E_ref = 25 J, lam_T = 2, lam_hard = 10, beta_r = 2.
    for mode in ('stress', 'extended'):
        goal = read_settings(f'mllm:{mode}').objective
        assert (goal.latency_reference_s, goal.energy_reference_j) == (1, 25)
        assert (goal.lateness_penalty, goal.violation_penalty, goal.reward_scale) == (2, 10, 2)
    assert read_settings('mllm:stress').radio.residual_interference_db == 0
    assert extended.queue.enabled
    assert extended.uavs.speed_m_s == 20
    assert extended.radio == paper.radio


def test_counts_are_those_of_the_lists():
    settings = read_settings('mllm')
    assert (settings.uavs.count, settings.satellites.count, settings.n_servers) == (3, 4, 7)


@pytest.mark.parametrize(
    ('key', 'value', 'complaint'),
    [
        ('uavs.accuracy', [0.4, 0.5], 'accuracy has 2 entries'),
        ('uavs.start_m', [[1.0, 1.0]], 'start_m has 1 entries'),
        ('satellites.cross_track_deg', [3.0], 'cross_track_deg has 1 entries'),
        ('satellites.spacing_deg', 100.0, 'do not fit on an orbit'),
        ('uavs.start_m', [[1.0, 1.0], [2.0, 2.0], [501.0, 2.0]], 'outside area_m'),
        ('radio.residual_interference_db', 3.0, 'less than or equal to 0'),
        ('radio.interference', 'some', 'same_server'),
        ('tasks.words', [], 'at least 1 item'),
        ('objective', {'latency_weight': 0.0, 'energy_weight': 0.0}, 'missing'),
        ('devices.count', 0, 'greater than or equal to 1'),
        ('tasks.deadline_s', [3.0, 2.0], 'must not exceed'),
    ],
)
def test_bad_values_are_named(key, value, complaint):
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        read_settings('mllm', {key: value})


def test_some_weight_must_count():
    with pytest.raises(ConfigError, match='must not both be 0'):
        read_settings('mllm', {'objective.latency_weight': 0.0, 'objective.energy_weight': 0.0})
