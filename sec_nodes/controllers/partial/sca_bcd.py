"""SCA-BCD with many starts: the controller of scenario partial that flies."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.batch import register_batch
from sec_nodes.controllers.partial.baselines import PartialController
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.controllers.partial.search import Found, find
from sec_nodes.scenarios.partial import PartialDecision, PartialState


@register_batch
class ScaBcd(PartialController):
    """The paths of SCA-BCD below a multi-start search for the association; see `partial.search`.

    Copies of the same instance are planned once. Tasks that provably no UAV can finish, and those
    that the search cannot fit in, are not served.
    """

    name = 'sca_bcd'

    def decide(self, state: PartialState) -> PartialDecision:
        """Plan each copy."""
        found: dict[bytes, Found] = {}
        keys = []
        for copy in range(state.n_copies):
            one = state.only(slice(copy, copy + 1))
            parts = (value for name, value in vars(one).items() if name != 'seed')
            keys.append(b''.join(part.tobytes() for part in parts))
            if keys[-1] not in found:
                found[keys[-1]] = find(self.scenario, one, self.seed)
        plans = [found[key] for key in keys]
        return closed_form_plan(
            self.scenario,
            state,
            waypoint_m=np.stack([plan.path_m for plan in plans]),
            server=np.stack([plan.server for plan in plans]),
            split=np.stack([plan.split for plan in plans]),
        )
