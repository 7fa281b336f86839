"""Greedy enumeration: the cheapest server, cut and power for one task after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.controllers.base import Controller, decision, own_cut, register
from sec_nodes.controllers.placement import towards_devices
from sec_nodes.slot import DECLINED, LOCAL, SlotDecision, SlotState

POWER_STEPS = 4


@register
class Greedy(Controller):
    """Enumerates server, cut and power for each task and takes the cheapest that is in time.

    Tasks are served in the order of their deadlines. Each sees the queues and the interference
    that the tasks before it have caused. A task that nothing can answer in time takes the
    fastest way; one that nothing may answer is declined.
    """

    name = 'greedy'

    def decide(self, state: SlotState) -> SlotDecision:
        """Decide task by task."""
        low_w, high_w = self.scenario.transmit_power_w
        powers_w = np.geomspace(max(low_w, 1e-3 * high_w), high_w, POWER_STEPS)
        residual = self.scenario.residual_interference
        n_tasks = state.n_tasks
        server = np.full(n_tasks, DECLINED, dtype=np.int64)
        backup = np.full(n_tasks, LOCAL, dtype=np.int64)
        split, power_w = own_cut(state), np.zeros(n_tasks)
        noise_w, backlog_s = state.links.noise_w.copy(), state.servers.backlog_s.copy()

        for task in np.argsort(state.tasks.deadline_s, kind='stable'):
            seen = replace(
                state.only(np.array([task])),
                links=replace(state.links, noise_w=noise_w),
                servers=replace(state.servers, backlog_s=backlog_s),
            )
            options = self.scenario.options(seen, powers_w)
            ranking = np.where(options.punctual, options.cost, np.inf)[0]
            if not options.punctual.any():
                ranking = np.where(options.feasible, options.latency_s, np.inf)[0]
            best = np.unravel_index(np.argmin(ranking), ranking.shape)
            if not np.isfinite(ranking[best]):
                continue
            choice, cut, power = (int(index) for index in best)
            runners_up = ranking.min(axis=(1, 2))
            runners_up[choice] = np.inf
            second = int(np.argmin(runners_up))
            if np.isfinite(runners_up[second]) and second < state.n_servers:
                backup[task] = second
            if choice == state.n_servers:
                server[task] = LOCAL
                continue
            server[task], split[task], power_w[task] = choice, cut, powers_w[power]
            place = int(seen.executing_model(np.array([choice]))[0]), cut
            work = state.models.start_flop[place]
            work = work + state.models.back_flop[place] * state.tasks.steps[task]
            # the answer leaves at latency minus its way back; the queue is busy until then
            way_back_s = state.links.delay_s[state.tasks.device[task], choice]
            backlog_s[choice] = max(
                backlog_s[choice] + work / state.servers.flop_s[choice],
                options.latency_s[0, choice, cut, power] - way_back_s,
            )
            heard = state.links.receiver == state.links.receiver[choice]
            gain = state.links.gain[state.tasks.device[task]]
            noise_w[heard] += residual * gain[heard] * powers_w[power]
        return decision(
            state,
            server,
            split=split,
            power_w=power_w,
            backup=backup,
            uav_goal_m=towards_devices(state),
        )
