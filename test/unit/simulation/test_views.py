"""Controllers of single slots play mllm and robust, and see what these scenarios compute."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.config import ConfigError
from sec_nodes.controllers.base import Controller, decision
from sec_nodes.physics.channel import shannon_rate_bit_s, transmission_time_s
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.view import MllmView
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.view import RobustView
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import simulate
from sec_nodes.slot import DECLINED, LOCAL, ServerKind

SEEDS = np.arange(3)


class Spread(Controller):
    """One task after the other to the next admissible server; UAVs to the south-west."""

    name = 'spread'

    def decide(self, state):
        """Answer a slot."""
        rank = np.arange(state.n_tasks)
        admissible = self.scenario.admissible(state)[:, :-1]
        order = (np.arange(state.n_servers) - rank[:, None]) % state.n_servers
        server = np.argmin(np.where(admissible, order, 99), axis=1)
        goal_m = state.servers.position_m[: state.n_uavs] - np.array([8.0, 4.0, 0.0])
        return decision(
            state,
            server,
            power_w=np.full(state.n_tasks, 0.5 * self.scenario.transmit_power_w[1]),
            split=np.full(state.n_tasks, 0),
            backup=(server + 1) % state.n_servers,
            uav_goal_m=goal_m,
        )


@pytest.fixture(scope='module', params=['mllm:extended', 'mllm:quoted'])
def mllm(request):
    return Mllm(read_settings(request.param, {'radio.interference': 'none'}))


@pytest.fixture(scope='module')
def robust():
    return Robust(read_settings('robust:feasible'))


def test_a_slot_of_mllm_says_what_the_scenario_computes(mllm):
    view, state = MllmView(mllm), mllm.reset(SEEDS)
    slots = view.slot_states(state)
    answers = [Spread(view).decide(slot) for slot in slots]
    still = [
        replace(answer, uav_goal_m=slot.servers.position_m[: slot.n_uavs])
        for slot, answer in zip(slots, answers, strict=True)
    ]
    outcome = mllm.evaluate(state, view.joined(state, still))
    for copy, (slot, answer) in enumerate(zip(slots, still, strict=True)):
        server, device = answer.server, slot.tasks.device
        links = slot.links
        snr = links.gain[device, server] * answer.power_w / links.noise_w[server]
        radio_s = transmission_time_s(
            slot.payload_bit(server, answer.split),
            shannon_rate_bit_s(links.bandwidth_hz[server], snr),
        )
        radio_s = np.minimum(radio_s, mllm.settings.radio.longest_upload_s)
        np.testing.assert_allclose(radio_s, outcome.radio_s[copy], rtol=1e-9)
        work = slot.server_flop(server, answer.split)
        np.testing.assert_allclose(
            work / slot.servers.flop_s[server], outcome.compute_s[copy], rtol=1e-12
        )
        down_s = slot.tasks.answer_bit / links.downlink_rate_bit_s[device, server]
        is_uav = slot.servers.kind[server] == ServerKind.UAV
        np.testing.assert_allclose(down_s[is_uav], outcome.download_s[copy][is_uav], rtol=1e-9)
        assert not outcome.accuracy_broken[copy].any()
        assert not outcome.coverage_broken[copy].any()
        np.testing.assert_array_equal(
            view.admissible(slot)[:, :-1], mllm.mask(state, state.uav_m)[copy]
        )
        # the radio reaches the access satellite, and inter-satellite links the others
        direct = (links.hops == 0) & (slot.servers.kind == ServerKind.SATELLITE)
        range_m = np.linalg.norm(
            slot.servers.position_m[direct] - np.array([250.0, 250.0, 0.0]), axis=1
        )
        np.testing.assert_allclose(range_m, links.delay_s[0, direct] * 299792458.0, rtol=1e-9)


def test_devices_of_mllm_that_do_not_ask_have_no_task():
    scenario = Mllm(read_settings('mllm:fig7'))
    view, state = MllmView(scenario), scenario.reset(SEEDS)
    slots = view.slot_states(state)
    assert [slot.n_tasks for slot in slots] == state.active.sum(axis=1).tolist()
    joined = view.joined(state, [Spread(view).decide(slot) for slot in slots])
    assert scenario.evaluate(state, joined).latency_s[~state.active].max() == 0.0


@pytest.mark.parametrize('server', [LOCAL, DECLINED])
def test_mllm_has_a_server_for_everyone_or_an_error(mllm, server):
    view, state = MllmView(mllm), mllm.reset(SEEDS)
    answers = [Spread(view).decide(slot) for slot in view.slot_states(state)]
    answers[1].server[2] = server
    with pytest.raises(ValueError, match='LOCAL or DECLINED for a task'):
        view.joined(state, answers)


def test_a_slot_of_robust_says_what_the_scenario_computes(robust):
    view, state = RobustView(robust), robust.reset(SEEDS)
    slots = view.slot_states(state)
    answers = [Spread(view).decide(slot) for slot in slots]
    joined = view.joined(state, answers)
    outcome = robust.evaluate(state, joined)
    for copy, (slot, answer) in enumerate(zip(slots, answers, strict=True)):
        np.testing.assert_array_equal(joined.split[copy], answer.split + 1)
        sent = ~outcome.rejected[copy]
        assert sent.any()
        server, device = answer.server[sent], slot.tasks.device[sent]
        links = slot.links
        snr = links.gain[device, server] * outcome.power_w[copy][sent] / links.noise_w[server]
        upload_s = transmission_time_s(
            slot.payload_bit(answer.server, answer.split)[sent],
            shannon_rate_bit_s(links.bandwidth_hz[server], snr),
        )
        np.testing.assert_allclose(upload_s, outcome.transmission_s[copy][sent], rtol=1e-9)
        share = outcome.frequency_hz[copy][sent] / robust.settings.uavs.frequency_hz
        work = slot.server_flop(answer.server, answer.split)[sent]
        np.testing.assert_allclose(
            work / (share * slot.servers.flop_s[server]),
            outcome.offload_s[copy][sent],
            rtol=1e-9,
        )
        # from rest, 5 m/s^2 bring a UAV 2.5 m towards its goal in a second
        way_m = answer.uav_goal_m - slot.servers.position_m
        there_m = slot.servers.position_m + 2.5 * way_m / np.linalg.norm(way_m, axis=1)[:, None]
        inside = np.all((there_m[:, :2] > 0) & (there_m[:, :2] < 500), axis=1)
        assert inside.sum() >= 2
        np.testing.assert_allclose(outcome.uav_m[copy][inside], there_m[inside], atol=1e-9)


def test_a_controller_of_one_s_own_plays_whole_episodes(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mine', sys.modules[__name__])
    for name in ('mllm:stress', 'robust'):
        scenario = systems.system(name)
        trace = simulate(scenario, systems.controller('mine:Spread', scenario, 0), SEEDS, 4)
        assert trace.controller == 'spread'
        assert np.isfinite(trace.figures['cost']).all()


def test_other_scenarios_say_that_they_have_no_such_slots():
    scenario = systems.system('maritime')
    with pytest.raises(ConfigError, match='a slot of maritime is no SlotState'):
        systems.controller('mine:Spread', scenario, 0)
