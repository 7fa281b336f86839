"""Servers fail in every way while a slot is served: each task goes on, and ends once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from failover_stage import robust_file  # noqa: E402
from node_stage import next_domain, server_state  # noqa: E402

from sec_nodes.controllers.base import create  # noqa: E402
from sec_nodes.loop.ledger import Task  # noqa: E402
from sec_nodes.nodes.coordinator import CoordinatorNode  # noqa: E402
from sec_nodes.nodes.losses import SLOT_PATIENCE_S  # noqa: E402
from sec_nodes.nodes.slot_messages import decision_message, links_message, receivers_from  # noqa: E402
from sec_nodes.nodes.task_messages import request_from  # noqa: E402
from sec_nodes.nodes.vector_messages import array3, point, vector3  # noqa: E402
from sec_nodes.scenarios.registry import read_flown  # noqa: E402
from sec_nodes.slot import LOCAL, SlotDecision, task_number  # noqa: E402
from sec_offload import msg  # noqa: E402

CUT = 2
SHARE = 0.2
LOST, HANDOVER = msg.TaskReport.LOST, msg.TaskReport.HANDOVER
RELAY, RESEND, ON_DEVICE = msg.Migration.RELAY, msg.Migration.RESEND, msg.Migration.LOCAL


class Desk:
    """A coordinator in this process that nobody spins, and what it says; time is made up."""

    def __init__(self, scenario: str, **parameters: Any) -> None:
        values = {'scenario': scenario, 'heartbeat_timeout_s': 0.3, **parameters}
        words = [word for name, value in values.items() for word in ('-p', f'{name}:={value}')]
        rclpy.init(args=['--ros-args', *words], domain_id=next_domain())
        self.node = node = CoordinatorNode()
        self.world, self.now_s = node.world, 0.0
        node.clock.now_s = lambda: self.now_s
        self.batches: list[msg.AssignmentBatch] = []
        self.outcomes: list[msg.TaskOutcome] = []
        self.migrations: list[msg.Migration] = []
        self.notices: list[msg.FailureNotice] = []
        node.batches = Mock(publish=lambda batch: self.batches.append(deepcopy(batch)))
        node.desk.outcomes = Mock(publish=self.outcomes.append)
        node.losses.migrations = Mock(publish=self.migrations.append)
        node.losses.notices = Mock(publish=self.notices.append)

    def close(self) -> None:
        self.node.close()
        self.node.destroy_node()
        rclpy.shutdown()

    def report_devices(self, slot: int) -> None:
        count, slot_s = self.world.settings.n_devices, self.world.settings.slot_s
        tasks = [
            Task(int(task_number(np.int64(d), slot)), d, slot, slot * slot_s, slot_s, 0.0, 0.0)
            for d in range(count)
        ]
        report = msg.DeviceReport(slot=slot, device_id=list(range(count)))
        report.position = [point((50.0 * d, 30.0 * d, 0.0)) for d in range(count)]
        report.velocity = [vector3((0.0, 0.0, 0.0))] * count
        report.flop_s = self.world.devices(list(range(count)), 1).flop_s.tolist()
        report.backlog_s = [0.0] * count
        report.tasks = [request_from(task) for task in tasks]
        self.node.on_device_report(report)

    def report_servers(self, slot: int, *servers: int, **fields: Any) -> None:
        chosen = servers or tuple(range(self.world.settings.n_servers))
        given = {'has_battery': False, 'energy_left_j': 0.0, 'decision_slot': -1, **fields}
        states = [server_state(self.world, server, **given) for server in chosen]
        self.node.on_server_report(msg.ServerReport(slot=slot, servers=states))

    def gather(self, slot: int) -> None:
        """Open a slot and have everybody report on it."""
        self.now_s = slot * self.world.settings.slot_s
        self.report_servers(-1)
        self.node.open_slot(slot)
        self.report_devices(slot)
        self.report_servers(slot)

    def link(self) -> None:
        """Answer the request for links."""
        request = self.node.dispatcher.link_request
        links = self.world.links(
            1,
            request.slot,
            np.array(request.device_id, dtype=np.int64),
            array3(request.device_position),
            receivers_from(request.servers),
        )
        servers = [server.server_id for server in request.servers]
        table = links_message(request.slot, request.device_id, servers, links)
        if self.world.relays is not None:
            table.relay_gain = self.world.relay_gain(request.slot).tolist()
        self.node.on_link_table(table)

    def decide(self, server: list[int], backup: int = LOCAL) -> None:
        """Send each task to one server, cut in the middle; fixed shares and powers."""
        state, count = self.node.dispatcher.state, len(server)
        decision = SlotDecision(
            server=np.array(server),
            split=np.full(count, CUT),
            power_w=np.full(count, self.world.scenario.transmit_power_w[1]),
            compute_share=np.full(count, SHARE),
            backup=np.full(count, backup),
            uav_goal_m=state.servers.position_m[: state.n_uavs],
        )
        self.node.on_decision(decision_message(state, decision))

    def serve(self, slot: int, server: list[int], backup: int = LOCAL) -> None:
        """Play a slot up to its assignments."""
        self.gather(slot)
        self.link()
        self.decide(server, backup)

    def say(self, order: msg.Assignment, kind: int, reason: str, **fields: Any) -> None:
        """A server or the channel reports on a try."""
        report = msg.TaskReport(
            kind=kind, reason=reason, task_id=order.task_id, attempt=order.attempt,
            server=order.server, **fields,
        )  # fmt: skip
        self.node.on_task_report(report)

    def answer(self, order: msg.Assignment) -> None:
        self.say(order, msg.TaskReport.ANSWERED, '', answered_s=self.now_s)

    def fall_silent(self, *servers: int) -> None:
        """Let time pass in which only the other servers and devices are heard."""
        self.node.muster.listened_s += 0.31
        self.node.muster.look()
        others = set(range(self.world.settings.n_servers)) - set(servers)
        if others:
            self.report_servers(-1, *sorted(others))
        self.node.losses.look()

    @property
    def open(self) -> int:
        return len(self.node.ledger.open)


@pytest.fixture
def as_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powers and shares stay as decided, so that what is free is known."""
    from sec_nodes.scenarios.robust.offloading import RobustOffloading

    monkeypatch.setattr(RobustOffloading, 'settled', lambda self, state, decision: decision)


