from __future__ import annotations

import dataclasses
import io
import re

import fleet_messages as make
import pytest
from rich.cells import cell_len
from rich.console import Console

from sec_nodes.fleet.live import bar, clock, plain_line, render
from sec_nodes.fleet.scoreboard import Scoreboard
from sec_nodes.fleet.snapshot import ServerView, Snapshot
from sec_nodes.fleet.view import LiveView, PlainView


def scoreboard(**changes) -> Scoreboard:
    servers = {0: 'uav_0', 1: 'satellite_0'}
    return Scoreboard((500.0, 500.0), 500e3, servers, slots=20, run='try', **changes)


@pytest.fixture
def snapshot() -> Snapshot:
    board = scoreboard()
    board.on_run_state(make.run_state())
    board.on_slot_start(make.slot_start(3))
    board.on_device_report(make.device_report(3, tasks=6))
    board.on_server_report(make.server_report())
    board.on_visibility(make.visibility(('satellite_0', 0.0, 195.0), ('satellite_3', 63.0, 90.0)))
    board.on_assignments(make.assignments(0, 1))
    for status, server, changes in (
        (0, 'uav_0', {}),
        (0, 'local', {'latency_s': 0.1}),
        (1, 'satellite_0', {'latency_s': 0.9, 'answer': 'ship'}),
        (2, 'uav_0', {'reason': 'server lost', 'answer': ''}),
        (3, '', {'reason': 'no server', 'answer': ''}),
    ):
        board.on_task_outcome(make.task_outcome(status, server, **changes))
    board.on_slot_outcome(make.slot_outcome(3, decisions_repaired=2))
    return board.snapshot()


def drawn(snapshot: Snapshot, width: int = 100, height: int = 30) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(render(snapshot, width, height), height=height)
    return console.export_text()


def test_failures_and_moves_are_events():
    told: list[str] = []
    board = Scoreboard(
        (500.0, 500.0), None, {0: 'uav_0', 1: 'uav_1', 2: 'uav_2'}, slots=20, run='try',
        on_event=told.append, moves_tasks=True,
    )  # fmt: skip
    board.on_server_report(
        make.Message(servers=[make.server('uav_1', True, make.point(0, 0, 100))])
    )
    board.on_slot_start(make.slot_start(7))
    board.on_failure_notice(make.failure_notice(1))
    assert not board.snapshot().servers['uav_1'].alive
    for target, way in ((2, 0), (0, 1), (2, 0), (-1, 2)):
        board.on_migration(make.migration(1, target, way))
    board.on_assignments(make.assignments(2, 0, repair=True))
    board.on_slot_start(make.slot_start(8))
    board.on_slot_outcome(make.slot_outcome(7, servers_lost=[1]))
    assert told == [
        'slot 7: uav_1 has failed (silent), tasks there: 4',
        'slot 7: moved from uav_1: 2 to uav_2 (relay), 1 to uav_0 (resend), 1 to device (local)',
    ]
    # told once; and a loss without a notice is told as before
    board.on_slot_outcome(make.slot_outcome(8, servers_lost=[1]))
    assert told[2:] == ['slot 8: uav_1 is lost']


def test_scoreboard_adds_up(snapshot):
    assert snapshot.ended == {'done': 2, 'late': 1, 'failed': 1, 'rejected': 1}
    assert (snapshot.created, snapshot.n_ended, snapshot.n_open) == (6, 5, 1)
    assert snapshot.served['uav_0'] == {'done': 1, 'failed': 1}
    assert snapshot.energy_j == {'front': 5.0, 'upload': 10.0, 'back': 15.0, 'download': 20.0}
    assert (snapshot.right, snapshot.judged) == (2, 3)
    assert snapshot.latency_p50_s == pytest.approx(0.5)
    assert snapshot.links == {0: 'uav_0', 1: 'satellite_0'}
    assert snapshot.servers['uav_0'].energy_left == pytest.approx(0.8)


