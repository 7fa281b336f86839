"""Results into tables: lines for each quantity of each player, mission and UAV.

What relations there are: `mean`, over instances (the frozen one is a single one, without an
interval); `UAV 1`, of one UAV; `above ...` by how many percent it is above another player's, of
all instances or with `, UAV 1` of one UAV; `above first`, above the first place of a sweep;
`above base`, above the same player in mode `base`, or with given cuts; `task 3`, about one task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.experiments.partial.figures import (
    drawn,
    ends,
    free_cuts,
    frozen,
    lasting,
    weighted,
)
from sec_nodes.experiments.partial.lines import Lines
from sec_nodes.experiments.partial.measures import (
    hopeless,
    members,
    of_mission,
    of_uavs,
    rates_kbit_s,
    spent,
)
from sec_nodes.experiments.partial.missions import Census, Flown, Mission, MissionStore
from sec_nodes.experiments.partial.plans import (
    AGILE,
    BASE,
    BINARY,
    BL,
    FREE,
    OP,
    RANDOM,
    SINGLE,
    START,
    TIGHT,
    TSP,
    TSP_HOVER,
    Plan,
)
from sec_nodes.experiments.partial.published import TOTAL_J
from sec_nodes.experiments.rows import Exhibit, Row
from sec_nodes.experiments.statistics import mean_interval
from sec_nodes.scenarios.partial.bounds import (
    binary_certificate,
    least_power_w,
    partial_certificate,
)
from sec_nodes.scenarios.partial.instance import GIGAHERTZ, cut_tasks

ABOVE, ABOVE_FIRST, ABOVE_BASE = 'above ', 'above first', 'above base'
RIVALS = (BL, TSP, TSP_HOVER, SINGLE)
"""Whom OP is compared with."""
TERMINALS, DEPOT, FLOOR = 'terminals', 'depot', 'least propulsion'
"""Players that do not plan: where things are, and U T P(v*)."""
QUANTILES = np.linspace(0, 1, 21)
_SHOWN: dict[Exhibit, tuple[str, ...]] = {
    3: ('nearest_m', 'reach_m', 'missed', 'objective_j'),
    4: ('cpu_ghz', 'rate_kbit_s'),
    5: ('service_j', 'propulsion_j', 'objective_j', 'gap_percent', 'missed', 'broken'),
}
_ENDS = (('objective_j', 'gap_percent', 'missed', 'broken', 'cpu_s'), ('missed', 'failed_percent'))
"""Of who plans, and of where Algorithm 1 begins."""
_RATIOS = ('cpu_ghz', 'rate_kbit_s', 'service_j', 'propulsion_j', 'objective_j', 'energy_j')
"""Quantities of which percentages make sense."""


def rows(exhibit: Exhibit, plan: Plan, store: MissionStore) -> list[Row]:
    """The table of a figure."""
    makers = {3: _trajectories, 4: _resources, 5: _energies, 6: _offloading, 7: _weights}
    lines = Lines(exhibit)
    (makers[exhibit] if isinstance(exhibit, int) else _algorithm)(lines, plan, store)
    return lines.rows


def _trajectories(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Fig. 3: where everybody is, whom they serve, and what they break."""
    missions = [*frozen(), *frozen(AGILE, (OP,))]
    flights = {mission: store.flown(mission)[0] for mission in missions}
    _places(lines, flights[missions[-1]])
    for mission, flown in flights.items():
        player, mode = mission.player, mission.mode
        for uav, path_m in enumerate(flown.plan.waypoint_m[0]):
            for axis, name in enumerate(('east_m', 'north_m')):
                for place, value in enumerate(path_m[:, axis]):
                    lines.add(player, name, value, uav_name(uav), mode, place)
        for task, server in enumerate(flown.plan.server[0]):
            lines.add(player, 'server', server + 1, mode=mode, x=task)
        for late in np.flatnonzero(~flown.outcome.met[0]):
            lines.add(player, 'late', 1, mode=mode, x=int(late))
        for each in flown.broken:
            lines.add(player, f'broken {each.kind}', each.excess, each.where, mode)
        lines.missions(mission, [flown], _SHOWN[3])


