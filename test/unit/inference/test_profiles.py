"""Profiles: what ships, what can be asked of it, and what is refused."""

import re
from datetime import date

import pytest
import yaml

from sec_nodes.config import ConfigError, known_names
from sec_nodes.inference.profiles import (
    Accuracy,
    CutTiming,
    GenerationEntry,
    PlatformProfile,
    Positive,
    SplitEntry,
    common_scale,
    load_profile,
    write_profile,
)

SHIPPED = ('agx_orin', 'laptop_x86', 'orin_nx')


def measured(value):
    return Positive(value=value, source='measured')


def small(**changes):
    """A profile of one model that takes 0.5 s to the first token and 0.1 s for each other."""
    entry = GenerationEntry(
        model='a', quantisation='q4', provider='cpu', token_s=measured(0.1),
        first_token_s=measured(0.5), accuracy=Accuracy(value=0.8, source='measured', scale='sea'),
    )  # fmt: skip
    values = {
        'id': 'board',
        'description': 'made up',
        'source': 'measured',
        'date': date(2026, 1, 2),
        'power_mode': '15W',
        'processor': 'some',
        'provider': 'cpu',
        'memory_byte': measured(8e9),
        'compute_power_w': measured(15.0),
        'generation': {'a': entry},
    }
    return PlatformProfile(**{**values, **changes})


def test_what_ships_is_sound():
    assert tuple(known_names('profile')) == SHIPPED
    for name in SHIPPED:
        assert load_profile(name).id == name


def test_nothing_that_was_not_measured_here_says_so():
    for name in ('agx_orin', 'orin_nx'):
        numbers = load_profile(name).numbers()
        assert len(numbers) > 20
        assert {number.source for number in numbers.values()} <= {'quoted', 'estimated'}
    of_laptop = load_profile('laptop_x86')
    assert {entry.source for entry in of_laptop.split.values()} == {'measured'}


# VILA README of August 2024 (VILA1.5) and of November 2025 (NVILA), TinyChat README: token/s on
# Orin, MMMU (val) in percent, time to the first token on Orin in seconds.
PUBLISHED = {
    'vila1.5-3b-fp16': (25.4, 33.3, None),
    'vila1.5-3b-int4': (42.5, 32.7, None),
    'vila1.5-3b-s2-fp16': (24.6, 32.8, None),
    'vila1.5-3b-s2-int4': (40.1, 33.4, None),
    'llama-3-vila1.5-8b-fp16': (10.2, 36.9, None),
    'llama-3-vila1.5-8b-int4': (28.7, 36.0, None),
    'vila1.5-13b-fp16': (6.1, 37.9, None),
    'vila1.5-13b-int4': (20.6, 37.8, None),
    'nvila-8b-fp16': (11.6, 50.7, 0.4222),
    'nvila-8b-int4': (28.1, 49.3, 0.2748),
}


@pytest.mark.parametrize('model', PUBLISHED)
def test_quoted_figures_are_those_that_were_published(model):
    rate, score, first_s = PUBLISHED[model]
    entry = load_profile('agx_orin').generation_entry(model)
    assert 1 / entry.token_s.value == pytest.approx(rate, rel=1e-3)
    assert entry.accuracy.value == pytest.approx(score / 100)
    assert entry.accuracy.scale == 'mmmu_val'
    assert (entry.token_s.source, entry.accuracy.source) == ('quoted', 'quoted')
    if first_s is not None:
        assert entry.first_token_s.value == first_s
        assert entry.first_token_s.source == 'quoted'


def test_work_per_token_as_the_print_counts_it():
    # f_n times the time of a token: what v of the mllm scenario, 0.05 to 0.6 TFLOP, must mean
    profile = load_profile('agx_orin')
    for model, tera in (
        ('vila1.5-3b-int4', 0.078), ('llama-3-vila1.5-8b-int4', 0.116),
        ('vila1.5-13b-int4', 0.162), ('vila1.5-3b-fp16', 0.131),
        ('llama-3-vila1.5-8b-fp16', 0.326), ('vila1.5-13b-fp16', 0.546),
    ):  # fmt: skip
        found = 3.33 * profile.generation_entry(model).token_s.value
        assert found == pytest.approx(tera, abs=6e-4), model


def test_estimates_of_the_smaller_board_follow_their_formula():
    agx, nx = load_profile('agx_orin'), load_profile('orin_nx')
    assert nx.generation.keys() < agx.generation.keys()
    for model, entry in nx.generation.items():
        larger = agx.generation[model]
        assert entry.token_s.source == 'estimated'
        assert '204.8 / 102.4' in entry.token_s.origin
        assert entry.token_s.value / larger.token_s.value == pytest.approx(2.0, rel=1e-3)
        assert entry.accuracy == larger.accuracy  # the same weights give the same answers
        assert (entry.first_token_s is None) == (larger.first_token_s is None)
        if entry.first_token_s is not None:
            ratio = entry.first_token_s.value / larger.first_token_s.value
            assert ratio == pytest.approx(2048 * 1.3 / (1024 * 0.918), rel=1e-3)