def test_everything_a_user_looks_for_is_drawn(snapshot):
    text = drawn(snapshot)
    for part in (
        'slot 4/20', 'running', 'greedy', 'x0.99', '6 tasks, 1 open', 'done 2', 'late 1',
        'failed 1', 'rejected 1', 'local', 'uav_0', 'satellite_0', 'not sent', 'p50 0.50 s',
        'p95 0.86 s', '50 J', 'up 20%', '67 % right', '40 % in time', '2 repaired', '▲0',
        '•', '±0.05 m', '80 %',
        '★ satellite_0 up for 3:12', '☆ satellite_3 in 1:00', '✓ raft', '✗ raft → ship',
        'failed: server lost', 'decisions repaired: 2',
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(('width', 'height'), [(100, 30), (80, 24), (200, 60), (60, 16), (20, 8)])
def test_view_fits_the_terminal(snapshot, width, height):
    lines = drawn(snapshot, width, height).splitlines()
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_an_empty_snapshot_can_be_drawn():
    assert 'waiting' in drawn(Snapshot())


def test_many_servers_leave_room_for_figures(snapshot):
    servers = {f'uav_{i}': ServerView(f'uav_{i}', True, (i, i, 50)) for i in range(16)}
    text = drawn(dataclasses.replace(snapshot, servers=servers), 80, 24)
    assert 'and 1' in text
    assert 'checks' in text


def test_uavs_outside_the_area_are_drawn_on_its_edge(snapshot):
    far = {'uav_0': ServerView('uav_0', True, (9e9, -9e9, 50))}
    assert '▲0' in drawn(dataclasses.replace(snapshot, servers=far))


def test_loss_and_fallback_are_events():
    events: list[str] = []
    board = scoreboard(on_event=events.append)
    board.on_server_report(make.server_report())
    board.on_slot_start(make.slot_start(4))
    board.on_slot_outcome(make.slot_outcome(4, servers_lost=[0], fallback=True))
    board.on_assignments(make.assignments(1, 1, repair=True))
    board.on_slot_outcome(make.slot_outcome(5))
    assert events == [
        'slot 4: no decision in time: the fallback decides',
        'slot 4: uav_0 is lost',
        'slot 4: 2 tasks sent elsewhere',
        'slot 4: greedy decides again',
    ]
    assert not board.snapshot().servers['uav_0'].alive


def test_slot_lines_are_about_the_slot_that_was_closed():
    slots: list[Snapshot] = []
    board = scoreboard(on_slot=slots.append)
    board.on_slot_start(make.slot_start(8))
    board.on_slot_outcome(make.slot_outcome(7))
    assert (slots[0].slot, slots[0].time_s) == (7, 7.0)


def test_heartbeats_and_repeated_reports_create_no_tasks():
    board = scoreboard()
    board.on_device_report(make.device_report(0, tasks=2))
    board.on_device_report(make.device_report(-1, tasks=0))
    board.on_device_report(make.device_report(0, tasks=2))
    assert board.snapshot().created == 2
    board.on_run_state(make.run_state(state=3, tasks_created=5))
    assert board.snapshot().created == 5


def test_plain_line(snapshot):
    line = plain_line(snapshot)
    assert '\n' not in line
    assert line.startswith('slot 4/20 ')
    late = dataclasses.replace(snapshot, slot=20)
    assert plain_line(late).startswith('draining ')
    assert 'devices 1, uavs 1, satellites 1' in line
    assert '(fallback)' in plain_line(dataclasses.replace(snapshot, fallback=True))


def test_plain_view_prints_slots_events_and_waiting_once():
    output = io.StringIO()
    view = PlainView(Console(file=output, width=20))
    waiting = Snapshot(detail='for uavs')
    view.update(waiting)
    view.update(waiting)
    view.event('[bold] is no markup')
    view.slot(Snapshot(slots=2))
    lines = output.getvalue().splitlines()
    assert lines[:2] == ['waiting for uavs', '[bold] is no markup']
    assert len(lines) == 3


def test_live_view_gives_the_terminal_back():
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    view = LiveView(console)
    view.open()
    view.update(Snapshot())
    view.close()
    assert '\x1b[?1049l' in console.file.getvalue(), 'leaves the alternate screen'
    assert '\x1b[?25h' in console.file.getvalue(), 'shows the cursor again'


def test_storage_and_deliveries_are_added_up(relaying):
    assert relaying.relays['uav_0'].ratio == 0.25
    assert relaying.servers['uav_0'].stored_bit == 3e9
    assert relaying.uploaded_bit == pytest.approx(1.5e9)  # the report that came again counts once
    assert relaying.late_batches == 1
    assert (relaying.files, relaying.delivered_bit) == (2, pytest.approx(3e8))
    assert relaying.events[0].endswith('5-0 is delivered again')


@pytest.fixture
def relaying() -> Snapshot:
    board = scoreboard()
    board.on_run_state(make.run_state())
    uavs = [make.server(f'uav_{i}', True, make.point(250, 250, 500)) for i in (0, 1)]
    satellite = make.server('satellite_0', False, make.point(0, 0, 8e5), ground_contact=True)
    board.on_server_report(make.Message(servers=[*uavs, satellite]))
    for report in (
        make.relay_report(0),
        make.relay_report(0, 1, satellite=-1, late=True),
        make.relay_report(1),
        make.relay_report(1),
    ):
        board.on_relay_report(report)
    for file_id, size_bit in (('5-0', 1e8), ('6-0', 2e8), ('5-0', 1e8)):
        board.on_delivery(make.delivery(file_id, size_bit))
    board.on_task_outcome(
        make.task_outcome(question_kind='frames', answer='raft sea', truth='raft raft')
    )
    return board.snapshot()


@pytest.mark.parametrize(('width', 'height'), [(80, 24), (100, 40), (60, 16), (20, 8)])
def test_storage_fits_the_terminal(relaying, width, height):
    views = {f'uav_{i}': relaying.relays['uav_0'] for i in range(10)}
    for snapshot in (relaying, dataclasses.replace(relaying, relays=views)):
        lines = drawn(snapshot, width, height).splitlines()
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= width


def test_storage_is_drawn_with_what_was_passed_on(relaying):
    for height in (24, 44):
        text = drawn(relaying, 100, height)
        for part in (
            'uav_0', '█░', '3.00 x 0.25 1.25 s', '3.00 late', '★ area',
            '★ ground station', '1.50 Gbit up, 0.30 down in 2 files', '1/2 frames',
            '50 % right',
        ):  # fmt: skip
            assert part in text, part
        assert ('• device' in text) is (height == 44)
    assert '0.30 down in 2 files' in plain_line(relaying)


def test_many_relays_leave_room_for_what_came_down(relaying):
    views = {f'uav_{i}': relaying.relays['uav_0'] for i in range(20)}
    text = drawn(dataclasses.replace(relaying, relays=views), 80, 24)
    assert re.search(r'and \d+ more', text)
    assert '0.30 down in 2 files' in text


def test_bar_and_clock():
    assert bar([(1, 'a'), (1, 'b')], 4).plain == '████'
    assert bar([(1, 'a')], 4, total=4).plain == '█░░░'
    assert bar([], 3).plain == '░░░'
    assert clock(75.4) == '1:15'
    assert clock(3700) == '1:01:40'