def _places(lines: Lines, flown: Flown) -> None:
    state = flown.state
    work = cut_tasks(state, state.split).work_cycle[0] / GIGAHERTZ
    for axis, name in enumerate(('east_m', 'north_m')):
        lines.add(DEPOT, name, state.depot_m[0, axis])
        for task, place_m in enumerate(state.terminal_m[0]):
            lines.add(TERMINALS, name, place_m[axis], x=task)
    for task, gcycle in enumerate(work):
        lines.add(TERMINALS, 'work_gcycle', gcycle, x=task)


def _resources(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Fig. 4: distributions of f and of rates, for each UAV; x is the share that is not above."""
    for mission in frozen():
        flown = store.flown(mission)[0]
        cpu_ghz, rate = flown.plan.cpu_hz[0] / GIGAHERTZ, rates_kbit_s(flown)
        for uav, mine in enumerate(members(flown)):
            level = np.arange(1, mine.sum() + 1) / max(mine.sum(), 1)
            for share, value in zip(level, np.sort(cpu_ghz[mine]), strict=True):
                lines.add(mission.player, 'cpu_ghz_at', value, uav_name(uav), x=share)
            values = np.quantile(rate[mine], QUANTILES) if mine.any() else []
            for share, value in zip(QUANTILES, values, strict=False):
                lines.add(mission.player, 'rate_kbit_s_at', value, uav_name(uav), x=share)
    _everybody(lines, plan, store)


def _energies(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Fig. 5: energies of each UAV up to a time x, and in all."""
    for mission in frozen():
        player, until = mission.player, spent(store.flown(mission)[0])
        for uav in range(len(until.service_j)):
            for place, time_s in enumerate(until.time_s):
                service_j, excess_j = until.service_j[uav, place], until.excess_j[uav, place]
                lines.add(player, 'service_j_at', service_j, uav_name(uav), x=time_s)
                lines.add(player, 'excess_j_at', excess_j, uav_name(uav), x=time_s)
    (agile,) = frozen(AGILE, (OP,))
    limited, base = store.flown(agile), store.flown(Mission(OP))
    lines.missions(agile, limited, _SHOWN[5])
    lines.compared(
        OP, ABOVE_BASE, limited, base, ('service_j', 'propulsion_j', 'objective_j'), AGILE
    )
    _everybody(lines, plan, store)


def _everybody(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Everybody's totals on the frozen and on drawn instances, each UAV's, and differences."""
    quantities = _SHOWN[lines.figure]
    ratios = [name for name in quantities if name in _RATIOS]
    for missions in (frozen(), drawn(plan)):
        flights = {mission.player: store.flown(mission) for mission in missions}
        for mission in missions:
            lines.missions(mission, flights[mission.player], quantities)
        mode = missions[0].mode
        pairs = [(OP, rival) for rival in RIVALS]
        for player, rival in [*pairs, (TSP, BL), (TSP_HOVER, BL)]:
            lines.compared(
                player, f'{ABOVE}{rival}', flights[player], flights[rival], ratios, mode
            )
    _each_uav(lines, store, ratios)


def _each_uav(lines: Lines, store: MissionStore, quantities: Sequence[str]) -> None:
    flights = {mission.player: of_uavs(store.flown(mission)[0]) for mission in frozen()}
    for player, own in flights.items():
        for quantity in quantities:
            if quantity in own:
                for uav, value in enumerate(own[quantity]):
                    lines.add(player, quantity, value, uav_name(uav))
    for player, rival in [*((OP, rival) for rival in RIVALS), (TSP, BL), (TSP, OP)]:
        for quantity in quantities:
            if quantity in flights[player]:
                pair = zip(flights[player][quantity], flights[rival][quantity], strict=True)
                for uav, (ours, theirs) in enumerate(pair):
                    found = 100 * (ours / theirs - 1) if theirs else np.nan
                    lines.add(player, quantity, found, f'{ABOVE}{rival}, {uav_name(uav)}')


def _offloading(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Fig. 6: processors that are needed, total energy by the length of the mission, free cuts."""
    base = store.flown(Mission(OP))[0]
    settings, state = base.scenario.settings, base.state
    certificates = {
        BINARY: binary_certificate(settings, state),
        OP: partial_certificate(settings, state),
    }
    for player, certificate in certificates.items():
        lines.add(player, 'needed_ghz', float(certificate.needed_hz[0]) / GIGAHERTZ)
        lines.add(player, 'available_ghz', float(certificate.available_hz[0]) / GIGAHERTZ)
        lines.add(player, 'certified', certificate.infeasible[0])
    whole = Mission(BINARY)
    lines.missions(whole, store.flown(whole), ('missed',))
    for mode in (TIGHT, RANDOM):
        shares = store.shares(Census(mode, plan.certified))
        for player, name in ((BINARY, 'binary'), (OP, 'given')):
            percent = 100.0 * np.array([shares[name]], dtype=float)
            lines.add(player, 'certified_percent', mean_interval(percent), mode=mode,
                      episodes=plan.certified)  # fmt: skip
    for slots in plan.slots:
        flown = store.flown(lasting(slots))[0]
        shorter, lasts_s = flown.scenario.settings, flown.scenario.settings.mission_s
        total = of_mission(flown)
        lines.add(OP, 'energy_j', total['energy_j'], x=lasts_s, published=TOTAL_J)
        lines.add(OP, 'missed', total['missed'], x=lasts_s)
        lines.add(OP, 'hopeless', hopeless(flown), x=lasts_s)
        floor_j = shorter.uavs.count * lasts_s * least_power_w(shorter)
        lines.add(FLOOR, 'energy_j', floor_j, x=lasts_s)
    _cuts(lines, plan, store)


def _cuts(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Free cuts against given ones."""
    quantities = ('objective_j', 'service_j', 'propulsion_j')
    pairs = ((Mission(OP, FREE), Mission(OP)), (free_cuts(plan), drawn(plan, (OP,))[0]))
    for free, given in pairs:
        ours, theirs = store.flown(free), store.flown(given)
        mode = FREE if given.mode == BASE else f'{TIGHT}, {FREE}'
        lines.missions(given, theirs, (*quantities, 'missed'))
        lines.missions(free, ours, (*quantities, 'missed'), mode=mode)
        lines.compared(OP, ABOVE_BASE, ours, theirs, quantities, mode)


def _weights(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Fig. 7: service and propulsion energy by beta."""
    quantities = ('service_j', 'propulsion_j', 'missed')
    first = store.flown(weighted(plan.weights[0]))
    for weight in plan.weights:
        flown = store.flown(weighted(weight))
        lines.missions(weighted(weight), flown, quantities, x=weight)
        if weight != plan.weights[0]:
            lines.compared(OP, ABOVE_FIRST, flown, first, quantities[:2], BASE, weight)
    few, many = (store.flown(mission) for mission in ends(plan))
    for weight, flown in zip((plan.weights[0], plan.weights[-1]), (few, many), strict=True):
        lines.missions(Mission(OP, TIGHT, plan.episodes), flown, quantities, x=weight)
    lines.compared(OP, ABOVE_FIRST, many, few, quantities[:2], TIGHT, plan.weights[-1])


def _algorithm(lines: Lines, plan: Plan, store: MissionStore) -> None:
    """Algorithm 1: objectives by iteration, iterations, CPU times, gaps."""
    players = START, SINGLE, OP
    for missions in (frozen(players=players), drawn(plan, players)):
        flights = {mission.player: store.flown(mission) for mission in missions}
        for mission in missions:
            lines.missions(mission, flights[mission.player], _ENDS[mission.player == START])
        traces = [one.trace_j for one in flights[SINGLE]]
        mode, episodes = missions[0].mode, len(traces)
        steps = np.array([[len(trace) - 1 for trace in traces]], dtype=float)
        found = float(steps[0, 0]) if episodes == 1 else mean_interval(steps)
        lines.add(SINGLE, 'iterations', found, mode=mode, episodes=episodes)
        lines.add(SINGLE, 'most_iterations', steps.max(), mode=mode, episodes=episodes)
        rise = max(float(np.diff(trace).max(initial=-np.inf)) for trace in traces)
        lines.add(SINGLE, 'largest_step_j', rise, mode=mode, episodes=episodes)
        for step, objective_j in enumerate(traces[0] if mode == BASE else ()):
            lines.add(SINGLE, 'objective_j_at', objective_j, x=step)


def uav_name(uav: int) -> str:
    """As in the paper, from 1."""
    return f'UAV {uav + 1}'
