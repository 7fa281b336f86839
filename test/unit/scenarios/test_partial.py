"""The partial scenario: (1) to (12) of Liu et al. 2026 as corrected, worked out by hand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from partial_worlds import SLOT_S, SLOTS, small_world

from sec_nodes.config import ConfigError
from sec_nodes.paths import config_dir
from sec_nodes.physics.energy import propulsion_power_w
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.instance import cut_tasks, nominal_split, read_instance
from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial, PartialDecision
from sec_nodes.scenarios.registry import read_settings, scenario_modes


@pytest.fixture(scope='module')
def default():
    scenario = Partial(read_settings('partial'))
    return scenario, scenario.reset(np.array([4]))


def random_plan(state, seed, n_uavs=3, slots=50):
    rng = np.random.default_rng(seed)
    copies, tasks = state.split.shape
    return PartialDecision(
        waypoint_m=rng.uniform(0, 500, (copies, n_uavs, slots + 1, 2)),
        server=rng.integers(UNSERVED, n_uavs, (copies, tasks)),
        cpu_hz=rng.choice([0.0, 1.0, 3e8, 6e9], (copies, tasks)),
        split=rng.integers(0, state.splits_bit.shape[2], (copies, tasks)),
    )


class TestEquations:
    def test_propulsion_is_power_times_time_in_every_slot(self):
        # (1) at hover 168.484 W for 60 s; 12 slots at 18 m/s there, as many back, 18 m in two
        scenario, state, plan = small_world()
        found = scenario.evaluate(state, plan).propulsion_j[0]
        assert found[0] == pytest.approx(60 * 168.484, abs=0.03)
        fast, last, hover = (float(propulsion_power_w(v)) for v in (18.0, 9.0, 0.0))
        by_hand = 2 * (24 * fast + 2 * last + 4 * hover)
        assert found[1] == pytest.approx(by_hand, rel=1e-7)

    def test_the_paper_s_induced_speed_costs_more(self):
        wing = read_settings('partial', {'airframe.induced_speed_m_s': 4.3}).wing
        assert propulsion_power_w(10.3505, wing) == pytest.approx(128.1854, abs=1e-4)

    def test_local_time(self):
        # (6): 6e3 cycles a bit for the 0.8, 0.8 and 1.2 Mb that are not offloaded, at 300 MHz
        _, state, plan = small_world()
        np.testing.assert_allclose(cut_tasks(state, plan.split).local_s, [[16.0, 16.0, 24.0]])

    def test_a_task_below_a_hovering_uav_by_hand(self):
        scenario, state, plan = small_world()
        outcome = scenario.evaluate(state, plan)
        rate = float(rate_bit_s(0.0, scenario.settings.link))
        # (7): 16 s for 0.2 Mb; tau: 0.1 Mb from 16 s on; (8): 1.2 Gcycle at 1 GHz
        assert outcome.program_margin_bit[0, 0] == pytest.approx(16 * rate - 0.2e6)
        assert outcome.upload_end_s[0, 0] == pytest.approx(16 + 0.1e6 / rate)
        assert outcome.finish_s[0, 0] == pytest.approx(16 + 0.1e6 / rate + 1.2)
        # (9): phi f^2 W = 1e-27 1e18 1.2e9; (11): from 16 s to 58 - 1.2 s
        assert outcome.service_j[0, 0] == pytest.approx(1.2)
        assert outcome.intermediate_margin_bit[0, 0] == pytest.approx(40.8 * rate - 0.1e6)

    def test_the_slot_uses_the_waypoint_where_it_begins(self):
        scenario, state, plan = small_world()
        rate = scenario.rates_bit_s(state, plan.waypoint_m)[:, 1, 2]
        assert rate[0, 0] == rate_bit_s(450.0, scenario.settings.link)
        assert rate[0, 1] == rate_bit_s(414.0, scenario.settings.link)
        assert rate.shape == (1, SLOTS)

    def test_the_objective_is_the_costliest_uav(self):
        # (12): W = 1.2, 1.2 and 4.8 Gcycle at 1 GHz, beta = 10
        scenario, state, plan = small_world()
        outcome = scenario.evaluate(state, plan)
        expected = outcome.propulsion_j[0] + 10 * np.array([2.4, 4.8])
        np.testing.assert_allclose(outcome.energy_j[0], expected, rtol=1e-12)
        assert outcome.objective_j[0] == outcome.energy_j[0].max()

    def test_the_sound_plan_is_sound(self):
        scenario, state, plan = small_world()
        outcome = scenario.evaluate(state, plan)
        assert outcome.met.all()
        assert not any(count.any() for count in outcome.violations.values())

    def test_pairs_agree_with_evaluating_each_of_them(self):
        scenario, state, plan = small_world()
        pairs = scenario.pairs(state, plan.waypoint_m, plan.split)
        for uav in range(2):
            cpu_hz = np.where(np.isfinite(pairs.cpu_hz[:, uav]), pairs.cpu_hz[:, uav], 0.0)
            served = replace(plan, server=np.full((1, 3), uav), cpu_hz=cpu_hz)
            outcome = scenario.evaluate(state, served)
            np.testing.assert_array_equal(outcome.met, pairs.possible[:, uav])
            np.testing.assert_allclose(outcome.upload_end_s, pairs.upload_end_s[:, uav])
            done = pairs.possible[0, uav]
            np.testing.assert_allclose(outcome.finish_s[0, done], 58.0)
            np.testing.assert_allclose(outcome.service_j[0, done], pairs.service_j[0, uav, done])
        assert not pairs.possible[0, 0, 2]  # the program of task 2 needs a UAV that comes

    def test_no_slower_processor_is_in_time(self):
        scenario, state, plan = small_world()
        pairs = scenario.pairs(state, plan.waypoint_m, plan.split)
        least_hz = np.stack([pairs.cpu_hz[0, [0, 0, 1], [0, 1, 2]]])
        assert scenario.evaluate(state, replace(plan, cpu_hz=least_hz)).met.all()
        slower = scenario.evaluate(state, replace(plan, cpu_hz=least_hz * (1 - 1e-3)))
        assert not slower.met.any()
        assert slower.violations['intermediate'][0] == 3


class TestViolations:
    def test_an_unserved_task_is_missed_and_free(self):
        scenario, state, plan = small_world()
        outcome = scenario.evaluate(state, replace(plan, server=np.array([[0, UNSERVED, 1]])))
        np.testing.assert_array_equal(outcome.met, [[True, False, True]])
        assert outcome.violations['served'][0] == 1
        assert outcome.service_j[0, 1] == 0.0
        assert outcome.finish_s[0, 1] == math.inf
        assert outcome.program_margin_bit[0, 1] == -0.2e6

    def test_a_processor_of_nothing_misses_the_task(self):
        scenario, state, plan = small_world()
        outcome = scenario.evaluate(state, replace(plan, cpu_hz=np.array([[1e9, 0.0, 1e9]])))
        np.testing.assert_array_equal(outcome.met, [[True, False, True]])
        assert outcome.finish_s[0, 1] == math.inf

    @pytest.mark.parametrize(
        ('name', 'value', 'text'),
        [
            ('server', np.array([[0, 0, 2]]), 'server holds 2'),
            ('server', np.array([[0, -2, 1]]), 'server holds -2'),
            ('split', np.array([[0, 0, 3]]), 'split holds 3'),
            ('cpu_hz', np.array([[1e9, math.nan, 1e9]]), 'cpu_hz holds nan'),
            ('cpu_hz', np.array([[1e9, -1.0, 1e9]]), 'cpu_hz holds -1'),
            ('cpu_hz', np.zeros((1, 2)), r'cpu_hz has shape \(1, 2\)'),
            ('waypoint_m', np.full((1, 2, SLOTS + 1, 2), np.inf), 'waypoint_m holds inf'),
            ('waypoint_m', np.zeros((1, 2, SLOTS, 2)), 'waypoint_m has shape'),
        ],
    )
    def test_plans_that_are_none_are_refused(self, name, value, text):
        scenario, state, plan = small_world()
        with pytest.raises(ValueError, match=text):
            scenario.evaluate(state, replace(plan, **{name: value}))

    def test_free_cuts_may_be_changed(self):
        for split, broken in (('given', 1), ('free', 0)):
            scenario, state, plan = small_world(tasks__split=split)
            other = replace(plan, split=np.array([[1, 0, 2]]))
            assert scenario.evaluate(state, other).violations['split'][0] == broken


class TestInvariances:
    def test_the_order_of_tasks_does_not_matter(self, default):
        scenario, state = default
        plan = random_plan(state, 1)
        order = np.random.default_rng(0).permutation(18)
        mixed_state = state.with_tasks(order)
        mixed_plan = replace(
            plan, **{name: getattr(plan, name)[:, order] for name in ('server', 'cpu_hz', 'split')}
        )
        outcome = scenario.evaluate(state, plan)
        mixed = scenario.evaluate(mixed_state, mixed_plan)
        np.testing.assert_allclose(mixed.energy_j, outcome.energy_j, rtol=1e-13)
        np.testing.assert_array_equal(mixed.met, outcome.met[:, order])
        for kind, count in outcome.violations.items():
            np.testing.assert_array_equal(mixed.violations[kind], count)

    def test_the_names_of_uavs_do_not_matter(self, default):
        scenario, state = default
        plan = random_plan(state, 2)
        order = np.array([2, 0, 1])
        renamed = np.where(plan.server == UNSERVED, UNSERVED, np.argsort(order)[plan.server])
        mixed = replace(plan, waypoint_m=plan.waypoint_m[:, order], server=renamed)
        outcome, other = scenario.evaluate(state, plan), scenario.evaluate(state, mixed)
        np.testing.assert_allclose(other.energy_j, outcome.energy_j[:, order], rtol=1e-13)
        np.testing.assert_array_equal(other.finish_s, outcome.finish_s)

    def test_a_batch_is_what_its_copies_are(self):
        scenario = Partial(read_settings('partial:random'))
        state = scenario.reset(np.array([5, 6, 7]))
        plan = random_plan(state, 3)
        together = scenario.summarise(state, scenario.evaluate(state, plan))
        for copy in range(3):
            one = slice(copy, copy + 1)
            outcome = scenario.evaluate(state.only(one), plan.only(one))
            alone = scenario.summarise(state.only(one), outcome)
            for name in ('cost', 'latency_s', 'energy_j', 'completed', 'violations'):
                np.testing.assert_array_equal(getattr(alone, name), getattr(together, name)[one])

    @examples(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6))
    def test_nothing_becomes_a_nan(self, seed):
        scenario = Partial(read_settings('partial:tight'))
        state = scenario.reset(np.array([seed]))
        outcome = scenario.evaluate(state, random_plan(state, seed))
        for name, value in vars(outcome).items():
            if name != 'violations':
                assert not np.isnan(value).any(), name


class TestEpisodes:
    def test_one_slot_and_a_state_that_stays(self, default):
        scenario, state = default
        assert scenario.horizon == 1
        after, outcome = scenario.step(state, random_plan(state, 0))
        assert after is state
        assert outcome.objective_j.shape == (1,)

    def test_the_summary(self):
        scenario, state, plan = small_world()
        late = replace(plan, cpu_hz=np.array([[1e9, 1e6, 1e9]]), split=np.array([[1, 0, 2]]))
        outcome = scenario.evaluate(state, late)
        summary = scenario.summarise(state, outcome)
        assert summary.cost[0] == outcome.objective_j[0]
        assert summary.tasks[0] == 3
        assert summary.completed[0] == 2
        assert summary.extra['missed'][0] == 1
        assert summary.violations[0] == 1  # the cut of task 0; deadlines are counted as missed
        assert summary.latency_s[0] == pytest.approx(outcome.finish_s[0, [0, 2]].mean())
        spent = outcome.propulsion_j.sum() + outcome.service_j.sum()
        assert summary.energy_j[0] == pytest.approx(spent)

    def test_no_task_served_has_no_latency(self):
        scenario, state, plan = small_world()
        nobody = replace(plan, server=np.full((1, 3), UNSERVED))
        summary = scenario.summarise(state, scenario.evaluate(state, nobody))
        assert np.isnan(summary.latency_s[0])
        assert summary.cost[0] > 0


class TestInstances:
    def test_every_copy_is_the_frozen_one(self, default):
        scenario, _ = default
        state = scenario.reset(np.array([0, 99]))
        np.testing.assert_array_equal(state.seed, [0, 99])
        for name, value in vars(state).items():
            if name != 'seed':
                np.testing.assert_array_equal(value[0], value[1])
        assert state.data_bit[0, 0] == pytest.approx(1.892e6)
        assert state.work_cycle_per_bit[0, 0] == pytest.approx(7072)
        assert state.local_hz[0, 0] == pytest.approx(0.256e9)
        # k = 19: 5 % of D is program, 0.06886 D the intermediate result
        np.testing.assert_allclose(state.splits_bit[0, 0, 19], [0.05 * 1.892e6, 0.06886 * 1.892e6])

    def test_the_scenario_file_agrees_with_the_frozen_instance(self, default):
        scenario, _ = default
        settings = scenario.settings
        tree = json.loads((config_dir() / settings.tasks.file).read_text())
        record, radio, uavs = tree['params'], settings.radio, settings.uavs
        pairs = {
            'P0': settings.airframe.blade_power_w,
            'P1': settings.airframe.induced_power_w,
            'Utip': settings.airframe.tip_speed_m_s,
            'v0': settings.airframe.induced_speed_m_s,
            'd0': settings.airframe.drag_ratio,
            's': settings.airframe.solidity,
            'rho': settings.airframe.air_density_kg_m3,
            'G': settings.airframe.disc_area_m2,
            'a': radio.los_midpoint_deg,
            'b': radio.los_steepness_per_deg,
            'eta_los': radio.los_loss_db,
            'eta_nlos': radio.nlos_loss_db,
            'fc': radio.carrier_hz,
            'c': radio.light_speed_m_s,
            'L_ex': radio.penetration_loss_db,
            'P_tx': radio.transmit_power_w,
            'N0_dbm': radio.noise_dbm_hz,
            'B': radio.bandwidth_hz,
            'H': uavs.altitude_m,
            'M': settings.slots,
            'ts': settings.slot_s,
            'Vmax': uavs.speed_m_s,
            'phi': uavs.capacitance_j_s2 * 1e27,
            'Fmax': uavs.cpu_hz / 1e9,
            'beta': settings.objective.service_weight,
            'gamma': settings.objective.radio_weight,
        }
        for name, value in pairs.items():
            assert value == pytest.approx(record[name], rel=1e-12), name
        assert (record['amax'], record['theta']) == (uavs.acceleration_m_s2, 3.0)
        assert set(record) == {*pairs, 'amax', 'theta'}
        assert tree['U'] == uavs.count
        assert tree['depot'] == list(uavs.depot_m)

    def test_terminals_pick_the_cuts_of_the_frozen_instance(self, default):
        scenario, state = default
        np.testing.assert_array_equal(nominal_split(scenario.settings, state), state.split)

    def test_drawn_instances_lie_in_their_ranges(self):
        settings = read_settings('partial:random')
        state = Partial(settings).reset(np.arange(200))
        for name in ('data_bit', 'deadline_s', 'work_cycle_per_bit', 'local_hz'):
            low, high = getattr(settings.tasks, name)
            value = getattr(state, name)
            assert low <= value.min() < low + 0.01 * (high - low)
            assert high >= value.max() > high - 0.01 * (high - low)
        share = state.splits_bit / state.data_bit[..., None, None]
        np.testing.assert_allclose(share[0, 0, :, 0], 1 - np.arange(20) / 20)
        assert (share[:, :, 0, 1] == 0).all()
        ratio = share[:, :, 10, 1] / (0.4 + 1.6 * math.exp(-2))
        assert ratio.min() >= 0.1 and ratio.max() <= 0.3
        assert state.terminal_m.min() >= 0 and state.terminal_m.max() <= 500
        assert (state.split >= 1).all()

    def test_a_seed_is_a_world(self):
        scenario = Partial(read_settings('partial:random'))
        many, few = scenario.reset(np.array([8, 9, 8])), scenario.reset(np.array([9]))
        for name, value in vars(many).items():
            np.testing.assert_array_equal(value[0], value[2])
            np.testing.assert_array_equal(value[1:2], getattr(few, name))
        assert (many.terminal_m[0] != many.terminal_m[1]).all()

    @pytest.mark.parametrize(
        ('change', 'text'),
        [
            ({'w': [], 'D': [], 'F': [], 'Tn': [], 'flc': [], 'splits': [], 'k0': []}, 'task'),
            ({'depot': [250.0, 501.0]}, r'depot_m holds \[250. 501.\], but must lie in the area'),
            ({'D': [0.0]}, 'data_bit holds 0'),
            ({'Tn': [60.0, 61.0]}, 'deadline_s has shape'),
            ({'k0': [2]}, 'split holds 2'),
            ({'w': [[math.nan, 0.0]]}, 'terminal_m holds nan'),
            ({'splits': [[[1.0, 0.0], [1.1, 0.1]]]}, 'splits_bit'),
            ({'F': 'much'}, 'no instance'),
        ],
    )
    def test_bad_instances_are_named(self, tmp_path, change, text):
        tree = {
            'depot': [250.0, 250.0],
            'w': [[10.0, 20.0]],
            'D': [2.0],
            'F': [7.0],
            'Tn': [65.0],
            'flc': [0.25],
            'splits': [[[1.0, 0.0], [0.5, 0.1]]],
            'k0': [1],
        }
        path = tmp_path / 'mine.json'
        path.write_text(json.dumps(tree))
        settings = read_settings('partial')
        assert read_instance(settings, path, np.arange(2)).n_copies == 2
        path.write_text(json.dumps({**tree, **change}))
        with pytest.raises(ValueError, match=text):
            Partial(read_settings('partial', {'tasks.file': str(path)})).reset(np.arange(2))

    def test_a_missing_file_is_named(self):
        settings = read_settings('partial', {'tasks.file': 'data/nowhere.json'})
        with pytest.raises(ValueError, match=r'nowhere\.json cannot be read'):
            Partial(settings)


class TestSettings:
    def test_every_value_says_where_it_comes_from(self):
        text = (config_dir() / 'scenarios' / 'partial.yaml').read_text()
        for line in text.splitlines():
            key, _, value = line.partition(':')
            if line.startswith('#') or not value.split('#')[0].strip() or key.strip() == 'name':
                continue
            assert re.search(r'#.*\[(paper|corrected|chosen)\] \S', line), line

    def test_modes(self):
        assert scenario_modes('partial') == [
            'random', 'tight', 'free_split', 'agile', 'flown', 'shadowed',
        ]  # fmt: skip
        assert read_settings('partial:tight').uavs.cpu_hz == 3e9
        for mode in scenario_modes('partial'):
            assert Partial(read_settings(f'partial:{mode}')).reset(np.arange(2)).n_copies == 2

    @pytest.mark.parametrize(
        ('overrides', 'text'),
        [
            ({'uavs.depot_m': [600, 0]}, 'must lie in the area'),
            ({'tasks.file': None, 'slots': 40}, 'the mission ends after 56 s'),
            ({'radio.nlos_loss_db': 0.5}, 'must not be below los_loss_db'),
            ({'uavs.cpu_hz': 0}, 'greater than 0'),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, overrides, text):
        with pytest.raises(ConfigError, match=text):
            read_settings('partial', overrides)

    def test_mission(self):
        assert read_settings('partial').mission_s == pytest.approx(70.0)
        assert small_world().scenario.settings.mission_s == SLOTS * SLOT_S
