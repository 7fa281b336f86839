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
from matplotlib.axes import Axes

from sec_nodes.controllers.batch import create_batch
from sec_nodes.report.figures.style import MUTED, VEHICLE_COLORS
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.instance import PartialState, cut_tasks
from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial, PartialDecision, PartialOutcome
from sec_nodes.scenarios.registry import read_settings


def colour(server: int) -> str:
    """Colour of a UAV."""
    return MUTED if server == UNSERVED else VEHICLE_COLORS[server % len(VEHICLE_COLORS)]


def draw_map(axes: Axes, scenario: Partial, state: PartialState, plan: PartialDecision) -> None:
    """Paths and terminals from above; terminals as large as the work that they offload."""
    for uav, path_m in enumerate(plan.waypoint_m[0]):
        axes.plot(*path_m.T, '.-', color=colour(uav), lw=1.0, ms=3, alpha=0.85, zorder=2)
    work = cut_tasks(state, plan.split).work_cycle[0]
    for task, (east_m, north_m) in enumerate(state.terminal_m[0]):
        mark = colour(int(plan.server[0, task]))
        size = 30 + 170 * work[task] / work.max()
        axes.scatter(east_m, north_m, s=size, color=mark, alpha=0.35, zorder=1, lw=0)
        axes.scatter(east_m, north_m, s=14, color=mark, marker='s', zorder=3)
        axes.annotate(str(task), (east_m, north_m), (4, 4), textcoords='offset points', fontsize=7)
    axes.scatter(*state.depot_m[0], marker='*', s=130, color='black', zorder=4, label='depot')
    width_m, height_m = scenario.settings.area_m
    axes.set(
        xlim=(0, width_m),
        ylim=(0, height_m),
        aspect='equal',
        xlabel='east [m]',
        ylabel='north [m]',
    )
    axes.grid(alpha=0.25)


def draw_times(
    axes: Axes, state: PartialState, plan: PartialDecision, outcome: PartialOutcome
) -> None:
    """Local run, intermediate upload and run on the UAV of each task, until its deadline."""
    tasks = cut_tasks(state, plan.split)
    order = np.lexsort((tasks.local_s[0], plan.server[0]))
    for row, task in enumerate(order):
        local_s, tau_s = tasks.local_s[0, task], outcome.upload_end_s[0, task]
        finish_s, mark = outcome.finish_s[0, task], colour(int(plan.server[0, task]))
        axes.barh(row, local_s, color=mark, alpha=0.25)
        if np.isfinite(tau_s):
            axes.barh(row, tau_s - local_s, left=local_s, color='black', alpha=0.75)
        if np.isfinite(finish_s):
            axes.barh(row, finish_s - tau_s, left=tau_s, color=mark)
        axes.plot(state.deadline_s[0, task], row, '|', color='red', ms=9, mew=1.5)
    axes.set_yticks(range(len(order)), [str(task) for task in order], fontsize=7)
    axes.set(xlabel='time [s]', ylabel='task')
    axes.set_title(
        'pale: local run; black: intermediate upload; full: UAV; red: deadline', fontsize=8
    )


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
    draw_map(left, scenario, state, plan)
    draw_times(right, state, plan, outcome)
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