def test_time_of_an_answer():
    profile = small()
    # first token after 0.5 s, then four more
    assert profile.generation_time_s('a', 5) == pytest.approx(0.9)
    assert profile.start_s('a') == pytest.approx(0.4)
    quoted = load_profile('agx_orin')
    assert quoted.generation_time_s('nvila-8b-int4', 29) == pytest.approx(
        0.2748 + 28 / 28.1, rel=1e-3
    )


def test_without_a_time_to_the_first_token_something_must_be_assumed():
    profile = load_profile('agx_orin')
    with pytest.raises(ConfigError, match=r"'agx_orin' has no first_token_s .*vila1\.5-3b-fp16"):
        profile.generation_time_s('vila1.5-3b-fp16', 8)
    found = profile.generation_time_s('vila1.5-3b-fp16', 8, assumed_start_s=0.2)
    assert found == pytest.approx(0.2 + 8 / 25.4, rel=1e-3)
    # what is known is not replaced
    assert small().start_s('a', 9.0) == pytest.approx(0.4)


def test_power_is_the_entry_s_own_where_it_has_one():
    profile = small()
    assert profile.power_w('a') == 15
    own = profile.generation['a'].model_copy(update={'power_w': measured(7.5)})
    assert small(generation={'a': own}).power_w('a') == 7.5


def test_speed_of_a_network_is_that_of_the_whole():
    cuts = (
        CutTiming(
            tensor='image', front_flop=0, back_flop=6_000_000, front_p50_s=1e-6,
            front_p95_s=1e-6, back_p50_s=2e-3, back_p95_s=3e-3,
        ),
        CutTiming(
            tensor='scores', front_flop=6_000_000, back_flop=0, front_p50_s=2e-3,
            front_p95_s=3e-3, back_p50_s=1e-6, back_p95_s=1e-6,
        ),
    )  # fmt: skip
    entry = SplitEntry(
        model='n', quantisation='fp32', provider='cpu', source='measured', origin='', cuts=cuts
    )
    assert entry.flop_s == pytest.approx(3e9)


def test_what_is_not_there_is_named_with_what_is():
    with pytest.raises(ConfigError, match=r"unknown profile 'agx'.*agx_orin, laptop_x86, orin_nx"):
        load_profile('agx')
    with pytest.raises(ConfigError, match=r"'board' has no generation entry.*'b'.*known: a"):
        small().generation_entry('b')
    with pytest.raises(ConfigError, match=r"'board' has no split entry.*'n'.*known: none"):
        small().split_entry('n')


def test_scales_are_not_mixed():
    sea = Accuracy(value=0.8, source='measured', scale='sea')
    mmmu = Accuracy(value=0.3, source='measured', scale='mmmu_val')
    assert common_scale({'a': sea, 'b': sea}) == 'sea'
    with pytest.raises(ConfigError, match=r'different scales.*a: sea, b: mmmu_val'):
        common_scale({'a': sea, 'b': mmmu})


def test_what_is_written_is_read_back(tmp_path):
    for profile in (small(), load_profile('agx_orin'), load_profile('laptop_x86')):
        path = tmp_path / f'{profile.id}.yaml'
        write_profile(profile, path)
        assert load_profile(str(path)) == profile


@pytest.mark.parametrize(
    ('old', 'new', 'complaint'),
    [
        ('id: board', 'id: other', "id = 'other': must be the name of the file"),
        ('source: measured}', 'source: quoted}', 'needs an origin'),
        ('source: measured}', "source: quoted, origin: 'web: p. 3'}", "quoted from 'web'"),
        ('source: measured}', 'source: guessed}', 'measured'),
        ('value: 0.1', 'value: -0.1', 'greater than 0'),
        ('value: 0.8', 'value: 80', 'less than or equal to 1'),
        ('value: 0.1', 'value: .nan', 'finite'),
        ('power_mode:', 'power_mood:', 'unknown key'),
    ],
)
def test_bad_profiles_are_refused(tmp_path, old, new, complaint):
    path = tmp_path / 'board.yaml'
    write_profile(small(), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        load_profile(str(path))


def test_files_hold_no_more_than_is_known(tmp_path):
    write_profile(small(), tmp_path / 'board.yaml')
    tree = yaml.safe_load((tmp_path / 'board.yaml').read_text())
    assert 'split' not in tree
    assert 'peak_byte' not in tree['generation']['a']
    assert tree['date'] == date(2026, 1, 2)
