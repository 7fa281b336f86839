"""Games of maritime, and tables from results that are made up and can be checked by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from made_up_maritime import PLAN, SLOTS, MadeUpGames

from sec_nodes.controllers.batch import create_batch
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.keeping import StoppedError
from sec_nodes.experiments.maritime.figures import FIGURES, TABLE_2, changes, jobs
from sec_nodes.experiments.maritime.games import BOUND_MBIT, Game, GameStore, Race
from sec_nodes.experiments.maritime.plans import FULL, PLANS, QUICK
from sec_nodes.experiments.maritime.tables import figure_rows, race_rows
from sec_nodes.experiments.rows import read_rows, write_rows
from sec_nodes.experiments.trainings import HELD_OUT_SEED
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.simulation.run import episode_seeds, simulate
from sec_nodes.simulation.systems import system


@pytest.fixture(scope='module')
def rows():
    found = {
        number: figure_rows(figure, PLAN, MadeUpGames()) for number, figure in FIGURES.items()
    }
    return {**found, TABLE_2: race_rows(PLAN, MadeUpGames())}


def only(rows, exhibit, *args, **kwargs):
    found = Table(rows[exhibit]).of(exhibit, *args, **kwargs)
    assert len(found) == 1
    return found[0]


def test_all_figures_of_the_section_are_there():
    assert list(FIGURES) == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize('number', FIGURES)
@pytest.mark.parametrize('plan', PLANS.values(), ids=list(PLANS))
def test_every_place_is_a_sound_scenario(number, plan):
    for place in FIGURES[number].places:
        read_settings('maritime', dict(place.overrides))
        assert set(place.over) <= {other.mode for other in FIGURES[number].places}


def test_what_is_as_in_the_file_is_no_change():
    assert changes(radio__satellite_bandwidth_hz=40e6) == ()
    assert changes(radio__satellite_bandwidth_hz=30e6, uavs__storage_bit=12e9) == (
        ('radio.satellite_bandwidth_hz', 30e6),
    )
    # so Fig. 4, and Fig. 6 with 0.5 GB free of 1.5 GB, share games with Fig. 3
    third = set(jobs(3, QUICK))
    alike = [job for job in jobs(6, QUICK) if job in third]
    assert len({job.overrides for job in alike}) == 5
    genetic = [job for job in jobs(4, QUICK) if job.player.startswith('genetic')]
    assert [job in third for job in genetic] == [True, False, False, False]


def test_slow_players_play_fewer():
    counts = {job.player: job.episodes for job in jobs(3, FULL) if not job.certify}
    assert counts['jcorm'] == counts['half_slot'] == FULL.episodes
    assert counts['sca'] == FULL.sca_episodes
    assert counts[f'genetic {FULL.budget}'] == FULL.genetic_episodes


def test_a_mean_is_over_experiments(rows):
    row = only(rows, 3, 'utility_mbit', 'mean', ['jcorm'], x=40)
    assert row.value == pytest.approx(SLOTS * 600 * 1.05)
    assert row.low < row.value < row.high
    assert row.episodes == 4
    # half slots: 1 of 10 tasks is late
    assert only(rows, 3, 'late_percent', 'mean', ['half_slot'], x=40).value == pytest.approx(10)
    assert only(rows, 7, 'ratio', 'mean', ['jcorm'], 'UAV 2 GHz', 5).value == pytest.approx(0.4)


def test_who_plays_few_experiments_is_taken_to_all(rows):
    # genetic is 55/60 of jcorm on the first experiment, whose mean over all is 6000 * 1.05
    row = only(rows, 3, 'utility_mbit', 'mean', ['genetic 10x20'], x=40)
    assert (row.episodes, row.value) == (1, pytest.approx(5500 * 1.05))
    bound = only(rows, 3, 'utility_mbit', 'mean', ['bound'], x=40)
    assert (bound.episodes, bound.value) == (2, pytest.approx(6000 * 1.001 * 1.05))


def test_jcorm_is_compared_with_everybody_at_the_same_place(rows):
    row = only(rows, 4, 'utility_mbit', 'above half_slot', ['jcorm'], x=10)
    assert (row.value, row.low, row.high) == (pytest.approx(50),) * 3
    assert row.published == 41.5
    budgets = [
        only(rows, 4, 'utility_mbit', f'above genetic {size}', ['jcorm'], x=10).published
        for size in ('10x20', '10x10')
    ]
    assert budgets == [8.9, 8.9]
    row = only(rows, 7, 'delay_s', 'above no_offloading', ['jcorm_literal_half'], 'UAV 2 GHz', 2)
    assert row.value == pytest.approx(100 * (480 / 470 - 1))


def test_utilities_add_up_slot_by_slot(rows):
    found = Table(rows[4]).of(4, 'utility_mbit', 'mean', ['jcorm'])
    assert [row.x for row in found] == list(range(1, 11))
    steps = [after.value - before.value for before, after in pairwise(found)]
    assert steps == pytest.approx([630] * 9)


def test_sweeps_and_variants_are_compared_place_by_place(rows):
    # from 20 to 40 MHz a change of settings is gone: 1 / 1.01
    row = only(rows, 3, 'utility_mbit', 'above first', ['sca'], x=40)
    assert row.value == pytest.approx(100 * (1 / 1.01 - 1))
    row = only(rows, 3, 'utility_mbit', 'above previous', ['jcorm'], x=50)
    assert row.value == pytest.approx(1)
    # 0.5 W is one change more
    row = only(rows, 9, 'utility_mbit', 'over base', ['jcorm'], '0.5 W', 1)
    assert row.value == pytest.approx(1)


def test_the_gap_is_told_where_nobody_must_be_late(rows):
    row = only(rows, 5, 'gap_percent', 'mean', ['jcorm'], x=5)
    assert row.value == pytest.approx(100 * (1 - 1 / 1.001))
    assert row.low == pytest.approx(row.high)


def test_times_are_told_side_by_side(rows):
    row = only(rows, TABLE_2, 'experiment_s', 'mean', ['sca'])
    assert (row.value, row.published) == (pytest.approx(5), 318.21)
    row = only(rows, TABLE_2, 'experiment_s', 'times jcorm', ['sca'])
    assert (row.value, row.low, row.high) == (pytest.approx(200),) * 3
    assert row.published == pytest.approx(318.21 / 0.16)
    row = only(rows, TABLE_2, 'experiment_s', 'mean', ['jcorm, each of 8'])
    assert row.value == pytest.approx(0.001)


@pytest.mark.parametrize('exhibit', [3, TABLE_2])
def test_tables_are_read_as_they_were_written(rows, exhibit, tmp_path):
    write_rows(tmp_path / 'table.csv', rows[exhibit])
    found = read_rows(tmp_path / 'table.csv')
    assert [replace(row, value=0, low=0, high=0, published=None) for row in found] == [
        replace(row, value=0, low=0, high=0, published=None) for row in rows[exhibit]
    ]
    values = [row.value for row in found]
    np.testing.assert_allclose(values, [row.value for row in rows[exhibit]], rtol=1e-5)


def test_a_game_is_what_simulate_comes_to_on_the_held_out_experiments(tmp_path):
    overrides = (('devices.size_bit', (5e6, 5e6)), ('slots', 2))
    game = Game('half_slot', 3, overrides)
    GameStore(tmp_path).carry_out(game, lambda: False)
    found = GameStore(tmp_path).found(game)
    scenario = system('maritime', dict(overrides))
    seeds = episode_seeds(HELD_OUT_SEED, 3)
    trace = simulate(scenario, create_batch('half_slot', scenario), seeds, 2)
    names = {'late': 'late', 'early': 'early_uploads', 'tasks': 'tasks', 'energy_j': 'energy_j',
             'utility_mbit': 'utility_mbit', 'delivered_mbit': 'delivered_mbit'}  # fmt: skip
    for ours, theirs in names.items():
        np.testing.assert_allclose(found[ours], trace.figures[theirs], rtol=1e-8)
    assert found['early'].sum() > 0


def test_a_certified_game_keeps_the_bound(tmp_path):
    game = Game('jcorm', 1, (('slots', 2),), certify=True)
    store = GameStore(tmp_path)
    assert not store.has(game)
    store.carry_out(game, lambda: False)
    found = store.found(game)
    assert store.has(game)
    gap = found[BOUND_MBIT] / found['utility_mbit'] - 1
    assert (np.abs(gap) < 1e-6).all()
    assert store.cpu_s(game) > 0


def test_a_stopped_game_leaves_no_result(tmp_path):
    store = GameStore(tmp_path)
    for job in (Game('no_offloading', 1), Race(('no_offloading',), 1, 'no_offloading', 2)):
        with pytest.raises(StoppedError):
            store.carry_out(job, lambda: True)
        assert not store.has(job)


def test_a_race_times_everybody(tmp_path):
    race = Race(('no_offloading', 'jcorm_literal'), 2, 'no_offloading', 4)
    GameStore(tmp_path).carry_out(race, lambda: False)
    found = GameStore(tmp_path).found(race)
    assert {name: len(times) for name, times in found.items()} == {
        'no_offloading': 2,
        'jcorm_literal': 2,
        'no_offloading, each of 4': 1,
    }
    assert all((times > 0).all() for times in found.values())


@pytest.mark.parametrize(
    'other',
    [Game('jcorm', 3), Game('sca', 2), Game('jcorm', 2, certify=True),
     Game('jcorm', 2, (('energy_weight_mbit_j', 2.0),))],
)  # fmt: skip
def test_whatever_changes_a_game_changes_its_key(other):
    assert other.key != Game('jcorm', 2).key
    assert Game('jcorm', 2).key == Game('jcorm', 2).key
