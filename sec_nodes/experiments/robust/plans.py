"""Who is compared, and how much is done, as data."""

from __future__ import annotations

from dataclasses import dataclass

from sec_nodes.experiments.keeping import Overrides

PAPER, FEASIBLE, ABLATION = 'paper', 'feasible', 'fig5'
"""Modes of the scenario; `paper` is the file as it stands."""
OURS = 'sac_per'
RIVALS = ('sac', 'redq', 'redq_g1')
"""Learners that SAC-PER is compared with: REDQ with 20 gradient steps at a time, and with one."""
FLAT = ', flat'
"""Ends the names of learners with fully connected networks, as the paper's; those of the others
are shared by users, so that they play any number of them."""
SHARED = (OURS, *RIVALS)
FLAT_ONES = (f'{OURS}{FLAT}', f'sac{FLAT}')
LEARNERS = (*SHARED, *FLAT_ONES)
OPTIMUM = 'optimum'
OFFLOAD_ALL, RANDOM, RANDOM_FEASIBLE = 'offload_all', 'random', 'random_feasible'
NEAREST, LOCAL_ONLY = 'nearest_uav', 'local_only'
SCHEMES = (OPTIMUM, NEAREST, OFFLOAD_ALL, RANDOM)
"""Fig. 4: controllers that need no training."""
PARTITIONINGS = (OPTIMUM, OFFLOAD_ALL, RANDOM, RANDOM_FEASIBLE, LOCAL_ONLY)
"""Fig. 5: how networks are split; the association is the best there is for each."""
USUAL_USERS, USUAL_UAVS = 10, 3
USUAL_WEIGHT = 1e-3
"""varpi_2 as printed."""


@dataclass(frozen=True)
class Budget:
    """Trainings of a learner in a mode."""

    learner: str
    mode: str
    seeds: int
    steps: int
    """Slots that each of them sees, those of all its copies together."""


@dataclass(frozen=True)
class Plan:
    """What `sec reproduce robust` spends."""

    name: str
    budgets: tuple[Budget, ...]
    flat_hyper: Overrides
    """Hyper-parameters of those with fully connected networks that differ from their profile."""
    episodes: int
    """Held-out episodes; the same ones for everybody."""
    slots: int
    """Slots of each, in figures without failures as their subject."""
    slow_episodes: int
    """Episodes in modes other than `feasible`, whose optima take a hundred times as long."""
    slow_slots: int
    users: tuple[int, ...]
    """I of Fig. 4."""
    slow_users: tuple[int, ...]
    """The same in mode `paper`."""
    uavs: tuple[int, ...]
    """J of Fig. 5."""
    drills: int
    """Whole episodes in which UAVs fail, for each kind of failure."""
    failure_slots: tuple[int, ...]
    """In which slot the failure is; from 1, as in the paper."""
    progress: tuple[float, ...]
    """rho: what has been done of a task when its UAV fails."""
    reserves_s: tuple[float, ...]
    """Time of a slot that allocation leaves free [s]."""
    weights: tuple[float, ...]
    """varpi_2 for the theorem."""

    def budget(self, learner: str, mode: str) -> Budget | None:
        """Trainings of a learner in a mode, if there are any."""
        return next(
            (one for one in self.budgets if (one.learner, one.mode) == (learner, mode)), None
        )

    def learners(self, mode: str) -> list[str]:
        """Who is trained in a mode."""
        return [name for name in LEARNERS if self.budget(name, mode)]


QUICK = Plan(
    name='quick',
    budgets=(
        Budget('sac_per', FEASIBLE, seeds=5, steps=4000),
        Budget('sac', FEASIBLE, seeds=5, steps=4000),
        Budget('redq', FEASIBLE, seeds=1, steps=1600),
        Budget('redq_g1', FEASIBLE, seeds=2, steps=4000),
        Budget('sac_per, flat', FEASIBLE, seeds=2, steps=4000),
        Budget('sac, flat', FEASIBLE, seeds=2, steps=4000),
        Budget('sac_per', PAPER, seeds=3, steps=4000),
        Budget('sac', PAPER, seeds=3, steps=4000),
    ),
    flat_hyper=(('batch', 64), ('warm_up', 400)),
    episodes=20,
    slots=20,
    slow_episodes=8,
    slow_slots=5,
    users=(4, 7, 10, 13, 16),
    slow_users=(4, 7, 10, 13),
    uavs=(2, 3, 4, 5, 6),
    drills=40,
    failure_slots=(2, 15, 30, 45, 60),
    progress=(0.0, 0.25, 0.5, 0.75),
    reserves_s=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    weights=(1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 4.0),
)
"""Within half an hour on one core."""

FULL = Plan(
    name='full',
    budgets=tuple(
        Budget(learner, mode, seeds=10, steps=60_000)
        for mode in (FEASIBLE, PAPER)
        for learner in LEARNERS
    ),
    flat_hyper=(),
    episodes=100,
    slots=60,
    slow_episodes=20,
    slow_slots=20,
    users=(4, 6, 8, 10, 12, 14, 16),
    slow_users=(4, 6, 8, 10, 12, 14, 16),
    uavs=(2, 3, 4, 5, 6),
    drills=200,
    failure_slots=(2, 10, 20, 30, 40, 50, 60),
    progress=(0.0, 0.1, 0.25, 0.5, 0.75, 0.9),
    reserves_s=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    weights=(1e-3, 1e-2, 0.1, 0.3, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0),
)
"""As much as one would publish: the paper's 60,000 steps, ten seeds; days on a workstation."""

PLANS = {plan.name: plan for plan in (QUICK, FULL)}
