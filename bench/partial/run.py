"""What the controllers of partial cost, and how far from the lower bound they end.

    OMP_NUM_THREADS=1 python bench/partial/run.py [--quick] [--only PART]

frozen   the frozen instance in its modes, by SCA-BCD and by the reference in the same process
step     a step of the path of each UAV: assembled for Clarabel, and compiled anew by cvxpy
growth   drawn instances of more UAVs, terminals and segments
seeds    drawn instances: solved, proven infeasible, or neither

Drawn instances for `growth` are of mode tight, six terminals for each UAV in the same area, with a
mission of 70 s in more and shorter segments: what one UAV has to do stays the same.  Times are of
the CPU, not of the wall; the machine's other work still shows in them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from cvxpy_step import cvxpy_step
from rich.console import Console
from rich.table import Table

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.partial.algorithm_one import AlgorithmOne
from sec_nodes.controllers.partial.flight import Flight, sortie_of
from sec_nodes.controllers.partial.trajectory import REACH_M, Trajectory
from sec_nodes.scenarios.partial import Partial, PartialState
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.certificates import verdict
from sec_nodes.scenarios.registry import read_settings

MODES = 'partial', 'partial:free_split', 'partial:agile'
COMPARED = 'sca_bcd', 'sca_bcd_single', 'descent'
KEEPS_CUTS = ('descent',)
SIZES = (3, 18, 50), (3, 18, 100), (3, 18, 200), (6, 36, 50), (16, 96, 50), (16, 96, 200)
SEEDS = 100


def cpu_s(call: Callable[[], object], runs: int) -> float:
    """The least CPU time of a call [s]."""
    taken_s = []
    for _ in range(runs):
        began_s = time.process_time()
        call()
        taken_s.append(time.process_time() - began_s)
    return min(taken_s)


def planned(name: str, scenario: Partial, state: PartialState) -> tuple[float, float, int, float]:
    """Cost (12) [J], its part above the bound, tasks missed, and CPU time [s] of a controller."""
    controller = create_batch(name, scenario)
    began_s = time.process_time()
    plan = controller.decide(state)
    taken_s = time.process_time() - began_s
    outcome = scenario.evaluate(state, plan)
    cost_j = float(outcome.objective_j[0])
    gap = cost_j / float(lower_bound_j(scenario.settings, state)[0]) - 1.0
    return cost_j, gap, int((~outcome.met).sum()), taken_s


def cell(cost_j: float, gap: float, missed: int, taken_s: float) -> str:
    """One result."""
    late = f', {missed} missed' if missed else ''
    return f'{cost_j:.1f} J, {100 * gap:.2f} %, {taken_s:.2f} s{late}'


def frozen(quick: bool) -> Table:
    """Cost, gap to the lower bound and CPU time on the frozen instance."""
    table = Table('frozen instance', *COMPARED)
    for mode in MODES:
        scenario = Partial(read_settings(mode))
        state = scenario.reset(np.arange(1))
        planned('sca_bcd_single', scenario, state)  # imports, tables of curvatures
        cells = [
            ''
            if name in KEEPS_CUTS and (quick or scenario.settings.tasks.split == 'free')
            else cell(*planned(name, scenario, state))
            for name in COMPARED
        ]
        table.add_row(mode, *cells)
    return table


def step(quick: bool) -> Table:
    """CPU time of a step of each path, from the ends of Algorithm 1's phase 0 and its cost."""
    table = Table('one step', 'terminals', 'assembled', 'cvxpy', 'ratio', 'cost after both [J]')
    scenario = Partial(read_settings('partial'))
    state = scenario.reset(np.arange(1))
    plan = AlgorithmOne(scenario, state).run().plan
    for uav in range(scenario.settings.uavs.count):
        member = plan.server[0] == uav
        sortie = sortie_of(scenario, state, uav, member)
        trajectory, path_m = Trajectory(scenario.settings, sortie), plan.waypoint_m[0, uav]
        flight = Flight(scenario.settings, sortie)
        trajectory.step(path_m)
        runs = 2 if quick else 5
        direct_s = cpu_s(lambda t=trajectory, p=path_m: t.step(p), 2 * runs)
        recompiled_s = cpu_s(
            lambda s=sortie, p=path_m: cvxpy_step(scenario.settings, s, p, REACH_M), runs
        )
        ours = trajectory.step(path_m)
        ours_j = flight.judge(path_m if ours is None else ours.path_m).cost_j
        theirs_j = flight.judge(cvxpy_step(scenario.settings, sortie, path_m, REACH_M)).cost_j
        table.add_row(
            f'UAV {uav}',
            str(int(member.sum())),
            f'{1e3 * direct_s:.1f} ms',
            f'{1e3 * recompiled_s:.0f} ms',
            f'{recompiled_s / direct_s:.0f} x',
            f'{ours_j:.1f}, {theirs_j:.1f}',
        )
    return table


def growth(quick: bool) -> Table:
    """Cost, gap and CPU time with more UAVs, terminals and segments."""
    table = Table('UAVs', 'terminals', 'segments', 'sca_bcd', 'sca_bcd_single')
    for uavs, terminals, slots in SIZES[: 4 if quick else None]:
        overrides = {
            'uavs.count': uavs,
            'tasks.count': terminals,
            'slots': slots,
            'slot_s': 70.0 / slots,
        }
        scenario = Partial(read_settings('partial:tight', overrides))
        state = scenario.reset(np.arange(1))
        cells = [cell(*planned(name, scenario, state)) for name in COMPARED[:2]]
        table.add_row(str(uavs), str(terminals), str(slots), *cells)
    return table


def seeds(quick: bool) -> Table:
    """How many drawn instances are solved, and how many of the others are proven infeasible."""
    table = Table(
        'instances',
        'solved',
        'infeasible',
        'not found',
        'gap: median, largest',
        'CPU: median, most',
    )
    for mode in ('partial:random', 'partial:tight'):
        scenario = Partial(read_settings(mode))
        count = Counter({'solved': 0, 'infeasible': 0, 'not found': 0})
        gaps, taken_s = [], []
        for seed in range(10 if quick else SEEDS):
            state = scenario.reset(np.array([seed]))
            began_s = time.process_time()
            plan = create_batch('sca_bcd', scenario).decide(state)
            taken_s.append(time.process_time() - began_s)
            status = verdict(scenario, state, plan).status
            count[status] += 1
            if status == 'solved':
                cost_j = float(scenario.evaluate(state, plan).objective_j[0])
                gaps.append(100 * (cost_j / lower_bound_j(scenario.settings, state)[0] - 1))
        table.add_row(
            f'{mode}, seeds 0 to {len(taken_s) - 1}',
            *(str(number) for number in count.values()),
            f'{np.median(gaps):.2f} %, {max(gaps):.2f} %',
            f'{np.median(taken_s):.1f} s, {max(taken_s):.1f} s',
        )
    return table


PARTS = {'frozen': frozen, 'step': step, 'growth': growth, 'seeds': seeds}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='fewer sizes, seeds and runs')
    parser.add_argument('--only', choices=list(PARTS), help='one part instead of all')
    args = parser.parse_args()
    console = Console(width=140)
    for name, part in PARTS.items():
        if args.only in (None, name):
            console.print(part(args.quick))


if __name__ == '__main__':
    main()
