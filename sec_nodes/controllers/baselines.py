"""Rules that every other controller has to beat."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.base import Controller, decision, own_cut, register
from sec_nodes.controllers.placement import towards_devices
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    SlotDecision,
    SlotState,
)


def best_admissible(score: FloatArray, admissible: BoolArray) -> IntArray:
    """(K,) the admissible server with the highest score, else the device, else `DECLINED`.

    Args:
        score: (K, S) how good each server is.
        admissible: (K, S + 1) as `Offloading.admissible` gives it.
    """
    remote, own = admissible[:, :-1], admissible[:, -1]
    otherwise = np.where(own, LOCAL, DECLINED)
    if not remote.shape[1]:
        return otherwise
    best = np.argmax(np.where(remote, score, -np.inf), axis=1)
    return np.where(remote.any(axis=1), best, otherwise)


@register
class LocalOnly(Controller):
    """Devices answer by themselves; what needs a better model than theirs is declined."""

    name = 'local_only'
    computes_on_devices = True

    def decide(self, state: SlotState) -> SlotDecision:
        """Keep every task on its device."""
        own = self.scenario.admissible(state)[:, -1]
        return decision(state, np.where(own, LOCAL, DECLINED), uav_goal_m=towards_devices(state))


@register
class OffloadAll(Controller):
    """Raw pictures go to the admissible server with the fastest uplink, at full power."""

    name = 'offload_all'

    def decide(self, state: SlotState) -> SlotDecision:
        """Send every picture away."""
        rate_bit_s = state.links.rate_bit_s[state.tasks.device]
        return _full_offload(self, state, rate_bit_s)


@register
class NearestUav(Controller):
    """Raw pictures go to the nearest admissible UAV, else to the nearest admissible satellite."""

    name = 'nearest_uav'

    def decide(self, state: SlotState) -> SlotDecision:
        """Prefer closeness; satellites come after every UAV because they are farther away."""
        offset_m = (
            state.devices.position_m[state.tasks.device][:, None] - state.servers.position_m[None]
        )
        return _full_offload(self, state, -np.linalg.norm(offset_m, axis=2))


@register
class Random(Controller):
    """Server, cut and power are drawn uniformly from what is admissible."""

    name = 'random'

    def decide(self, state: SlotState) -> SlotDecision:
        """Draw, with a generator of its own for each slot."""
        rng = np.random.default_rng([self.seed, state.slot])
        admissible = self.scenario.admissible(state)
        draw = np.where(admissible, rng.random(admissible.shape), -1.0)
        choice = np.argmax(draw, axis=1)
        server = np.where(choice == state.n_servers, LOCAL, choice)
        server = np.where(admissible.any(axis=1), server, DECLINED)
        remote_cuts = np.where(
            server >= 0, state.models.n_cuts[state.executing_model(server)] - 1, own_cut(state)
        )
        low_w, high_w = self.scenario.transmit_power_w
        return decision(
            state,
            server,
            split=(rng.random(state.n_tasks) * remote_cuts).astype(np.int64),
            power_w=rng.uniform(low_w, high_w, state.n_tasks),
            uav_goal_m=towards_devices(state),
        )


def _full_offload(controller: Controller, state: SlotState, score: FloatArray) -> SlotDecision:
    """Raw pictures at full power to the highest score; the next one is the backup."""
    admissible = controller.scenario.admissible(state)
    server = best_admissible(score, admissible)
    others = admissible.copy()
    taken = server >= 0
    others[taken, server[taken]] = False
    backup = best_admissible(score, others)
    return decision(
        state,
        server,
        power_w=np.full(state.n_tasks, controller.scenario.transmit_power_w[1]),
        backup=np.maximum(backup, LOCAL),
        uav_goal_m=towards_devices(state),
    )
