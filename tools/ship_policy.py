"""Put a trained policy among those that ship, with a card that says what it is worth.

    python tools/ship_policy.py results/RUN/ad_sac/seed_0 [--episodes 20] [--against a,b]

Writes models/policies/SCENARIO/MODE/ALGORITHM.npz and, beside it, ALGORITHM.md. Weights of fully
connected networks are rounded to half precision; the score is that of the file that ships, on
episodes that training never sees, the same ones for every controller.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.cli.page_tables import markdown
from sec_nodes.controllers.learned import PolicyFile, read_policy, write_policy
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import episode_seeds, simulate
from sec_nodes.simulation.statistics import Row, compare

MODELS = Path(__file__).resolve().parents[1] / 'models'
AGAINST = 'masked_random,greedy,myopic'
HELD_OUT_SEED = 1000
"""Of the run whose episodes a policy is judged on; `sec train` and `sec reproduce` use others."""
FIGURES = (
    ('latency_s', 'latency of served [s]'),
    ('energy_j', 'energy [J]'),
    ('violations', 'violations'),
)


def main() -> None:
    """Ship one policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='of one seed, as sec train made it')
    parser.add_argument('--episodes', type=int, default=20)
    parser.add_argument('--against', default=AGAINST, help='controllers to compare with')
    options = parser.parse_args()
    trained = read_policy(options.folder / 'policy.npz')
    mode = trained.description['mode'] or 'default'
    name = trained.description['algorithm']
    place = MODELS / 'policies' / trained.description['scenario'] / mode
    place.mkdir(parents=True, exist_ok=True)
    path = place / f'{name}.npz'
    write_policy(path, trained.description, rounded(trained))
    training = json.loads((options.folder / 'training.json').read_text())
    system = systems.system(training['scenario'], training['scenario_settings'])
    rows = scores(path, system, options.against.split(','), options.episodes)
    text = card(path, training, rows, f'{options.episodes} episodes of {system.horizon} slots')
    text += finished_seeds(options.folder.parent)
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


def scores(path: Path, system: systems.AnyScenario, others: list[str], episodes: int) -> list[Row]:
    """The policy and other controllers in the same episodes, cheapest first."""
    seed = episode_seeds(HELD_OUT_SEED, episodes)
    traces = [
        simulate(system, systems.controller(name, system, 0), seed, system.horizon)
        for name in (str(path), *others)
    ]
    return compare(traces, str(path))


def card(path: Path, training: dict[str, Any], rows: list[Row], episodes: str) -> str:
    """The card of a policy, without the seeds."""
    file = read_policy(path)
    content = path.read_bytes()
    parameters = sum(array.size for name, array in file.arrays.items() if '_std' not in name)
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
    fleet = file.description['settings']
    sizes = (
        f'{fleet["devices"]["count"]} devices, {len(fleet["uavs"]["altitude_m"])} UAVs, '
        f'{len(fleet["satellites"]["cross_track_deg"])} satellites'
    )
    use = (
        'any number of devices, UAVs and satellites'
        if file.kind.any_fleet
        else 'this fleet only; train anew for another'
    )
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
    table = [
        (
            path.stem + ' (this)' if row.controller == str(path) else row.controller,
            figure(row, 'cost'),
            '-' if row.controller == str(path) or row.gap is None else paired(row),
            *(figure(row, key) for key, _ in FIGURES),
        )
        for row in rows
    ]
    columns = ('controller', 'cost', 'above this policy [%]', *(title for _, title in FIGURES))
    return (
        f'# {path.stem} for {training["scenario"]}\n\n'
        + markdown(('', ''), facts)
        + '\n## Score\n\n'
        + markdown(columns, table)
        + f'\nMeans over {episodes} that training has not seen, the same ones for all, with half '
        'the 95 % interval\nover episodes. Cost is penalised. Differences are paired. '
        'Repeat with `python tools/ship_policy.py`.\n\n'
        '## Limits\n\nLearnt and judged in simulation, on the scenario as configured; nothing is '
        'known of its worth for real\nradios, queues or flights. It is the last state of its '
        'training, not the best one.\n'
    )


def figure(row: Row, name: str) -> str:
    """A mean with half its interval."""
    found = row.figures[name]
    return f'{found.mean:.4g} ± {found.half_width:.2g}'


def paired(row: Row) -> str:
    """How much more a controller costs than the policy."""
    assert row.gap is not None
    return f'{row.gap.mean:+.1f} ± {row.gap.half_width:.1f}'


def finished_seeds(folder: Path) -> str:
    """What every seed of the same training came to."""
    rows = []
    for path in sorted(folder.glob('seed_*/training.json')):
        found = json.loads(path.read_text())
        rows.append((str(found['seed']), f'{found["final"]["cost"]:.4g}'))
    return '\n## Seeds of this training\n\n' + markdown(('seed', 'cost when it ended'), rows)


if __name__ == '__main__':
    main()
