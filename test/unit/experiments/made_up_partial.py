"""Missions that nobody planned, for tests of tables, claims and pages of partial only."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from made_up import made_up_row as a_row

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.experiments.partial.missions import (
    Flown,
    instances,
    numbered_alike,
    scenario_of,
)
from sec_nodes.experiments.partial.plans import QUICK, SINGLE
from sec_nodes.scenarios.partial.validator import validate

PLAN = replace(QUICK, name='made-up', episodes=2, slots=(41, 50), weights=(0.1, 10.0), certified=4)
TRACE_J = (9900.0, 9800.0, 9799.0)


class MadeUpMissions:
    """Answers as `MissionStore` does: OP flies ellipses with the best processor speeds."""

    def flown(self, mission):
        return _flown(mission)

    def shares(self, census):
        return {'binary': [True, True, True, False], 'given': [False, False, True, False]}

    def cpu_s(self, job):
        return 2.0


@lru_cache
def _flown(mission):
    scenario = scenario_of(mission.mode, mission.overrides)
    states = instances(scenario, mission.episodes)
    known = mission.player in ('tsp', 'tsp_hover')
    controller = create_batch(mission.player if known else 'ellipse', scenario)
    found = []
    for copy in range(states.n_copies):
        state = states.only(slice(copy, copy + 1))
        plan = controller.decide(state)
        if mission.player.startswith('sca_bcd'):
            plan = closed_form_plan(scenario, state, plan.waypoint_m, plan.server)
        plan = numbered_alike(scenario, state, plan)
        broken = tuple(validate(scenario.settings, state, plan))
        outcome = scenario.evaluate(state, plan)
        trace_j = TRACE_J if mission.player == SINGLE else ()
        found.append(Flown(scenario, state, plan, outcome, broken, 0.5 + copy, trace_j))
    return found


def made_up_row(figure, player='sca_bcd', value=1.0, low=None, high=None, **changes):
    """One line of a table; without ends it is exact."""
    own = {'mode': 'base', 'runs': 1, 'episodes': 1, 'quantity': 'service_j'}
    ends = (value if low is None else low, value if high is None else high)
    return a_row(figure, player, value, *ends, **(own | changes))


def permuted(plan, order):
    """The same plan with UAVs in another order."""
    number = np.argsort(order)
    return replace(plan, waypoint_m=plan.waypoint_m[:, order], server=number[plan.server])
