"""Devices, UAVs, satellites and links move as the scenario says, however they are spread."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle

from sec_nodes.loop.devices import DeviceFleet
from sec_nodes.loop.links import Receivers, link_table
from sec_nodes.loop.satellites import SatelliteNetwork
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import ServerKind
from sec_nodes.world import build_world
from sec_nodes.world.survey import start_positions


@pytest.fixture(scope='module')
def full():
    return read_settings('survey')


@pytest.fixture(scope='module')
def network(full):
    return SatelliteNetwork(full)


def test_devices_do_the_same_in_one_process_or_in_many(full):
    together = DeviceFleet(full, list(range(10)), seed=5)
    alone = [DeviceFleet(full, [number], seed=5) for number in range(10)]
    for slot in range(20):
        tasks = together.open_slot(slot)
        assert tasks == [task for fleet in alone for task in fleet.open_slot(slot)]
        np.testing.assert_array_equal(
            together.position_m, np.vstack([fleet.position_m for fleet in alone])
        )


def test_devices_ask_at_the_rate_of_the_scenario_and_once_a_slot_at_most(full):
    fleet = DeviceFleet(full, list(range(10)), seed=1)
    per_slot = [fleet.open_slot(slot) for slot in range(400)]
    for tasks in per_slot:
        assert len({task.device_id for task in tasks}) == len(tasks)
    # 10 devices x 400 slots x 0.7: 2800, with a standard deviation of at most sqrt(2800) = 53
    assert abs(sum(map(len, per_slot)) - 2800) < 4 * 53
    every = [task for tasks in per_slot for task in tasks]
    assert len({task.task_id for task in every}) == len(every)
    assert all(0.3 <= task.deadline_s <= 1.0 and not task.fault() for task in every)
    assert np.all((fleet.position_m[:, :2] >= 0) & (fleet.position_m[:, :2] <= 500))


def test_missed_slots_are_caught_up_and_a_draining_fleet_asks_no_more(full):
    steady, lagging = DeviceFleet(full, [0, 1], 3), DeviceFleet(full, [0, 1], 3)
    for slot in range(8):
        steady.open_slot(slot)
    lagging.open_slot(7)
    np.testing.assert_array_equal(steady.position_m, lagging.position_m)
    assert steady.open_slot(8, new_tasks=False) == []


def test_a_device_computes_one_thing_after_the_other(full):
    fleet = DeviceFleet(full, [4], 1)
    assert fleet.start_s(0, 1.0, 0.5) == 1.0
    assert fleet.start_s(0, 1.0, 0.5) == 1.5
    np.testing.assert_allclose(fleet.backlog_s(1.2), [0.8])


def test_uavs_start_in_the_area_at_their_altitudes(full):
    position_m = start_positions(full)
    assert position_m[:, 2].tolist() == [40.0, 50.0, 60.0]
    # a circle of a quarter of the area's side around (250, 250)
    np.testing.assert_allclose(np.hypot(*(position_m[:, :2] - 250).T), 125.0)


def test_uavs_reach_their_goals_within_limits_and_close_to_their_set_points(full):
    fleet = build_world(full).uavs([0, 1, 2], step_s=0.02)
    fleet.goal_m = np.array([[450.0, 60, 40], [250, 250, 50], [10, 490, 60]])
    worst_error_m, worst_speed_m_s = 0.0, 0.0
    while fleet.due(40.0):
        fleet.step()
        worst_error_m = max(worst_error_m, np.linalg.norm(fleet.tracking_error_m, axis=1).max())
        speed_m_s = np.linalg.norm(fleet.motion.velocity_m_s, axis=1).max()
        worst_speed_m_s = max(worst_speed_m_s, speed_m_s)
    np.testing.assert_allclose(fleet.motion.position_m, fleet.goal_m, atol=0.01)
    assert 0.1 < worst_error_m < 2.0
    assert 10.0 < worst_speed_m_s <= 20.0 + 1e-9
    # hovering costs 168.5 W, so 40 s of flight cost between 40 x 126 J and 40 x 220 J
    assert np.all((fleet.energy_used_j > 5000) & (fleet.energy_used_j < 8800))


def test_a_failed_uav_stands_still_and_spends_nothing(full):
    fleet = build_world(full).uavs([0, 1, 2], step_s=0.02)
    fleet.goal_m = fleet.goal_m + np.array([100.0, 0, 0])
    for _ in range(100):
        fleet.step()
    fleet.alive[1] = False
    position_m, energy_j = fleet.motion.position_m[1].copy(), fleet.energy_used_j[1]
    for _ in range(100):
        fleet.step()
    np.testing.assert_array_equal(fleet.motion.position_m[1], position_m)
    assert fleet.energy_used_j[1] == energy_j
    assert fleet.motion.position_m[0, 0] > position_m[0]


def test_serving_satellites_hand_over_when_they_set_and_stay_distinct(network):
    seen = set()
    for time_s in range(0, 3600, 30):
        view = network.at(float(time_s))
        assert len(set(view.satellite.tolist())) == 4
        seen.update(view.satellite.tolist())
        # whoever is above the mask talks for itself, the others through the highest one
        own = view.access == view.satellite
        assert np.all(view.hops[own] == 0)
        assert np.all(view.hops[~own & view.in_view] >= 1)
        assert np.all(view.isl_m[view.hops > 0] > 1e6)
        assert np.all(view.remaining_s[view.in_view] > 0)
    assert len(seen) > 8


def test_serving_satellites_are_at_their_altitude_and_as_fast_as_an_orbit_demands(network, full):
    view = network.at(100.0)
    earth_m = np.linalg.norm(
        view.position_m @ network.site.enu_from_ecef_rotation + network.site.position_ecef_m,
        axis=1,
    )
    np.testing.assert_allclose(earth_m, 6378137 + full.satellites.altitude_m, rtol=2e-3)
    # sqrt(mu / r) = 7613 m/s, less up to the 465 m/s with which the Earth turns along
    speed_m_s = np.linalg.norm(view.velocity_m_s, axis=1)
    assert np.all((speed_m_s > 7613 - 465) & (speed_m_s < 7613 + 465))


def test_without_a_satellite_in_view_nothing_is_reachable(full):
    lonely = read_settings(
        'survey',
        {
            'satellites.planes': 1,
            'satellites.per_plane': 1,
            'satellites.phasing': 0,
            'satellites.count': 1,
        },
    )
    network = SatelliteNetwork(lonely)
    views = [network.at(float(time_s)) for time_s in range(0, 6000, 60)]
    assert any(not view.in_view.any() for view in views)
    assert all(view.remaining_s[0] == 0 for view in views if not view.in_view.any())


def test_more_serving_satellites_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r'satellites\.count'):
        SatelliteNetwork(
            read_settings(
                'survey',
                {'satellites.planes': 1, 'satellites.per_plane': 2, 'satellites.phasing': 0},
            )
        )


def test_links_follow_closed_forms_without_fading(full):
    still = full.model_copy(
        update={'radio': full.radio.model_copy(update={'rician_factor': 1e12})}
    )
    receivers = Receivers(
        kind=np.array([ServerKind.UAV, ServerKind.UAV]),
        receiver=np.array([0, 1]),
        position_m=np.array([[0.0, 0, 50], [0, 300, 50]]),
        in_view=np.array([True, True]),
        hops=np.zeros(2, dtype=np.int64),
        isl_m=np.zeros(2),
        remaining_s=np.full(2, np.inf),
        transmit_power_w=np.full(2, 2.0),
    )
    links = link_table(still, 1, 0, np.array([0]), np.zeros((1, 3)), receivers)
    # beta_0 / d^2 = 1e-5 / 50^2 = 4e-9; second: 1e-5 / (300^2 + 50^2) = 1.0811e-10
    np.testing.assert_allclose(links.gain, [[4e-9, 1.081081e-10]], rtol=1e-4)
    # kTB + 4 dB in 0.5 MHz: 10^-20.4 x 5e5 x 10^0.4, with T = 290 K
    np.testing.assert_allclose(links.noise_w, 1.380649e-23 * 290 * 5e5 * 10**0.4, rtol=1e-9)
    snr = 4e-9 / links.noise_w[0]
    np.testing.assert_allclose(links.rate_bit_s[0, 0], 5e5 * math.log2(1 + snr), rtol=1e-4)
    # the other UAV radiates 2 W at 1.08e-10, which drowns the noise: SINR = 4e-9 / 1.0811e-10 = 37
    np.testing.assert_allclose(links.downlink_rate_bit_s[0, 0], 5e5 * math.log2(38.0), rtol=1e-3)
    assert links.reachable.tolist() == [[True, False]]
    np.testing.assert_allclose(links.delay_s[0, 0], 50 / 299792458)


def test_fading_of_a_pair_does_not_depend_on_who_else_is_there(full, network):
    view = network.at(0.0)
    receivers = Receivers(
        kind=np.full(4, ServerKind.SATELLITE),
        receiver=3 + view.access,
        position_m=view.access_position_m,
        in_view=view.in_view,
        hops=view.hops,
        isl_m=view.isl_m,
        remaining_s=view.remaining_s,
        transmit_power_w=np.full(4, 4.0),
    )
    device_m = np.array([[10.0, 20, 0], [300, 40, 0], [77, 450, 0]])
    everyone = link_table(full, 9, 4, np.arange(3), device_m, receivers)
    last = link_table(full, 9, 4, np.array([2]), device_m[2:], receivers)
    np.testing.assert_allclose(everyone.gain[2], last.gain[0], rtol=1e-13)
    # two servers behind one access satellite share its channel
    shared = [n for n in range(4) if (receivers.receiver == receivers.receiver[n]).sum() > 1]
    assert shared
    np.testing.assert_array_equal(everyone.gain[:, shared[0]], everyone.gain[:, shared[1]])
    hidden = replace(receivers, in_view=np.zeros(4, dtype=bool), remaining_s=np.zeros(4))
    dark = link_table(full, 9, 4, np.arange(3), device_m, hidden)
    assert not dark.reachable.any()
    assert not dark.rate_bit_s.any()


def test_element_sets_from_a_file_take_the_place_of_the_shell(full, network, tmp_path):
    shell = full.satellites
    epoch = full.site.epoch
    days = (epoch - datetime(1949, 12, 31, tzinfo=timezone.utc)).total_seconds() / 86400
    path = tmp_path / 'shell.tle'
    with path.open('w') as file:
        for number, name in enumerate(network.constellation.names):
            plane, slot = divmod(number, shell.per_plane)
            anomaly = 2 * math.pi * (slot / shell.per_plane + plane / len(network.constellation))
            record = Satrec()
            # 94.6 minutes are the period at 500 km
            record.sgp4init(
                WGS72, 'i', number + 1, days, 0.0, 0.0, 0.0, 0.0, 0.0, math.radians(60), anomaly,
                2 * math.pi / 94.6, 2 * math.pi * plane / shell.planes,
            )  # fmt: skip
            file.write('\n'.join([name, *export_tle(record)]) + '\n')
    from_file = SatelliteNetwork(read_settings('survey', {'satellites.tle_file': str(path)}))
    assert from_file.constellation.names == network.constellation.names
    assert not from_file.constellation.is_walker
    ours, theirs = network.at(30.0), from_file.at(30.0)
    assert set(theirs.satellite.tolist()) == set(ours.satellite.tolist())
    order = [theirs.satellite.tolist().index(number) for number in ours.satellite.tolist()]
    # the period above is good to a minute in 94: 20 km along the track after half a minute
    np.testing.assert_allclose(theirs.position_m[order], ours.position_m, atol=20e3)
