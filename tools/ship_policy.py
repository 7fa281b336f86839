"""Put a trained policy among those that ship, with a card that says what it is worth.

    python tools/ship_policy.py results/RUN/ad_sac/seed_0 [--episodes 20] [--against a,b]

Writes models/policies/SCENARIO/MODE/ALGORITHM.npz, or .onnx for robust, and, beside it,
ALGORITHM.md. Weights of fully connected networks of mllm are rounded to half precision; the score
is that of the file that ships, on episodes that training never sees, the same ones for every
controller.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sec_nodes.cli.page_tables import markdown
from sec_nodes.controllers.learned import PolicyFile, read_policy, write_policy
from sec_nodes.controllers.robust.graph import model_of
from sec_nodes.experiments.statistics import paired_percent
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import Trace, episode_seeds, simulate
from sec_nodes.simulation.statistics import Row, compare, estimate, per_episode

MODELS = Path(__file__).resolve().parents[1] / 'models'
AGAINST = {
    'mllm': 'masked_random,greedy,myopic',
    'robust': 'optimum,nearest_uav,offload_all,random_feasible,random',
}
HELD_OUT_SEED = 1000
"""Of the run whose episodes a policy is judged on; `sec train` and `sec reproduce` use others."""
FIGURES = {
    'mllm': (
        ('latency_s', 'latency of served [s]'),
        ('energy_j', 'energy [J]'),
        ('violations', 'violations'),
    ),
    'robust': (
        ('cost_without_flight_j', 'without flight [J]'),
        ('completion', 'completed, of 1'),
        ('reward', 'reward'),
        ('violations', 'violations'),
    ),
}
UNNAMED = {'mllm': 'default', 'robust': 'paper'}
"""Folders of policies that were trained in no mode."""
JUDGED_BY = {'mllm': 'cost', 'robust': 'reward'}
NOTES = {
    'mllm': 'Cost is penalised.',
    'robust': 'Cost is e_tot [J] of a slot, (27), which dropped tasks lower; the reward is (31).',
}


def main() -> None:
    """Ship one policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='of one seed, as sec train made it')
    parser.add_argument('--episodes', type=int, default=20)
    parser.add_argument('--against', help='controllers to compare with')
    options = parser.parse_args()
    trained = read_policy(options.folder / 'policy.npz')
    name, scenario = trained.description['algorithm'], trained.description['scenario']
    mode = trained.description['mode'] or UNNAMED[scenario]
    place = MODELS / 'policies' / scenario / mode
    place.mkdir(parents=True, exist_ok=True)
    if scenario == 'robust':
        path, player = place / f'{name}.onnx', options.folder / 'policy.npz'
        onnx.save(model_of(trained.description, trained.arrays), path)
    else:
        path = player = place / f'{name}.npz'
        write_policy(path, trained.description, rounded(trained))
    training = json.loads((options.folder / 'training.json').read_text())
    system = systems.system(training['scenario'], training['scenario_settings'])
    against = options.against or AGAINST[scenario]
    traces = plays(player, system, against.split(','), options.episodes)
    episodes = f'{options.episodes} episodes of {system.horizon} slots'
    text = card(path, trained, training, traces, episodes)
    text += finished_seeds(scenario, system, options.folder, traces)
    path.with_suffix('.md').write_text(text, encoding='utf-8')
    print(path)


def rounded(file: PolicyFile) -> dict[str, NDArray[Any]]:
    """Arrays of a policy as they ship."""
    if file.description['kind'] != 'flat':
        return dict(file.arrays)
    kept = ('obs_mean', 'obs_std')
    return {
        name: array if name in kept else array.astype(np.float16)
        for name, array in file.arrays.items()
    }


def plays(
    path: Path, system: systems.AnyScenario, others: list[str], episodes: int
) -> list[Trace]:
    """The policy and other controllers in the same episodes."""
    seed = episode_seeds(HELD_OUT_SEED, episodes)
    return [
        simulate(system, systems.controller(name, system, 0), seed, system.horizon)
        for name in (str(path), *others)
    ]


