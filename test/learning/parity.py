"""Learners of stable-baselines3 on the toy problems, and whether ours do as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, variance
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from scipy.stats import t as student
from toys import Regulator, Toy, score, train

from sec_nodes.learning.problem import Action
from sec_nodes.learning.registry import learner_class

SEEDS = (0, 1, 2)
WIDTHS, RATE, WARM_UP, GAMMA, BUFFER = (64, 64), 1e-3, 300, 0.95, 10_000


class ToyEnv(gymnasium.Env):
    """One copy of a toy without choices, as gymnasium has it."""

    def __init__(self, toy: Toy) -> None:
        if toy.copies != 1 or toy.shape.devices:
            raise ValueError(f'need one copy and no devices, not {toy.copies}, {toy.shape}')
        self.toy = toy
        self.observation_space = spaces.Box(-np.inf, np.inf, (toy.shape.observation,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (toy.shape.continuous,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.toy.reset(seed)[0].numpy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        turn = self.toy.step(numbers(action[None]))
        return turn.observation[0].numpy(), float(turn.reward.sum()), False, turn.over, {}


def numbers(action: np.ndarray) -> Action:
    """An action without choices from numbers (B, D)."""
    continuous = torch.as_tensor(action, dtype=torch.float32)
    return Action(torch.zeros(len(continuous), 0, dtype=torch.int64), continuous)


def regulator() -> Regulator:
    """What both learn."""
    return Regulator(copies=1)


def our_scores(name: str, steps: int, **settings: Any) -> list[float]:
    """What an algorithm of ours comes to, mean reward of a slot, seed by seed."""
    kind, scores = learner_class(name), []
    for seed in SEEDS:
        torch.manual_seed(seed)
        hyper = kind.Hyper(hidden=WIDTHS, warm_up=WARM_UP, gamma=GAMMA, **settings)
        learner = train(kind(regulator(), hyper), steps, seed)
        scores.append(score(regulator(), learner.best))
    return scores


def their_scores(algorithm: type, steps: int, **settings: Any) -> list[float]:
    """What an algorithm of stable-baselines3 comes to, likewise."""
    scores = []
    for seed in SEEDS:
        model = algorithm('MlpPolicy', ToyEnv(regulator()), seed=seed, device='cpu', **settings)
        model.learn(steps)
        scores.append(
            score(
                regulator(),
                lambda seen, m=model: numbers(m.predict(seen.numpy(), deterministic=True)[0]),
            )
        )
    return scores


def their_off_policy_scores(algorithm: type, steps: int, **settings: Any) -> list[float]:
    """Likewise, of an algorithm with a buffer."""
    return their_scores(
        algorithm,
        steps,
        policy_kwargs={'net_arch': list(WIDTHS)},  # not shared: algorithms add to it
        learning_rate=RATE,
        learning_starts=WARM_UP,
        buffer_size=BUFFER,
        batch_size=64,
        gamma=GAMMA,
        tau=0.01,
        **settings,
    )


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Welch's 95 % interval of how much greater the mean of ours is."""
    parts = [variance(scores) / len(scores) for scores in (ours, theirs)]
    spread = sum(parts)
    if spread == 0:
        return (mean(ours) - mean(theirs),) * 2
    pairs = zip(parts, (ours, theirs), strict=True)
    freedom = spread**2 / sum(part**2 / (len(scores) - 1) for part, scores in pairs)
    half = float(student.ppf(0.975, freedom)) * math.sqrt(spread)
    gap = mean(ours) - mean(theirs)
    return gap - half, gap + half


def assert_match(ours: Sequence[float], theirs: Sequence[float], share: float = 0.05) -> None:
    """Raise AssertionError unless both are alike, and both have learnt.

    Alike: the interval of their difference meets +- `share` of the way from random to best.
    Learnt: each mean is beyond 80 % of that way.
    """
    toy = regulator()
    best = score(toy, toy.optimal)
    draw = np.random.default_rng(0)
    aimless = score(toy, lambda seen: numbers(draw.uniform(-1, 1, (len(seen), 1))))
    way = best - aimless
    for name, scores in (('ours', ours), ('theirs', theirs)):
        assert mean(scores) > aimless + 0.8 * way, f'{name}: {scores}, {aimless=}, {best=}'
    low, high = difference(ours, theirs)
    assert low <= share * way, f'ours is better: {low}..{high}, {ours} against {theirs}'
    assert high >= -share * way, f'ours is worse: {low}..{high}, {ours} against {theirs}'
