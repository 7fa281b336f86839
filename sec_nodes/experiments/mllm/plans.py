"""How much is done: budgets of trainings and evaluations, as data."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ('paper', 'stress', 'extended')
"""Modes of the scenario in which all learners are compared."""
COMPARED = ('ad_sac_flat', 'ppo', 'hybrid_ppo', 'd3qn', 'ddpg')
"""Learners that the paper compares, AD-SAC as it describes it first."""
ABLATED = ('ad_sac_d', 'ad_sac_c')
STRUCTURED = 'ad_sac'
"""Our AD-SAC, which sees devices and servers as sets; it plays any number of devices."""
LEARNERS = (STRUCTURED, *COMPARED, *ABLATED)
OPTIMUM = 'optimum'
SIMPLE = ('masked_random', 'greedy', 'myopic')
"""Controllers that do not learn, drawn in every figure; and the optimum of each slot."""
TRAINED_DEVICES = 10
"""K of the scenario as it stands."""
USUAL_CRITIC_RATE = 1e-3


@dataclass(frozen=True)
class Plan:
    """What `sec reproduce mllm` spends. Every training gets the same number of slots, or the same
    CPU time where that ends first."""

    name: str
    steps: int
    """Slots that a training sees at most, those of all its copies together."""
    minutes: float | None
    """CPU-minutes that it takes at most; None for no such limit."""
    seeds: int
    """Trainings of each learner in each of `MODES`."""
    sweep_seeds: int
    """Trainings of each learner in mode fig7, for each critic learning rate and number of
    devices."""
    episodes: int
    """Held-out episodes; the same ones for everybody."""
    slots: int
    """Slots of each of them in `MODES`."""
    sweep_slots: int
    """Slots of each of them in sweeps."""
    optimum_episodes: int
    """Of them those that the per-slot optimum plays in `MODES`; it takes a second a slot."""
    sweep_optimum_episodes: int
    """The same in sweeps."""
    device_counts: tuple[int, ...]
    """K of Fig. 5."""
    deadlines_s: tuple[float, ...]
    """Tmax of Fig. 6."""
    accuracies: tuple[float, ...]
    """a of Fig. 7."""
    critic_rates: tuple[float, ...] = (1e-4, USUAL_CRITIC_RATE, 1e-2)
    """Of Fig. 4."""


QUICK = Plan(
    name='quick',
    steps=100_000,
    minutes=0.4,
    seeds=2,
    sweep_seeds=1,
    episodes=40,
    slots=20,
    sweep_slots=10,
    optimum_episodes=6,
    sweep_optimum_episodes=4,
    device_counts=(5, TRAINED_DEVICES, 20),
    deadlines_s=(2.0, 2.5, 3.0),
    accuracies=(0.3, 0.4, 0.5, 0.6, 0.7),
)
"""Within 40 minutes on two cores."""

FULL = Plan(
    name='full',
    steps=100_000,
    minutes=None,
    seeds=10,
    sweep_seeds=10,
    episodes=100,
    slots=100,
    sweep_slots=100,
    optimum_episodes=20,
    sweep_optimum_episodes=20,
    device_counts=(5, TRAINED_DEVICES, 15, 20, 25),
    deadlines_s=(2.0, 2.2, 2.4, 2.6, 2.8, 3.0),
    accuracies=(0.3, 0.4, 0.5, 0.6, 0.7),
)
"""As much as one would publish: days on a workstation."""

PLANS = {plan.name: plan for plan in (QUICK, FULL)}
