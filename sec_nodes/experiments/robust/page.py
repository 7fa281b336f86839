"""The report of a reproduction in Markdown, made from its tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.pages import Section, head, report, trainings_section
from sec_nodes.experiments.pages import cell as usual_cell
from sec_nodes.experiments.robust.claims import claims
from sec_nodes.experiments.robust.figures import (
    FAILURES,
    MOMENTS,
    PROGRESS,
    RESERVE,
    THEOREM,
    TITLES,
)
from sec_nodes.experiments.robust.plans import (
    ABLATION,
    FEASIBLE,
    LEARNERS,
    OURS,
    PAPER,
    SCHEMES,
)
from sec_nodes.experiments.robust.published import PAPER as SOURCE
from sec_nodes.experiments.robust.published import STEPS_TO_CONVERGE
from sec_nodes.experiments.robust.tables import ABOVE, CPU_S, SCORE, STEPS, UPDATES
from sec_nodes.experiments.robust.trials import QUANTITIES
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

_ENERGIES = ('cost_mj', 'service_mj', 'completion_percent', 'per_task_mj')
_THEOREM = """For varpi_2 <= 1 and frequencies that need the least energy, computing a task costs \
least if all of it is sent (phi = 1).

Let C be its cycles, x those before the split, f_l the user's frequency and T the time that \
computing may take. Energy grows with the frequency, so the UAV takes the least that is in time, \
f = (C - x) / (T - x / f_l), and computing costs

E(x) = kappa f_l^2 x + varpi_2 kappa (C - x)^3 / (T - x / f_l)^2.

With u = f / f_l its derivative is kappa f_l^2 (1 - 3 varpi_2 u^2 + 2 varpi_2 u^3). Where \
2 u^3 - 3 u^2 >= 0 it is positive; elsewhere it is at least its value for varpi_2 = 1, \
1 - 3 u^2 + 2 u^3 = (1 - u)^2 (1 + 2 u) >= 0. So E grows with x. For varpi_2 > 1 it is negative \
at u = 1, and splits may pay; but without a split AlexNet needs about u = 0.2, VGG13 2.8, VGG16 \
3.9, which is far from it.

