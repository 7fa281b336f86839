"""Near-optimal slots of the mllm scenario: what other controllers are measured against.

Where slots do not depend on each other (no queues, no speed limit) the best decision of each slot
is the best policy. It is found by local search over the partition of devices into groups at
receivers (`mllm_search`), with the powers of each group from a convex problem (`mllm_power`) and
UAVs placed inside the coverage of their groups (`mllm_placement`), from several starts.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.mllm.bound import lower_bound
from sec_nodes.controllers.mllm.groups import Groups
from sec_nodes.controllers.mllm.queued import QueuedGroups
from sec_nodes.controllers.mllm.search import NOWHERE, Search
from sec_nodes.controllers.mllm.starts import emptied, moved_uav, without_interference
from sec_nodes.controllers.mllm.tables import power_rules
from sec_nodes.physics.randomness import Stream, uniform
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmState
from sec_nodes.slot import FloatArray, IntArray

_RETURNS = 3
"""How often the search returns to the best partition and leaves it again."""
_WAYS = 4
"""In how many ways it leaves, even ones by `emptied` and odd ones by `moved_uav`."""


@register_batch
class Optimum(BatchController[Mllm, MllmState, MllmDecision]):
    """Minimises the penalised cost of each slot over servers, powers and UAV positions."""

    name = 'optimum'
    scenario_name = 'mllm'

    def __init__(self, scenario: Mllm, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        power_rules(settings)  # fails early where devices cannot be grouped
        self._coupled = settings.queue.enabled or settings.uavs.speed_m_s is not None

    def decide(self, state: MllmState) -> MllmDecision:
        """The best decision found; the same for a copy whatever others are in the batch."""
        groups = (QueuedGroups if self._coupled else Groups)(self.scenario, state)
        copies = np.arange(len(state.seed))
        best = np.full(state.size_bit.shape, NOWHERE)
        best_cost = np.full(len(copies), np.inf)
        starts = [best] if self._coupled else [best, without_interference(groups)]
        for number in range(_RETURNS + 1):
            search = Search(groups, np.concatenate(starts), np.tile(copies, len(starts)))
            search.descend()
            cost = search.total.reshape(len(starts), -1)
            winner, lowest = cost.argmin(axis=0), cost.min(axis=0)
            found = search.receiver.reshape(len(starts), *best.shape)[winner, copies]
            best = np.where((lowest < best_cost)[:, None], found, best)
            best_cost = np.minimum(best_cost, lowest)
            starts = [self._left(groups, state, best, number * _WAYS + i) for i in range(_WAYS)]
        return decision_of(groups, state, best)

    def bound(self, state: MllmState) -> FloatArray:
        """(B,) a penalised cost that no decision can beat, see `lower_bound`."""
        return lower_bound(self.scenario, state)

    def _left(self, groups: Groups, state: MllmState, receiver: IntArray, number: int) -> IntArray:
        """Partitions to descend from, near the best ones so far."""
        copies, n_devices = np.arange(len(receiver)), receiver.shape[1]
        draws = uniform(
            state.seed + self.seed, Stream.CONTROLLER, number, state.slot, 2 + n_devices
        )
        if number % 2 and not self._coupled:
            return moved_uav(groups, copies, receiver, draws)
        return emptied(receiver, draws)


def decision_of(groups: Groups, state: MllmState, receiver: IntArray) -> MllmDecision:
    """Powers, positions and executing servers for a partition (B, K).

    Raises:
        ControllerError: a device has no receiver.
    """
    missing = state.active & (receiver == NOWHERE)
    if missing.any():
        copy, device = np.argwhere(missing)[0]
        raise ControllerError(f'device {device} of copy {copy} has no receiver')
    n_copies, n_devices = receiver.shape
    copy, server = np.divmod(np.arange(n_copies * groups.n_servers), groups.n_servers)
    member = receiver[copy] == server[:, None]
    used = np.flatnonzero(member.any(axis=1))
    copy, server, member = copy[used], server[used], member[used]
    solved = groups.refine(copy, server, member)
    power_w = np.zeros((n_copies, n_devices))
    np.add.at(power_w, copy, solved.power_w)
    uav_m = state.uav_m.copy()
    on_uav = server < groups.n_uavs
    uav_m[copy[on_uav], server[on_uav]] = solved.uav_m[on_uav]
    place = np.where(receiver == NOWHERE, 0, receiver)[..., None]
    executor = np.take_along_axis(groups.offers.executor, place, axis=2)[..., 0]
    low, high = groups.settings.devices.power_w
    return MllmDecision(executor, np.clip(power_w, low, high), uav_m)
