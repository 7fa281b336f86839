"""Training one algorithm on one scenario from one seed, so that it can be interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from sec_nodes import __version__
from sec_nodes.controllers.learned import trained_on
from sec_nodes.learning.job import (
    CHECKPOINT,
    CURVE,
    POLICY,
    SUMMARY,
    Job,
    Progress,
    TrainingError,
    write,
    write_curve,
    write_policy,
    write_summary,
)
from sec_nodes.learning.learner import Learner
from sec_nodes.learning.problem import Problem, Turn
from sec_nodes.learning.problems import learnable, make_problem
from sec_nodes.learning.registry import MOST_COPIES, learner_class, recipe

INTERVAL = 200
"""Slots that a row of the curve is the mean of."""
REPORT_EVERY_S = 1.0
HELD_OUT_EPISODES = 20
"""Episodes that a policy is judged on when its training ends."""

_FIRST_SEED = 1 << 61
"""Training draws its episodes from there on; `sec simulate` and `evaluate` stay below."""
_EPISODES = 1 << 20
_RUNS = 1 << 28


def training_seed(run: int, episode: int) -> int:
    """Seed of the first copy in an episode of a training run; those of the others follow it.

    No two runs or episodes share one, and no evaluation uses any of them.

    Raises:
        ValueError: run or episode out of range.
    """
    if not (0 <= run < _RUNS and 0 <= episode < _EPISODES):
        raise ValueError(f'seed {run}, episode {episode}: must be below {_RUNS} and {_EPISODES}')
    return _FIRST_SEED + (run * _EPISODES + episode) * MOST_COPIES


class Mean:
    """Means of figures since they were taken last. Figures may be absent at times."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, figures: Mapping[str, float]) -> None:
        """Count figures in."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means; the next ones begin anew."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class Training:
    """A run at work.

    Seeds torch's global generator. Every episode has a seed of its own, so at the end of an
    episode the learner, torch's generator and a few counters are all there is to be saved: going
    on from a checkpoint gives the same weights as never having stopped.

    Args:
        job: what to do. If its folder holds a checkpoint, the run goes on from there.

    Raises:
        ConfigError: unknown names, or values out of range.
        TrainingError: a checkpoint of another job.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        name, mode = learnable(job.scenario, job.scenario_settings)
        self.recipe = recipe(job.algorithm, name, job.profile, mode, job.settings)
        torch.manual_seed(job.seed)
        self.problem = make_problem(job.scenario, self.recipe.copies, job.scenario_settings)
        self.learner = learner_class(job.algorithm)(self.problem, self.recipe.hyper)
        self.steps, self.episode = 0, 0
        self.curve: list[dict[str, float]] = []
        self._mean = Mean()
        self._cpu_before_s = self._wall_before_s = 0.0
        self._cpu_start_s, self._wall_start_s = time.process_time(), time.perf_counter()
        job.folder.mkdir(parents=True, exist_ok=True)
        if (job.folder / CHECKPOINT).is_file():
            self._load()

    @property
    def cpu_s(self) -> float:
        """CPU time so far, that before interruptions included [s]."""
        return self._cpu_before_s + time.process_time() - self._cpu_start_s

    @property
    def wall_s(self) -> float:
        """Wall time so far, without interruptions [s]."""
        return self._wall_before_s + time.perf_counter() - self._wall_start_s

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        job = self.job
        return (job.steps is not None and self.steps >= job.steps) or (
            job.minutes is not None and self.cpu_s >= 60 * job.minutes
        )

    def run(self, on_progress: Callable[[Progress], bool] = lambda progress: True) -> bool:
        """Train until the budget is used up.

        Args:
            on_progress: told about once a second; the run stops at the end of the episode once
                it has answered False.

        Returns:
            Whether the run has finished, rather than been stopped.

        Raises:
            TrainingError: a figure became infinite or no number.
        """
        if not self.spent:  # an earlier end is made longer
            (self.job.folder / SUMMARY).unlink(missing_ok=True)
        go_on, reported_s, saved_s = on_progress(self.progress()), 0.0, self.wall_s
        with SummaryWriter(str(self.job.folder), purge_step=self.steps) as log:
            while go_on and not self.spent:
                observation = self.problem.reset(training_seed(self.job.seed, self.episode))
                over = False
                while not (over or self.spent):
                    observation, over = self._step(observation, log)
                    if self.wall_s - reported_s >= REPORT_EVERY_S:
                        go_on &= on_progress(self.progress())
                        reported_s = self.wall_s
                self.episode += 1
                if self.wall_s - saved_s >= self.job.save_every_s and not self.spent:
                    self.save()
                    saved_s = self.wall_s
        finished = self.spent
        if finished:
            self._finish()
        if not finished or self.job.keep_checkpoint:
            self.save()
        else:
            (self.job.folder / CHECKPOINT).unlink(missing_ok=True)
        on_progress(self.progress())
        return finished

    def progress(self) -> Progress:
        """How far the run is."""
        figures = self.curve[-1] if self.curve else {}
        return Progress(self.steps, self.learner.updates, self.cpu_s, self.wall_s, figures)

    def save(self) -> None:
        """Write the checkpoint. Only between episodes does it hold all that there is."""
        state = {
            'job': self.job.identity(),
            'copies': self.recipe.copies,
            'hyper': self.recipe.hyper.model_dump(mode='json'),
            'learner': self.learner.state_dict(),
            'torch_rng': torch.get_rng_state(),
            'steps': self.steps,
            'episode': self.episode,
            'cpu_s': self.cpu_s,
            'wall_s': self.wall_s,
            'curve': self.curve,
            'sums': self._mean.sums,
            'counts': self._mean.counts,
        }
        write(self.job.folder / CHECKPOINT, lambda file: torch.save(state, file))

    def _load(self) -> None:
        path = self.job.folder / CHECKPOINT
        state = torch.load(path, map_location='cpu', weights_only=True)
        ours = {
            **self.job.identity(),
            'copies': self.recipe.copies,
            'hyper': self.recipe.hyper.model_dump(mode='json'),
        }
        theirs = {**state['job'], 'copies': state['copies'], 'hyper': state['hyper']}
        for key, value in ours.items():
            if theirs[key] != value:
                raise TrainingError(
                    f'{path} is of a run with {key} = {theirs[key]!r}, not {value!r}: '
                    'go on with that, or train in another folder'
                )
        self.learner.load_state_dict(state['learner'])
        torch.set_rng_state(state['torch_rng'])
        self.steps, self.episode, self.curve = state['steps'], state['episode'], state['curve']
        self._mean.sums, self._mean.counts = state['sums'], state['counts']
        self._cpu_before_s, self._wall_before_s = state['cpu_s'], state['wall_s']

    def _step(self, observation: Tensor, log: SummaryWriter) -> tuple[Tensor, bool]:
        """One slot of all copies; returns what is seen next and whether the episodes are over."""
        action = self.learner.act(observation)
        turn = self.problem.step(action)
        learnt = self.learner.learn(observation, action, turn)
        before = self.steps
        self.steps += self.problem.copies
        for name, value in learnt.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f'{self.job.name}: {name} became {value} at step {self.steps}; '
                    'lower the learning rate or the scale of rewards'
                )
        self._mean.add(slot_figures(turn))
        self._mean.add(learnt)
        if before // INTERVAL != self.steps // INTERVAL:
            self._add_row(log)
        return turn.observation, turn.over

    def _add_row(self, log: SummaryWriter) -> None:
        means = self._mean.take()
        for name, value in means.items():
            log.add_scalar(name, value, self.steps)
        counts = {'steps': self.steps, 'updates': self.learner.updates}
        self.curve.append({**counts, 'cpu_s': round(self.cpu_s, 3), **means})
        write_curve(self.job.folder / CURVE, self.curve)

    def _finish(self) -> None:
        """Write the policy as it is now, and what the run was and came to."""
        job = self.job
        description, arrays = self.learner.policy_arrays()
        description |= {**trained_on(job.scenario, job.scenario_settings), 'steps': self.steps}
        description |= {'algorithm': job.algorithm, 'seed': job.seed, 'profile': job.profile}
        write_policy(job.folder / POLICY, description, arrays)
        write_curve(job.folder / CURVE, self.curve)
        summary = {
            **job.identity(),
            'copies': self.recipe.copies,
            'hyper_parameters': self.recipe.hyper.model_dump(mode='json'),
            'steps': self.steps,
            'updates': self.learner.updates,
            'cpu_s': round(self.cpu_s, 1),
            'wall_s': round(self.wall_s, 1),
            'version': __version__,
            'final': self._final(),
        }
        write_summary(job.folder / SUMMARY, summary)

    def _final(self) -> dict[str, float]:
        """Figures of the policy on held-out episodes."""
        job = self.job
        problem = make_problem(job.scenario, HELD_OUT_EPISODES, job.scenario_settings)
        figures = evaluate(problem, self.learner, HELD_OUT_EPISODES, problem.horizon)
        return {name: float(values.mean()) for name, values in figures.items()}


