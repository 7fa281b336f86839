"""Where the tasks of UAVs that fail in a slot would best move to, had one known.

Nobody can decide like this; it is what preferences for migration are measured against.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product

import numpy as np

from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import RobustDecision, RobustState
from sec_nodes.slot import FloatArray

_MOST_WAYS = 1 << 16


def best_targets(scenario: Robust, state: RobustState, decision: RobustDecision) -> FloatArray:
    """(B, I, J) preferences with which fewest tasks are lost, and then least energy is spent.

    All targets of all tasks that have to move are tried.

    Args:
        scenario: the system.
        state: the slot; its failures are looked at.
        decision: splits and association; its preferences do not matter.

    Raises:
        ValueError: too many ways to try.
    """
    outcome = scenario.evaluate(state, decision)
    preference = np.zeros(state.fading.shape)
    for copy in range(len(state.seed)):
        moving = np.flatnonzero(outcome.migrated[copy] | outcome.lost[copy])
        living = np.flatnonzero(outcome.alive[copy])
        n_ways = len(living) ** len(moving)
        if n_ways > _MOST_WAYS:
            raise ValueError(
                f'{len(moving)} tasks and {len(living)} UAVs make {n_ways} ways to migrate; '
                f'at most {_MOST_WAYS} can be tried'
            )
        if n_ways < 2 or not len(moving):
            continue
        target = np.array(list(product(living, repeat=len(moving))))
        trial = np.zeros((n_ways, *preference.shape[1:]))
        trial[np.arange(n_ways)[:, None], moving, target] = 1.0
        same = np.full(n_ways, copy)
        tried = scenario.evaluate(
            RobustState(*(getattr(state, field.name)[same] for field in fields(state))),
            replace(
                decision,
                split=decision.split[same],
                server=decision.server[same],
                preference=trial,
                acceleration_m_s2=decision.acceleration_m_s2[same],
            ),
        )
        best = np.lexsort((tried.e_tot_j, tried.lost.sum(axis=1)))[0]
        preference[copy] = trial[best]
    return preference
