"""The survey played without ROS."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.config import ConfigError
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import simulate
from sec_nodes.slot import SlotOutcome

SEEDS = np.array([3, 4])
BUSY = {'uavs.flop_s': 1e8, 'satellites.flop_s': 5e8}


@pytest.fixture(scope='module')
def system():
    return systems.system('survey', BUSY)


def play(system, seeds, slots, controller='nearest_uav'):
    return simulate(system, systems.controller(controller, system, 0), seeds, slots)


def test_copies_do_not_touch_each_other(system):
    together = play(system, SEEDS, 5)
    for place, seed in enumerate(SEEDS):
        alone = play(system, np.array([seed]), 5)
        for name, values in together.figures.items():
            np.testing.assert_array_equal(values[:, place], alone.figures[name][:, 0])
    assert not np.array_equal(together.figures['cost'][:, 0], together.figures['cost'][:, 1])


def test_a_step_leaves_the_state_as_it_was(system):
    state = system.reset(SEEDS)
    decision = systems.controller('nearest_uav', system, 0).decide(state)
    first, _ = system.step(state, decision)
    second, outcome = system.step(state, decision)
    for before, after in zip(first.slots, second.slots, strict=True):
        np.testing.assert_array_equal(before.servers.position_m, after.servers.position_m)
        np.testing.assert_array_equal(before.servers.backlog_s, after.servers.backlog_s)
    evaluated = system.evaluate(state, decision)
    for once, again in zip(outcome.outcomes, evaluated.outcomes, strict=True):
        for name in SlotOutcome.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(once, name), getattr(again, name))


def test_queues_reach_into_the_next_slot(system):
    state = system.reset(SEEDS)
    decider = systems.controller('nearest_uav', system, 0)
    waiting = 0.0
    for _ in range(5):
        decision = decider.decide(state)
        state, outcome = system.step(state, decision)
        for slot, before, answer in zip(state.slots, outcome.outcomes, decision, strict=True):
            for server in np.unique(answer.server[answer.server >= 0]):
                mine = answer.server == server
                done_s = (before.front_s + before.upload_s + before.wait_s + before.back_s)[
                    mine
                ].max()
                left_s = max(0.0, done_s - system.settings.slot_s)
                assert slot.servers.backlog_s[server] >= left_s - 1e-9
                waiting += left_s
    assert waiting > 1.0, 'no queue was put to the test'


def test_what_breaks_a_constraint_is_counted_and_not_served(system):
    state = system.reset(SEEDS)
    decision = systems.controller('nearest_uav', system, 0).decide(state)
    slot = int(np.argmax([answer.server.size for answer in decision]))
    decision[slot].power_w[:] = 50.0
    summary = system.summarise(state, system.evaluate(state, decision))
    sent = int((decision[slot].server >= 0).sum())
    assert sent > 0
    assert summary.violations[slot] == sent
    assert summary.completed[slot] <= summary.tasks[slot] - sent


def test_unknown_names_are_explained():
    with pytest.raises(ConfigError, match="unknown scenario 'surve'; did you mean 'survey'"):
        systems.system('surve')
    with pytest.raises(ConfigError, match="unknown mode 'wet'"):
        systems.system('survey:wet')
    system = systems.system('survey')
    with pytest.raises(ConfigError, match="unknown controller 'gredy'; did you mean 'greedy'"):
        systems.controller('gredy', system, 0)
