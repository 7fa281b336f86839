"""The trajectory block of SCA-BCD: one UAV's path by cone programs, against exact solutions."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.partial.baselines import initial_ellipses
from sec_nodes.controllers.partial.flight import sortie_of
from sec_nodes.controllers.partial.hover import hover_table
from sec_nodes.controllers.partial.paths import sectors
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.controllers.partial.trajectory import Trajectory, upload_ends_s
from sec_nodes.controllers.partial.trajectory_cones import ConeProgram
from sec_nodes.scenarios.partial.bounds import least_power_w
from sec_nodes.scenarios.partial.instance import UNSERVED, cut_tasks
from sec_nodes.scenarios.partial.scenario import Partial
from sec_nodes.scenarios.partial.uploads import endless_passage
from sec_nodes.scenarios.partial.validator import validate
from sec_nodes.scenarios.registry import read_settings

SMALL = {'uavs.count': 2, 'tasks.count': 4, 'tasks.file': None}


def world(mode='partial', seed=0, **overrides):
    scenario = Partial(read_settings(mode, overrides))
    return scenario, scenario.reset(np.atleast_1d(seed))


def trajectory(scenario, state, uav, member):
    return Trajectory(scenario.settings, sortie_of(scenario, state, uav, member))


def by_sectors(scenario, state):
    """Algorithm 1's first association (N,), and its ellipses (U, M + 1, 2)."""
    n_uavs = scenario.settings.uavs.count
    server = sectors(state.terminal_m[0], state.depot_m[0], n_uavs)
    return server, initial_ellipses(scenario, state)[0]


def sound(scenario, state, path_m, server):
    """The objective of a plan in which the validator finds nothing wrong."""
    plan = closed_form_plan(scenario, state, np.stack(path_m)[None], server[None])
    assert validate(scenario.settings, state, plan) == []
    return scenario.evaluate(state, plan)


class TestConeProgram:
    def program(self):
        # least x + y^2 / 2 with x >= |(3, 4)| * scale and y >= 2
        program = ConeProgram('test')
        x, y = program.columns(1), program.columns(1)
        program.linear[x], program.square[y] = 1.0, 1.0
        least = program.nonnegative(1)
        program.enter(least, y, 1.0)
        program.offset[least] = -2.0
        norm = program.second_order(1, 3)
        program.enter(norm[:, 0], x, 1.0)
        program.offset[norm[0, 1:]] = 3.0, 4.0
        return program, norm

    def test_a_problem_by_hand_and_again_with_other_numbers(self):
        program, norm = self.program()
        np.testing.assert_allclose(program.solve(), [5.0, 2.0], atol=1e-4)
        program.offset[norm[0, 1:]] = 5.0, 12.0
        np.testing.assert_allclose(program.solve(), [13.0, 2.0], atol=1e-4)

    def test_a_power_cone_by_hand(self):
        # least x + 2 y with x y^2 >= 1: x = 1 / y^2, 2 = 2 / y^3, so both are 1
        program = ConeProgram('test')
        pair = program.columns(2)
        program.linear[pair] = 1.0, 2.0
        cone = program.third_power(1)
        program.enter(cone[0, :2], pair, 1.0)
        program.offset[cone[0, 2]] = 1.0
        # flat around the best: the gap of 1e-6 leaves the square root of it
        np.testing.assert_allclose(program.solve(), [1.0, 1.0], atol=2e-3)

    def test_no_solution_and_then_one(self):
        program = ConeProgram('test')
        x = program.columns(1)
        program.linear[x] = 1.0
        bounds = program.nonnegative(2)
        program.enter(bounds, x, np.array([1.0, -1.0]))
        program.offset[bounds] = -2.0, 1.0  # x >= 2 and x <= 1
        assert program.solve() is None
        program.offset[bounds] = -2.0, 3.0
        np.testing.assert_allclose(program.solve(), [2.0], atol=1e-4)

    def test_without_clarabel_the_package_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'clarabel', None)
        with pytest.raises(ControllerError, match='pip install clarabel'):
            ConeProgram('sca_bcd')


