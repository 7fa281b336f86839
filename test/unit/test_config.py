"""A wrong configuration says where, what and how to mend it."""

from __future__ import annotations

import pytest

from sec_nodes.config import ConfigError, load, mode_names, parse_overrides
from sec_nodes.paths import config_dir
from sec_nodes.scenarios.registry import read_settings, scenario_names
from sec_nodes.scenarios.survey_settings import SurveySettings


@pytest.fixture
def edited(tmp_path):
    """The survey file with one line replaced; gives the path and the number of the line."""

    def edit(old, new):
        lines = (config_dir() / 'scenarios' / 'survey.yaml').read_text().splitlines()
        number = next(n for n, line in enumerate(lines) if line.strip().startswith(old))
        indent = len(lines[number]) - len(lines[number].lstrip())
        lines[number] = ' ' * indent + new
        path = tmp_path / 'mine.yaml'
        path.write_text('\n'.join(lines))
        return path, number + 1

    return edit


@pytest.mark.parametrize(
    ('old', 'new', 'named'),
    [
        ('slot_s:', 'slot_s: -1.0', ['slot_s = -1.0', 'greater than 0']),
        ('rate_per_s:', 'rate_per_s: .nan', ['devices.rate_per_s = nan', 'finite']),
        ('rate_per_s:', 'rate_per_s: fast', ['devices.rate_per_s', 'valid number']),
        ('coverage_m:', 'coverage: 250.0', ["unknown key 'uavs.coverage'", "'coverage_m'"]),
        ('deadline_s:', 'deadline_s: [2.0, 1.0]', ['must not exceed']),
        ('latitude_deg:', 'latitude_deg: 154.0', ['less than or equal to 90']),
        ('codec:', 'codec: jpeg', ["'raw', 'f16' or 'u8'"]),
    ],
)
def test_a_bad_value_names_file_line_key_and_remedy(edited, old, new, named):
    path, line = edited(old, new)
    with pytest.raises(ConfigError) as caught:
        load(path, SurveySettings)
    assert f'{path}:{line}: ' in str(caught.value)
    for part in named:
        assert part in str(caught.value)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / 'short.yaml'
    path.write_text('name: survey\n')
    with pytest.raises(ConfigError, match="key 'slot_s' is missing"):
        load(path, SurveySettings)


def test_overrides_replace_values_and_are_blamed_for_their_own_errors():
    assert read_settings('survey', {'devices.count': 3}).devices.count == 3
    with pytest.raises(ConfigError, match=r'command line: devices\.count = 0'):
        read_settings('survey', {'devices.count': 0})
    assert parse_overrides(['devices.count=3', 'codec=u8']) == {'devices.count': 3, 'codec': 'u8'}
    with pytest.raises(ConfigError, match='key=value'):
        parse_overrides(['devices.count'])


@pytest.mark.parametrize(('text', 'named'), [('a: [1', 'not valid YAML'), ('- 1', 'mapping')])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, named):
    path = tmp_path / 'broken.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load(path, SurveySettings)


def test_an_unknown_scenario_or_file_is_refused(tmp_path):
    assert 'survey' in scenario_names()
    with pytest.raises(ConfigError, match="did you mean 'survey'"):
        read_settings('surve')
    with pytest.raises(ConfigError, match='cannot be read'):
        read_settings(str(tmp_path / 'absent.yaml'))


@pytest.fixture
def with_modes(tmp_path):
    """The survey file with modes at its end; gives the path and the line of `modes:`."""

    def write(*lines):
        text = (config_dir() / 'scenarios' / 'survey.yaml').read_text()
        path = tmp_path / 'mine.yaml'
        path.write_text('\n'.join([text.rstrip(), 'modes:', *lines]))
        return path, text.rstrip().count('\n') + 2

    return write


def test_a_mode_replaces_values_and_the_command_line_replaces_the_mode(with_modes):
    path, _ = with_modes('  big:', '    devices.count: 50', '    uavs.count: 6')
    assert mode_names(path) == ['big']
    assert read_settings(str(path)).devices.count == 10
    big = read_settings(f'{path}:big')
    assert (big.devices.count, big.uavs.count) == (50, 6)
    mixed = read_settings(f'{path}:big', {'devices.count': 7})
    assert (mixed.devices.count, mixed.uavs.count) == (7, 6)


def test_a_bad_value_of_a_mode_is_found_in_its_own_line(with_modes):
    path, line = with_modes('  big:', '    uavs.count: 6', '    devices.count: -50')
    with pytest.raises(ConfigError) as caught:
        read_settings(f'{path}:big')
    assert f'{path}:{line + 3}: devices.count = -50' in str(caught.value)
    with pytest.raises(ConfigError, match=r"unknown mode 'huge'; .*known: big"):
        read_settings(f'{path}:huge')
    assert read_settings(str(path)).devices.count == 10


@pytest.mark.parametrize('lines', [('  big: 3',), ('  - big',), ('  big:', '    1: 2')])
def test_modes_that_are_no_mappings_are_refused(with_modes, lines):
    path, _ = with_modes(*lines)
    with pytest.raises(ConfigError, match='must map dotted keys to values'):
        read_settings(str(path))


def test_a_file_without_a_known_name_is_refused(edited):
    path, _ = edited('name:', 'name: survy')
    with pytest.raises(ConfigError, match="name = 'survy': did you mean 'survey'"):
        read_settings(str(path))


def test_a_key_that_stands_twice_is_refused(edited):
    path, line = edited('slot_s:', 'slot_s: 1.0\nslot_s: 2.0')
    with pytest.raises(ConfigError, match=rf"mine\.yaml:{line + 1}: key 'slot_s' stands twice"):
        read_settings(str(path))


def test_a_rule_about_several_values_shows_its_text_only(tmp_path):
    text = (config_dir() / 'scenarios' / 'robust.yaml').read_text()
    path = tmp_path / 'mine.yaml'
    path.write_text(text.replace('fixed: null', 'fixed: 3'))
    with pytest.raises(ConfigError) as caught:
        read_settings(str(path))
    assert 'failures.fixed = 3 exceeds failures.largest = 1' in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert 'slot_s' not in str(caught.value)
