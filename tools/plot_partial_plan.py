"""Draw a plan of the partial scenario: paths over the map, and when each task is where.

python tools/plot_partial_plan.py                         # docs/images/partial_plan.png
python tools/plot_partial_plan.py --scenario partial:tight --seed 3 --controller tsp --out x.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np

from sec_nodes.controllers.batch import create_batch
from sec_nodes.report.figures.plans import draw_paths, draw_times
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.instance import cut_tasks
from sec_nodes.scenarios.partial.scenario import Partial
from sec_nodes.scenarios.registry import read_settings


def main() -> None:
    """Plan and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--scenario', default='partial', help='name, file, either with :mode')
    parser.add_argument('--controller', default=Partial.reference)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('docs/images/partial_plan.png'))
    asked = parser.parse_args()
    scenario = Partial(read_settings(asked.scenario))
    state = scenario.reset(np.array([asked.seed]))
    plan = create_batch(asked.controller, scenario).decide(state)
    outcome = scenario.evaluate(state, plan)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.9), layout='constrained')
    tasks = cut_tasks(state, plan.split)
    draw_paths(
        left,
        plan.waypoint_m[0],
        state.terminal_m[0],
        state.depot_m[0],
        plan.server[0],
        tasks.work_cycle[0],
        scenario.settings.area_m,
        np.flatnonzero(~outcome.met[0]),
    )
    draw_times(
        right,
        tasks.local_s[0],
        outcome.upload_end_s[0],
        outcome.finish_s[0],
        state.deadline_s[0],
        plan.server[0],
    )
    missed = int((~outcome.met).sum())
    bound_j = lower_bound_j(scenario.settings, state)[0]
    energies = ', '.join(f'{energy_j:.1f}' for energy_j in outcome.energy_j[0])
    left.set_title(
        f'{asked.controller}: E_u = {energies} J (bound {bound_j:.1f} J), {missed} missed',
        fontsize=8,
    )
    figure.savefig(asked.out, dpi=110)
    print(f'{asked.out}: max E_u = {outcome.objective_j[0]:.2f} J, {missed} missed')


if __name__ == '__main__':
    main()