class TestSteps:
    @pytest.mark.parametrize('mode', ['partial', 'partial:agile'])
    def test_plans_of_mended_ellipses_are_sound_and_get_cheaper(self, mode):
        scenario, state = world(mode)
        server, start_m = by_sectors(scenario, state)
        end_m, costs = [], []
        for uav in range(3):
            block = trajectory(scenario, state, uav, server == uav)
            here = block.mend(start_m[uav])
            assert here.shortage == 0.0
            cost_j = [here.cost_j]
            for _ in range(4):
                here = block.step(here.path_m)
                assert here.shortage == 0.0
                cost_j.append(here.cost_j)
            assert (np.diff(cost_j) < 0).all()
            end_m.append(here.path_m)
            costs.append(here.cost_j)
        outcome = sound(scenario, state, end_m, server)
        np.testing.assert_allclose(outcome.energy_j[0], costs, rtol=1e-12)
        assert max(costs) < 10300.0

    def test_improving_is_never_worse_and_ends_by_itself(self):
        scenario, state = world()
        server, start_m = by_sectors(scenario, state)
        block = trajectory(scenario, state, 0, server == 0)
        before = block.judge(start_m[0])
        coarse = block.improve(start_m[0], 50)
        fine = block.improve(start_m[0], 50, tolerance=1e-5)
        assert fine.cost_j < coarse.cost_j < before.cost_j
        assert block.improve(start_m[0], 0).cost_j == before.cost_j
        # from the end, a step gains less than what it stopped at
        again = block.step(fine.path_m)
        assert again is None or again.cost_j > fine.cost_j * (1 - 3e-5)

    def test_without_tasks_the_best_is_to_fly_at_the_speed_of_least_power(self):
        scenario, state = world()
        nobody = np.zeros(18, dtype=bool)
        _, start_m = by_sectors(scenario, state)
        settings = scenario.settings
        found = trajectory(scenario, state, 0, nobody).improve(start_m[0], 20, 1e-6)
        bound_j = settings.mission_s * least_power_w(settings)
        assert bound_j == pytest.approx(70 * 126.0027, rel=1e-6)
        assert bound_j <= found.cost_j < bound_j * (1 + 1e-4)
        mended = trajectory(scenario, state, 0, nobody).mend(start_m[0])
        assert mended.shortage == 0.0

    def test_the_first_step_respects_the_velocity(self):
        scenario, state = world('partial:agile', **SMALL)
        velocity_m_s = np.array([[[9.0, -2.0], [0.0, 0.0]]])
        moving = replace(state, velocity_m_s=velocity_m_s)
        n_slots, slot_s = scenario.settings.slots, scenario.settings.slot_s
        member = np.array([True, True, False, False])
        for uav in range(2):
            block = trajectory(scenario, moving, uav, member)
            # straight on, slower and slower, and back to the depot
            steps = np.arange(n_slots + 1)
            there_m = np.outer(np.minimum(steps, 6), velocity_m_s[0, uav] * slot_s)
            back = np.clip((steps - 20) / 20, 0.0, 1.0)[:, None]
            start_m = state.depot_m[0] + there_m * (1 - back)
            found = block.improve(block.mend(start_m).path_m, 10, 1e-5)
            assert found.shortage == 0.0
            jolt_m = found.path_m[1] - found.path_m[0] - velocity_m_s[0, uav] * slot_s
            assert np.hypot(*jolt_m) <= 2.0 * slot_s**2 + 1e-9
            bend_m = np.diff(found.path_m, 2, axis=0)
            assert np.hypot(*bend_m.T).max() <= 2.0 * slot_s**2 + 1e-9

    def test_layers_and_losses(self):
        member = np.isin(np.arange(18), [0, 3, 7, 11])
        cost_j = []
        for layer_m, loss_db in ((0.0, 0.0), (20.0, 0.0), (0.0, 1.0), (20.0, 1.0)):
            scenario, state = world(**{'uavs.layer_m': layer_m})
            lossy = np.zeros((1, 18))
            lossy[0, 3] = loss_db
            state = replace(state, loss_db=lossy)
            block = trajectory(scenario, state, 2, member)
            start_m = initial_ellipses(scenario, state)[0, 0]
            found = block.improve(block.mend(start_m).path_m, 15, 1e-5)
            server = np.where(member, 2, UNSERVED)
            plan = closed_form_plan(
                scenario, state, np.repeat(found.path_m[None], 3, axis=0)[None], server[None]
            )
            broken = validate(scenario.settings, state, plan)
            assert {violation.kind for violation in broken} == {'served'}
            cost_j.append(found.cost_j)
        # both make links worse
        assert cost_j[0] < min(cost_j[1:3]) <= max(cost_j[1:3]) < cost_j[3]

    def test_the_rest_of_a_mission(self):
        scenario, state = world()
        server, start_m = by_sectors(scenario, state)
        block = trajectory(scenario, state, 0, server == 0)
        path_m = block.improve(start_m[0], 3).path_m
        gone = 36  # 50.4 s: programs have arrived but for the last, and a first result
        now_s = gone * scenario.settings.slot_s
        cuts = cut_tasks(state, state.split)
        rate = scenario.rates_bit_s(state, np.repeat(path_m[None], 3, axis=0)[None])[
            0, 0, :, :gone
        ]
        slot = np.arange(gone) * scenario.settings.slot_s
        first = np.clip(cuts.local_s[0][:, None] - slot, 0.0, scenario.settings.slot_s)
        sent = np.stack([first, scenario.settings.slot_s - first]) * rate
        wanted = np.stack([cuts.program_bit, cuts.intermediate_bit])[:, 0]
        later = replace(
            state,
            elapsed_s=np.array([now_s]),
            sent_bit=np.minimum(sent.sum(axis=2), wanted).T[None],
            start_m=np.repeat(path_m[None, None, gone], 3, axis=1),
        )
        rest = Partial(scenario.settings.model_copy(update={'slots': 50 - gone}))
        left = cut_tasks(later, later.split)
        mine = server == 0
        assert (left.program_bit[0, mine] == 0).any() and (left.local_s[0, mine] == 0).any()
        later_block = Trajectory(rest.settings, sortie_of(rest, later, 0, mine))
        before = later_block.judge(path_m[gone:])
        found = later_block.improve(path_m[gone:], 10, 1e-6)
        assert before.shortage == found.shortage == 0.0
        assert found.cost_j < before.cost_j
        # nobody else helps: only that the others are not served may be wrong
        plan = closed_form_plan(
            rest,
            later,
            np.repeat(found.path_m[None], 3, axis=0)[None],
            np.where(mine, 0, UNSERVED)[None],
        )
        assert {bad.kind for bad in validate(rest.settings, later, plan)} == {'served'}

    @pytest.mark.parametrize('slots', [2, 3])
    def test_very_short_missions(self, slots):
        scenario, state = world()
        short = Partial(scenario.settings.model_copy(update={'slots': slots}))
        nobody = np.zeros(18, dtype=bool)
        start_m = np.repeat(state.depot_m, slots + 1, axis=0)
        found = trajectory(short, state, 0, nobody).improve(start_m, 10, 1e-6)
        assert found.shortage == 0.0
        assert found.cost_j < slots * 1.4 * 168.4


