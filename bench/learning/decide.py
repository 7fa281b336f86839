"""How long a trained policy takes for a slot, without torch.

    OMP_NUM_THREADS=1 python bench/learning/decide.py [POLICY.npz ...]

First the networks alone, for one observation, two of 3 x 256 as AD-SAC has them. Then all that a
controller does in a slot: observation, forward pass, mask and decision, for the vectorised
scenario (one copy) and for the SlotState of a ROS node. Weights are random unless files are named;
a policy for any fleet is asked about 10 and about 1,000 devices, others about their own number.
Times are of the CPU, not of the wall.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from sec_nodes.controllers.base import create
from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.learned import FlatPolicy, read_policy
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.view import MllmView

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'test' / 'stand_in'))
from random_policies import mllm_policy

FLEETS = (10, 1000)
WIDTHS = ((256, 256, 256), (256, 256, 256))
STATES = 20
TARGET_US, TARGETS_MS = 50.0, {10: 5.0, 1000: 50.0}


def quantiles_s(call: Callable[[], object], least_s: float = 1.0) -> tuple[float, float, float]:
    """Least, median and 95 % quantile of the CPU time of a call [s]."""
    for _ in range(5):
        call()
    taken_s: list[float] = []
    while sum(taken_s) < least_s:
        began_ns = time.thread_time_ns()
        call()
        taken_s.append(1e-9 * (time.thread_time_ns() - began_ns))
    return min(taken_s), float(np.median(taken_s)), float(np.quantile(taken_s, 0.95))


def in_turn(function: Callable[[object], object], arguments: list) -> Callable[[], object]:
    """A call of a function with one argument after the other."""
    turn = 0

    def call() -> object:
        nonlocal turn
        turn = (turn + 1) % len(arguments)
        return function(arguments[turn])

    return call


def states_of(scenario: Mllm) -> list:
    """Slots of an episode in which UAVs roam."""
    controller = create_batch('masked_random', scenario, 1)
    states = [scenario.reset(np.array([7]))]
    for _ in range(STATES - 1):
        states.append(scenario.step(states[-1], controller.decide(states[-1]))[0])
    return states


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('policies', nargs='*', type=Path)
    console, table = Console(), Table()
    for column in ('what', 'devices', 'least', 'median', '95 %', 'target'):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        paths = parser.parse_args().policies or [
            mllm_policy(
                Path(folder) / f'random_{count}.npz',
                'mllm:stress',
                {'devices.count': count},
                widths=WIDTHS,
            )
            for count in FLEETS
        ]
        for path in paths:
            add_rows(table, path)
    console.print(table)
    console.print(f'OMP_NUM_THREADS={os.environ.get("OMP_NUM_THREADS", "not set")}')


def add_rows(table: Table, path: Path) -> None:
    """Measure a policy."""
    file = read_policy(path)
    trained = MllmSettings.model_validate(file.description['settings'])
    policy = file.policy(trained)
    if isinstance(policy, FlatPolicy):
        seen = np.random.default_rng(1).random((1, policy.observation), dtype=np.float32)
        forward_us = [1e6 * taken for taken in quantiles_s(lambda: policy.outputs(seen))]
        counts = (trained.devices.count,)
        target = f'{TARGET_US:g} us' if trained.devices.count == 10 else '-'
        name = f'{path.stem}: forward pass'
        cells = (f'{us:.1f} us' for us in forward_us)
        table.add_row(name, str(trained.devices.count), *cells, target)
    else:
        counts = FLEETS
    for count in counts:
        devices = trained.devices.model_copy(update={'count': count})
        scenario = Mllm(trained.model_copy(update={'devices': devices}), np.float32)
        view, states = MllmView(scenario), states_of(scenario)
        slots = [view.slot_states(state)[0] for state in states]
        batch, node = create_batch(str(path), scenario), create(str(path), view)
        target = f'{TARGETS_MS[count]:g} ms' if count in TARGETS_MS else '-'
        for of, decide, arguments in (
            ('MllmState', batch.decide, states),
            ('SlotState', node.decide, slots),
        ):
            taken_s = quantiles_s(in_turn(decide, arguments))
            cells = (f'{1e3 * taken:.2f} ms' for taken in taken_s)
            table.add_row(f'{path.stem}: slot, {of}', str(count), *cells, target)


if __name__ == '__main__':
    main()
