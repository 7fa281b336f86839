"""mllm as it is flown agrees with the vectorised scenario: what is seen, and what it comes to."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sec_nodes.controllers.base import create
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.loop.simulation import FlownSystem
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.view import MllmView
from sec_nodes.scenarios.mllm.world import World as Draws
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import SlotState
from sec_nodes.world.mllm import MllmWorld

SEED, SLOTS = 5, 12


def both(changes=None, mode='extended'):
    settings = read_settings(f'mllm:{mode}', changes)
    return FlownSystem(MllmWorld(settings, load_manifest())), Mllm(settings)


def hovering(decision, slot):
    return replace(decision, uav_goal_m=slot.servers.position_m[: slot.n_uavs].copy())


def assert_same(first: SlotState, second: SlotState):
    """Every number that a controller sees."""
    assert (first.slot, first.time_s, first.slot_s) == (second.slot, second.time_s, second.slot_s)
    for table in ('tasks', 'devices', 'servers', 'models', 'links'):
        one, other = getattr(first, table), getattr(second, table)
        for item in fields(one):
            left, right = getattr(one, item.name), getattr(other, item.name)
            if item.name == 'model_id':
                assert left == right
            else:
                np.testing.assert_allclose(
                    left, right, rtol=1e-10, atol=1e-12, err_msg=f'{table}.{item.name}'
                )


@pytest.mark.parametrize(
    ('controller', 'changes', 'mode'),
    [
        ('greedy', {}, 'extended'),
        # pictures and prompts take their time before the first word
        ('nearest_uav', {}, 'quoted'),
        ('nearest_uav', {}, 'extended'),
        ('random', {'radio.interference': 'all'}, 'extended'),
        ('offload_all', {'queue.longest_wait_s': 2.0}, 'extended'),
        ('random', {'queue.enabled': False, 'radio.interference': 'same_tier'}, 'extended'),
        ('greedy', {'devices.count': 14, 'devices.requests_per_slot': 9.0}, 'extended'),
    ],
)
def test_hovering_uavs_cost_what_the_vectorised_scenario_says(controller, changes, mode):
    flown, vectorised = both(changes, mode)
    decider = create(controller, flown.world.scenario, SEED)
    view = MllmView(vectorised)
    here, there = flown.reset(np.array([SEED])), vectorised.reset(np.array([SEED]))
    refused = waited = relayed = 0
    for _ in range(SLOTS):
        slot = here.slots[0]
        assert_same(slot, view.slot_states(there)[0])
        slot_decision = hovering(decider.decide(slot), slot)
        # a task that nobody may serve can be declined here, but not there
        assert not (slot_decision.server < 0).any(), 'choose another seed'
        here, outcome = flown.step(here, (slot_decision,))
        there, expected = vectorised.step(there, view.joined(there, (slot_decision,)))
        assert not outcome.violations[0].any()
        device = slot.tasks.device
        came = outcome.outcomes[0]
        dropped = np.isinf(came.wait_s)
        np.testing.assert_array_equal(dropped, expected.dropped[0, device])
        np.testing.assert_allclose(
            came.latency_s[~dropped], expected.latency_s[0, device][~dropped], rtol=1e-9
        )
        np.testing.assert_allclose(came.energy_j, expected.energy_j[0, device], rtol=1e-9)
        for name in ('upload_s', 'wait_s', 'download_s', 'upload_j', 'download_j'):
            np.testing.assert_allclose(
                getattr(came, name)[~dropped],
                getattr(expected, name)[0, device][~dropped],
                rtol=1e-8,
                atol=1e-12,
                err_msg=name,
            )
        refused += int(dropped.sum())
        waited += int((came.wait_s[~dropped] > 0).sum())
        relayed += int((slot.links.hops[slot_decision.server] > 0).sum())
    assert refused > 0 or 'queue.longest_wait_s' not in changes
    assert waited > 5 or not vectorised.settings.queue.enabled or controller == 'greedy'
    assert relayed > 0 or controller != 'random'


def test_uavs_fly_towards_their_goals_at_their_speed():
    flown, _ = both()
    state = flown.reset(np.array([SEED]))
    start_m = state.slots[0].servers.position_m[:3]
    decider = create('nearest_uav', flown.world.scenario, SEED)
    goal_m = start_m + np.array([30.0, 20.0, 0.0])
    for _ in range(3):
        decision = replace(decider.decide(state.slots[0]), uav_goal_m=goal_m)
        state, _ = flown.step(state, (decision,))
    np.testing.assert_allclose(state.slots[0].servers.position_m[:3], goal_m, atol=0.2)
    # gains are those of where they are: beta_0 |h|^2 / d^2
    fading = Draws(flown.world.settings).requests(np.array([SEED]), np.array([3])).fading_uav[0]
    slot = state.slots[0]
    offset_m = slot.devices.position_m[:, None] - slot.servers.position_m[None, :3]
    np.testing.assert_allclose(
        slot.links.gain[:, :3], 1e-5 * fading / np.square(offset_m).sum(axis=2), rtol=1e-9
    )


def test_passes_are_when_satellites_are_visible():
    flown, vectorised = both()
    sky = flown.world.sky(SEED)
    state = vectorised.reset(np.array([SEED]))
    windows = sky.windows
    for slot in range(200):
        visible = vectorised.orbit(state).visible[0]
        now_s = slot * vectorised.settings.slot_s
        up = {int(windows.satellite[row]) for row in sky.passes(now_s, now_s + 1e-3)}
        assert up == set(np.flatnonzero(visible).tolist()), now_s
        angle = vectorised.chain.after(state.in_track_rad, vectorised.settings.slot_s)
        state = replace(state, slot=state.slot + 1, in_track_rad=angle)
    assert np.degrees(windows.peak_elevation_rad).max() > 50
