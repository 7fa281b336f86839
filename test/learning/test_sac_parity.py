"""SAC learns what stable-baselines3's SAC learns, with priorities and without, and so does AD-SAC,
which is SAC where there are no choices."""

from __future__ import annotations

import pytest

pytest.importorskip('torch')
pytest.importorskip('stable_baselines3')

from parity import (
    BUFFER,
    RATE,
    assert_match,
    our_scores,
    their_off_policy_scores,
)
from stable_baselines3 import SAC

STEPS = 1500


@pytest.fixture(scope='module')
def theirs():
    return their_off_policy_scores(SAC, STEPS, ent_coef='auto_0.1')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'settings'),
    [('sac', {'batch': 64}), ('sac_per', {'batch': 64}), ('ad_sac_flat', {'merge': {'every': 0}})],
)
def test_both_learn_as_well_as_theirs(name, settings, theirs):
    rates = dict.fromkeys(('actor_rate', 'critic_rate', 'alpha_rate'), RATE)
    ours = our_scores(name, STEPS, buffer=BUFFER, tau=0.01, **rates, **settings)
    assert_match(ours, theirs)
