"""Missions of partial flown by real processes: plans, programs, real networks."""

from __future__ import annotations

import numpy as np
import pytest
from mcap.reader import make_reader

from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.instance import cut_tasks
from sec_nodes.scenarios.registry import read_flown

SLOTS, TASKS = 50, 18
OPTIONS = ('laptop', '--scenario', 'partial', '--speed', 0)


def states_of(run):
    """Slot states of a run, by slot."""
    from rclpy.serialization import deserialize_message

    from sec_offload.msg import SlotState

    with (run.folder / 'run.mcap').open('rb') as file:
        messages = [
            deserialize_message(record.data, SlotState)
            for _, _, record in make_reader(file).iter_messages(['/slot_state'])
        ]
    return {message.slot: message for message in messages}


def outcomes_of(run):
    """Outcomes of a run, by device."""
    return {int(row['device_id']): row for row in run.table('outcomes')}


def flown_decision(run):
    """What was flown, as a decision on the mission: where UAVs really were, who served whom."""
    states = states_of(run)
    flown_m = np.array(
        [
            [(server.position.x, server.position.y) for server in states[slot].servers]
            for slot in range(SLOTS)
        ]
    )
    # the last waypoint carries nothing
    waypoint_m = np.concatenate([flown_m, flown_m[-1:]]).swapaxes(0, 1)
    rows = {int(row['device_id']): row for row in run.table('assignments')}
    ordered = [rows[device] for device in range(TASKS)]
    return PartialDecision(
        waypoint_m=waypoint_m[None],
        server=np.array([[int(row['server']) for row in ordered]]),
        cpu_hz=np.array([[float(row['compute_share']) * 6e9 for row in ordered]]),
        split=np.array([[int(row['split']) for row in ordered]]),
    )


SHADOWED = 3
"""Device whose link gets worse in the middle of the mission."""


@pytest.fixture(scope='module')
def scenario():
    """The scenario as it is flown, without the shadow that no plan knows of."""
    return Partial(read_flown('partial'))


def assert_as_the_scenario_says(run, scenario, devices):
    """Uploads and answers of some devices took what they take for where UAVs really were."""
    state, decision = scenario.reset(np.array([0])), flown_decision(run)
    outcome = scenario.evaluate(state, decision)
    cuts = cut_tasks(state, decision.split)
    programs_s = scenario.pairs(state, decision.waypoint_m, decision.split).program_end_s[0]
    last_hz = {int(row['device_id']): float(row['cpu_hz']) for row in run.table('plans')}
    checked = 0
    for device, row in outcomes_of(run).items():
        assert float(row['timing_front_s']) == pytest.approx(cuts.local_s[0, device])
        # a program that is a little late holds up the intermediate result; the scenario forbids it
        late = programs_s[decision.server[0, device], device] > cuts.local_s[0, device]
        if late or device not in devices:
            continue
        arrived_s = float(row['timing_front_s']) + float(row['timing_upload_s'])
        assert arrived_s == pytest.approx(outcome.upload_end_s[0, device], abs=1e-4)
        back_s = cuts.work_cycle[0, device] / last_hz[device]
        assert float(row['latency_s']) == pytest.approx(arrived_s + back_s, abs=1e-3)
        checked += 1
    assert checked > 10
    # autopilots bend around waypoints, and fly a little more than straight from one to the next
    shorter = Partial(scenario.settings.model_copy(update={'slots': SLOTS - 1}))
    flown_j = shorter.propulsion_j(decision.waypoint_m[:, :, :-1])[0]
    service_j = np.array([float(outcomes_of(run)[n]['energy_back_j']) for n in range(TASKS)])
    expected_j = flown_j + (decision.server == np.arange(3)[:, None]) @ service_j
    spent_j = [server.energy_used_j for server in states_of(run)[SLOTS - 1].servers]
    np.testing.assert_allclose(spent_j, expected_j, rtol=0.005)


def test_a_mission_whose_links_get_worse_is_planned_anew_and_ends_in_time(start, scenario):
    shadows = f'[{{terminal: {SHADOWED}, from_s: 14.0, loss_db: 3.0}}]'
    run = start(*OPTIONS, '--set', f'radio.shadows={shadows}')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert {row['status'] for row in run.table('outcomes')} == {'done'}
    reasons = {row['plan']: row['reason'] for row in run.table('sorties')}
    assert reasons == {
        '0': 'mission start',
        '1': f'the links of device {SHADOWED} are 3.0 dB worse than planned',
    }
    assert_as_the_scenario_says(run, scenario, set(range(TASKS)) - {SHADOWED})
    # set-points do not jump from the old plan to the new one
    assert max(float(row['tracking_error_m']) for row in run.table('uavs')) < 3.0
    assert {int(row['device_id']) for row in run.table('uploads')} == set(range(TASKS))


@pytest.mark.slow
def test_a_mission_ends_as_the_scenario_says_for_where_uavs_were(start, scenario):
    run = start(*OPTIONS)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert {row['status'] for row in run.table('outcomes')} == {'done'}
    assert {row['plan'] for row in run.table('plans')} == {'0'}
    assert_as_the_scenario_says(run, scenario, set(range(TASKS)))
    assert max(float(row['tracking_error_m']) for row in run.table('uavs')) < 3.0


@pytest.mark.slow
def test_a_lost_uav_is_planned_around(start):
    run = start(*OPTIONS, '--fail', 'uav_1@12')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    rows = outcomes_of(run)
    assert len(rows) == TASKS
    assert {row['server'] for row in rows.values() if row['status'] == 'done'} <= {'0', '2'}


@pytest.mark.slow
@pytest.mark.parametrize(('node', 'name'), [('uav', 'first'), ('controller', '')])
def test_killed_processes_lose_no_task(start, fleet_file, node, name):
    run = start(fleet_file, '--scenario', 'partial', '--speed', 2)
    run.wait_for_slot(10)
    run.kill(node, name)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    rows = outcomes_of(run)
    assert len(rows) == TASKS
    answered = [row for row in rows.values() if row['status'] in ('done', 'late')]
    if node == 'controller':  # UAVs fly the plan in force, and devices upload
        assert len(answered) == TASKS
    else:
        assert {row['server'] for row in answered if row['attempts'] != '1'} <= {'1', '2'}


def test_networks_are_needed(start):
    run = start(*OPTIONS, '--set', 'tasks.networks=null')
    assert run.finish() == 2
    assert 'tasks.networks' in run.output