class TestRefusals:
    @pytest.mark.parametrize('what', ['deadline', 'far', 'processor'])
    def test_what_no_path_can_do_is_not_answered(self, what):
        scenario, state = world('partial:tight', **SMALL)
        member = np.array([True, True, True, False])
        if what == 'deadline':
            deadline_s = state.deadline_s.copy()
            deadline_s[0, 1] = cut_tasks(state, state.split).local_s[0, 1] + 0.5
            state = replace(state, deadline_s=deadline_s)
        if what == 'far':
            state = replace(state, terminal_m=state.terminal_m + np.array([3000.0, 0.0]))
        if what == 'processor':
            state = replace(state, reserved_hz=np.full((1, 2), 2.999e9))
        start_m = np.repeat(state.depot_m, 51, axis=0)
        block = trajectory(scenario, state, 0, member)
        assert block.mend(start_m).shortage > 0.0
        assert block.step(start_m) is None
        assert block.improve(start_m, 3).shortage > 0.0

    def test_a_path_that_is_too_fast_is_slowed_down(self):
        scenario, state = world()
        start_m = np.repeat(state.depot_m, 51, axis=0)
        start_m[25] += 200.0
        block = trajectory(scenario, state, 0, np.isin(np.arange(18), [0, 6]))
        assert block.judge(start_m).shortage > 0.0
        assert block.mend(start_m).shortage == 0.0


