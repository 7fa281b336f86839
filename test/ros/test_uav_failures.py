"""UAVs that fail as real ones do: processes die or hang, radios fall silent, batteries run dry."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from failover_stage import order_of, payload_for, picture, robust_file
from geometry_msgs.msg import Point
from node_stage import TIMEOUT_S, Stage, survey_file

from sec_nodes.inference.codec import decode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_from
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.world import World, build_world
from sec_offload import msg

UAVS = ('uav_0', 'uav_1')
NETWORK = 'scene-l'
SLOT_S = 25.0
"""So long that a task may be caught in the middle."""
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE, names.TASK_OUTCOME,
    names.TASK_REPORT, *(names.VEHICLE_PAYLOAD.of(uav) for uav in UAVS),
)  # fmt: skip
HEARS = (
    names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT, names.PAYLOAD_TX,
    names.DIAGNOSTICS,
    *(names.VEHICLE_ODOMETRY.of(uav) for uav in UAVS),
)  # fmt: skip
LOST, HANDOVER = msg.TaskReport.LOST, msg.TaskReport.HANDOVER


@pytest.fixture(scope='module')
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    return robust_file(tmp_path_factory.mktemp('robust'), slot_s=SLOT_S)


@pytest.fixture(scope='module')
def world(scenario: str) -> World:
    return build_world(read_settings(scenario))


@pytest.fixture(scope='module')
def model() -> SplitModel:
    return SplitModel.load(NETWORK)


class Failing(Stage):
    """Two UAVs of one process, and who makes them fail."""

    def __init__(self, scenario: str, speed: float, says: Any = SAYS, hears: Any = HEARS) -> None:
        super().__init__(says, hears)
        self.scenario, self.speed, self.slot = scenario, speed, -1
        self.began = time.monotonic()

    def __enter__(self) -> Failing:
        try:
            self.start('uav', f'scenario:={self.scenario}', 'ids:=0-1', 'heartbeat_s:=0.05')
            self.connect()
            self.next(names.SERVER_REPORT)
            self.next_slot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def next_slot(self) -> msg.ServerReport:
        self.slot += 1
        start_s = time.monotonic() - self.began if self.speed else self.slot * SLOT_S
        self.open_slot(self.slot, start_s, self.speed)
        return self.next(names.SERVER_REPORT, lambda report: report.slot == self.slot)

    def fail(self, kind: int, server: int = 0) -> None:
        self.say(names.FAILURE, msg.Failure(server_id=server, kind=kind))

    def assign(self, *orders: msg.Assignment, **fields: Any) -> None:
        batch = msg.AssignmentBatch(slot=self.slot, assignments=list(orders), **fields)
        self.say(names.ASSIGNMENTS, batch)

    def acknowledged(self, *orders: msg.Assignment, **fields: Any) -> None:
        """Assign, and wait until the process knows."""
        self.next_slot()
        self.assign(*orders, **fields)
        self.until_reported(lambda report: report.servers[-1].decision_slot == self.slot)

    def until_reported(self, fits: Callable[[msg.ServerReport], bool]) -> msg.ServerReport:
        """The next report that fits."""
        since = len(self.heard[names.SERVER_REPORT.name])
        return self.next(names.SERVER_REPORT, fits, since)

    def speakers(self, *servers: int) -> None:
        """Wait until just these servers speak, and none of them its last words."""
        wanted = [(server, True) for server in servers]
        self.until_reported(
            lambda one: [(state.server_id, state.alive) for state in one.servers] == wanted
        )

    def send(self, payload: msg.Payload) -> None:
        self.say(names.VEHICLE_PAYLOAD.of(UAVS[payload.server]), payload)

    def answer_to(self, order: msg.Assignment) -> msg.TaskResult:
        return self.next(
            names.RESULT_TX,
            lambda one: (one.task_id, one.attempt) == (order.task_id, order.attempt),
        )

    def report_on(self, order: msg.Assignment) -> msg.TaskReport:
        return self.next(
            names.TASK_REPORT,
            lambda one: (one.task_id, one.attempt) == (order.task_id, order.attempt),
        )

    def passed_on(self, order: msg.Assignment) -> msg.Payload:
        return self.next(names.PAYLOAD_TX, lambda one: one.task_id == order.task_id)

    def last_words(self, server: int = 0) -> msg.ServerState:
        """What a server says when it fails in good order."""

        def dying() -> list[msg.ServerState]:
            reports = self.heard[names.SERVER_REPORT.name]
            states = [state for report in reports for state in report.servers]
            return [one for one in states if one.server_id == server and not one.alive]

        return self.until(dying, 'last words')[-1]

    def start_anew(self) -> None:
        """Whatever a test leaves behind, the next one finds two idle UAVs, and nothing heard."""
        for server in (0, 1):
            self.fail(msg.Failure.CRASH, server)
        self.speakers()
        for server in (0, 1):
            self.fail(msg.Failure.RECOVER, server)
        self.speakers(0, 1)
        for messages in self.heard.values():
            messages.clear()
        self.next_slot()


@pytest.fixture(scope='module')
def lockstep_stage(scenario: str) -> Iterator[Failing]:
    with Failing(scenario, speed=0.0) as stage:
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def paced_stage(scenario: str) -> Iterator[Failing]:
    with Failing(scenario, speed=1.0) as stage:
        yield stage
        stage.end()


@pytest.fixture
def lockstep(lockstep_stage: Failing) -> Failing:
    lockstep_stage.start_anew()
    return lockstep_stage


@pytest.fixture
def paced(paced_stage: Failing) -> Failing:
    paced_stage.start_anew()
    return paced_stage


def tensor_of(payload: msg.Payload, model: SplitModel) -> Any:
    place = model.cuts[payload.cut]
    return decode(packet_from(payload), place.shape, place.dtype)


def again(order: msg.Assignment, **fields: Any) -> msg.Assignment:
    """The order of the next try."""
    return order_of(**{'task_id': order.task_id, 'attempt': order.attempt + 1} | fields)


def test_every_uav_runs_every_network_and_refuses_others(lockstep: Failing) -> None:
    states = lockstep.until_reported(lambda report: len(report.servers) == 2).servers
    assert [(state.model_id, state.provider) for state in states] == [('', 'cpu')] * 2
    for name in ('scene-s', 'chain-l', 'scene-l'):
        model = SplitModel.load(name)
        order = order_of(model_id=name, split=3, server=1)
        lockstep.assign(order)
        lockstep.send(payload_for(order, model))
        result = lockstep.answer_to(order)
        assert (result.answer, result.confidence) == model.answer(
            model.run(picture(order.task_id))
        )
    order = order_of(model_id=NETWORK)
    lockstep.assign(order)
    payload = payload_for(order, SplitModel.load(NETWORK))
    payload.model_id = 'vgg99'
    lockstep.send(payload)
    report = lockstep.report_on(order)
    assert report.reason == "payload_refused: no model 'vgg99'"


def test_an_empty_battery_gives_every_task_up_and_says_what_it_holds(
    lockstep: Failing, model: SplitModel
) -> None:
    there, awaited, late, other = order_of(), order_of(), order_of(), order_of(server=1)
    lockstep.acknowledged(there, awaited, other)
    # nobody begins in lockstep before all are there
    lockstep.send(payload_for(there, model))
    lockstep.fail(msg.Failure.BATTERY)
    words = lockstep.last_words()
    assert (words.alive, words.failing) == (False, 'battery empty')
    # of those on their way it says so at once, of others when they come
    reported = [lockstep.report_on(order) for order in (there, awaited)]
    for order in (awaited, late):
        lockstep.send(payload_for(order, model))
    reported.append(lockstep.report_on(late))
    for order, report in zip((there, awaited, late), reported, strict=True):
        assert (report.kind, report.server, report.reporter) == (HANDOVER, 0, 'uav_0')
        assert report.reason == 'server_failing: battery empty'
        assert (report.held_cut, report.spent_j) == (order.split, 0.0)
    lockstep.speakers(1)
    # the other UAV of the process goes on
    lockstep.send(payload_for(other, model))
    lockstep.answer_to(other)
    # an order that did not know is answered too, once
    blind = order_of()
    lockstep.assign(blind)
    assert lockstep.report_on(blind).kind == HANDOVER
    lockstep.until_health('tensors held', lambda held: held == '4')
    assert len(lockstep.all(names.TASK_REPORT)) == 4
    assert not [one for one in lockstep.heard[names.RESULT_TX.name] if one.server == 0]
    assert lockstep.next_slot().servers[0].server_id == 1


def test_it_passes_tensors_on_for_a_slot_and_then_is_silent(
    lockstep: Failing, model: SplitModel, world: World
) -> None:
    orders = [order_of() for _ in range(4)]
    waits = order_of()
    lockstep.acknowledged(*orders, waits)
    now_s = lockstep.slot * SLOT_S
    for order, ready_s in zip(orders, (now_s, 0.0, 0.0, now_s + 9.0), strict=True):
        fields = {'answer_bit': 7.0, 'created_s': 1.5, 'ready_s': ready_s}
        lockstep.send(payload_for(order, model, **fields))
    lockstep.fail(msg.Failure.BATTERY)
    for order in orders:
        lockstep.report_on(order)
    moved = again(orders[0], server=1, holder=0, assigned_s=now_s + 0.5)
    lockstep.assign(moved)
    payload = lockstep.passed_on(moved)
    assert (payload.holder, payload.server, payload.attempt, payload.cut) == (0, 1, 1, 2)
    assert (payload.slot, payload.model_id, payload.device_id) == (lockstep.slot, NETWORK, 3)
    assert payload.power_w == world.server(0).transmit_power_w
    assert (payload.answer_bit, payload.created_s, payload.steps) == (7.0, 1.5, 1.0)
    # it leaves with the order, and what the device spent comes along
    assert payload.ready_s == now_s + 0.5
    assert payload.timing == msg.TaskTiming()
    assert (payload.energy.front_j, payload.energy.upload_j) == (0.25, 0.125)
    assert payload.energy.back_j == 0.0
    whole = model.run(picture(moved.task_id))
    np.testing.assert_array_equal(model.run_back(2, tensor_of(payload, model)), whole)
    lockstep.send(payload)
    result = lockstep.answer_to(moved)
    assert (result.answer, result.confidence) == model.answer(whole)
    assert result.server == 1

    other_cut = again(orders[1], server=1, holder=0, split=5)
    unknown = order_of(server=1, holder=0)
    sound = again(waits, server=1, holder=1, split=2)
    lockstep.assign(other_cut, unknown, sound)
    reasons = [lockstep.report_on(one).reason for one in (other_cut, unknown, sound)]
    assert reasons == [
        'handover_failed: uav_0 holds cut 2, not 5',
        'handover_failed: uav_0 does not hold it',
        'handover_failed: uav_1 does not hold it',
    ]
    assert {lockstep.report_on(one).server for one in (other_cut, unknown, sound)} == {1}
    lockstep.say(names.TASK_OUTCOME, msg.TaskOutcome(task_id=orders[2].task_id))
    lockstep.until_health('tensors held', lambda held: held == '4')

    lockstep.next_slot()
    just = again(orders[3], server=1, holder=0, assigned_s=now_s + 8.5)
    lockstep.assign(just)
    payload = lockstep.passed_on(just)
    # in lockstep its own payload may come later than the order
    assert (payload.slot, payload.ready_s) == (lockstep.slot, now_s + 9.0)
    assert payload.timing.front_s == 0.5
    lockstep.next_slot()
    too_late = again(orders[1], server=1, holder=0, attempt=2)
    blind = order_of()
    lockstep.acknowledged(too_late, blind, order_of(server=1))
    lockstep.next_slot()
    for order in (too_late, blind):
        assert not lockstep.all(names.TASK_REPORT, task_id=order.task_id, attempt=order.attempt)
    assert len(lockstep.all(names.PAYLOAD_TX)) == 2


def test_what_is_on_its_way_is_passed_on_as_soon_as_it_is_there(
    paced: Failing, model: SplitModel
) -> None:
    comes, lost, damaged, blind = (order_of(compute_share=1.0) for _ in range(4))
    paced.acknowledged(comes, lost, damaged)
    now_s = run_time_s(paced.heard[names.SERVER_REPORT.name][-1])
    paced.fail(msg.Failure.BATTERY)
    paced.last_words()
    paced.assign(blind)
    for order in (comes, lost, damaged, blind):
        assert paced.report_on(order).kind == HANDOVER
    onward = [
        again(order, server=1, holder=0, assigned_s=now_s)
        for order in (comes, lost, damaged, blind)
    ]
    paced.assign(*onward)
    paced.say(names.TASK_REPORT, lost_report(lost, 'payload_lost: no link'))
    paced.send(payload_for(damaged, model, ready_s=now_s, data=[1, 2, 3]))
    assert paced.report_on(onward[1]).reason == 'handover_failed: payload_lost: no link'
    failed = paced.report_on(onward[2])
    assert failed.reason.startswith('handover_failed: payload_refused: ')
    assert not paced.all(names.PAYLOAD_TX)
    for order, moved, ready_s in ((comes, onward[0], now_s + 0.5), (blind, onward[3], now_s)):
        paced.send(payload_for(order, model, ready_s=ready_s))
        payload = paced.passed_on(moved)
        assert (payload.holder, payload.server, payload.ready_s) == (0, 1, ready_s)
        assert payload.energy.upload_j == 0.125
        paced.send(payload)
        answer = model.answer(model.run(picture(order.task_id)))
        result = paced.answer_to(moved)
        assert (result.answer, result.confidence) == answer
    assert len(paced.all(names.PAYLOAD_TX)) == 2


def lost_report(order: msg.Assignment, reason: str) -> msg.TaskReport:
    return msg.TaskReport(
        kind=LOST, reason=reason, reporter='channel', task_id=order.task_id,
        attempt=order.attempt, server=order.server,
    )  # fmt: skip


def test_finished_layers_are_kept_and_the_tensor_is_the_real_one(
    paced: Failing, model: SplitModel, world: World
) -> None:
    table, flop_s = world.scenario.models, world.server(0).flop_s
    row = table.model_id.index(NETWORK)
    work_flop = table.back_flop[row, 2]
    service_s = 8.0
    order = order_of(compute_share=work_flop / flop_s / service_s)
    paced.acknowledged(order)
    now_s = run_time_s(paced.heard[names.SERVER_REPORT.name][-1])
    paced.send(payload_for(order, model, ready_s=now_s - 4.0))
    paced.until_reported(lambda report: report.servers[0].queue_length == 1)
    paced.fail(msg.Failure.BATTERY)
    report = paced.report_on(order)
    assert report.kind == HANDOVER
    share = (run_time_s(report) - (now_s - 4.0)) / service_s
    assert 0.5 <= share < 0.9
    # cuts by how much of the work before them is done: 0, 0.05, 0.23, 0.41, 0.46, 0.64, 0.81 ...
    done = (table.front_flop[row, 2:11] - table.front_flop[row, 2]) / work_flop
    assert report.held_cut in (2 + np.flatnonzero(done <= share)[-1],
                               2 + np.flatnonzero(done <= share - 0.05)[-1])  # fmt: skip
    assert report.held_cut >= 6
    back_j = float(world.scenario.back(np.array(work_flop), work_flop / service_s, 0.0).energy_j)
    assert report.spent_j == pytest.approx(share * back_j, rel=0.1)
    energy_j = paced.last_words().energy_used_j
    assert energy_j >= report.spent_j

    moved = again(order, server=1, holder=0, split=report.held_cut, compute_share=1.0)
    moved.assigned_s = run_time_s(report)
    paced.assign(moved)
    payload = paced.passed_on(moved)
    front = model.run_front(report.held_cut, picture(order.task_id))
    np.testing.assert_array_equal(tensor_of(payload, model), front)
    assert (payload.ready_s, payload.timing.front_s) == (moved.assigned_s, 0.0)
    paced.send(payload)
    result = paced.answer_to(moved)
    assert result.answer == model.answer(model.run(picture(order.task_id)))[0]
    left_flop = table.back_flop[row, report.held_cut]
    assert result.timing.back_s == pytest.approx(left_flop / flop_s)
    assert not paced.all(names.RESULT_TX, task_id=order.task_id, attempt=0)


def run_time_s(stamped: Any) -> float:
    return float(stamped.header.stamp.sec + stamped.header.stamp.nanosec * 1e-9)


def test_a_recovered_uav_knows_nothing_of_what_it_gave_up(
    lockstep: Failing, model: SplitModel
) -> None:
    order, waits = order_of(), order_of()
    lockstep.acknowledged(order, waits)
    lockstep.send(payload_for(order, model))
    lockstep.fail(msg.Failure.BATTERY)
    lockstep.report_on(order)
    lockstep.speakers(1)
    lockstep.fail(msg.Failure.RECOVER)
    lockstep.speakers(0, 1)
    lockstep.assign(again(order, server=1, holder=0))
    failed = lockstep.report_on(again(order))
    assert failed.reason == 'handover_failed: uav_0 does not hold it'
    back = again(order, attempt=2)
    lockstep.assign(back)
    lockstep.send(payload_for(back, model))
    lockstep.answer_to(back)


def test_a_crash_gives_nothing_up(lockstep: Failing, model: SplitModel) -> None:
    order, waits = order_of(), order_of()
    lockstep.acknowledged(order, waits)
    lockstep.send(payload_for(order, model))
    lockstep.fail(msg.Failure.CRASH)
    lockstep.speakers(1)
    lockstep.assign(again(order, server=1, holder=0), order_of(server=1))
    lockstep.next_slot()
    assert not lockstep.all(names.TASK_REPORT)
    assert not lockstep.all(names.PAYLOAD_TX)


def test_a_server_that_is_cut_off_neither_hears_nor_says_but_goes_on(
    paced: Failing, model: SplitModel
) -> None:
    begun, other = order_of(compute_share=1.0), order_of(server=1, compute_share=1.0)
    paced.acknowledged(begun, other)
    now_s = run_time_s(paced.heard[names.SERVER_REPORT.name][-1])
    paced.send(payload_for(begun, model, ready_s=now_s + 1.0))
    paced.until_reported(lambda report: report.servers[0].queue_length == 1)
    paced.fail(msg.Failure.CUT)
    paced.speakers(1)
    silent, heard = (paced.heard[names.VEHICLE_ODOMETRY.of(uav).name] for uav in UAVS)
    quiet_s, place_m = run_time_s(silent[-1]), silent[-1].pose.pose.position
    unheard, lost = order_of(), order_of()
    goal = Point(x=place_m.x + 15.0, y=place_m.y, z=place_m.z)
    # a goal that comes now is not heard either
    paced.assign(unheard, uav_id=[0], uav_goal=[goal])
    paced.send(payload_for(lost, model))
    paced.send(payload_for(other, model))
    assert paced.answer_to(other).server == 1
    paced.until(lambda: run_time_s(heard[-1]) > quiet_s + 2.0, 'odometry of uav_1')
    assert run_time_s(silent[-1]) <= quiet_s + 0.5
    assert not paced.all(names.TASK_REPORT)

    paced.fail(msg.Failure.RECOVER)
    paced.speakers(0, 1)
    # what was begun has been answered to nobody
    for order in (begun, unheard, lost):
        report = paced.report_on(order)
        assert (report.kind, report.server) == (LOST, 0)
        assert report.reason == 'payload_lost: the server was cut off'
    assert not [one for one in paced.heard[names.RESULT_TX.name] if one.server == 0]
    paced.until(lambda: run_time_s(silent[-1]) > quiet_s + 2.0, 'odometry of uav_0')
    later_m = silent[-1].pose.pose.position
    assert (later_m.x, later_m.y) == pytest.approx((place_m.x, place_m.y), abs=0.1)
    late = again(begun)
    paced.assign(late)
    paced.send(payload_for(late, model))
    paced.answer_to(late)


def test_what_is_under_way_when_a_cut_ends_is_answered(paced: Failing, model: SplitModel) -> None:
    order = order_of(compute_share=1.0)
    paced.acknowledged(order)
    now_s = run_time_s(paced.heard[names.SERVER_REPORT.name][-1])
    paced.send(payload_for(order, model, ready_s=now_s + 3.0))
    paced.until_reported(lambda report: report.servers[0].queue_length == 1)
    paced.fail(msg.Failure.CUT)
    paced.speakers(1)
    paced.fail(msg.Failure.RECOVER)
    paced.speakers(0, 1)
    paced.answer_to(order)
    assert not paced.all(names.TASK_REPORT)


def state_of(process: Any) -> str:
    """State of a process as the kernel has it, T if it is stopped."""
    text = Path(f'/proc/{process.pid}/stat').read_text()
    return text.rpartition(')')[2].split()[0]


def test_a_process_hangs_until_it_is_told_to_go_on_and_one_that_is_killed_is_gone(
    scenario: str, model: SplitModel
) -> None:
    with Failing(scenario, speed=1.0) as stage:
        order = order_of(compute_share=1.0)
        stage.acknowledged(order)
        stage.fail(msg.Failure.HANG)
        stage.until(lambda: state_of(stage.process) == 'T', 'a stopped process')
        heard = len(stage.heard[names.SERVER_REPORT.name])
        stage.send(payload_for(order, model))
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            stage.executor.spin_once(timeout_sec=0.02)
        # what was on its way when it stopped
        assert len(stage.heard[names.SERVER_REPORT.name]) <= heard + 2
        assert not stage.all(names.RESULT_TX)
        os.kill(stage.process.pid, signal.SIGCONT)
        stage.speakers(0, 1)
        # its late answer
        stage.answer_to(order)
        stage.fail(msg.Failure.KILL, 1)
        assert stage.process.wait(TIMEOUT_S) == -signal.SIGKILL
        stage.process = None


@pytest.mark.parametrize('kind', ['robust', 'survey'])
def test_a_battery_that_runs_dry_ends_the_flight(tmp_path: Path, kind: str) -> None:
    """Hovering costs 168 W: 400 J last for 2.4 s, in steps of 20 ms."""
    if kind == 'robust':
        path = robust_file(tmp_path, uavs__battery_j=400.0)
        says, hears = SAYS, HEARS
    else:
        path = str(survey_file(tmp_path, uavs__battery_j=400.0))
        says = tuple(topic for topic in SAYS if topic != names.TASK_OUTCOME)
        hears = tuple(topic for topic in HEARS if topic != names.PAYLOAD_TX)
    with Failing(path, 0.0, says, hears) as stage:
        for slot in (1, 2):
            stage.open_slot(slot, slot)
            report = stage.next(names.SERVER_REPORT, lambda one, slot=slot: one.slot == slot)
            for state in report.servers:
                assert (state.alive, state.has_battery) == (True, True)
                assert state.energy_left_j == pytest.approx(400.0 - state.energy_used_j)
        stage.open_slot(3, 3)
        report = stage.next(names.SERVER_REPORT, lambda one: one.slot == 3)
        assert not report.servers
        for server in (0, 1):
            words = stage.last_words(server)
            assert (words.failing, words.energy_left_j) == ('battery empty', 0.0)
            assert words.energy_used_j >= 400.0
        stage.fail(msg.Failure.RECOVER)
        state = stage.until_reported(lambda one: len(one.servers) == 1).servers[0]
        assert (state.alive, state.failing) == (True, '')
        assert state.energy_left_j == pytest.approx(400.0)
        stage.end()
