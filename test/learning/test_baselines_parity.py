"""Without choices PPO and DDPG are ordinary ones: they learn what stable-baselines3's learn."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('stable_baselines3')

import numpy as np  # noqa: E402
from parity import (  # noqa: E402
    BUFFER,
    GAMMA,
    RATE,
    WARM_UP,
    WIDTHS,
    assert_match,
    our_scores,
    their_off_policy_scores,
    their_scores,
)
from stable_baselines3 import DDPG, PPO  # noqa: E402
from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize('name', ['ppo', 'hybrid_ppo'])
def test_without_choices_it_is_ppo(name):
    rollout, epochs, batch, steps = 256, 10, 64, 10_240
    theirs = their_scores(
        PPO,
        steps,
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
    assert_match(ours, theirs)


@pytest.mark.slow
def test_without_choices_it_is_ddpg():
    steps = 1500
    noise = NormalActionNoise(np.zeros(1), 0.1 * np.ones(1))
    theirs = their_off_policy_scores(DDPG, steps, action_noise=noise)
    ours = our_scores('ddpg', steps, actor_rate=RATE, critic_rate=RATE, buffer=BUFFER, noise=0.1)
    assert_match(ours, theirs)
