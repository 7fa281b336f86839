"""What the paper claims of failures, judged by our numbers; see `judging`."""

from __future__ import annotations

from collections.abc import Mapping

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    listed,
    ordered,
)
from sec_nodes.experiments.robust.figures import (
    CHECKPOINT,
    FAILURES,
    KEPT,
    LOST,
    MOMENTS,
    NEW,
    PROGRESS,
    RELAY,
    RESEND,
    RESERVE,
    named,
)
from sec_nodes.experiments.robust.judges import by_place, points, strictly, who
from sec_nodes.experiments.robust.plans import FEASIBLE, OPTIMUM, OURS
from sec_nodes.experiments.robust.tables import ABOVE, ABOVE_FIRST
from sec_nodes.experiments.rows import MEAN, Exhibit


def _robust(strategy: str, statement: str, base: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        players = [named(name, strategy) for name in (OPTIMUM, OURS)]
        found = [
            row
            for player in players
            for row in table.of(
                FAILURES, 'completion_percent', f'{ABOVE}{named(who(player), base)}', [player],
                FEASIBLE, 1.0,
            )
        ]  # fmt: skip
        means = table.of(FAILURES, 'completion_percent', MEAN, players, FEASIBLE, 1.0)
        energy = table.of(FAILURES, 'per_task_mj', MEAN, players, FEASIBLE, 1.0)
        return Claim(
            FAILURES,
            statement,
            'no number',
            f'points of completion above "{base}", one failure: {points(found)}; completed [%] '
            f'{listed(means, percent=False)}; energy per completed task [mJ] '
            f'{listed(energy, percent=False)}',
            strictly(found, 1),
            because,
        )  # fmt: skip

    return judge


def _moment(table: Table) -> Claim:
    players = [named(OPTIMUM, RELAY)]
    found = table.of(MOMENTS, 'completion_percent', MEAN, players)
    kept = table.of(MOMENTS, 'completion_percent', MEAN, [named(OPTIMUM, KEPT)])
    return Claim(
        MOMENTS,
        'Inference goes on whenever a UAV fails',
        'continuous',
        f'completed with relay, by the slot of the failure [%]: {by_place(found, percent=False)}'
        f'; association kept: {by_place(kept, percent=False)}',
        (HOLDS if all(row.low >= 100 for row in found) else FAILS) if found else UNTESTABLE,
        'With an association that is kept a third of the users wait for the end of the episode; '
        'with a new one there is one slot to save.',
    )


def _checkpoints(table: Table) -> Claim:
    player = named(OPTIMUM, f'relay, {CHECKPOINT}')
    relation = f'{ABOVE}{named(OPTIMUM, f"relay, {LOST}")}'
    saved = [row for row in table.of(PROGRESS, 'per_task_mj', relation, [player]) if row.x]
    completed = table.of(PROGRESS, 'completion_percent', relation, [player])
    return Claim(
        PROGRESS,
        'To reassign only layers that are not finished (abstract: "incomplete DNN layers") saves '
        'energy',
        'no number',
        f'energy per completed task above that of doing all again, by rho: {by_place(saved)}; '
        f'points of completion at most {max((abs(row.value) for row in completed), default=0):.2g}'
        ' apart',
        strictly(saved, -1),
        'There is room to do all again, only faster, which costs. The tensor of an inner layer '
        'may be larger than the one at the split, and its head start small.',
    )


def _resends(table: Table) -> Claim:
    without, last = (
        table.of(RESERVE, 'rescued_percent', MEAN, [named(OPTIMUM, RESEND)], FEASIBLE, reserve_s)
        for reserve_s in (0.0, table.last(RESERVE))
    )
    cost = table.of(
        RESERVE, 'per_task_mj', ABOVE_FIRST, [named(OPTIMUM, RESEND)], FEASIBLE,
        table.last(RESERVE),
    )  # fmt: skip
    return Claim(
        RESERVE,
        'Users cannot simply send again (ours): tasks that fill their slot leave no time',
        'not in the paper',
        f'tasks of failed UAVs that go on [%]: without a reserve '
        f'{listed(without, percent=False)}; with {table.last(RESERVE):g} s '
        f'{listed(last, percent=False)}, for {listed(cost)} energy per completed task',
        ordered(without, last),
        'The rule `joint` uses the slot to its end. A second upload needs time that must be kept '
        'free in every slot, at a price; a relay between UAVs needs next to none.',
    )


_REASSOCIATED = (
    'A third of the users lost their UAV for half of an episode, on average, and now have another.'
)
_ONE_SLOT = 'A failure strikes in one slot of sixty, and later ones know of it.'

JUDGES: Mapping[Exhibit, tuple[Judge, ...]] = {
    FAILURES: (
        _robust(NEW, 'A new association from the next slot on keeps inference going', KEPT,
                _REASSOCIATED),
        _robust(RELAY, 'Migration keeps inference going', NEW, _ONE_SLOT),
        _robust(RESEND, 'Sending tasks again keeps inference going (ours)', NEW,
                'The second upload does not fit the slot, see the reserve below.'),
    ),
    MOMENTS: (_moment,),
    PROGRESS: (_checkpoints,),
    RESERVE: (_resends,),
}  # fmt: skip