class TestUploadEnds:
    def test_one_task_by_hand(self):
        scenario, state = world('partial:tight', **SMALL)
        tight = replace(state, reserved_hz=np.full((1, 2), 2.2e9))  # 0.8 GHz are left
        sortie = sortie_of(scenario, tight, 0, np.array([True, False, False, False]))
        tasks = sortie.tasks
        end_s = upload_ends_s(scenario.settings, sortie)
        latest_s = tasks.deadline_s - tasks.work_cycle / (0.999 * 0.8e9)
        np.testing.assert_allclose(end_s, np.minimum(latest_s, 70.0))
        assert tasks.local_s[0] < end_s[0] < 70.0

    def test_several_share_the_processor_at_one_rate(self):
        scenario, state = world()
        server, _ = by_sectors(scenario, state)
        tasks = (sortie := sortie_of(scenario, state, 2, server == 2)).tasks
        end_s = upload_ends_s(scenario.settings, sortie)
        rate = tasks.intermediate_bit / (end_s - tasks.local_s)
        np.testing.assert_allclose(rate, rate[0])
        used_hz = (tasks.work_cycle / (tasks.deadline_s - end_s)).sum()
        assert used_hz == pytest.approx(0.999 * 6e9)


class TestAgainstTheExactProblem:
    """IPOPT on the non-convex problem, from the end of the SCA and from elsewhere."""

    @pytest.mark.parametrize(
        ('mode', 'uav'),
        [
            ('partial', 0),
            pytest.param('partial', 1, marks=pytest.mark.slow),
            pytest.param('partial', 2, marks=pytest.mark.slow),
            pytest.param('partial:agile', 0, marks=pytest.mark.slow),
            pytest.param('partial:agile', 1, marks=pytest.mark.slow),
            pytest.param('partial:agile', 2, marks=pytest.mark.slow),
        ],
    )
    def test_within_a_thousandth_on_the_frozen_instance(self, mode, uav):
        pytest.importorskip('casadi')
        from partial_nlp import nlp_optimum

        scenario, state = world(mode)
        server, ellipse_m = by_sectors(scenario, state)
        member = server == uav
        block = trajectory(scenario, state, uav, member)
        # bends make many a path a dead end: start where a UAV loiters at the best place
        loiter_m = hover_table(scenario, state).best_paths_m(member, 1)[0]
        mended_m = [block.mend(start_m).path_m for start_m in (loiter_m, ellipse_m[uav])]
        found = block.improve(mended_m[0], 20, tolerance=1e-5)
        assert found.shortage == 0.0
        exact_j = []
        for start_m in (found.path_m, *mended_m):
            tasks, rate = block.sortie.tasks, block._step.links(start_m).rate_bit_s
            end_s, _ = endless_passage(rate, tasks.local_s, tasks.intermediate_bit, 1.4)
            _, path_m, _ = nlp_optimum(scenario.settings, block.sortie, start_m, end_s)
            # where it stops half-way, its path still counts if it keeps all constraints
            judged = block.judge(path_m)
            if judged.shortage < 1e-6:
                exact_j.append(judged.cost_j)
        assert exact_j
        assert found.cost_j <= min(exact_j) * 1.001