def card(
    path: Path, file: PolicyFile, training: dict[str, Any], traces: list[Trace], episodes: str
) -> str:
    """The card of a policy, without the seeds."""
    content = path.read_bytes()
    parameters = sum(array.size for name, array in file.arrays.items() if '_std' not in name)
    scenario = file.description['scenario']
    changes = ''.join(
        f' {option} {key}={value}'
        for option, values in (('--set', 'settings'), ('--set-scenario', 'scenario_settings'))
        for key, value in training[values].items()
    )
    command = (
        f'sec train {training["scenario"]} --algo {training["algorithm"]} '
        f'--seeds {training["seed"] + 1} --steps {training["steps"]}'
    )
    profile = training['profile']
    command += '' if profile == 'default' else f' --profile {profile}'
    sizes, use = fleet(file)
    facts = [
        ('trained on', f'{training["scenario"]}: {sizes}'),
        ('plays', use),
        ('made by', f'`{command}{changes}`'),
        ('seed', str(training['seed'])),
        ('slots', f'{training["steps"]:,}'),
        ('gradient steps', f'{training["updates"]:,}'),
        ('CPU time', f'{training["cpu_s"] / 60:.1f} min on one core'),
        ('parameters', f'{parameters:,}'),
        ('size', f'{len(content) / 1024:.0f} KiB'),
        ('SHA-256', f'`{hashlib.sha256(content).hexdigest()}`'),
        ('license', 'Apache-2.0'),
    ]
    this = traces[0].controller
    title, differ = DIFFERENCES[scenario]
    rows = compare(traces, this)
    table = [
        (
            f'{path.stem} (this)' if row.controller == this else row.controller,
            figure(row, 'cost'),
            '-' if row.controller == this else differ(row, traces),
            *(figure(row, key) for key, _ in FIGURES[scenario]),
        )
        for row in rows
    ]
    titles = (name for _, name in FIGURES[scenario])
    columns = ('controller', 'cost', title, *titles)
    return (
        f'# {path.stem} for {training["scenario"]}\n\n'
        + markdown(('', ''), facts)
        + '\n## Score\n\n'
        + markdown(columns, table)
        + f'\nMeans over {episodes} that training has not seen, the same ones for all, with half '
        f'the 95 % interval\nover episodes. {NOTES[scenario]} Differences are paired. '
        'Repeat with `python tools/ship_policy.py`.\n\n'
        '## Limits\n\nLearnt and judged in simulation, on the scenario as configured; nothing is '
        'known of its worth for real\nradios, queues or flights. It is the last state of its '
        'training, not the best one.\n'
    )


def fleet(file: PolicyFile) -> tuple[str, str]:
    """Sizes that a policy was trained with, and those that it plays."""
    settings, kind = file.description['settings'], file.description['kind']
    if file.description['scenario'] == 'robust':
        sizes = f'{settings["users"]["count"]} users, {settings["uavs"]["count"]} UAVs'
        anyone = 'any number of users and UAVs'
        return sizes, anyone if kind == 'user' else 'this fleet only; train anew for another'
    sizes = (
        f'{settings["devices"]["count"]} devices, {len(settings["uavs"]["altitude_m"])} UAVs, '
        f'{len(settings["satellites"]["cross_track_deg"])} satellites'
    )
    anyone = 'any number of devices, UAVs and satellites'
    return sizes, anyone if file.kind.any_fleet else 'this fleet only; train anew for another'


def figure(row: Row, name: str) -> str:
    """A mean with half its interval."""
    found = row.figures[name]
    return f'{found.mean:.4g} ± {found.half_width:.2g}'


def dearer(row: Row, traces: list[Trace]) -> str:
    """How much more a controller costs than the policy."""
    assert row.gap is not None
    return f'{row.gap.mean:+.1f} ± {row.gap.half_width:.1f}'


def worth_more(row: Row, traces: list[Trace]) -> str:
    """How much greater the rewards of a controller are than the policy's, in percent of these."""
    other = next(trace for trace in traces if trace.controller == row.controller)
    base = per_episode(traces[0])['reward']
    gap = estimate(per_episode(other)['reward'] - base)
    scale = 100 / abs(base.mean())
    return f'{scale * gap.mean:+.1f} ± {scale * gap.half_width:.1f}'


DIFFERENCES = {
    'mllm': ('above this policy [%]', dearer),
    'robust': ("reward above this policy's [%]", worth_more),
}
"""Column of differences from the policy, and what is in it."""


def finished_seeds(
    scenario: str, system: systems.AnyScenario, chosen: Path, traces: list[Trace]
) -> str:
    """What every seed of the same training came to, and how others compare with all of them."""
    paths = sorted(chosen.parent.glob('seed_*/policy.npz'))
    episodes = len(per_episode(traces[0])['cost'])
    means = [
        per_episode(traces[0] if path.parent == chosen else plays(path, system, [], episodes)[0])
        for path in paths
    ]
    columns = [('cost', 'cost'), *FIGURES[scenario]]
    table = [
        (
            path.parent.name.removeprefix('seed_'),
            *(f'{mean[key].mean():.4g}' for key, _ in columns),
        )
        for path, mean in zip(paths, means, strict=True)
    ]
    judged = JUDGED_BY[scenario]
    ours = np.array([mean[judged] for mean in means])
    gaps = [
        (other.controller, paired_percent(per_episode(other)[judged][None], ours))
        for other in traces[1:]
    ]
    shown = '; '.join(
        f'{name} {x:+.1f} [{low:+.1f}, {high:+.1f}]' for name, (x, low, high) in gaps
    )
    return (
        '\n## Seeds of this training\n\n'
        + markdown(('seed', *(title for _, title in columns)), table)
        + f'\nThe same episodes. By how many percent the {judged} of others lies above the mean '
        f'of these, with 95 %\nintervals over trainings and episodes: {shown}.\n'
    )


if __name__ == '__main__':
    main()
