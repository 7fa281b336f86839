"""Figs 3 to 5, failures and the theorem as points: who plays what, and what must be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sec_nodes.experiments import places
from sec_nodes.experiments.keeping import Overrides
from sec_nodes.experiments.robust.plans import (
    ABLATION,
    FEASIBLE,
    FLAT,
    LEARNERS,
    LOCAL_ONLY,
    OFFLOAD_ALL,
    OPTIMUM,
    OURS,
    PAPER,
    PARTITIONINGS,
    SCHEMES,
    SHARED,
    USUAL_UAVS,
    USUAL_USERS,
    USUAL_WEIGHT,
    Plan,
)
from sec_nodes.experiments.robust.trials import SCENARIO, Trial, scenario_name
from sec_nodes.experiments.rows import Exhibit
from sec_nodes.experiments.trainings import Training
from sec_nodes.learning.registry import DEFAULT, values

FAILURES, MOMENTS, PROGRESS, RESERVE = 'failures', 'moments', 'progress', 'reserve'
THEOREM = 'theorem'
TITLES: dict[Exhibit, str] = {
    3: 'Convergence, and what is learnt',
    4: 'Number of users',
    5: 'Partitioning and number of UAVs',
    FAILURES: 'how many UAVs fail, and what is done about it',
    MOMENTS: 'the slot of the failure',
    PROGRESS: 'work that the failed UAV had done',
    RESERVE: 'time that is kept free in case of a failure',
    THEOREM: 'splits do not pay in the paper\'s mode',
}  # fmt: skip
"""In the order of the page."""

KEPT, KEPT_RELAY = 'association kept, none', 'association kept, relay'
NEW, RESEND, RELAY = 'new association, none', 'new association, resend', 'new association, relay'
STRATEGIES = {
    KEPT: (True, 'none'),
    KEPT_RELAY: (True, 'relay'),
    NEW: (False, 'none'),
    RESEND: (False, 'resend'),
    RELAY: (False, 'relay'),
}
"""Whether users keep the UAV of the first slot, and how tasks of a failed UAV migrate."""
LOST, CHECKPOINT = 'lost', 'checkpoint'
_BRIEF = (KEPT, NEW, RELAY)
"""Strategies that learnt policies play, and those that the moment of a failure is shown for."""


Point = places.Point[Trial]


def points(exhibit: Exhibit, plan: Plan) -> list[Point]:
    """Everybody at every place of a figure."""
    return _MAKERS[exhibit](plan)


def named(player: str, strategy: str) -> str:
    """A player and what it does about failures."""
    return f'{player}: {strategy}'


def _convergence(plan: Plan) -> list[Point]:
    """Fig. 3: learners and schemes in the usual setting."""
    return [
        point for mode in (FEASIBLE, PAPER) for point in _everybody(plan, mode, None, LEARNERS, ())
    ]


def _users(plan: Plan) -> list[Point]:
    """Fig. 4: policies that learnt with ten users and share their networks play any number."""
    found = []
    for mode, counts in ((FEASIBLE, plan.users), (PAPER, plan.slow_users)):
        for count in counts:
            overrides: Overrides = () if count == USUAL_USERS else (('users.count', count),)
            found += _everybody(plan, mode, float(count), SHARED, overrides)
    return found


def _partitioning(plan: Plan) -> list[Point]:
    """Fig. 5: ways to split networks, by the number of UAVs."""
    found = []
    for mode in (FEASIBLE, PAPER, ABLATION):
        for count in plan.uavs:
            overrides: Overrides = () if count == USUAL_UAVS else (('uavs.count', count),)
            found += _schemes(plan, mode, float(count), PARTITIONINGS, overrides)
    return found


def _failures(plan: Plan) -> list[Point]:
    """None to all UAVs fail, in slots that are drawn."""
    found = []
    for count in range(USUAL_UAVS + 1):
        failing = (('failures.largest', max(count, 1)), ('failures.fixed', count))
        found += _drilled(plan, float(count), failing, None, tuple(STRATEGIES))
    return found


def _moments(plan: Plan) -> list[Point]:
    """One UAV fails in a certain slot."""
    found = []
    for slot in plan.failure_slots:
        found += _drilled(plan, float(slot), (('failures.fixed', 1),), slot, _BRIEF)
    return found


def _progress(plan: Plan) -> list[Point]:
    """One UAV fails when it has done a share of the work."""
    return [
        _drill(
            plan, share, named(OPTIMUM, f'relay, {kept}'), OPTIMUM,
            (('failures.fixed', 1), ('failures.progress', share),
             ('failures.progress_kept', kept)),
        )
        for share in plan.progress
        for kept in (LOST, CHECKPOINT)
    ]  # fmt: skip


def _reserve(plan: Plan) -> list[Point]:
    """One UAV fails, and allocation has kept some time free."""
    return [
        _drill(
            plan, reserve_s, named(OPTIMUM, strategy), OPTIMUM,
            (('failures.fixed', 1), ('failures.migration', STRATEGIES[strategy][1]),
             ('failures.reserve_s', reserve_s)),
        )
        for reserve_s in plan.reserves_s
        for strategy in (NEW, RESEND, RELAY)
    ]  # fmt: skip


def _theorem(plan: Plan) -> list[Point]:
    """What the optimum does with other weights of computing by UAVs."""
    found = []
    for mode in (PAPER, FEASIBLE):
        for weight in plan.weights:
            usual = mode == PAPER and weight == USUAL_WEIGHT
            overrides: Overrides = () if usual else (('objective.compute_weight', weight),)
            for player in (OPTIMUM, OFFLOAD_ALL):
                trial = Trial(player, mode, plan.slow_episodes, plan.slow_slots, overrides)
                found.append(Point(mode, weight, player, (trial,)))
    return found


_MAKERS: dict[Exhibit, Callable[[Plan], list[Point]]] = {
    3: _convergence,
    4: _users,
    5: _partitioning,
    FAILURES: _failures,
    MOMENTS: _moments,
    PROGRESS: _progress,
    RESERVE: _reserve,
    THEOREM: _theorem,
}


def _everybody(
    plan: Plan, mode: str, x: float | None, learners: Sequence[str], overrides: Overrides
) -> list[Point]:
    """Learners that are trained in a mode, and simple schemes."""
    learnt = [
        Point(mode, x, name, tuple(_trial(plan, mode, run, overrides) for run in runs))
        for name in learners
        if (runs := _trainings(plan, name, mode))
    ]
    return [*learnt, *_schemes(plan, mode, x, SCHEMES, overrides)]


def _schemes(
    plan: Plan, mode: str, x: float | None, schemes: Sequence[str], overrides: Overrides
) -> list[Point]:
    found = []
    for name in schemes:
        # Without the split L + 1 nothing could stay with its user.
        own = (*overrides, ('users.local_only', True)) if name == LOCAL_ONLY else overrides
        found.append(Point(mode, x, name, (_trial(plan, mode, name, own),)))
    return found


def _trial(plan: Plan, mode: str, player: str | Training, overrides: Overrides) -> Trial:
    episodes, slots = (
        (plan.episodes, plan.slots) if mode == FEASIBLE else (plan.slow_episodes, plan.slow_slots)
    )
    return Trial(player, mode, episodes, slots, overrides)


def _trainings(plan: Plan, learner: str, mode: str) -> list[Training]:
    """Trainings of a learner, none if the plan has none in this mode."""
    budget = plan.budget(learner, mode)
    if budget is None:
        return []
    algorithm = learner.removesuffix(FLAT)
    hyper = _flat_values(algorithm) | dict(plan.flat_hyper) if algorithm != learner else {}
    if algorithm == OURS:
        # The correction for priorities is complete at the end, however long a training is.
        hyper['correction_slots'] = budget.steps
    return [
        Training(algorithm, scenario_name(mode), seed, budget.steps, hyper=tuple(hyper.items()))
        for seed in range(budget.seeds)
    ]


def _flat_values(algorithm: str) -> dict[str, Any]:
    """Hyper-parameters of the profile `flat` that differ from those of `default`."""
    usual, flat = (values(algorithm, SCENARIO, profile) for profile in (DEFAULT, 'flat'))
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in flat.items()
        if value != usual[key]
    }


def _drilled(
    plan: Plan, x: float, failing: Overrides, slot: int | None, strategies: Sequence[str]
) -> list[Point]:
    """The optimum with all of the strategies, SAC-PER with a few."""
    found = []
    for strategy in strategies:
        kept, migration = STRATEGIES[strategy]
        overrides = (*failing, ('failures.migration', migration))
        learnt = _trainings(plan, OURS, FEASIBLE) if strategy in _BRIEF else []
        players: dict[str, Sequence[str | Training]] = {OPTIMUM: [OPTIMUM], OURS: learnt}
        for name, runs in players.items():
            trials = tuple(
                Trial(run, FEASIBLE, plan.drills, _WHOLE, overrides, slot, kept) for run in runs
            )
            if trials:
                found.append(Point(FEASIBLE, x, named(name, strategy), trials))
    return found


def _drill(plan: Plan, x: float, player: str, controller: str, overrides: Overrides) -> Point:
    return Point(
        FEASIBLE, x, player, (Trial(controller, FEASIBLE, plan.drills, _WHOLE, overrides),)
    )


_WHOLE = 60
"""Slots of a whole episode."""
