"""The robust scenario behind gymnasium's interfaces.

An action is a vector in [-1, 1] for I users and J UAVs, block after block:

================ ======== =====================================================================
block            length   meaning
================ ======== =====================================================================
`split`          I        u: phi = 1 + min(L - 1, floor((u + 1) / 2 L)) for a network of L
                          layers; with `users.local_only`, L + 1 takes the place of L
`association`    I J      user by user: the task goes to the living UAV with the largest number,
                          the lowest index if several have it
`migration`      I J      user by user: the same among the other living UAVs if that one fails
`acceleration`   3 J      UAV by UAV: east, north and up, times a_max, shortened to a_max
================ ======== =====================================================================

An observation is (29) with what it lacks: which UAVs live, which network each user runs, and
where users are; rates are those at p_max, for those at the power of the same slot would depend on
the action.

================ ======== ===================================================== ===============
block            length   meaning                                               scale
================ ======== ===================================================== ===============
`network`        I N      user by user: 1 for the network it runs, else 0       1
`rate`           I J      user by user: r_ij at p_max, 0 for failed UAVs        20 bit/s/Hz
`backhaul`       J(J-1)/2 pair by pair, j < k: r_jk, 0 if either has failed     20 bit/s/Hz
`user`           2 I      east and north of each user                           the area
`uav`            3 J      east, north and up of each UAV                        area, H_max
`velocity`       3 J      the same of its velocity                              v_max
`alive`          J        1 for a UAV that lives, else 0                        1
================ ======== ===================================================== ===============

The reward is (31), -e_tot P_dis P_time P_0. `info` holds

================ ========= ====================================================================
key              shape     meaning
================ ========= ====================================================================
`action_mask`    (B, I, J) UAVs that may be chosen next
`split_mask`     (B, I, C) splits that may be chosen next, phi in column phi - 1
`task_reward`    (B, I)    each user's share of the reward; they add up to it: the weighted energy
                           of its task and an even share of the flights, times the penalties
`cost`           (B,)      e_tot, (27)
`flight_j`       (B,)      propulsion, unweighted
`penalty`        (B,)      P_dis P_time P_0
`violations`     (B,)      broken constraints, deadlines not counted
flags            (B, I)    `completed`, `migrated`, `lost`, `rejected`
================ ========= ====================================================================

`reset` gives the masks only; the environment of one copy leaves out the axis B.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sec_nodes.environments.base import (
    Info,
    ScenarioEnv,
    ScenarioVectorEnv,
    mode_settings,
    require_unit_range,
)
from sec_nodes.scenarios.robust import Robust, vector
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import RobustDecision, RobustOutcome, RobustState
from sec_nodes.scenarios.robust.vector import RATE_LIMIT
from sec_nodes.slot import FloatArray

FLAGS = ('completed', 'migrated', 'lost', 'rejected')
"""Flags of an outcome that `info` holds."""

_ROUNDING = 1e-6


class RobustVectorEnv(ScenarioVectorEnv[RobustState, RobustDecision, RobustOutcome]):
    """Many copies of robust in float32.

    Args:
        num_envs: number of copies B.
        mode: one of the modes in config/scenarios/robust.yaml; None for the file as it stands.
        overrides: settings that replace those of the mode, by dotted key.
    """

    scenario: Robust

    def __init__(
        self,
        num_envs: int = 1,
        mode: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        settings = mode_settings('robust', mode, overrides, RobustSettings)
        scenario = Robust(settings, dtype=np.float32)
        self.action_blocks = vector.action_blocks(settings)
        """Where each block of an action lies."""
        self.blocks = vector.observation_blocks(settings)
        """Where each block of an observation lies."""
        length = self.action_blocks['acceleration'].stop
        action_space = spaces.Box(-1.0, 1.0, (length,), dtype=np.float32)
        super().__init__(scenario, num_envs, self._space(), action_space)
        share = settings.objective.flight_weight / settings.users.count
        self._share = np.float32(share)

    def observe(self, state: RobustState) -> FloatArray:
        """Observations (B, n), see above."""
        return vector.observe(self.scenario, state)

    def decode(self, state: RobustState, action: Any) -> RobustDecision:
        """The decision that an action means.

        Raises:
            ValueError: an action of wrong shape, outside [-1, 1] or with NaN.
        """
        given = np.asarray(action, dtype=np.float32)
        expected = (len(state.seed), *(self.single_action_space.shape or ()))
        if given.shape != expected:
            raise ValueError(f'action has shape {given.shape}, but must have {expected}')
        require_unit_range('action', given)
        return vector.decode(self.scenario, state, given)

    def reward(self, state: RobustState, outcome: RobustOutcome) -> FloatArray:
        """(31), (B,)."""
        return outcome.reward

    def describe(self, state: RobustState) -> Info:
        """Masks of the next decision."""
        return {
            'action_mask': np.repeat(state.alive[:, None], state.network.shape[1], axis=1),
            'split_mask': self.scenario.allowed_splits(state),
        }

    def report(self, state: RobustState, outcome: RobustOutcome) -> Info:
        """Rewards by user, cost and flags of the slot that is over."""
        flight_j = outcome.flight_j.sum(axis=1)
        share_j = outcome.task_j + (flight_j * self._share)[:, None]
        summary = self.scenario.summarise(state, outcome)
        info: Info = {
            'task_reward': -share_j * outcome.penalty[:, None],
            'cost': outcome.e_tot_j,
            'flight_j': flight_j,
            'penalty': outcome.penalty,
            'violations': summary.violations,
        }
        for name in FLAGS:
            info[name] = getattr(outcome, name)
        return info

    def _space(self) -> spaces.Box:
        """What an observation of one copy lies in."""
        low = np.zeros(self.blocks['alive'].stop, dtype=np.float32)
        high = np.ones_like(low)
        low[self.blocks['velocity']] = -1
        high[self.blocks['rate']] = high[self.blocks['backhaul']] = RATE_LIMIT
        # Speeds and positions may pass their limits by rounding.
        slack = np.float32(1 + _ROUNDING)
        return spaces.Box(low * slack, high * slack, dtype=np.float32)


class RobustEnv(ScenarioEnv):
    """One copy of robust: a batch of one.

    Args:
        mode: as for `RobustVectorEnv`.
        overrides: as for `RobustVectorEnv`.
    """

    def __init__(
        self, mode: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(RobustVectorEnv(1, mode, overrides))
