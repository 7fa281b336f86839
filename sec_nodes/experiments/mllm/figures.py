"""Figs 3 to 8 as points: who plays what, and what must be trained for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sec_nodes.experiments import places
from sec_nodes.experiments.jobs import Job, Play
from sec_nodes.experiments.keeping import Overrides
from sec_nodes.experiments.mllm.plans import (
    ABLATED,
    COMPARED,
    LEARNERS,
    MODES,
    OPTIMUM,
    SIMPLE,
    STRUCTURED,
    TRAINED_DEVICES,
    USUAL_CRITIC_RATE,
    Plan,
)
from sec_nodes.experiments.trainings import Training

FLAT = COMPARED[0]


Point = places.Point[Play]


@dataclass(frozen=True)
class Figure:
    """A figure of the paper."""

    number: int
    title: str
    axis: str | None
    """What is swept."""
    points: Callable[[Plan], list[Point]]

    def jobs(self, plan: Plan) -> list[Job]:
        """Everything that it needs."""
        return [play for point in self.points(plan) for play in point.plays]


def convergence(plan: Plan) -> list[Point]:
    """Fig. 3: all learners in three modes."""
    return _in_modes(plan, LEARNERS)


def ablation(plan: Plan) -> list[Point]:
    """Fig. 8: AD-SAC as described and structured, and what replaces one kind of action."""
    return _in_modes(plan, (STRUCTURED, FLAT, *ABLATED))


def critic_rates(plan: Plan) -> list[Point]:
    """Fig. 4: AD-SAC as described, in the paper's problem, with other critic learning rates."""
    points = _simple('paper', None, (), plan, main=True)
    for rate in plan.critic_rates:
        usual = rate == USUAL_CRITIC_RATE
        hyper: Overrides = () if usual else (('critic_rate', rate),)
        count = plan.seeds if usual else plan.sweep_seeds
        trainings = _trainings(FLAT, 'paper', count, plan, hyper=hyper)
        points.append(Point('paper', rate, FLAT, _plays('paper', trainings, (), plan, main=True)))
    return points


def device_counts(plan: Plan) -> list[Point]:
    """Fig. 5: the structured policy of ten devices plays any number, the others learn each."""
    points = []
    for count in plan.device_counts:
        usual = count == TRAINED_DEVICES
        overrides: Overrides = () if usual else (('devices.count', count),)
        points += _simple('paper', float(count), overrides, plan)
        structured = _trainings(STRUCTURED, 'paper', plan.seeds, plan)
        points.append(_point('paper', float(count), structured, overrides, plan))
        for name in COMPARED:
            runs = plan.seeds if usual else plan.sweep_seeds
            trainings = _trainings(name, 'paper', runs, plan, overrides)
            points.append(_point('paper', float(count), trainings, overrides, plan))
    return points


def deadlines(plan: Plan) -> list[Point]:
    """Fig. 6: policies that learnt deadlines of 2 to 3 s, where all have the same one."""
    points = []
    for deadline_s in plan.deadlines_s:
        overrides = (('tasks.deadline_s', (deadline_s, deadline_s)),)
        points += _sweep('paper', deadline_s, overrides, plan, plan.seeds)
    return points


def accuracies(plan: Plan) -> list[Point]:
    """Fig. 7: policies that learnt accuracies of 0.3 to 0.7, where all ask for the same one."""
    points = []
    for accuracy in plan.accuracies:
        overrides = (('tasks.accuracy', (accuracy, accuracy)),)
        points += _sweep('fig7', accuracy, overrides, plan, plan.sweep_seeds)
    return points


FIGURES = {
    figure.number: figure
    for figure in (
        Figure(3, 'Convergence, and what is learnt', None, convergence),
        Figure(4, 'Critic learning rate', 'critic learning rate', critic_rates),
        Figure(5, 'Number of devices', 'devices', device_counts),
        Figure(6, 'Deadline', 'deadline [s]', deadlines),
        Figure(7, 'Required accuracy', 'required accuracy', accuracies),
        Figure(8, 'Ablation', None, ablation),
    )
}


def _in_modes(plan: Plan, learners: tuple[str, ...]) -> list[Point]:
    points = []
    for mode in MODES:
        points += _simple(mode, None, (), plan, main=True)
        for name in learners:
            trainings = _trainings(name, mode, plan.seeds, plan)
            points.append(Point(mode, None, name, _plays(mode, trainings, (), plan, main=True)))
    return points


def _sweep(mode: str, x: float, overrides: Overrides, plan: Plan, seeds: int) -> list[Point]:
    """Everybody at one place of a sweep that trained policies are taken through."""
    points = _simple(mode, x, overrides, plan)
    for name in (STRUCTURED, *COMPARED):
        points.append(_point(mode, x, _trainings(name, mode, seeds, plan), overrides, plan))
    return points


def _point(
    mode: str, x: float, trainings: list[Training], overrides: Overrides, plan: Plan
) -> Point:
    name = trainings[0].algorithm
    return Point(mode, x, name, _plays(mode, trainings, overrides, plan))


def _trainings(
    algorithm: str,
    mode: str,
    count: int,
    plan: Plan,
    overrides: Overrides = (),
    hyper: Overrides = (),
) -> list[Training]:
    return [
        Training(algorithm, f'mllm:{mode}', seed, plan.steps, plan.minutes, overrides, hyper)
        for seed in range(count)
    ]


def _plays(
    mode: str, trainings: list[Training], overrides: Overrides, plan: Plan, main: bool = False
) -> tuple[Play, ...]:
    slots = plan.slots if main else plan.sweep_slots
    return tuple(
        Play(f'mllm:{mode}', training, plan.episodes, slots, overrides) for training in trainings
    )


def _simple(
    mode: str, x: float | None, overrides: Overrides, plan: Plan, main: bool = False
) -> list[Point]:
    """Those that do not learn; the optimum in the first episodes only."""
    slots = plan.slots if main else plan.sweep_slots
    few = plan.optimum_episodes if main else plan.sweep_optimum_episodes
    counts = {**dict.fromkeys(SIMPLE, plan.episodes), OPTIMUM: few}
    return [
        Point(mode, x, name, (Play(f'mllm:{mode}', name, episodes, slots, overrides),))
        for name, episodes in counts.items()
    ]
