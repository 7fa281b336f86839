"""Small problems whose best policies are known, to see whether learners find them."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_discrete_are
from torch import Tensor

from sec_nodes.learning.learner import Learner
from sec_nodes.learning.problem import Action, Problem, Shape, Turn

Policy = Callable[[Tensor], Action]


class Toy(Problem):
    """A problem with a known best policy; refuses choices that its mask forbids."""

    def __init__(self, shape: Shape, copies: int, horizon: int) -> None:
        self.shape, self.copies, self.horizon = shape, copies, horizon
        self.generator = torch.Generator().manual_seed(0)
        self.seen = torch.zeros(copies, shape.observation)
        self.slot = 0

    def reset(self, seed: int | None = None) -> Tensor:
        if seed is not None:
            self.generator.manual_seed(seed)
        self.slot = 0
        self.seen = self.begin()
        return self.seen

    def step(self, action: Action) -> Turn:
        mask = self.mask(self.seen, action.continuous)
        if not mask.gather(-1, action.choice.unsqueeze(-1)).all():
            raise AssertionError(f'forbidden choice: {action.choice} of {mask}')
        if action.continuous.numel() and action.continuous.abs().max() > 1 + 1e-6:
            raise AssertionError(f'{action.continuous} leaves [-1, 1]')
        reward, self.seen = self.play(self.seen, action)
        self.slot += 1
        terminated = torch.zeros(self.copies, dtype=torch.bool)
        return Turn(reward, self.seen, terminated, self.slot == self.horizon)

    def uniform(self, *size: int) -> Tensor:
        """Numbers in [-1, 1)."""
        return 2 * torch.rand(*size, generator=self.generator) - 1

    @abstractmethod
    def begin(self) -> Tensor:
        """First observations."""

    @abstractmethod
    def play(self, observation: Tensor, action: Action) -> tuple[Tensor, Tensor]:
        """Rewards (B, K), or (B, 1), and the next observations."""

    @abstractmethod
    def optimal(self, observation: Tensor) -> Action:
        """The best policy."""


class HybridBandit(Toy):
    """Three devices with three options and two numbers, all to be fitted to a context x in R^2.

    Options cost 0, 0.5 and 1: device k's best is (k + [x0 > 0]) mod 3, the next ones follow in
    turn. The numbers cost ||c - x / 2||^2. Drawn anew in every slot, so nothing lasts.

    Args:
        copies: B.
        forbids: the best option is forbidden where x1 > 0, so the second is to be taken.
        gate: the best options are forbidden unless c0 >= 0, so that is worth its price.
    """

    def __init__(self, copies: int = 8, forbids: bool = False, gate: bool = False) -> None:
        super().__init__(Shape(2, 3, 3, 2, axis_bins=(5, 5)), copies, horizon=10)
        self.forbids, self.gate = forbids, gate

    def begin(self) -> Tensor:
        return self.uniform(self.copies, 2)

    def rank(self, observation: Tensor) -> Tensor:
        """(X, K, S): 0 for the best option, 1, 2."""
        first = torch.arange(3) + (observation[:, :1] > 0).long()
        return (torch.arange(3) - first.unsqueeze(-1)) % 3

    def mask(self, observation: Tensor, continuous: Tensor) -> Tensor:
        closed = torch.zeros(len(observation), dtype=torch.bool)
        if self.forbids:
            closed = observation[:, 1] > 0
        if self.gate:
            closed = closed | (continuous[:, 0] < 0)
        return ~(closed[:, None, None] & (self.rank(observation) == 0))

    def play(self, observation: Tensor, action: Action) -> tuple[Tensor, Tensor]:
        rank = self.rank(observation).gather(-1, action.choice.unsqueeze(-1)).squeeze(-1)
        miss = (action.continuous - observation / 2).square().sum(-1, keepdim=True)
        return -(0.5 * rank + miss / 3), self.begin()

    def optimal(self, observation: Tensor) -> Action:
        continuous = observation / 2
        if self.gate:  # worth at most 0.25 for 1.5
            continuous = torch.cat([continuous[:, :1].clamp(min=0), continuous[:, 1:]], -1)
        allowed = self.mask(observation, continuous)
        rank = torch.where(allowed, self.rank(observation), 3)
        return Action(rank.argmin(-1), continuous)


class CoupledAssignment(Toy):
    """Three devices share three options; who shares one pays 1 for each other who is there.

    What an option costs a device without others is in `alone`. No numbers; the observation is
    noise. The optimum is found by trying all assignments.
    """

    alone = torch.tensor([[0.0, 0.4, 0.9], [0.1, 0.2, 0.9], [0.0, 0.3, 0.5]])

    def __init__(self, copies: int = 8) -> None:
        super().__init__(Shape(2, 3, 3, 0), copies, horizon=10)

    def begin(self) -> Tensor:
        return self.uniform(self.copies, 2)

    def costs(self, choice: Tensor) -> Tensor:
        """(X, K) of choices (X, K)."""
        alone = self.alone.expand(len(choice), 3, 3).gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        others = (choice.unsqueeze(-1) == choice.unsqueeze(-2)).sum(-1) - 1
        return alone + others

    def play(self, observation: Tensor, action: Action) -> tuple[Tensor, Tensor]:
        return -self.costs(action.choice), self.begin()

    def optimal(self, observation: Tensor) -> Action:
        every = torch.tensor(list(itertools.product(range(3), repeat=3)))
        best = every[self.costs(every).sum(-1).argmin()]
        return Action(best.expand(len(observation), 3), torch.zeros(len(observation), 0))


class Regulator(Toy):
    """A cart that is to be kept at 0 by a force, the linear-quadratic regulator.

    x' = A x + B u + w with x = (position, speed), u = 2 c and normal w; reward
    -(x Q x + R u^2). The best gain is Riccati's.
    """

    a = np.array([[1.0, 0.2], [0.0, 1.0]])
    b = np.array([[0.02], [0.2]])
    q = np.diag([1.0, 0.1])
    r = np.array([[0.1]])
    force = 2.0
    noise = 0.05

    def __init__(self, copies: int = 8, horizon: int = 50) -> None:
        super().__init__(Shape(2, 0, 0, 1, axis_bins=(5,)), copies, horizon)
        self.cost_to_go = solve_discrete_are(self.a, self.b, self.q, self.r)
        p = self.cost_to_go
        self.gain = np.linalg.solve(self.r + self.b.T @ p @ self.b, self.b.T @ p @ self.a)

    def begin(self) -> Tensor:
        return self.uniform(self.copies, 2)

    def play(self, observation: Tensor, action: Action) -> tuple[Tensor, Tensor]:
        state, force = observation.double(), self.force * action.continuous.double()
        a, b, q, r = (torch.from_numpy(matrix) for matrix in (self.a, self.b, self.q, self.r))
        cost = ((state @ q) * state).sum(-1) + ((force @ r) * force).sum(-1)
        noise = torch.randn(state.shape, generator=self.generator, dtype=torch.float64)
        following = state @ a.T + force @ b.T + self.noise * noise
        # Bounded, so that a bad policy is bad, but finite; the best one stays far within.
        following = following.clamp(-3, 3)
        return -cost.unsqueeze(-1).float(), following.float()

    def optimal(self, observation: Tensor) -> Action:
        force = -(observation.double() @ torch.from_numpy(self.gain).T)
        continuous = (force / self.force).clamp(-1, 1).float()
        return Action(torch.zeros(len(observation), 0, dtype=torch.int64), continuous)


def train(learner: Learner, steps: int, seed: int = 0) -> Learner:
    """Let a learner take vector steps of its problem."""
    torch.manual_seed(seed)
    problem = learner.problem
    observation = problem.reset(seed)
    for _ in range(steps):
        action = learner.act(observation)
        turn = problem.step(action)
        learner.learn(observation, action, turn)
        observation = problem.reset() if turn.over else turn.observation
    return learner


@torch.no_grad()
def score(problem: Toy, policy: Policy, episodes: int = 20, seed: int = 1000) -> float:
    """Mean reward of a slot, the same worlds for every policy."""
    total = 0.0
    observation = problem.reset(seed)
    slots = episodes * problem.horizon
    for _ in range(slots):
        turn = problem.step(policy(observation))
        total += float(turn.reward.sum(-1).mean())
        observation = problem.reset() if turn.over else turn.observation
    return total / slots


def regret(learner: Learner) -> float:
    """How far what was learnt stays below the optimum, mean reward of a slot."""
    problem = learner.problem
    assert isinstance(problem, Toy)
    return score(problem, problem.optimal) - score(problem, learner.best)