@pytest.fixture(scope='module')
def cheap_relays(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The flown mode, with radios between UAVs that need next to nothing."""
    return robust_file(tmp_path_factory.mktemp('robust'), uavs__transmit_power_w=1e-6)


@pytest.fixture
def robust(as_decided: None, cheap_relays: str) -> Iterator[Desk]:
    desk = Desk(cheap_relays)
    yield desk
    desk.close()


@pytest.fixture
def lockstep(as_decided: None, cheap_relays: str) -> Iterator[Desk]:
    desk = Desk(cheap_relays, speed=0.0)
    yield desk
    desk.close()


TO_THREE = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def orders_to(batch: msg.AssignmentBatch, server: int) -> list[msg.Assignment]:
    return [order for order in batch.assignments if order.server == server]


def test_a_server_that_fails_in_order_passes_its_tensors_on(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    first, second, third = orders_to(robust.batches[0], 1)
    robust.now_s = 0.3
    robust.say(first, HANDOVER, 'server_failing: battery empty', held_cut=CUT + 2, spent_j=0.5)
    robust.say(second, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.report_servers(-1, 1, alive=False, failing='battery empty')
    robust.say(third, LOST, 'server_failing: battery empty')
    robust.node.tick()
    (batch,) = robust.batches[1:]
    assert batch.repair
    moved = {order.task_id: order for order in batch.assignments}
    assert [moved[o.task_id].holder for o in (first, second, third)] == [1, 1, LOCAL]
    assert [moved[o.task_id].split for o in (first, second, third)] == [CUT + 2, CUT, CUT]
    # where nobody holds the tensor, the device ends the task for less than another upload takes
    assert [moved[o.task_id].server for o in (first, second, third)] == [2, 2, LOCAL]
    assert {order.attempt for order in batch.assignments} == {1}
    ways = {one.task_id: one for one in robust.migrations}
    assert [ways[o.task_id].way for o in (first, second, third)] == [RELAY, RELAY, ON_DEVICE]
    one = ways[first.task_id]
    assert (one.from_server, one.to_server, one.cut, one.slot) == (1, 2, CUT + 2, 0)
    row = robust.world.scenario.models.model_id.index(one.model_id)
    assert one.size_bit == robust.world.scenario.models.cut_bit[row, CUT + 2]
    assert one.reason == 'server_failing: battery empty'
    assert one.decided_s == pytest.approx(0.3, abs=0.02)
    (notice,) = robust.notices
    assert (notice.name, notice.reason, notice.tasks) == ('uav_1', 'battery empty', 3)
    assert robust.node.servers.living() == [0, 2]
    # what the failed server spent belongs to the answer
    robust.answer(moved[first.task_id])
    assert robust.outcomes[-1].energy.back_j == 0.5
    assert robust.outcomes[-1].attempts == 2


def test_what_a_failing_server_does_not_hand_over_is_taken_back_in_time(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    first, second, third = orders_to(robust.batches[0], 1)
    robust.say(first, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.report_servers(-1, 1, alive=False, failing='battery empty')
    robust.node.tick()
    assert [order.task_id for order in robust.batches[1].assignments] == [first.task_id]
    robust.fall_silent(1)
    # what it passes on is on its way
    taken = {order.task_id for order in robust.batches[2].assignments}
    assert taken == {second.task_id, third.task_id}
    assert [notice.tasks for notice in robust.notices] == [3]


def test_a_server_that_is_back_and_silent_again_relays_nothing(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    order = orders_to(robust.batches[0], 1)[0]
    robust.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.node.tick()
    assert robust.batches[1].assignments[0].holder == 1
    robust.fall_silent(1)
    again = {o.task_id: o for o in robust.batches[2].assignments}[order.task_id]
    assert (again.attempt, again.holder) == (2, LOCAL)


def test_tasks_of_a_silent_server_are_sent_again_from_their_cut(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    robust.now_s = 0.4
    robust.fall_silent(0)
    (batch,) = robust.batches[1:]
    assert {order.device_id for order in batch.assignments} == {0, 1, 2}
    assert {(order.holder, order.split) for order in batch.assignments} == {(LOCAL, CUT)}
    moved = {one.device_id: one for one in robust.migrations}
    # the lightest goes to its backup, which has 0.2 of its computer left; the heaviest finds none
    assert [(moved[d].way, moved[d].to_server) for d in (0, 2)] == [
        (RESEND, 2),
        (ON_DEVICE, LOCAL),
    ]
    models = robust.world.scenario.models
    left_s = 1.0 - 0.4 - 0.02 - moved[0].expected_s
    needed_flop_s = models.back_flop[models.model_id.index(moved[0].model_id), CUT] / left_s
    assert moved[0].compute_share == pytest.approx(needed_flop_s / robust.world.server(2).flop_s)
    (notice,) = robust.notices
    assert (notice.reason, notice.tasks, notice.server_id) == ('silent', 3, 0)
    assert notice.silence_s > 0.3
    # it was alive after all: whose answer comes first counts, and the other's is stale
    robust.report_servers(-1)
    first, second = orders_to(robust.batches[0], 0)[0], batch.assignments
    robust.answer(first)
    stale = robust.node.ledger.stale
    robust.answer(next(order for order in second if order.task_id == first.task_id))
    assert robust.node.ledger.stale == stale + 1
    assert [(one.server_name, one.task_id) for one in robust.outcomes] == [
        ('uav_0', first.task_id)
    ]
    assert robust.open == 9


def test_a_holder_that_cannot_pass_a_tensor_on_is_to_blame(robust: Desk) -> None:
    robust.node.ledger.max_attempts = 9
    robust.serve(0, TO_THREE, backup=2)
    order = orders_to(robust.batches[0], 1)[0]
    robust.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.report_servers(-1, 1, alive=False, failing='battery empty')
    robust.node.tick()
    relayed = robust.batches[1].assignments[0]
    assert (relayed.server, relayed.holder) == (2, 1)
    robust.say(relayed, LOST, 'handover_failed: uav_1 does not hold it')
    robust.node.tick()
    again = robust.batches[2].assignments[0]
    assert (again.holder, again.attempt) == (LOCAL, 2)
    # the third UAV did nothing wrong, and neither did the second
    assert again.server in (0, 2)
    assert robust.node.ledger.open[order.task_id].failed_by == {1}
    assert [one.from_server for one in robust.migrations] == [1, 1]


def test_a_relay_of_which_nothing_is_heard_is_given_up(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    order = orders_to(robust.batches[0], 1)[0]
    robust.now_s = 0.2
    robust.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.node.tick()
    robust.now_s = 1.9  # due before 1.0, and then a slot
    robust.node.losses.look()
    assert len(robust.batches) == 2
    robust.now_s = 2.0
    robust.node.losses.look()
    (last,) = robust.batches[2].assignments
    assert (last.task_id, last.server, last.holder) == (order.task_id, LOCAL, LOCAL)
    assert robust.migrations[-1].way == ON_DEVICE
    assert robust.migrations[-1].reason == 'no_news'


def test_a_cut_that_cannot_be_held_is_counted_and_the_device_sends_again(robust: Desk) -> None:
    robust.serve(0, TO_THREE)
    order = orders_to(robust.batches[0], 0)[0]
    robust.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT - 1)
    robust.node.tick()
    (again,) = robust.batches[1].assignments
    assert (again.holder, again.split) == (LOCAL, CUT)
    assert robust.node.counts['bad handover'] == 1


def test_without_any_server_devices_go_on_by_themselves(robust: Desk) -> None:
    robust.serve(0, TO_THREE)
    robust.fall_silent(0, 1, 2)
    assert {(o.server, o.split) for o in robust.batches[1].assignments} == {(LOCAL, CUT)}
    assert Counter(one.way for one in robust.migrations) == {ON_DEVICE: 10}
    assert {(one.size_bit, one.expected_s) for one in robust.migrations} == {(0.0, 0.0)}
    for order in robust.batches[1].assignments:
        robust.answer(order)
    assert robust.open == 0


def test_one_failure_after_the_other_ends_every_task_once(robust: Desk) -> None:
    robust.serve(0, TO_THREE, backup=2)
    for order in orders_to(robust.batches[0], 1):
        robust.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    robust.report_servers(-1, 1, alive=False, failing='battery empty')
    robust.node.tick()
    robust.now_s = 0.3
    robust.fall_silent(1, 2)  # those that were on their way there, too
    robust.now_s = 0.6
    robust.fall_silent(0, 1, 2)
    orders = {order.task_id: order for batch in robust.batches for order in batch.assignments}
    for order in orders.values():
        robust.answer(order)
        robust.answer(order)
    robust.node.desk.abandon('run_ended')
    assert sorted(o.task_id for o in robust.outcomes) == sorted(orders)
    assert len(orders) == 10
    assert max(outcome.attempts for outcome in robust.outcomes) == 3


def test_an_orphan_is_not_offered_to_the_controller_as_well(robust: Desk) -> None:
    robust.serve(0, TO_THREE)
    order = robust.batches[0].assignments[0]
    for other in robust.batches[0].assignments[1:]:
        robust.answer(other)
    robust.gather(1)
    robust.say(order, LOST, 'payload_lost: the link is cut')
    robust.link()
    assert order.task_id not in robust.node.dispatcher.state.tasks.task_id
    assert [o.task_id for o in robust.batches[1].assignments] == [order.task_id]
    robust.decide(TO_THREE)
    assert robust.open == 11


def test_a_device_that_is_lost_while_its_task_is_decided_harms_nobody(robust: Desk) -> None:
    robust.gather(0)
    robust.link()
    robust.node.desk.lose_device(3)
    robust.decide(TO_THREE)
    assert len(robust.batches[0].assignments) == 9
    assert [outcome.reason for outcome in robust.outcomes] == ['device_lost']


def test_a_server_that_has_started_again_has_lost_its_tasks(robust: Desk) -> None:
    robust.serve(0, TO_THREE)
    robust.report_servers(-1, 1, started_ns=7)
    assert {order.device_id for order in robust.batches[1].assignments} == {3, 4, 5}
    assert [notice.reason for notice in robust.notices] == ['started again']


def test_a_server_that_starts_again_before_the_decision_sits_the_slot_out(lockstep: Desk) -> None:
    node = lockstep.node
    lockstep.gather(0)
    lockstep.link()
    lockstep.report_servers(-1, 1, started_ns=7)
    lockstep.decide(TO_THREE, backup=2)
    decided, redirected = lockstep.batches
    assert {o.task_id for o in redirected.assignments} == {
        o.task_id for o in orders_to(decided, 1)
    }
    assert 1 not in {order.server for order in redirected.assignments}
    latest = {order.task_id: order for batch in lockstep.batches for order in batch.assignments}
    for order in latest.values():
        lockstep.answer(order)
    lockstep.report_servers(-1, 0, 2, decision_slot=0)
    # it knows neither the slot nor its assignments, and has nothing to acknowledge
    assert node.slot == 1

    lockstep.report_devices(1)
    lockstep.report_servers(1, 0, 2)
    lockstep.report_servers(-1, 1, started_ns=7)
    assert node.is_gathering
    lockstep.report_servers(1, 1, started_ns=7)
    lockstep.link()
    assert node.dispatcher.state.servers.alive.tolist() == [True] * 3
    lockstep.decide(TO_THREE, backup=2)
    for order in lockstep.batches[-1].assignments:
        lockstep.answer(order)
    lockstep.report_servers(-1, 0, 2, decision_slot=1)
    assert node.slot == 1
    lockstep.report_servers(-1, 1, started_ns=7, decision_slot=1)
    assert node.slot == 2


def test_who_reports_on_a_slot_too_late_is_left_out_of_it(lockstep: Desk) -> None:
    lockstep.report_servers(-1, started_ns=1)
    lockstep.report_servers(-1, 1, started_ns=7)
    lockstep.node.open_slot(0)
    lockstep.report_devices(0)
    lockstep.report_servers(0, 0, 2, started_ns=1)
    lockstep.node.ask_for_links()
    lockstep.report_servers(0, 1, started_ns=7)
    lockstep.link()
    assert lockstep.node.dispatcher.state.servers.alive.tolist() == [True, False, True]


def test_the_clock_does_not_wait_for_good_for_a_server(lockstep: Desk) -> None:
    node = lockstep.node
    lockstep.serve(0, TO_THREE)
    for order in lockstep.batches[0].assignments:
        lockstep.answer(order)
    lockstep.report_servers(-1, 0, 2, decision_slot=0)
    node.tick()
    assert node.slot == 0
    node.phase_at -= SLOT_PATIENCE_S
    node.tick()
    assert node.slot == 1
    assert node.counts['unfinished slot'] == 1
    assert node.servers.living() == [0, 1, 2]


def test_a_satellite_that_starts_again_before_the_decision_is_not_waited_for() -> None:
    desk = Desk('maritime', speed=0.0)
    try:
        node, uavs = desk.node, desk.world.settings.uavs.count
        desk.gather(0)
        desk.link()
        desk.report_servers(-1, uavs, started_ns=7)
        state = node.dispatcher.state
        decision = create('jcorm', desk.world.scenario, 1).decide(state)
        node.on_decision(decision_message(state, decision))
        assert {relay.satellite for relay in desk.batches[0].relays} == {uavs}
        alone = [batch for batch in desk.batches[1:] if batch.relays]
        assert [batch.repair for batch in alone] == [True]
        assert [(relay.satellite, relay.ratio) for relay in alone[0].relays] == [(LOCAL, 0)] * uavs
    finally:
        desk.close()


def test_in_lockstep_time_passes_that_the_clock_does_not_show(lockstep: Desk) -> None:
    lockstep.serve(3, TO_THREE, backup=2)
    order = orders_to(lockstep.batches[0], 1)[0]
    lockstep.say(order, HANDOVER, 'server_failing: battery empty', held_cut=CUT)
    assert not lockstep.node.slot_is_over()
    lockstep.node.tick()
    (relayed,) = lockstep.batches[1].assignments
    # a tensor cannot leave before it has come: the front part first, and then the upload
    scenario, state = lockstep.world.scenario, lockstep.node.dispatcher.state
    model = scenario.models.model_id.index(order.model_id)
    front_s = scenario.models.front_flop[model, CUT] / state.devices.flop_s[3]
    upload_s = scenario.models.cut_bit[model, CUT] / state.links.rate_bit_s[3, 1]
    assert relayed.assigned_s == pytest.approx(3.0 + front_s + upload_s)
    lockstep.node.muster.listened_s += 3.1  # ten times the patience
    lockstep.report_servers(-1, 0, 2)
    lockstep.node.losses.look()
    silent = lockstep.batches[2].assignments
    assert {order.assigned_s for order in silent} == {3.0 + 0.3}


def test_failures_are_injected_by_kind(robust: Desk) -> None:
    said: list[msg.Failure] = []
    robust.node.losses.failures = Mock(publish=said.append)
    request, response = Mock(server_id=1, kind=msg.Failure.BATTERY), Mock()
    assert robust.node.losses.inject(request, response).success
    assert [(one.server_id, one.kind) for one in said] == [(1, msg.Failure.BATTERY)]
    for bad in (Mock(server_id=1, kind=7), Mock(server_id=3, kind=0)):
        assert not robust.node.losses.inject(bad, response).success
    assert len(said) == 1


@pytest.fixture
def survey() -> Iterator[Desk]:
    desk = Desk('survey')
    yield desk
    desk.close()


def test_elsewhere_an_empty_battery_sends_raw_pictures_to_backups(survey: Desk) -> None:
    survey.gather(0)
    survey.link()
    state = survey.node.dispatcher.state
    reachable = state.links.reachable[state.tasks.device]
    rows = np.flatnonzero(reachable[:, 0] & reachable[:, 1])
    assert len(rows)
    node = survey.node
    decision = node.dispatcher.fallback.decide(state)
    decision.server[rows], decision.backup[rows] = 0, 1
    node.on_decision(decision_message(state, decision))
    sent = orders_to(survey.batches[0], 0)
    assert sent
    survey.report_servers(-1, 0, alive=False, failing='battery empty')
    (batch,) = survey.batches[1:]
    assert {order.task_id for order in batch.assignments} >= {order.task_id for order in sent}
    assert {order.holder for order in batch.assignments} == {LOCAL}
    assert [(n.name, n.reason) for n in survey.notices] == [('uav_0', 'battery empty')]
    moved = {one.task_id: one for one in survey.migrations}
    assert set(moved) == {order.task_id for order in batch.assignments}
    one = moved[sent[0].task_id]
    assert (one.from_server, one.way, one.cut) == (0, RESEND, 0)
    assert one.expected_s > 0
    assert one.size_bit > 0


@pytest.mark.parametrize('failing', [{}, {'alive': False, 'failing': 'battery empty'}])
def test_a_server_that_is_lost_before_the_decision_gets_no_task(
    robust: Desk, failing: dict[str, Any]
) -> None:
    robust.gather(0)
    robust.link()
    robust.now_s = 0.31
    if failing:
        robust.report_servers(-1, 1, **failing)
    else:
        robust.fall_silent(1)
    robust.decide(TO_THREE, backup=2)
    decided, redirected = robust.batches
    assert {o.task_id for o in redirected.assignments} == {
        o.task_id for o in orders_to(decided, 1)
    }
    assert 1 not in {order.server for order in redirected.assignments}
    assert {one.from_server for one in robust.migrations} == {1}
    # nothing waits for the lost one, even if it starts again
    robust.report_servers(-1, 1, started_ns=9)
    latest = {order.task_id: order for batch in robust.batches for order in batch.assignments}
    for order in latest.values():
        robust.answer(order)
    assert robust.open == 0
    assert len(robust.outcomes) == 10


def orders_after(late_s: float) -> dict[int, msg.Assignment]:
    """Orders by device, of a decision that comes so late into the slot [s]."""
    desk = Desk('robust:flown')
    try:
        desk.gather(0)
        desk.link()
        desk.now_s = late_s
        desk.decide(TO_THREE)
        assert not desk.node.counts['decision broke a constraint']
        return {order.device_id: order for order in desk.batches[-1].assignments}
    finally:
        desk.close()


def test_a_late_decision_takes_from_the_reserve_first() -> None:
    """Powers and shares are for the time that is left when orders go out."""
    reserve_s = read_flown('robust').failures.reserve_s
    early = orders_after(0.0)
    shares = {device: order.compute_share for device, order in early.items()}
    later = orders_after(reserve_s - 0.03)
    assert {d: order.compute_share for d, order in later.items() if d in early} == (
        pytest.approx(shares)
    )
    late = orders_after(reserve_s + 0.1)
    at_uavs = {d: order.compute_share for d, order in late.items() if order.server != LOCAL}
    assert len(at_uavs) >= 5
    assert all(share > shares[device] for device, share in at_uavs.items())
    # nobody is turned away because of a slow decision: who cannot be in time goes on alone
    assert len(early) < len(late) == 10
