"""How fast scenarios are played: the vectorised environment against a loop, and scale.

    python bench/environments/run.py [--quick] [--profile]

Steps count per second of processor time, of environments that are played in the same process one
after the other, in turns, so that whatever else the machine does hits all of them. Every step
reads an action, plays the slot, draws the next one and builds observation, mask and reward.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import gymnasium
import numpy as np
from loop_mllm import LoopMllm
from rich import box
from rich.console import Console
from rich.table import Table

import sec_nodes.environments  # noqa: F401 (registers the environments)
from sec_nodes.physics.geodesy import Site
from sec_nodes.physics.orbit import walker_shell
from sec_nodes.physics.visibility import look_at
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings

BATCHES = (1, 16, 64, 256, 1024)
TASKS = 10
ROUNDS = 5


def steps_per_cpu_s(play: Callable[[], int], least_s: float) -> float:
    """Steps that `play` makes in a second of processor time."""
    steps, start_s = 0, time.process_time()
    while time.process_time() - start_s < least_s:
        steps += play()
    return steps / (time.process_time() - start_s)


def loop_player(mode: str) -> Callable[[], int]:
    """A hundred steps of the environment that loops over entities."""
    env = LoopMllm(read_settings(mode))
    env.reset(seed=1)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(20)]

    def play() -> int:
        for number in range(100):
            _, _, _, truncated, _ = env.step(actions[number % 20])
            if truncated:
                env.reset()
        return 100

    return play


def batch_player(mode: str | None, copies: int) -> Callable[[], int]:
    """Some steps of the vectorised environment."""
    env: Any = gymnasium.make_vec(
        'sec_offload/Mllm-v0', num_envs=copies, vectorization_mode='vector_entry_point', mode=mode
    )
    env.reset(seed=1)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(5)]
    calls = max(5, 1000 // copies)

    def play() -> int:
        for number in range(calls):
            env.step(actions[number % 5])
        return calls * copies

    return play


def speeds(mode: str | None, least_s: float) -> dict[str, float]:
    """Median steps per second of processor time of every player, measured in turns."""
    players = {'loop': loop_player('mllm' if mode is None else f'mllm:{mode}')}
    players |= {str(copies): batch_player(mode, copies) for copies in BATCHES}
    for play in players.values():
        play()
    found: dict[str, list[float]] = {name: [] for name in players}
    for _ in range(ROUNDS):
        for name, play in players.items():
            found[name].append(steps_per_cpu_s(play, least_s))
    return {name: float(np.median(values)) for name, values in found.items()}


def speed_table(mode: str | None, least_s: float) -> Table:
    """Speeds as a table."""
    found = speeds(mode, least_s)
    title = f'mllm{f":{mode}" if mode else ""}, 10 devices, 7 servers'
    table = Table(title=title, box=box.MARKDOWN, title_justify='left')
    for heading in (
        'environment',
        'steps / CPU-s',
        'against the loop',
        'task evaluations / CPU-s',
    ):
        table.add_column(heading, justify='left' if heading == 'environment' else 'right')
    for name, value in found.items():
        label = 'loop over entities' if name == 'loop' else f'vectorised, batch {name}'
        ratio = value / found['loop']
        table.add_row(label, f'{value:,.0f}', f'{ratio:.1f}', f'{value * TASKS:,.0f}')
    return table


def scale_table() -> Table:
    """One slot with ten thousand devices, and twenty thousand satellites, in seconds."""
    table = Table(title='scale', box=box.MARKDOWN, title_justify='left')
    table.add_column('what')
    table.add_column('wall time [s]', justify='right')
    for what, seconds in (*slot_at_scale(10_000, 100, 1_000), satellites_at_scale()):
        table.add_row(what, f'{seconds:.3f}')
    return table


def slot_at_scale(devices: int, uavs: int, satellites: int) -> list[tuple[str, float]]:
    """Costs of one slot of mllm, and the whole step with the draws of the next slot."""
    changes = {
        'devices.count': devices,
        'uavs.altitude_m': [50.0] * uavs,
        'uavs.start_m': [[250.0, 250.0]] * uavs,
        'uavs.accuracy': [0.5] * uavs,
        'satellites.accuracy': [0.7] * satellites,
        'satellites.cross_track_deg': [3.0, -3.0] * (satellites // 2),
        'satellites.spacing_deg': 360.0 / satellites,
    }
    scenario = Mllm(read_settings('mllm', changes), np.float32)
    state = scenario.reset(np.array([1]))
    rng = np.random.default_rng(0)
    decision = MllmDecision(
        rng.integers(0, uavs + satellites, (1, devices)),
        np.full((1, devices), 0.5),
        rng.uniform(0, 500, (1, uavs, 2)),
    )
    size = f'{devices:,} devices, {uavs} UAVs, {satellites:,} satellites'
    return [
        (f'{size}: costs of a decision', shortest(lambda: scenario.evaluate(state, decision))),
        (f'{size}: a whole step', shortest(lambda: scenario.step(state, decision))),
    ]


def satellites_at_scale() -> tuple[str, float]:
    """SGP4 positions and look angles of twenty thousand satellites."""
    epoch = datetime(2026, 1, 1, tzinfo=timezone.utc)
    shell = walker_shell(550e3, math.radians(53), 100, 200, 1, epoch)
    site = Site(math.radians(54), math.radians(8), 0.0)
    return '20,000 satellites: SGP4, elevation, range', shortest(
        lambda: look_at(shell, site, 60.0)
    )


def shortest(call: Callable[[], Any]) -> float:
    """Least wall time of three calls, after one that warms up [s]."""
    call()
    times = []
    for _ in range(3):
        start_s = time.perf_counter()
        call()
        times.append(time.perf_counter() - start_s)
    return min(times)


def profile_text(copies: int) -> str:
    """Where the time of a vectorised step goes."""
    play = batch_player(None, copies)
    play()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(40):
        play()
    profiler.disable()
    stats = pstats.Stats(profiler)
    stats.sort_stats('tottime').print_stats(18)
    return ''


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a tenth of the time')
    parser.add_argument('--profile', action='store_true', help='where the time goes instead')
    chosen = parser.parse_args()
    console = Console(width=110)
    if chosen.profile:
        profile_text(256)
        return
    least_s = 0.1 if chosen.quick else 1.0
    for mode in (None, 'extended'):
        console.print(speed_table(mode, least_s))
    console.print(scale_table())


if __name__ == '__main__':
    main()
