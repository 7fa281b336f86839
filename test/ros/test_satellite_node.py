"""The satellite node as a process: where its satellites are, who relays, and when they pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import Stage

from sec_nodes.loop.satellites import SatelliteNetwork
from sec_nodes.nodes import names
from sec_nodes.nodes.vector_messages import array3
from sec_nodes.scenarios.registry import read_settings
from sec_offload import msg

SERVERS = tuple(f'satellite_{number}' for number in range(4))
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE,
    *(names.VEHICLE_PAYLOAD.of(server) for server in SERVERS),
)  # fmt: skip
HEARS = (names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT)


@pytest.fixture(scope='module')
def stage() -> Iterator[Stage]:
    with Stage(SAYS, HEARS) as stage:
        stage.start('satellite')
        stage.connect()
        stage.next(names.SERVER_REPORT)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def network() -> SatelliteNetwork:
    return SatelliteNetwork(read_settings('survey'))


_slots = iter(range(10_000))


def report_at(stage: Stage, time_s: float) -> msg.ServerReport:
    slot = next(_slots)
    stage.open_slot(slot, time_s)
    return stage.next(names.SERVER_REPORT, lambda report: report.slot == slot)


def check(report: msg.ServerReport, network: SatelliteNetwork, time_s: float) -> None:
    """The report says just what the network says at that time."""
    view, servers = network.at(time_s), report.servers
    first = read_settings('survey').uavs.count
    assert [state.server_id for state in servers] == [3, 4, 5, 6]
    assert [state.name for state in servers] == list(SERVERS)
    np.testing.assert_array_equal(array3([s.position for s in servers]), view.position_m)
    np.testing.assert_array_equal(array3([s.velocity for s in servers]), view.velocity_m_s)
    np.testing.assert_array_equal(
        array3([s.receiver_position for s in servers]), view.access_position_m
    )
    np.testing.assert_array_equal([s.receiver - first for s in servers], view.access)
    for name in ('in_view', 'hops', 'isl_m', 'remaining_s'):
        np.testing.assert_array_equal([getattr(s, name) for s in servers], getattr(view, name))
    assert not any(state.has_battery for state in servers)


def test_passes_are_latched_for_those_who_come_late(
    stage: Stage, network: SatelliteNetwork
) -> None:
    stage.hear(names.VISIBILITY)
    message = stage.next(names.VISIBILITY)
    check_passes(message, network, 0.0)


def check_passes(
    message: msg.VisibilityWindows, network: SatelliteNetwork, start_s: float
) -> None:
    rows = network.passes(start_s, start_s + 1800.0)
    windows = network.windows
    assert len(message.windows) == len(rows) > 4
    assert message.minimum_elevation_rad == network.mask_rad
    rises = [window.rise_s for window in message.windows]
    assert rises == sorted(rises)
    for window, row in zip(message.windows, rows, strict=True):
        assert window.satellite == windows.satellite[row]
        assert window.name == network.constellation.names[window.satellite]
        assert (window.rise_s, window.set_s) == (windows.rise_s[row], windows.set_s[row])
        assert window.rise_s < window.set_s
        assert network.mask_rad <= window.peak_elevation_rad <= np.pi / 2


def test_positions_are_those_of_the_orbits(stage: Stage, network: SatelliteNetwork) -> None:
    for time_s in (0.0, 1.0, 2.0, 17.5):
        check(report_at(stage, time_s), network, time_s)


def test_a_satellite_that_sets_hands_over_to_another(
    stage: Stage, network: SatelliteNetwork
) -> None:
    step_s = 10.0
    serving = [network.at(step_s * k).satellite for k in range(3, 90)]
    changed = [k for k in range(1, len(serving)) if (serving[k] != serving[k - 1]).any()]
    assert changed, 'no hand-over in the first quarter of an hour'
    before_s, after_s = step_s * (changed[0] + 2), step_s * (changed[0] + 3)
    before, after = (report_at(stage, time_s) for time_s in (before_s, after_s))
    check(before, network, before_s)
    check(after, network, after_s)
    moved_m = np.linalg.norm(
        array3([s.position for s in after.servers]) - array3([s.position for s in before.servers]),
        axis=1,
    )
    # along an orbit it would be at most 8 km/s
    changed_hands = serving[changed[0]] != serving[changed[0] - 1]
    np.testing.assert_array_equal(moved_m > 1e4 * step_s, changed_hands)


def test_new_passes_are_announced_while_time_goes_on(
    stage: Stage, network: SatelliteNetwork
) -> None:
    heard: list[Any] = stage.heard.setdefault(names.VISIBILITY.name, [])
    since = len(heard)
    check(report_at(stage, 1000.0), network, 1000.0)
    check_passes(stage.next(names.VISIBILITY, since=since), network, 1000.0)


def test_a_crashed_satellite_is_silent_until_it_recovers(stage: Stage) -> None:
    for kind, left in ((msg.Failure.CRASH, [3, 4, 6]), (msg.Failure.RECOVER, [3, 4, 5, 6])):
        stage.say(names.FAILURE, msg.Failure(server_id=5, kind=kind))
        stage.next(
            names.SERVER_REPORT,
            lambda report, left=left: [state.server_id for state in report.servers] == left,
            since=len(stage.heard[names.SERVER_REPORT.name]),
        )
