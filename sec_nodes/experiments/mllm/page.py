"""The report of a reproduction in Markdown, made from its tables alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.mllm.claims import claims
from sec_nodes.experiments.mllm.figures import FIGURES, FLAT
from sec_nodes.experiments.mllm.plans import COMPARED, LEARNERS, MODES, OPTIMUM, SIMPLE, STRUCTURED
from sec_nodes.experiments.mllm.published import PAPER
from sec_nodes.experiments.mllm.tables import (
    ABOVE_FLAT,
    ABOVE_OPTIMUM,
    ALL_MODES,
    IMPROVEMENT,
    INTERQUARTILE,
    LEVELS,
    PROFILE,
    QUANTITIES,
    SCORE,
)
from sec_nodes.experiments.pages import Section, cell, report, trainings_section
from sec_nodes.experiments.rows import MEAN, Exhibit

_TITLES: dict[Exhibit, str] = {number: figure.title for number, figure in FIGURES.items()}
_NOTES: dict[Exhibit, str] = {
    4: f'`{FLAT}` in mode `paper`, trained with three critic learning rates.',
    5: f'Mode `paper`. The policy of `{STRUCTURED}` was trained with ten devices and plays any '
    'number of them; the others are trained anew for each number.',
    6: 'Mode `paper`. Policies were trained with deadlines drawn from 2 to 3 s; here all requests '
    'have the same one.',
    7: 'Mode `fig7`. Policies were trained with accuracies drawn from 0.3 to 0.7; here all '
    'requests ask for the same one.',
    8: f'`{FLAT}` is AD-SAC as the paper describes it. `ad_sac_d` discretises powers and places, '
    '`ad_sac_c` makes choices continuous.',
}


def page(folder: Path, pictures: str) -> str:
    """The report on what a folder holds, see `pages.report`."""
    return report(
        folder, pictures, (_head, _method), claims, _TITLES, _NOTES, _SECTIONS, (_trainings,)
    )


def _head(summary: dict[str, Any]) -> str:
    plan = summary['plan']
    return (
        f'# Reproduction of Figs 3 to 8 of mllm\n\n{PAPER}, section 5.2, beside what comes out '
        f'here.\n\nPlan **{plan["name"]}**, version {summary["version"]}, {summary["date"]}, '
        f'{summary["machine"]}: {summary["trainings"]} trainings of {_budget(plan)} and '
        f'{summary["plays"]} evaluations, {summary["cpu_s"] / 60:.0f} CPU-minutes.\n\n'
        f'```bash\nsec reproduce mllm --{plan["name"]}\n```\n'
    )


def _budget(plan: dict[str, Any]) -> str:
    """What a training may take."""
    if plan['minutes'] is None:
        return f'{plan["steps"]:,} slots'
    return f'{60 * plan["minutes"]:g} CPU-seconds (at most {plan["steps"]:,} slots)'


def _method(summary: dict[str, Any]) -> str:
    plan = summary['plan']
    caution = (
        f'- **Read this plan with care**: {_budget(plan)} are little beside the 100,000 slots of '
        f'the paper, and {plan["seeds"]} trainings each ({plan["sweep_seeds"]} in '
        'sweeps) say little about how much trainings differ: intervals are too narrow where '
        'there are few of them, and with one they cover episodes only.\n'
        if plan['minutes'] is not None
        else ''
    )
    return (
        '## How it was measured\n\n'
        f'- Every learner gets {_budget(plan)}; what it has learnt at the end is judged, '
        'not the best on the way, without exploration.\n'
        f'- Everybody plays the same {plan["episodes"]} held-out episodes of {plan["slots"]} '
        f'slots ({plan["sweep_slots"]} in sweeps): same requests, fading and satellites.\n'
        f'- `{OPTIMUM}` takes about a second a slot and plays the first '
        f'{plan["optimum_episodes"]} of them ({plan["sweep_optimum_episodes"]} in sweeps). Its '
        'figures are its ratio to `myopic` there times those of `myopic` on all; "above optimum" '
        'and scores use the shared episodes only. In `extended` it minds its own slot only, so '
        'that it can be beaten.\n'
        '- Brackets hold 95 % bootstrap intervals: trainings and episodes are drawn anew, '
        'episodes for both sides of a difference together.\n'
        '- Score: 0 = masked random, 1 = optimum. Interquartile means, chances and profiles as in '
        'Agarwal et al., NeurIPS 2021, with the modes as tasks.\n'
        '- Cost is eq. (31) with its penalties; in `paper` and `fig7` 96 % of it is energy, in '
        '`stress` and `extended` latency and energy weigh alike. Latency is the mean over served '
        'tasks, energy the sum over a slot.\n'
        '- A printed number counts as reached within 5 % by `ad_sac_flat`; if only `ad_sac` or '
        '`optimum` get there, the verdict is undecided. A claim with a size holds if the size '
        'lies in the interval, not if its direction alone is right.\n'
        '- Masks: everybody chooses among admissible servers only.\n'
        f'- `{FLAT}` is AD-SAC as the paper describes it, with fully connected networks. '
        f'`{STRUCTURED}` has networks of our own that know devices and servers as such; that it '
        'does better than others says nothing about the paper.\n'
        f'{caution}'
        '- The paper prints numbers for Figs 7 and 8 and a range for Fig. 3; elsewhere it has '
        'statements only.\n'
    )


def _section(number: int, table: Table) -> Iterator[str]:
    if FIGURES[number].axis is None:
        for mode in MODES:
            yield f'### {mode}\n\n' + _players(number, table, mode)
        if number == 3:
            yield '### All three modes\n\n' + _over_modes(table)
        return
    if number == 4:
        yield _rates(table)
        return
    for quantity in ('latency_s', 'energy_j', 'cost', 'completion'):
        yield _swept(number, table, quantity)


_SECTIONS: dict[Exhibit, Section] = {number: partial(_section, number) for number in FIGURES}


def _players(number: int, table: Table, mode: str) -> str:
    """Everybody in a mode."""
    shown = ('cost', 'latency_s', 'energy_j', 'reward', 'completion', 'violations')
    columns = ('', 'trainings', *(QUANTITIES[name] for name in shown), 'cost above optimum [%]')
    differences = number == 8
    if differences:
        columns += tuple(
            f'{QUANTITIES[name]} above `{FLAT}` [%]' for name in ('latency_s', 'energy_j')
        )
    rows = []
    for name in (*LEARNERS, *SIMPLE, OPTIMUM):
        means = table.of(number, 'cost', MEAN, [name], mode)
        if not means:
            continue
        cells = [f'`{name}`', str(means[0].runs) if name in LEARNERS else '-']
        cells += [cell(table.of(number, quantity, MEAN, [name], mode)) for quantity in shown]
        cells.append(cell(table.of(number, 'cost', ABOVE_OPTIMUM, [name], mode)))
        if differences:
            for quantity in ('latency_s', 'energy_j'):
                cells.append(cell(table.of(number, quantity, ABOVE_FLAT, [name], mode)))
        rows.append(cells)
    return markdown(columns, rows)


def _over_modes(table: Table) -> str:
    columns = ('', 'interquartile mean', f'chance to beat `{FLAT}`', *(f'> {x:g}' for x in LEVELS))
    rows = []
    for name in LEARNERS:
        cells = [f'`{name}`']
        for relation in (INTERQUARTILE, IMPROVEMENT, *(f'{PROFILE}{level}' for level in LEVELS)):
            cells.append(cell(table.of(3, SCORE, relation, [name], ALL_MODES)))
        rows.append(cells)
    return 'Scores; the last columns are the share of trainings above a score.\n\n' + markdown(
        columns, rows
    )


def _rates(table: Table) -> str:
    columns = ('critic learning rate', 'trainings', 'cost', 'cost above that of 0.001 [%]')
    rows = [
        (
            f'{row.x:g}',
            str(row.runs),
            cell([row]),
            cell(table.of(4, 'cost', ABOVE_FLAT, [FLAT], x=row.x)),
        )
        for row in table.of(4, 'cost', MEAN, [FLAT])
    ]
    return markdown(columns, rows)


def _swept(number: int, table: Table, quantity: str) -> str:
    """A quantity of everybody at every place, the printed values above."""
    ours = table.of(number, quantity, MEAN, [FLAT])
    places = [row.x for row in ours]
    rows = []
    if any(row.published is not None for row in ours):
        printed = ('-' if row.published is None else f'{row.published:g}' for row in ours)
        rows.append(['printed, AD-SAC', '', *printed])
    for name in (STRUCTURED, *COMPARED, *SIMPLE, OPTIMUM):
        runs = [row.runs for row in table.of(number, quantity, MEAN, [name])]
        trained = '-' if name not in LEARNERS else '/'.join(map(str, dict.fromkeys(runs)))
        cells = (cell(table.of(number, quantity, MEAN, [name], x=x)) for x in places)
        rows.append([f'`{name}`', trained, *cells])
    columns = (QUANTITIES[quantity], 'trainings', *(f'{x:g}' for x in places))
    return f'By {FIGURES[number].axis}:\n\n' + markdown(columns, rows)


def _trainings(summary: dict[str, Any]) -> str:
    return trainings_section(summary['spent'], 'algorithm')
