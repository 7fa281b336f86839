"""The report of a reproduction in Markdown, made from its tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.maritime.claims import claims
from sec_nodes.experiments.maritime.figures import BASE, FIGURES, TABLE_2, TITLES
from sec_nodes.experiments.maritime.plans import BOUND, JCORM
from sec_nodes.experiments.maritime.published import PAPER
from sec_nodes.experiments.maritime.tables import ABOVE, FAILURES, GAP, QUANTITIES, TIMES
from sec_nodes.experiments.pages import Section, cell, head, report
from sec_nodes.experiments.rows import MEAN, Exhibit

_NOTES: dict[Exhibit, str] = {
    3: 'The range of bandwidths is chosen; the text only names 30 and 40 MHz, for Fig. 6.',
    4: 'Utility added up from the first slot on.',
    TABLE_2: 'Experiments one after the other in one process, each decided by all players before '
    'the next; CPU time of deciding, without the scenario itself. Before that everybody decides a '
    'slot that is not timed, which loads libraries.',
    5: 'All delay-sensitive devices have the same amount of data. **Utilities of those who are '
    'late or begin uploads early are no better for being higher.**',
    6: 'Panels as in the paper: 1 GB and 0.5 GB free at first; what is not free is stored.',
    7: 'The paper does not say which computing powers it compares. Delay of late tasks counts '
    'with the time that they take.',
    8: 'Storage 1 GB, all of it free at first, as in the paper; its values of K and omega are not '
    'in the text.',
    9: "The range of lambda is the paper's; which powers and sizes it compares is not in the "
    'text.',
}


def page(folder: Path, pictures: str) -> str:
    """The report on what a folder holds, see `pages.report`."""
    return report(folder, pictures, (_head, _method), claims, TITLES, _NOTES, _SECTIONS)


def _head(summary: dict[str, Any]) -> str:
    return head(
        'Reproduction of Figs 3 to 9 and Table II of maritime',
        f'{PAPER}, section VI',
        summary,
        f'{summary["games"]} games',
    )


def _method(summary: dict[str, Any]) -> str:
    plan = summary['plan']
    return (
        '## How it was measured\n\n'
        f'- {plan["episodes"]} experiments of ten slots at each place, the same ones for '
        'everybody: same UAVs, devices, data and fading.\n'
        f'- `sca` plays the first {plan["sca_episodes"]} of them, `genetic` the first '
        f'{plan["genetic_episodes"]}. Their figures are their ratio to `jcorm` there times those '
        'of `jcorm` on all; differences use the shared experiments only. **With so few, intervals '
        'say little.**\n'
        f'- `genetic {plan["budget"]}` has a population of {plan["budget"].partition("x")[0]} and '
        f'{plan["budget"].partition("x")[2]} generations for each slot, chosen for its running '
        'time after others had been tried; what other budgets come to stands with Fig. 4.\n'
        '- Brackets hold 95 % bootstrap intervals over experiments, drawn for both sides of a '
        'difference together.\n'
        '- `jcorm` is Algorithm 2 with the deadline that its sub-problems share priced; '
        '`jcorm_literal` is Algorithm 2 as printed, begun where UAV and satellite take equally '
        'long, `jcorm_literal_half` the same begun at x = 1/2. ATSM is `half_slot`, all else '
        'optimised, and `half_slot_literal`, all else by Algorithm 2 as printed.\n'
        f'- `bound` is what no decision could have beaten in the slots that `jcorm` met, in the '
        f'first {plan["bound_episodes"]} experiments, carried to all by its ratio to `jcorm`. It '
        'is about decisions that complete all tasks that can be completed: who drops tasks may '
        'lie above it.\n'
        '- A task is what one UAV has to have computed in a slot. It is late if it is not done '
        'when the slot ends; then nothing is uploaded. An upload is early if it begins before the '
        'task is done.\n'
        '- Mean delay is over all tasks, late ones included with the time that they take.\n'
        '- A claim with a size holds if its size lies in our interval, or a tenth of it away from '
        'ours. A claim about a direction holds if all intervals lie on its side; slightly is up '
        'to 10 %, a rule set when the results were known. The tenth was set when the calibrated '
        'numbers, of ATSM in Fig. 4 and of 0.5 GB in Fig. 6, were known; '
        'their verdicts are no independent tests.\n'
        '- The available text has no Table I and no pictures: values that the paper does not '
        'state are chosen, some so that a printed number comes out, see '
        '[scenario_maritime.md](scenario_maritime.md).\n'
    )


def _figure(number: int, table: Table) -> Iterator[str]:
    figure = FIGURES[number]
    modes = list(dict.fromkeys(row.mode for row in table.rows))
    for quantity in figure.quantities:
        yield _swept(number, table, quantity, modes)
    yield _failed(number, table, modes)
    if number == 4:
        yield _ahead(table)
    if figure.certified:
        yield _gaps(number, table)


def _swept(number: int, table: Table, quantity: str, modes: Sequence[str]) -> str:
    """A quantity of everybody at every place."""
    places = _places(table)
    columns = (QUANTITIES[quantity], 'experiments', *(f'{x:g}' for x in places))
    rows = []
    for mode in modes:
        for name in table.players:
            means = table.of(number, quantity, MEAN, [name], mode)
            if means:
                cells = (cell(table.of(number, quantity, MEAN, [name], mode, x)) for x in places)
                rows.append([_named(name, mode), str(means[0].episodes), *cells])
    return f'By {FIGURES[number].axis}:\n\n' + markdown(columns, rows)


def _failed(number: int, table: Table, modes: Sequence[str]) -> str:
    """Who is late or early somewhere."""
    places = _places(table)
    rows = []
    for mode in modes:
        for name in table.players:
            for quantity in FAILURES:
                found = table.of(number, quantity, MEAN, [name], mode)
                if any(row.value > 0 for row in found):
                    cells = (cell([row for row in found if row.x == x]) for x in places)
                    rows.append([_named(name, mode), QUANTITIES[quantity], *cells])
    if not rows:
        return 'No task is late, no upload early.\n'
    columns = ('late or early', '', *(f'{x:g}' for x in places))
    return 'All others have neither late tasks nor early uploads:\n\n' + markdown(columns, rows)


def _ahead(table: Table) -> str:
    """How far JCORM ends above everybody."""
    rows = [
        (
            f'`{row.relation.removeprefix(ABOVE)}`',
            '-' if row.published is None else f'{row.published:+g}',
            f'{row.value:+.4g} [{row.low:+.3g}, {row.high:+.3g}]',
            str(row.episodes),
        )
        for row in table.of(4, 'utility_mbit', None, [JCORM], x=table.last(4))
        if row.relation.startswith(ABOVE)
    ]
    columns = ('', 'printed [%]', 'utility of `jcorm` above it [%]', 'experiments')
    return markdown(columns, rows)


def _gaps(number: int, table: Table) -> str:
    gaps = [row for row in table.of(number, GAP, MEAN, [JCORM]) if row.value == row.value]
    if not gaps:
        return ''
    mean = sum(row.value for row in gaps) / len(gaps)
    return (
        f'`jcorm` is below the certified bound by {mean:.2g} % on average, by at most '
        f'{max(row.high for row in gaps):.2g} % in a slot (slots in which no task must be late).\n'
    )


def _times(table: Table) -> Iterator[str]:
    rows = []
    for row in table.of(TABLE_2, 'experiment_s', MEAN, table.players):
        factor = table.of(TABLE_2, 'experiment_s', TIMES, [row.player])
        printed = [one.published for one in (row, *factor) if one.published is not None]
        rows.append(
            (
                f'`{row.player}`',
                f'{printed[0]:g}' if printed else '-',
                cell([row]),
                f'{printed[1]:.0f}' if len(printed) > 1 else '-',
                cell(factor),
                str(row.episodes),
            )
        )
    columns = (
        '', 'printed [s]', 'here [s]', f'printed, times {JCORM}', f'here, times {JCORM}',
        'experiments',
    )  # fmt: skip
    yield markdown(columns, rows)


_SECTIONS: dict[Exhibit, Section] = {
    **{number: partial(_figure, number) for number in FIGURES},
    TABLE_2: _times,
}


def _places(table: Table) -> list[float]:
    return sorted({row.x for row in table.rows if row.x is not None})


def _named(player: str, mode: str) -> str:
    name = player if player == BOUND else f'`{player}`'
    return name if mode == BASE else f'{name}, {mode}'
