"""Failures that are asked for: what texts mean, their order, and whose process they befall."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace as Scenario

import pytest
from test_fleet_settings import TWO_UAV_PROCESSES, write_fleet

from sec_nodes.config import ConfigError
from sec_nodes.fleet import plan as planning
from sec_nodes.fleet.expand import expand, process_of
from sec_nodes.fleet.failures import (
    IN_TURN,
    InjectedFailure,
    parse_failures,
    random_failures,
    schedule,
)
from sec_nodes.fleet.plan import Request, make_plan
from sec_nodes.fleet.runner import Run
from sec_nodes.fleet.settings import read_fleet
from sec_nodes.scenarios.registry import read_settings


@pytest.fixture
def without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, 'check_models_and_controller', lambda fleet, scenario: None)


def plan_of(tmp_path: Path, scenario: str, *failures: str, fleet: str = 'laptop', **changes):
    request = Request(
        fleet, scenario=scenario, results=tmp_path, slots=20, failures=failures, **changes
    )
    return make_plan(request)


def scenario_that_moves(uavs: int) -> Scenario:
    return Scenario(
        uavs=Scenario(count=uavs),
        satellites=Scenario(count=0),
        detection=Scenario(heartbeat_s=0.05, timeout_s=0.25),
    )


def test_failures_have_a_slot_a_kind_and_an_end(survey):
    failures = parse_failures(
        ['satellite_1@9', 'uav_1@3-5:cut', ' uav_0 @ 3.25 : kill ', 'uav_2@4-7'],
        survey,
        10,
        seed=0,
    )
    assert failures == [
        InjectedFailure('uav_1', 1, 3, 'cut', 5),
        InjectedFailure('uav_0', 0, 3.25, 'kill'),
        InjectedFailure('uav_2', 2, 4, 'crash', 7),
        InjectedFailure('satellite_1', 4, 9, 'crash'),
    ]


def test_a_number_of_uavs_fails_spread_over_the_run(survey):
    spread = parse_failures(['2'], survey, slots=30, seed=2)
    assert [(f.name, f.slot, f.kind) for f in spread] == [
        ('uav_2', 10, 'crash'),
        ('uav_0', 20, 'crash'),
    ]


def test_where_tasks_move_failures_are_of_all_kinds_in_turn():
    spread = parse_failures(['5'], scenario_that_moves(5), slots=60, seed=4)
    assert [(f.name, f.slot, f.kind) for f in spread] == [
        ('uav_4', 10.4, 'kill'),
        ('uav_0', 20.4, 'battery'),
        ('uav_1', 30.4, 'cut'),
        ('uav_2', 40.4, 'hang'),
        ('uav_3', 50.4, 'kill'),
    ]
    assert all(failure.until is None for failure in spread)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('uav_7@3', 'unknown server; did you mean'),
        ('uav_1@10', 'the run ends with slot 9'),
        ('uav_1@5-10:cut', 'the run ends with slot 9'),
        ('uav_1@5.5-5', 'ends before it begins; choose a later end than 5.5'),
        ('uav_1@5-5:cut', 'ends before it begins'),
        ('uav_1@5:kil', "unknown kind; did you mean 'kill'"),
        ('uav_1@5:recover', 'unknown kind'),
        ('satellite_0@5:battery', 'only UAVs have batteries'),
        ('uav_1', 'give SERVER@SLOT'),
        ('4', '3 UAVs; give a number from 1 to 3'),
        ('0', '3 UAVs; give a number from 1 to 3'),
        ('random:1.5', 'a probability above 0'),
        ('random:often', 'a probability above 0'),
        ('random:nan', 'a probability above 0'),
    ],
)
def test_bad_failures(survey, text, message):
    with pytest.raises(ConfigError, match=message):
        parse_failures([text], survey, slots=10, seed=0)


def test_who_comes_back_in_a_slot_does_so_before_others_fail():
    first, second = InjectedFailure('uav_1', 1, 2, 'cut', 5), InjectedFailure('uav_0', 0, 5)
    assert [(s.slot, s.failure.name, s.is_end) for s in schedule([second, first])] == [
        (2, 'uav_1', False),
        (5, 'uav_1', True),
        (5, 'uav_0', False),
    ]


def test_random_failures_leave_somebody_and_end():
    failures = random_failures(0.2, uavs=3, kinds=IN_TURN, slots=1000, seed=7)
    assert failures == random_failures(0.2, uavs=3, kinds=IN_TURN, slots=1000, seed=7)
    assert failures != random_failures(0.2, uavs=3, kinds=IN_TURN, slots=1000, seed=8)
    down = Counter(
        (slot, f.server_id) for f in failures for slot in range(int(f.slot), f.until or 0)
    )
    assert max(down.values()) == 1, 'nobody fails twice at a time'
    assert max(Counter(slot for slot, _ in down).values()) == 2
    assert {f.until - int(f.slot) for f in failures if f.until} == set(range(3, 9))
    assert {f.kind for f in failures} == set(IN_TURN)
    assert min(f.slot for f in failures) >= 1


def test_random_failures_strike_as_often_as_they_should():
    """Each is out for 5.5 slots and 3 more of grace on average: 1 / (1/p + 7.5) of the slots."""
    failures = random_failures(0.01, uavs=20, kinds=['crash'], slots=5000, seed=1)
    assert len(failures) / (20 * 5000) == pytest.approx(1 / (100 + 7.5), rel=0.1)


def test_scenarios_that_move_tasks_have_a_process_a_uav_and_listen_closely(files):
    robust = read_settings('robust:flown')
    specs = {spec.name: spec for spec in expand(read_fleet('laptop'), robust, files)}
    assert {'uav_0', 'uav_1', 'uav_2', 'devices'} <= set(specs)
    assert 'uavs' not in specs
    detection = robust.detection
    for name in ('uav_0', 'devices'):
        assert specs[name].params['heartbeat_s'] == detection.heartbeat_s
    assert specs['coordinator'].params['heartbeat_timeout_s'] == detection.timeout_s
    assert process_of('uav_2', list(specs.values())) == specs['uav_2']
    assert process_of('satellite_0', list(specs.values())) is None


def test_others_keep_their_processes_and_heartbeats(laptop, survey, files):
    specs = expand(laptop, survey, files)
    assert not any('heartbeat' in name for spec in specs for name in spec.params)
    holder = process_of('uav_2', specs)
    assert holder is not None
    assert holder.name == 'uavs'


def test_a_process_of_several_uavs_fails_as_a_whole(tmp_path, without_models):
    plan = plan_of(tmp_path, 'survey', 'uav_1@3:kill', 'uav_2@4:hang', 'uav_0@5')
    assert plan.notes == (
        'uavs fail as a whole with uav_1; --per-vehicle gives each its own process',
    )
    assert plan_of(tmp_path, 'survey', 'uav_1@3:kill', per_vehicle=True).notes == ()
    assert plan_of(tmp_path, 'survey', 'uav_1@3:cut').notes == ()


def test_a_plan_says_that_uavs_are_split(tmp_path, without_models):
    plan = plan_of(tmp_path, 'robust', '3')
    assert any('a process of its own' in note for note in plan.notes)
    assert plan.fleet.controller == 'optimum', 'which flies it unless another is asked for'
    assert plan_of(tmp_path, 'robust', controller='greedy').fleet.controller == 'greedy'
    assert not any('as a whole' in note for note in plan.notes)
    assert [failure.kind for failure in plan.failures] == ['kill', 'battery', 'cut']


def test_a_process_elsewhere_cannot_be_set_going_again(tmp_path, without_models):
    fleet = write_fleet(tmp_path, TWO_UAV_PROCESSES)
    assert plan_of(tmp_path, 'survey', 'uav_1@3:kill', fleet=fleet).failures[0].kind == 'kill'
    with pytest.raises(ConfigError, match='uav_1: its process runs on another machine'):
        plan_of(tmp_path, 'survey', 'uav_1@3-6:hang', fleet=fleet)


class Noted:
    """Stands for a supervisor and a scoreboard: keeps what it was told to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __getattr__(self, name: str):
        return lambda *values: self.calls.append((name, *values))


def test_the_run_ends_failures_of_processes(tmp_path, without_models):
    plan = plan_of(tmp_path, 'robust', 'uav_1@3-5:kill', 'uav_2@4-6:hang', 'uav_0@7:kill')
    run, supervisor, board = Run(plan, Noted()), Noted(), Noted()
    for step in schedule(plan.failures):
        run._on_process(step)
    run._obey(supervisor, board)
    assert supervisor.calls == [
        ('give_up', 'uav_1'),
        ('revive', 'uav_1'),
        ('resume', 'uav_2'),
        ('give_up', 'uav_0'),
    ]
    assert board.calls == [('note', 'uav_1 is started again'), ('note', 'uav_2 may go on')]
    run._obey(supervisor, board)
    assert len(supervisor.calls) == 4, 'each step is taken once'
