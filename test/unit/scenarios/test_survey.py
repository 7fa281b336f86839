"""Costs and constraints of the survey scenario, worked out by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.controllers.base import decision
from sec_nodes.paths import config_dir
from sec_nodes.slot import DECLINED, LOCAL


def decide(state, server, split=0, power_w=1.0):
    n = state.n_tasks
    return decision(
        state,
        np.array(server),
        split=np.full(n, split),
        power_w=np.full(n, power_w),
        uav_goal_m=state.servers.position_m[:3],
    )


def test_a_local_answer_costs_the_device_s_time_and_power(scenario, state):
    outcome = scenario.evaluate(state, decide(state, [LOCAL] * 4))
    # 10 MFLOP at 50, 50, 100 and 200 MFLOP/s; at 1 nJ/FLOP 0.01 J
    np.testing.assert_allclose(outcome.latency_s, [0.2, 0.2, 0.1, 0.05])
    np.testing.assert_allclose(outcome.energy_j, 0.01)
    cost = scenario.cost(outcome.latency_s, outcome.energy_j)
    np.testing.assert_allclose(cost, 0.5 * outcome.latency_s + 0.5 * 0.01 / 0.25)


def test_a_lone_offloaded_task_costs_what_its_stages_cost(scenario, state):
    outcome = scenario.evaluate(state, decide(state, [0, LOCAL, LOCAL, LOCAL], split=1))
    links = state.links
    snr = links.gain[0, 0] * 1.0 / links.noise_w[0]
    radio_s = 1e5 / (5e5 * math.log2(1 + snr))
    down_s = 384 / links.downlink_rate_bit_s[0, 0]
    assert outcome.front_s[0] == pytest.approx(4e6 / 5e7)
    assert outcome.upload_s[0] == pytest.approx(radio_s + links.delay_s[0, 0])
    assert outcome.upload_j[0] == pytest.approx(1.0 * radio_s)
    assert outcome.wait_s[0] == 0.0
    assert outcome.back_s[0] == pytest.approx(6e6 / 1e10)
    assert outcome.back_j[0] == pytest.approx(25 * 6e6 / 1e10)
    assert outcome.download_s[0] == pytest.approx(down_s + links.delay_s[0, 0])
    assert outcome.download_j[0] == pytest.approx(2.0 * down_s)


def test_relayed_payloads_pay_for_every_hop(scenario, state):
    outcome = scenario.evaluate(state, decide(state, [LOCAL, LOCAL, LOCAL, 6]))
    gain, noise_w = state.links.gain[3, 6], state.links.noise_w[6]
    # satellites have 250 kHz
    radio_s = 4e5 / (2.5e5 * math.log2(1 + gain / noise_w))
    # two hops of 400 kbit at 1 Gbit/s, and 6000 km further to travel
    assert outcome.upload_s[3] == pytest.approx(radio_s + state.links.delay_s[3, 6] + 2 * 4e-4)
    assert outcome.upload_j[3] == pytest.approx(radio_s + 1.0 * 2 * 4e-4)
    assert state.links.delay_s[3, 6] > 6e6 / 299792458


def test_transmitters_at_one_receiver_disturb_each_other(scenario, state):
    alone = scenario.evaluate(state, decide(state, [0, LOCAL, LOCAL, LOCAL]))
    apart = scenario.evaluate(state, decide(state, [0, 1, LOCAL, LOCAL]))
    together = scenario.evaluate(state, decide(state, [0, 0, LOCAL, LOCAL]))
    assert apart.upload_s[0] == alone.upload_s[0]
    gain = state.links.gain[:, 0]
    residual = 10**-1.5
    sinr = gain[0] / (residual * gain[1] + state.links.noise_w[0])
    radio_s = 4e5 / (5e5 * math.log2(1 + sinr))
    assert together.upload_s[0] == pytest.approx(radio_s + state.links.delay_s[0, 0])
    assert together.upload_s[0] > 1.05 * alone.upload_s[0]


def test_tasks_queue_at_a_server_behind_its_backlog(scenario, state):
    busy = replace(
        state,
        servers=replace(state.servers, backlog_s=np.array([3.0, 0, 0, 0, 0, 0, 0])),
    )
    outcome = scenario.evaluate(busy, decide(busy, [0, 0, LOCAL, LOCAL]))
    arrival_s = outcome.front_s + outcome.upload_s
    first, second = np.argsort(arrival_s[:2])
    assert arrival_s[first] + outcome.wait_s[first] == pytest.approx(3.0)
    assert arrival_s[second] + outcome.wait_s[second] == pytest.approx(3.0 + 10e6 / 1e10)


def test_a_declined_task_is_never_answered_and_costs_nothing(scenario, state):
    outcome = scenario.evaluate(state, decide(state, [DECLINED, LOCAL, LOCAL, LOCAL]))
    assert outcome.latency_s[0] == math.inf
    assert outcome.energy_j[0] == 0.0


def test_options_agree_with_evaluating_each_of_them_alone(scenario, state):
    powers_w = np.array([0.05, 1.0])
    options = scenario.options(state, powers_w)
    for server in (0, 2, 3, 6):
        for cut in (0, 1):
            for number, power_w in enumerate(powers_w):
                outcome = scenario.evaluate(
                    state.only(np.array([1])),
                    decide(state.only(np.array([1])), [server], cut, power_w),
                )
                assert options.latency_s[1, server, cut, number] == pytest.approx(
                    outcome.latency_s[0]
                )
                assert options.energy_j[1, server, cut, number] == pytest.approx(
                    outcome.energy_j[0]
                )
    assert options.latency_s[1, -1, 2, 0] == pytest.approx(0.2)


def test_only_sound_options_are_feasible(scenario, state):
    options = scenario.options(state, np.array([1.0]))
    for task in range(4):
        for server in range(state.n_servers + 1):
            for cut in range(4):
                own = server == state.n_servers
                wanted = decide(state.only(np.array([task])), [LOCAL if own else server], cut)
                if own and cut != 2:
                    assert not options.feasible[task, server, cut, 0]
                    continue
                broken = scenario.violations(state.only(np.array([task])), wanted)[0]
                assert options.feasible[task, server, cut, 0] == (broken == 0)


def test_more_power_is_faster_and_costs_more(scenario, state):
    options = scenario.options(state, np.array([0.01, 0.1, 1.0]))
    assert np.all(np.diff(options.latency_s[:, :-1, 0], axis=-1) < 0)
    assert np.all(np.diff(options.energy_j[:, :-1, 0], axis=-1) > 0)


def test_the_order_of_tasks_does_not_matter(scenario, state):
    wanted = decide(state, [0, 0, 2, 4])
    outcome = scenario.evaluate(state, wanted)
    order = np.array([2, 0, 3, 1])
    shuffled = replace(
        wanted,
        **{
            name: getattr(wanted, name)[order]
            for name in ('server', 'split', 'power_w', 'compute_share', 'backup')
        },
    )
    again = scenario.evaluate(state.only(order), shuffled)
    np.testing.assert_allclose(again.latency_s, outcome.latency_s[order], rtol=1e-12)
    np.testing.assert_allclose(again.energy_j, outcome.energy_j[order], rtol=1e-12)


def test_every_value_of_the_scenario_file_says_where_it_comes_from():
    tags = r'#.*\[(mllm|robust|3gpp|chosen|chosen in mllm|chosen in robust)\]'
    for line in (config_dir() / 'scenarios' / 'survey.yaml').read_text().splitlines():
        key, _, value = line.partition(':')
        if line.startswith('#') or not key.strip() or not value.split('#')[0].strip():
            continue
        if key.strip() != 'name':
            assert re.search(tags, line), line


def test_a_task_may_bring_its_own_input_and_ask_for_a_longer_answer(scenario, state):
    decided = decide(state, [0, 1, 6, LOCAL], split=0)
    plain = scenario.evaluate(state, decided)
    tasks = replace(state.tasks, input_bit=np.full(4, 2e5), steps=np.full(4, 3.0))
    longer = replace(state, tasks=tasks)
    outcome = scenario.evaluate(longer, decided)
    np.testing.assert_allclose(outcome.back_s[:3], 3 * plain.back_s[:3])
    # 400 kbit of raw picture become 600 kbit; propagation is the same, relays of task 2 are not
    delay_s = state.links.delay_s[[0, 1], [0, 1]]
    np.testing.assert_allclose(
        outcome.upload_s[:2] - delay_s, 1.5 * (plain.upload_s[:2] - delay_s)
    )
    cut = decide(state, [0, LOCAL, LOCAL, LOCAL], split=1)
    assert scenario.evaluate(longer, cut).upload_s[0] == scenario.evaluate(state, cut).upload_s[0]
    # alone, every option is what evaluate says
    options = scenario.options(longer, np.array([1.0]))
    alone = scenario.evaluate(longer, decide(state, [LOCAL, 1, LOCAL, LOCAL], split=0))
    assert options.latency_s[1, 1, 0, 0] == pytest.approx(alone.latency_s[1])
    assert options.energy_j[1, 1, 0, 0] == pytest.approx(alone.energy_j[1])


def test_a_server_may_run_the_device_s_model(scenario, state):
    servers = replace(state.servers, model=np.where(state.servers.model == 1, -1, 0))
    shared = replace(state, servers=servers)
    np.testing.assert_array_equal(
        shared.executing_model(np.array([6, 0, LOCAL, DECLINED])), [0, 0, 0, 0]
    )
