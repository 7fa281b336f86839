"""What the paper claims of Figs 3 to 5 and of failures, judged by our numbers; see `judging`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    judged,
    listed,
    ordered,
    worst,
)
from sec_nodes.experiments.robust import failure_claims
from sec_nodes.experiments.robust.figures import THEOREM
from sec_nodes.experiments.robust.judges import (
    at_last,
    by_place,
    counted,
    slots,
    strictly,
    swept,
)
from sec_nodes.experiments.robust.plans import (
    ABLATION,
    FEASIBLE,
    FLAT_ONES,
    NEAREST,
    OFFLOAD_ALL,
    OPTIMUM,
    OURS,
    PAPER,
    RANDOM,
    RANDOM_FEASIBLE,
    RIVALS,
    SHARED,
)
from sec_nodes.experiments.robust.published import STEPS_TO_CONVERGE
from sec_nodes.experiments.robust.tables import ABOVE, ABOVE_FIRST, DIP, STEPS
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

_PRINTED_WEIGHT_LIMIT = 1.0
"""varpi_2 up to which the theorem holds."""
_NOT_TRAINED = 'Not trained in this plan.'
_WAYS = {'cost_mj': 'weighted energy', 'per_task_mj': 'energy per completed task'}


def claims(rows: Iterable[Row]) -> list[Claim]:
    """All claims about the figures that there are rows of."""
    return judged(rows, _JUDGES)


def _faster(mode: str, learners: Sequence[str]) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(3, STEPS, MEAN, learners, mode)
        ours = [row for row in found if row.player == learners[0]]
        return Claim(
            3,
            f'`{learners[0]}` converges first, mode {mode}',
            ', '.join(f'{name} {steps:,}' for name, steps in STEPS_TO_CONVERGE.items()),
            'slots until 95 % of the final return, with least and largest of the runs: '
            f'{slots(found)}',
            ordered(ours, [row for row in found if row.player != learners[0]]),
            'Judged by curves while exploring. Where a curve ends depends on how long training '
            'lasts, so the number of slots is no property of an algorithm.'
            if found
            else _NOT_TRAINED,
        )

    return judge


def _better(rival: str, mode: str, base: str = OURS) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(3, 'return', f'{ABOVE}{base}', [rival], mode)
        completed = table.of(3, 'completion_percent', MEAN, [base, rival], mode)
        return Claim(
            3,
            f'`{rival}` reaches a lower reward than `{base}`, mode {mode}',
            'lower',
            f'return above that of `{base}`: {listed(found)}; completed [%]: '
            f'{listed(completed, percent=False)}',
            strictly(found, -1),
            'Same episodes; what each of them was trained with stands below.'
            if found
            else _NOT_TRAINED,
        )

    return judge


def _dips(mode: str, learners: Sequence[str]) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(3, DIP, MEAN, learners, mode)
        return Claim(
            3,
            f'Rewards of `{learners[0]}` and `{learners[1]}` fall at first, mode {mode}',
            'a temporary decrease',
            'largest fall below the first 200 slots in the first half of the training [% of '
            f'them], with least and largest of the runs: {listed(found, percent=False)}',
            strictly(found, 1),
            'Untrained policies that share networks are good already, and get worse before they '
            'get better.'
            if found
            else _NOT_TRAINED,
        )

    return judge


def _rises(mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        found = at_last(table, 4, 'cost_mj', ABOVE_FIRST, mode)
        return Claim(
            4,
            f'Weighted energy rises with the number of users, mode {mode}',
            'rises',
            f'from the first to the last place: {listed(found)}',
            strictly(found, 1),
            'A sum over users, of which each adds a task.',
        )

    return judge


def _lowest(quantity: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        players = [*RIVALS, OFFLOAD_ALL, RANDOM]
        found = table.of(4, quantity, f'{ABOVE}{OURS}', players, mode)
        return Claim(
            4,
            f'SAC-PER has the lowest {_WAYS[quantity]} for every number of users, mode {mode}',
            'lowest',
            f'above `{OURS}`: {counted(found)}',
            strictly(found, 1),
            (_DROPPED if mode == FEASIBLE else _LEARNT_TO_DROP) if found else _NOT_TRAINED,
        )

    return judge


def _beats_rules(quantity: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(4, quantity, f'{ABOVE}{OURS}', [NEAREST, OFFLOAD_ALL], mode)
        best = table.of(4, quantity, f'{ABOVE}{OPTIMUM}', [OURS], mode)
        dropped = table.of(4, 'completion_percent', f'{ABOVE}{OPTIMUM}', [OURS], mode)
        completed = table.of(4, 'completion_percent', MEAN, [OURS], mode)
        drops = any(row.high < 0 for row in dropped)
        return Claim(
            4,
            f'SAC-PER needs less {_WAYS[quantity]} than simple rules and completes as '
            f'much as the optimum, mode {mode} (ours)',
            'not in the paper',
            f'above `{OURS}`: {counted(found)}; it above `{OPTIMUM}`, by the number of users: '
            f'{by_place(best)}; it completes at least '
            f'{min((row.value for row in completed), default=0):.3g} %',
            FAILS if drops else strictly(found, 1),
            'It leaves out tasks that fit, and what is left out is not spent.'
            if drops
            else 'Its UAVs may fly at the speed of least power; those of the rules and of the '
            'optimum hover.',
        )

    return judge


def _scheme_lowest(quantity: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(4, quantity, f'{ABOVE}{OPTIMUM}', [OFFLOAD_ALL, RANDOM], mode)
        return Claim(
            4,
            f'The best splits have a lower {_WAYS[quantity]} than offloading and random ones, '
            f'mode {mode}',
            'lowest',
            f'above `{OPTIMUM}`: {counted(found)}',
            strictly(found, 1),
            _DROPPED if mode == FEASIBLE else _WHOLE,
        )

    return judge


def _redq_highest(mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        redq = table.of(4, 'cost_mj', f'{ABOVE}{OURS}', ['redq'], mode)
        sac = table.of(4, 'cost_mj', f'{ABOVE}{OURS}', ['sac'], mode)
        pairs = [(a, b) for a in sac for b in redq if a.x == b.x]
        return Claim(
            4,
            f'REDQ has the highest weighted energy of the learners, mode {mode}',
            'highest',
            f'above `{OURS}`: {counted([*redq, *sac])}',
            worst([strictly(redq, 1), *(ordered([a], [b]) for a, b in pairs)]),
            'Few trainings, and fewer slots for REDQ with 20 gradient steps a slot.'
            if redq else _NOT_TRAINED,
        )  # fmt: skip

    return judge


def _best_splits(quantity: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        players = [OFFLOAD_ALL, RANDOM, RANDOM_FEASIBLE]
        found = table.of(5, quantity, f'{ABOVE}{OPTIMUM}', players, mode)
        because = {FEASIBLE: _DROPPED, PAPER: _WHOLE, ABLATION: _ALL_OF_IT}[mode]
        return Claim(
            5,
            f'Best splits need the least {_WAYS[quantity]}, mode {mode}',
            'lowest',
            f'above `{OPTIMUM}`: {counted(found)}',
            strictly(found, 1),
            because,
        )

    return judge


def _offloading_worst(quantity: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        found = table.of(5, quantity, f'{ABOVE}{RANDOM}', [OFFLOAD_ALL], mode)
        return Claim(
            5,
            f'Offloading needs more {_WAYS[quantity]} than random splits, mode {mode}',
            'highest',
            f'above `{RANDOM}`, by the number of UAVs: {by_place(found)}',
            strictly(found, 1),
            _RANDOM[mode],
        )

    return judge


def _worse_with_uavs(mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        found = swept(table.of(5, 'cost_mj', f'{ABOVE}{RANDOM}', [OFFLOAD_ALL], mode))
        first, last = found[:1], found[-1:]
        behind = swept(table.of(5, 'cost_mj', f'{ABOVE}{OPTIMUM}', [OFFLOAD_ALL], mode))
        return Claim(
            5,
            f'Offloading is the worse the more UAVs there are, mode {mode}',
            'particularly as the number of UAVs increases',
            f'weighted energy above `{RANDOM}`, by the number of UAVs: {by_place(found)}; above '
            f'`{OPTIMUM}`: {by_place(behind)}',
            worst([ordered(first, last), strictly(last, 1)]),
            'More processors compute slower for each task, which costs less, not more.'
            if mode != ABLATION
            else _ALL_OF_IT,
        )

    return judge


def _necessary(table: Table) -> Claim:
    below = [
        row
        for row in table.of(THEOREM, 'whole_percent', MEAN, [OPTIMUM], PAPER)
        if (row.x or 0) <= _PRINTED_WEIGHT_LIMIT
    ]
    return Claim(
        THEOREM,
        'Partitioning is necessary for energy efficiency, mode paper',
        'effectiveness and necessity',
        'sent tasks that the optimum does not split [%], by varpi_2: '
        f'{by_place(below, percent=False)}',
        (FAILS if all(row.low >= 100 for row in below) else HOLDS) if below else UNTESTABLE,
        'With the printed values the image is best sent as it is, see the theorem.',
    )


def _necessary_here(table: Table) -> Claim:
    found = table.of(THEOREM, 'cost_mj', f'{ABOVE}{OFFLOAD_ALL}', [OPTIMUM], FEASIBLE)
    usual = [row for row in found if row.x == _PRINTED_WEIGHT_LIMIT]
    whole = table.of(THEOREM, 'whole_percent', MEAN, [OPTIMUM], FEASIBLE, _PRINTED_WEIGHT_LIMIT)
    return Claim(
        THEOREM,
        'Partitioning is necessary for energy efficiency, mode feasible',
        'effectiveness and necessity',
        f'weighted energy of best splits above `{OFFLOAD_ALL}`: {listed(usual)}; not split [%]: '
        f'{listed(whole, percent=False)}',
        strictly(usual, -1),
        'Where users share the bandwidth, sending costs energy, and deep splits send less.',
    )


_LEARNT_TO_DROP = 'SAC and SAC-PER complete less than `optimum` and `offload_all` here: see below.'
_DROPPED = (
    'Who drops tasks spends less: random splits complete about seven tasks in ten. Energy per '
    'completed task tells more.'
)
_WHOLE = (
    'The best split is to send all, see the theorem: there is nothing to gain over offloading.'
)
_ALL_OF_IT = (
    'With the rule `prop` all of the processor is used at any load: each further UAV adds its '
    'whole power, most to those who offload most.'
)
_RANDOM = {
    FEASIBLE: 'Random splits drop three tasks in ten, which saves energy; it is the tasks that '
    'are completed which tell.',
    PAPER: 'Layers that run on users cost far more than to send the image.',
    ABLATION: _ALL_OF_IT,
}

_JUDGES: dict[Exhibit, tuple[Judge, ...]] = {
    3: (
        *(_faster(mode, SHARED) for mode in (FEASIBLE, PAPER)),
        *(_faster(mode, FLAT_ONES) for mode in (FEASIBLE, PAPER)),
        *(_better(rival, mode) for mode in (FEASIBLE, PAPER) for rival in RIVALS),
        *(_better(FLAT_ONES[1], mode, FLAT_ONES[0]) for mode in (FEASIBLE, PAPER)),
        *(
            _dips(mode, learners)
            for mode in (FEASIBLE, PAPER)
            for learners in (SHARED[:2], FLAT_ONES)
        ),
    ),
    4: (
        *(_rises(mode) for mode in (FEASIBLE, PAPER)),
        *(_lowest(quantity, mode) for mode in (FEASIBLE, PAPER) for quantity in _WAYS),
        *(_redq_highest(mode) for mode in (FEASIBLE, PAPER)),
        *(_beats_rules(quantity, mode) for mode in (FEASIBLE, PAPER) for quantity in _WAYS),
        *(_scheme_lowest(quantity, mode) for mode in (FEASIBLE, PAPER) for quantity in _WAYS),
    ),
    5: (
        *(_best_splits(q, mode) for mode in (FEASIBLE, PAPER, ABLATION) for q in _WAYS),
        *(_offloading_worst(q, mode) for mode in (FEASIBLE, PAPER, ABLATION) for q in _WAYS),
        *(_worse_with_uavs(mode) for mode in (FEASIBLE, PAPER, ABLATION)),
    ),
    **failure_claims.JUDGES,
    THEOREM: (_necessary, _necessary_here),
}  # fmt: skip
