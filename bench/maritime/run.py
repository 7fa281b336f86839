"""What the controllers of maritime cost, and how far from optimal they are.

    OMP_NUM_THREADS=1 python bench/maritime/run.py [--quick] [--only PART]

speed    ten slots of ten UAVs, one experiment, by every controller in the same process
batch    the same by jcorm, 1 to 256 experiments at once
growth   one slot of 10 to 10,000 UAVs
gaps     utility below the certified bound, of jcorm and of the alternation that the paper prints

All controllers decide the same slots, those to which jcorm leads, so that speeds compare.  A
controller is made anew for each run: that cvxpy compiles its problem once is part of the time.
Times are of the CPU, not of the wall, the least of several runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from sec_nodes.controllers.batch import create_batch
from sec_nodes.scenarios.maritime import Maritime, MaritimeState
from sec_nodes.scenarios.registry import read_settings

REGIMES = {
    'base (link)': ('maritime', {}),
    'half_storage (mixed)': ('maritime:half_storage', {}),
    'storage_limited': ('maritime:storage_limited', {}),
    'cpu_scarce': ('maritime:cpu_scarce', {}),
    'large_tasks': ('maritime:large_tasks', {}),
    'large_lambda (10)': ('maritime:large_lambda', {}),
    'lambda 100': ('maritime', {'energy_weight_mbit_j': 100.0}),
    'lambda 300, uploads do not pay': ('maritime', {'energy_weight_mbit_j': 300.0}),
}
COMPARED = (
    'base (link)',
    'half_storage (mixed)',
    'storage_limited',
    'cpu_scarce',
    'large_lambda (10)',
)
AGAINST = ('sca', 'genetic', 'jcorm_literal', 'half_slot', 'no_offloading')
SLOW = ('sca', 'genetic')
BATCHES = (1, 4, 16, 64, 256)
FLEETS = (10, 100, 1000, 10_000)
GAPS_OF = ('jcorm', 'jcorm_literal', 'jcorm_literal_half')


def world(regime: str) -> Maritime:
    """The scenario of a regime."""
    name, overrides = REGIMES[regime]
    return Maritime(read_settings(name, overrides))


def slots_of(scenario: Maritime, copies: int) -> list[MaritimeState]:
    """The slots of an experiment that jcorm plays."""
    controller = create_batch('jcorm', scenario)
    states = [scenario.reset(np.arange(copies))]
    while len(states) < scenario.horizon:
        states.append(scenario.step(states[-1], controller.decide(states[-1]))[0])
    return states


def least_cpu_s(call: Callable[[], object], runs: int) -> float:
    """The least CPU time of a call [s]."""
    taken_s = []
    for _ in range(runs):
        began_s = time.process_time()
        call()
        taken_s.append(time.process_time() - began_s)
    return min(taken_s)


def experiment_s(name: str, scenario: Maritime, states: list[MaritimeState], runs: int) -> float:
    """CPU time of a controller, made anew, for all slots [s]."""

    def play() -> None:
        controller = create_batch(name, scenario)
        for state in states:
            controller.decide(state)

    return least_cpu_s(play, runs)


def speed(quick: bool) -> Table:
    """One experiment by every controller, and how many times as long as jcorm it takes.

    Genetic search takes the same time in every regime and is run in one.
    """
    table = Table('ten slots, 10 UAVs, one experiment', 'jcorm [ms]', *AGAINST)
    for regime in COMPARED:
        scenario = world(regime)
        states = slots_of(scenario, 1)
        experiment_s('sca', scenario, states[:1], 1)  # imports
        jcorm_s = experiment_s('jcorm', scenario, states, 5 if quick else 20)
        cells = []
        for name in AGAINST:
            if name == 'genetic' and (quick or regime != COMPARED[0]):
                cells.append('')
                continue
            taken_s = experiment_s(name, scenario, states, 1 if name in SLOW else 5)
            cells.append(f'{1e3 * taken_s:,.0f} ms, {taken_s / jcorm_s:,.3g} x')
        table.add_row(regime, f'{1e3 * jcorm_s:.1f}', *cells)
    return table


def batch(quick: bool) -> Table:
    """CPU time of jcorm for one of several experiments that are decided at once."""
    sizes = BATCHES[::2] if quick else BATCHES
    table = Table('ten slots, 10 UAVs: ms an experiment', *(f'{size} at once' for size in sizes))
    for regime in REGIMES:
        scenario, cells = world(regime), []
        for size in sizes:
            states = slots_of(scenario, size)
            taken_s = experiment_s('jcorm', scenario, states, 3 if size > 16 else 10)
            cells.append(f'{1e3 * taken_s / size:.2f}')
        table.add_row(regime, *cells)
    return table


def growth(quick: bool) -> Table:
    """CPU time of jcorm for one slot of fleets of several sizes."""
    table = Table('one slot', *(f'{size:,} UAVs' for size in FLEETS))
    for regime in COMPARED[: 3 if quick else None]:
        name, overrides = REGIMES[regime]
        cells = []
        for size in FLEETS:
            scenario = Maritime(read_settings(name, {**overrides, 'uavs.count': size}))
            controller, state = create_batch('jcorm', scenario), scenario.reset(np.array([0]))
            taken_s = least_cpu_s(lambda c=controller, s=state: c.decide(s), 5)
            cells.append(f'{1e3 * taken_s:.1f} ms')
        table.add_row(regime, *cells)
    return table


def gaps(quick: bool) -> Table:
    """Mean and largest part of the certified bound that is missing, slot by slot.

    A slot counts if the controller has all batches in time and no upload begins before; how many
    do not is said beside.  The bound is proved for slots in which that is possible.
    """
    table = Table('missing to the certified bound: mean, largest [%]', *GAPS_OF)
    for regime in REGIMES:
        scenario = world(regime)
        states = slots_of(scenario, 2 if quick else 8)
        policies = {name: create_batch(name, scenario) for name in GAPS_OF}
        missing: dict[str, list[float]] = {name: [] for name in GAPS_OF}
        possible = 0
        for state in states:
            bound_mbit = -policies['jcorm'].bound(state)
            outcomes = {n: scenario.evaluate(state, p.decide(state)) for n, p in policies.items()}
            can_be_kept = ~outcomes['jcorm'].late.any(axis=-1)
            possible += int(can_be_kept.sum())
            for name, outcome in outcomes.items():
                sound = can_be_kept & ~outcome.violations['f'].any(axis=-1)
                gap = (bound_mbit - outcome.utility_mbit) / np.abs(bound_mbit)
                missing[name] += gap[sound].tolist()
        table.add_row(regime, *(_missing(parts, possible) for parts in missing.values()))
    return table


def _missing(parts: list[float], slots: int) -> str:
    """Mean and largest in percent, and how many slots they are of."""
    of = f'{len(parts)} of {slots} slots'
    return f'{100 * np.mean(parts):.2g}, {100 * np.max(parts):.2g}; {of}' if parts else of


PARTS = {'speed': speed, 'batch': batch, 'growth': growth, 'gaps': gaps}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='fewer seeds and runs, no genetic')
    parser.add_argument('--only', choices=list(PARTS), help='one part instead of all')
    args = parser.parse_args()
    console = Console(width=160)
    for name, part in PARTS.items():
        if args.only in (None, name):
            console.print(part(args.quick))


if __name__ == '__main__':
    main()