The theorem is about computing. Sending the image costs more than sending the small tensor behind \
many layers; but at 10 MHz a user that is next to nothing beside what those layers cost the user. \
So it holds for the whole energy of the paper's mode, which is checked here: the per-slot optimum \
over all splits leaves every task whole that it sends. In `feasible`, where ten users share the \
10 MHz, some splits pay at any varpi_2.
"""
_NOTES: dict[Exhibit, str] = {
    3: 'Curves show returns while exploring, mean and range of the trainings; the last panels '
    'what was learnt, without exploration. Lines: controllers that do not learn. Users share '
    'their networks and UAVs theirs, which makes untrained policies start near the optimum; '
    '`flat` are fully connected ones over the whole action, as the paper has them.',
    4: 'Policies of Fig. 3, which learnt with ten users, play any number of them, since users '
    'share their networks. The paper does not say whether its policies were trained anew.',
    5: 'How networks are split; the association is the best there is for each. `local_only` '
    'needs the split L + 1, which the paper does not have. Mode `fig5` shares all of the '
    'processor in proportion to work and sends every task to the nearest UAV: then more UAVs cost '
    'more, and most for those who offload all.',
    FAILURES: 'UAVs fail in slots that are drawn. Association kept: every user stays with the UAV '
    'of its first slot. New association: from the slot after the failure on. What becomes of '
    'tasks in the slot of the failure: none, `resend` by the user, or `relay` between UAVs.',
    MOMENTS: 'One UAV fails in the slot that is given, of 60.',
    PROGRESS: 'One UAV fails after a share rho of the work of each task; `relay`. `lost` does all '
    'of it again, `checkpoint` the layers that were not finished.',
    RESERVE: 'One UAV fails. Allocation plans with a slot that is shorter by the time on the '
    'axis. Without it `joint` fills the slot to its end, and a second upload hardly ever fits.',
    THEOREM: _THEOREM,
}


def page(folder: Path, pictures: str) -> str:
    """The report on what a folder holds, see `pages.report`."""
    return report(
        folder, pictures, (_head, _method), claims, TITLES, _NOTES, _SECTIONS, (_trainings,)
    )


def _head(summary: dict[str, Any]) -> str:
    return head(
        'Reproduction of Figs 3 to 5 of robust',
        f'{SOURCE}, simulation results, and what it leaves open about failures',
        summary,
        f'{summary["trainings"]} trainings and {summary["trials"]} evaluations',
    )


def _method(summary: dict[str, Any]) -> str:
    plan = summary['plan']
    return (
        '## How it was measured\n\n'
        '- Mode `feasible` is the headline: with the printed values (mode `paper`) splits never '
        'pay, see the theorem. Both are described in [scenario_robust.md](scenario_robust.md).\n'
        f'- Everybody plays the same held-out episodes: {plan["episodes"]} of {plan["slots"]} '
        f'slots, in `paper` and `fig5` {plan["slow_episodes"]} of {plan["slow_slots"]}, where '
        f'failures are the subject {plan["drills"]} whole ones of 60. Unless stated otherwise at '
        'most one UAV fails, somewhere in the 60 slots of an episode: who plays 20 of them sees '
        'few failures, who plays 5 of them none here.\n'
        '- Energies are means over slots, weighted as in (27). Who drops tasks, or loses UAVs, '
        'spends less: completion and the energy without flight per completed task stand beside. '
        'The latter is the mean over episodes of their ratios.\n'
        '- Brackets hold 95 % bootstrap intervals: trainings and episodes are drawn anew, '
        'episodes for both sides of a difference together. A claim holds if all intervals that it '
        'is about lie on its side of zero.\n'
        '- Score: 0 = return of random splits, 1 = that of the per-slot optimum. The optimum '
        'hovers; who flies at the speed of least power can be above 1.\n'
        f'{_cautions(plan)}'
        '- The paper prints the slots of convergence in Fig. 3 and no other numbers; its figures '
        'are not in the available text, only what it says of them.\n'
    )


def _cautions(plan: dict[str, Any]) -> str:
    """Where trainings are fewer or shorter than those of SAC-PER, or differ from their recipe."""
    said = []
    for own in plan['budgets']:
        if own['learner'] == OURS:
            few = [
                f'`{one["learner"]}` {one["seeds"]} of {one["steps"]:,}'
                for one in plan['budgets']
                if one['mode'] == own['mode']
                and (one['seeds'], one['steps']) != (own['seeds'], own['steps'])
            ]
            beside = f'; others: {", ".join(few)}' if few else ''
            said.append(
                f'- Mode `{own["mode"]}`: {own["seeds"]} trainings of {own["steps"]:,} slots '
                f'each{beside}.\n'
            )
    if plan['flat_hyper']:
        changes = ', '.join(f'{key} {value}' for key, value in plan['flat_hyper'])
        said.append(f'- Learners that are `flat` learn with {changes}, to learn in minutes.\n')
    return ''.join(said)


def _convergence(table: Table) -> Iterator[str]:
    for mode in (FEASIBLE, PAPER):
        yield f'### {mode}\n\n' + _players(table, mode)
        if any(table.of(3, UPDATES, MEAN, LEARNERS, mode)):
            yield _speeds(table, mode)


def _players(table: Table, mode: str) -> str:
    """Everybody in a mode."""
    shown = (*_ENERGIES, 'return', 'broken')
    columns = ('', 'trainings', *(QUANTITIES[name] for name in shown), 'score',
               f'return above `{OURS}` [%]')  # fmt: skip
    rows = []
    for name in (*LEARNERS, *SCHEMES):
        means = table.of(3, 'cost_mj', MEAN, [name], mode)
        if not means:
            continue
        cells = [f'`{name}`', str(means[0].runs) if name in LEARNERS else '-']
        cells += [cell(table.of(3, quantity, MEAN, [name], mode)) for quantity in shown]
        cells.append(cell(table.of(3, 'return', SCORE, [name], mode)))
        cells.append(cell(table.of(3, 'return', f'{ABOVE}{OURS}', [name], mode)))
        rows.append(cells)
    return markdown(columns, rows)


def _speeds(table: Table, mode: str) -> str:
    columns = (
        '',
        'slots to 95 % of the final return',
        'printed',
        'gradient steps in all',
        'CPU time [s]',
    )
    rows = [
        (
            f'`{name}`',
            _counted(table.of(3, STEPS, MEAN, [name], mode)),
            f'{STEPS_TO_CONVERGE[name]:,}' if name in STEPS_TO_CONVERGE else '-',
            _counted(table.of(3, UPDATES, MEAN, [name], mode)),
            _counted(table.of(3, CPU_S, MEAN, [name], mode)),
        )
        for name in LEARNERS
        if table.of(3, UPDATES, MEAN, [name], mode)
    ]
    return (
        'Means, and the least and largest of the trainings; 95 %: at most 5 % below.\n\n'
        + markdown(columns, rows)
    )


def _sweep(
    exhibit: Exhibit, modes: Sequence[str], axis: str, quantities: Sequence[str] = _ENERGIES
) -> Any:
    """What a section says of a sweep: each player at each place, the numbers beside each other."""

    def section(table: Table) -> Iterator[str]:
        for mode in modes:
            own = [row for row in table.rows if row.mode == mode]
            if not own:
                continue
            scored = any(row.relation == SCORE for row in own)
            columns = (axis, '', *(QUANTITIES[name] for name in quantities),
                       *(('score',) if scored else ()))  # fmt: skip
            players = list(dict.fromkeys(row.player for row in own))
            rows = [
                [
                    f'{x:g}',
                    f'`{player}`' if ':' not in player else player,
                    *(cell(table.of(exhibit, name, MEAN, [player], mode, x))
                      for name in quantities),
                    *([cell(table.of(exhibit, 'return', SCORE, [player], mode, x))]
                      if scored else []),
                ]
                for x in sorted({row.x for row in own if row.x is not None})
                for player in players
            ]  # fmt: skip
            title = f'### {mode}\n\n' if len(modes) > 1 else ''
            yield title + markdown(columns, rows)

    return section


_SECTIONS: dict[Exhibit, Section] = {
    3: _convergence,
    4: _sweep(4, (FEASIBLE, PAPER), 'users'),
    5: _sweep(5, (FEASIBLE, PAPER, ABLATION), 'UAVs', (*_ENERGIES, 'whole_percent')),
    FAILURES: _sweep(FAILURES, (FEASIBLE,), 'UAVs that fail', (*_ENERGIES, 'rescued_percent')),
    MOMENTS: _sweep(MOMENTS, (FEASIBLE,), 'slot', (*_ENERGIES, 'rescued_percent')),
    PROGRESS: _sweep(PROGRESS, (FEASIBLE,), 'work done', (*_ENERGIES, 'rescued_percent')),
    RESERVE: _sweep(RESERVE, (FEASIBLE,), 'kept free [s]', (*_ENERGIES, 'rescued_percent')),
    THEOREM: _sweep(THEOREM, (PAPER, FEASIBLE), 'varpi_2', (*_ENERGIES, 'whole_percent')),
}


def _trainings(summary: dict[str, Any]) -> str:
    return trainings_section(summary['spent'], 'learner')


def cell(rows: Sequence[Row]) -> str:
    """Large numbers without powers of ten."""
    return _counted(rows) if rows and abs(rows[0].value) >= _LARGE else usual_cell(rows)


_LARGE = 1000.0


def _counted(rows: Sequence[Row]) -> str:
    """Mean and ends of whole numbers."""
    if not rows:
        return '-'
    row = rows[0]
    if row.low == row.high:
        return f'{row.value:,.0f}'
    return f'{row.value:,.0f} [{row.low:,.0f}, {row.high:,.0f}]'