@torch.no_grad()
def evaluate(
    problem: Problem, learner: Learner, episodes: int, slots: int, seed: int = 0
) -> dict[str, Tensor]:
    """What a learner's best actions come to in episodes that training never sees.

    Args:
        problem: of any number of copies; the learner's own or one like it.
        learner: who decides; it does not learn from this.
        episodes: how many; episode j has the seed `seed` 2^20 + j, as in `sec simulate`.
        slots: of each episode, from its beginning.
        seed: of the episodes.

    Returns:
        Means over the slots of each episode, (episodes,), of the problem's figures and `reward`.

    Raises:
        ValueError: numbers out of range.
    """
    for name, value, least, most in (
        ('episodes', episodes, 1, _EPISODES),
        ('slots', slots, 1, problem.horizon),
        ('seed', seed, 0, (1 << 40) - 1),
    ):
        if not least <= value <= most:
            raise ValueError(f'{name} = {value}: must lie in {least} to {most}')
    first = seed * _EPISODES
    batches = [
        _play(problem, learner, slots, first + start)
        for start in range(0, episodes, problem.copies)
    ]
    return {name: torch.cat([batch[name] for batch in batches])[:episodes] for name in batches[0]}


def _play(problem: Problem, learner: Learner, slots: int, seed: int) -> dict[str, Tensor]:
    """Means over the first slots of an episode of every copy, (B,)."""
    observation = problem.reset(seed)
    sums: dict[str, Tensor] = {}
    for _ in range(slots):
        turn = problem.step(learner.best(observation))
        observation = turn.observation
        for name, value in {**turn.figures, 'reward': turn.reward.sum(-1)}.items():
            sums[name] = sums.get(name, 0.0) + value
    return {name: total / slots for name, total in sums.items()}


def slot_figures(turn: Turn) -> dict[str, float]:
    """Means over the copies of what came of a slot."""
    figures = {name: float(values.mean()) for name, values in turn.figures.items()}
    figures['reward'] = float(turn.reward.sum(-1).mean())
    return figures


def train(job: Job, on_progress: Callable[[Progress], bool] = lambda progress: True) -> bool:
    """Carry out a job in this process, on one thread; see `Training.run`."""
    torch.set_num_threads(1)
    return Training(job).run(on_progress)
