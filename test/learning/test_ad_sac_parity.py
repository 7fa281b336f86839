"""AD-SAC without choices is SAC: it learns what stable-baselines3's SAC learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('stable_baselines3')

from parity import assert_match, their_scores  # noqa: E402
from stable_baselines3 import SAC  # noqa: E402
from toys import Regulator, score, train  # noqa: E402

from sec_nodes.learning.algorithms.ad_sac import AdSac, AdSacHyper  # noqa: E402

STEPS, SEEDS = 1500, (0, 1, 2)
WIDTHS, RATE, WARM_UP = (64, 64), 1e-3, 300


def regulator() -> Regulator:
    return Regulator(copies=1)


def our_score(seed: int) -> float:
    hyper = AdSacHyper(
        hidden=WIDTHS,
        actor_rate=RATE,
        critic_rate=RATE,
        alpha_rate=RATE,
        warm_up=WARM_UP,
        buffer=10_000,
        gamma=0.95,
        tau=0.01,
        merge={'every': 0},
    )
    torch.manual_seed(seed)
    learner = AdSac(regulator(), hyper)
    train(learner, STEPS, seed)
    return score(regulator(), learner.best)


@pytest.mark.slow
def test_without_choices_it_is_sac():
    theirs = their_scores(
        SAC,
        regulator,
        STEPS,
        SEEDS,
        policy_kwargs={'net_arch': list(WIDTHS)},
        learning_rate=RATE,
        learning_starts=WARM_UP,
        buffer_size=10_000,
        batch_size=64,
        gamma=0.95,
        tau=0.01,
        ent_coef='auto_0.1',
    )
    ours = [our_score(seed) for seed in SEEDS]
    assert_match(ours, theirs, regulator(), share=0.05)
