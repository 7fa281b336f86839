"""Without choices PPO and DDPG are ordinary ones: they learn what stable-baselines3's learn."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('stable_baselines3')

import numpy as np  # noqa: E402
from parity import assert_match, their_scores  # noqa: E402
from stable_baselines3 import DDPG, PPO  # noqa: E402
from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402
from toys import Regulator, score, train  # noqa: E402

from sec_nodes.learning.registry import learner_class  # noqa: E402

SEEDS = (0, 1, 2)
WIDTHS, RATE, WARM_UP, GAMMA = (64, 64), 1e-3, 300, 0.95


def regulator() -> Regulator:
    return Regulator(copies=1)


def our_scores(name: str, steps: int, **settings: object) -> list[float]:
    kind, scores = learner_class(name), []
    for seed in SEEDS:
        torch.manual_seed(seed)
        hyper = kind.Hyper(hidden=WIDTHS, warm_up=WARM_UP, gamma=GAMMA, **settings)
        learner = train(kind(regulator(), hyper), steps, seed)
        scores.append(score(regulator(), learner.best))
    return scores


@pytest.mark.slow
@pytest.mark.parametrize('name', ['ppo', 'hybrid_ppo'])
def test_without_choices_it_is_ppo(name):
    rollout, epochs, batch, steps = 256, 10, 64, 10_240
    theirs = their_scores(
        PPO,
        regulator,
        steps,
        SEEDS,
        policy_kwargs={'net_arch': list(WIDTHS), 'activation_fn': torch.nn.ReLU},
        learning_rate=RATE,
        n_steps=rollout,
        batch_size=batch,
        n_epochs=epochs,
        gamma=GAMMA,
    )
    ours = our_scores(
        name,
        steps + WARM_UP,
        learning_rate=RATE,
        rollout=rollout,
        batch=batch,
        epochs=epochs,
        std=1.0,
        largest_kl=100.0,
    )
    assert_match(ours, theirs, regulator(), share=0.05)


@pytest.mark.slow
def test_without_choices_it_is_ddpg():
    steps = 1500
    theirs = their_scores(
        DDPG,
        regulator,
        steps,
        SEEDS,
        policy_kwargs={'net_arch': list(WIDTHS)},
        learning_rate=RATE,
        learning_starts=WARM_UP,
        buffer_size=10_000,
        batch_size=64,
        gamma=GAMMA,
        tau=0.01,
        action_noise=NormalActionNoise(np.zeros(1), 0.1 * np.ones(1)),
    )
    ours = our_scores('ddpg', steps, actor_rate=RATE, critic_rate=RATE, buffer=10_000, noise=0.1)
    assert_match(ours, theirs, regulator(), share=0.05)
