"""How fast learners take gradient steps, side by side with stable-baselines3 in one process.

    .venv-train/bin/python bench/learning/update_rate.py

Learners take turns, a few updates at a time, so that whatever else the machine does hits all
of them. Times are of the CPU, not of the wall.

- SAC of stable-baselines3 and ours (AD-SAC without choices) on the same sizes and batch: the ratio
  of their rates is to be 1.5 or more.
- SAC-PER on the same sizes: priorities are drawn by and refreshed in every update.
- AD-SAC on the sizes of mllm, with its merge: 100,000 updates are to take 30 CPU-minutes at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure

from sec_nodes.learning.algorithms.ad_sac import AdSac, AdSacHyper
from sec_nodes.learning.algorithms.sac_per import SacPer, SacPerHyper
from sec_nodes.learning.off_policy import OffPolicy
from sec_nodes.learning.problem import Action, Problem, Shape, Turn

OBSERVATION, NUMBERS = 160, 16
MLLM = Shape(144, 10, 7, NUMBERS)
HIDDEN, BATCH = (256, 256, 256), 64
REMEMBERED = 5000
ROUNDS, UPDATES = 12, 15
WANTED_RATIO, WANTED_MINUTES, RUN = 1.5, 30.0, 100_000


class Sizes(Problem):
    """Only sizes: nobody plays it."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.copies, self.horizon = shape, 4, 100

    def reset(self, seed: int | None = None) -> torch.Tensor:  # noqa: D102
        raise NotImplementedError

    def step(self, action: Action) -> Turn:  # noqa: D102
        raise NotImplementedError


class Box(gymnasium.Env):
    """The same for stable-baselines3."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (NUMBERS,), np.float32)


def ours(shape: Shape, merge_every: int) -> Callable[[], None]:
    """A function that takes a few updates of AD-SAC."""
    hyper = AdSacHyper(hidden=HIDDEN, batch=BATCH, merge={'every': merge_every})
    return experienced(AdSac(Sizes(shape), hyper))


def prioritised() -> Callable[[], None]:
    """The same of SAC-PER."""
    shape = Shape(OBSERVATION, 0, 1, NUMBERS)
    return experienced(SacPer(Sizes(shape), SacPerHyper(hidden=HIDDEN, batch=BATCH)))


def experienced(learner: OffPolicy) -> Callable[[], None]:
    """A function that takes a few updates of a learner that remembers enough."""
    shape = learner.shape
    rows = REMEMBERED
    choice = torch.randint(max(shape.options, 1), (rows, shape.devices))
    action = Action(choice, 2 * torch.rand(rows, shape.continuous) - 1)
    reward = torch.randn(rows, max(shape.devices, 1))
    over = torch.zeros(rows, dtype=torch.bool)
    after = torch.randn(rows, shape.observation)
    learner.replay.add(
        torch.randn(rows, shape.observation), action, Turn(reward, after, over, False)
    )
    return lambda: learner.take_updates(UPDATES)


def theirs() -> Callable[[], None]:
    """The same of SAC of stable-baselines3."""
    model = SAC('MlpPolicy', Box(), policy_kwargs={'net_arch': list(HIDDEN)}, device='cpu')
    model.set_logger(configure(None, []))
    draw = np.random.default_rng(0)
    for _ in range(REMEMBERED):
        seen, after = draw.standard_normal((2, 1, OBSERVATION), dtype=np.float32)
        action = draw.uniform(-1, 1, (1, NUMBERS)).astype(np.float32)
        reward = draw.standard_normal(1)
        model.replay_buffer.add(seen, after, action, reward, np.zeros(1), [{}])
    return lambda: model.train(UPDATES, BATCH)


def measure(learners: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Seconds of CPU an update, median of the rounds."""
    taken: dict[str, list[float]] = {name: [] for name in learners}
    for turn in range(ROUNDS + 1):
        for name, updates in learners.items():
            begin = time.process_time()
            updates()
            if turn:  # the first round warms caches up
                taken[name].append((time.process_time() - begin) / UPDATES)
    return {name: median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds = measure(
        {
            'SAC of stable-baselines3': theirs(),
            'SAC-PER': prioritised(),
            'SAC': ours(Shape(OBSERVATION, 0, 0, NUMBERS), merge_every=0),
            'AD-SAC on mllm': ours(MLLM, merge_every=2),
            'AD-SAC on mllm, no merge': ours(MLLM, merge_every=0),
        }
    )
    for name, each in seconds.items():
        print(f'{name:26} {1e3 * each:7.2f} ms an update  {1 / each:7.1f} updates/s')
    ratio = seconds['SAC of stable-baselines3'] / seconds['SAC']
    print(f'ratio of SAC to stable-baselines3: {ratio:.2f} (wanted: {WANTED_RATIO} or more)')
    ratio = seconds['SAC of stable-baselines3'] / seconds['SAC-PER']
    print(f'ratio of SAC-PER to SAC of stable-baselines3: {ratio:.2f}')
    minutes = seconds['AD-SAC on mllm'] * RUN / 60
    print(
        f'AD-SAC, {RUN} updates: {minutes:.1f} CPU-minutes (wanted: {WANTED_MINUTES:.0f} or less)'
    )


if __name__ == '__main__':
    main()
