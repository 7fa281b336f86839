"""What the paper claims of Figs 3 to 5: paths, resources and energies of the schemes."""

from __future__ import annotations

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    Claim,
    Judge,
    Table,
    one_sided,
    within,
    worst,
)
from sec_nodes.experiments.partial.judges import (
    CONSIDERABLE_PERCENT,
    differences,
    lower,
    one,
    told,
    whole,
)
from sec_nodes.experiments.partial.plans import (
    BASE,
    BL,
    OP,
    SCHEMES,
    SINGLE,
    TIGHT,
    TSP,
    TSP_HOVER,
)
from sec_nodes.experiments.partial.tables import ABOVE, uav_name
from sec_nodes.experiments.rows import Exhibit

_ALIKE_PERCENT = 5.0
"""Up to what two curves are very close."""


def _all_met(table: Table) -> Claim:
    own = one(table, 3, 'missed', OP)
    late = {
        player: sorted(int(row.x or 0) for row in table.of(3, 'late', None, [player], BASE))
        for player in SCHEMES
    }
    others = '; '.join(
        f'`{player}` misses {len(tasks)}: {", ".join(map(str, tasks))}'
        for player, tasks in late.items()
        if tasks
    )
    broken = [row for row in table.rows if row.quantity.startswith('broken ')]
    kept = not [row for row in broken if row.player in (OP, SINGLE)]
    return Claim(
        3,
        'OP meets all deadlines',
        'all tasks',
        f'`{OP}` misses {own.value:.0f}; {others or "nobody else misses any"}',
        HOLDS if own.value == 0 and kept else FAILS,
        'An independent validator has checked each plan against the original constraints.',
    )


def _closest(table: Table) -> Claim:
    near_m = {player: one(table, 3, 'nearest_m', player).value for player in SCHEMES}
    told = '; '.join(f'`{player}` {value:.0f} m' for player, value in near_m.items())
    return Claim(
        3,
        'TSP comes closest to the terminals',
        'closest',
        f'mean closest approach: {told}',
        HOLDS if min(near_m[TSP], near_m[TSP_HOVER]) == min(near_m.values()) else FAILS,
        'Its paths lead over them.',
    )


def _neither(table: Table) -> Claim:
    near_m = {player: one(table, 3, 'nearest_m', player).value for player in (OP, TSP, BL)}
    told = '; '.join(f'`{player}` {value:.0f} m' for player, value in near_m.items())
    return Claim(
        3,
        'OP flies neither too close to the terminals nor too far from them',
        'no numbers; read as between TSP and BL',
        f'mean closest approach: {told}',
        HOLDS if near_m[TSP] <= near_m[OP] <= near_m[BL] else FAILS,
        'OP comes closer to terminals with much work, and serves those with little from afar, '
        'where the rate still suffices.',
    )


def _same_curves(table: Table) -> Claim:
    rows = [row for row in differences(table, 4, 'cpu_ghz', TSP, BL) if row.mode == BASE]
    return Claim(
        4,
        'TSP and BL have the same distribution of computing',
        'the same images',
        told(rows),
        HOLDS if rows and all(abs(row.value) < 1e-9 for row in rows) else FAILS,
        'Same association, and the processor is shared evenly.',
    )


def _highest_rate(table: Table) -> Claim:
    rate = {
        mode: {player: one(table, 4, 'rate_kbit_s', player, mode).value for player in SCHEMES}
        for mode in (BASE, TIGHT)
    }
    best = [max(own, key=lambda player: own[player]) for own in rate.values()]
    told = '; '.join(
        f'{"drawn" if mode == TIGHT else "default"}: '
        + ', '.join(f'`{player}` {value:.1f}' for player, value in own.items())
        for mode, own in rate.items()
    )
    return Claim(
        4,
        'TSP has the highest rates',
        'highest',
        f'mean over tasks and slots [kb/s], {told}',
        worst(HOLDS if player in (TSP, TSP_HOVER) else FAILS for player in best),
        'A rate averaged over the mission is high for who stays near its terminals all the time; '
        'OP looks for the pairs of terminals and UAVs that make this possible.',
    )


def _rate_alike(table: Table) -> Claim:
    rows = differences(table, 4, 'rate_kbit_s', OP, BL)
    return Claim(
        4,
        "OP's rates are very close to BL's",
        f'very close; read as up to {_ALIKE_PERCENT:g} %',
        told(rows),
        within(rows, -_ALIKE_PERCENT, _ALIKE_PERCENT),
        'Rates change slowly with the distance when a UAV is 200 m above.',
    )


def _serves_cheaper(mode: str, where: str, because: str) -> Judge:
    """Service energy of OP against BL and TSP, with the tasks that everybody misses."""

    def judge(table: Table) -> Claim:
        rows = [
            row
            for rival in (BL, TSP)
            for row in whole(differences(table, 5, 'service_j', OP, rival))
            if row.mode == mode
        ]
        late = '; '.join(
            f'`{player}` misses {one(table, 5, "missed", player, mode).value:.3g}'
            for player in (OP, BL, TSP)
        )
        return Claim(
            5,
            f'OP has a lower service energy than BL and TSP, {where}',
            'lower',
            f'{told(rows)} ({late})',
            one_sided(rows, -1),
            because,
        )

    return judge


def _tsp_serves_cheaper(table: Table) -> Claim:
    rows = whole(differences(table, 5, 'service_j', TSP, BL))
    return Claim(
        5,
        "TSP's service energy is lower than BL's",
        'lower',
        told(rows),
        FAILS if rows and all(abs(row.value) < 1e-9 for row in rows) else one_sided(rows, -1),
        'By (9) it follows from f and the work alone, and the paper gives both the same '
        'association and shares (its Fig. 4a to c): its own statements exclude each other.',
    )


def _tsp_flies_dearer(player: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = whole(differences(table, 5, 'propulsion_j', player, BL))
        return Claim(
            5,
            f"TSP's propulsion energy (`{player}`) is considerably higher than BL's",
            f'considerably; read as by {CONSIDERABLE_PERCENT:g} % or more',
            told(rows),
            within(rows, CONSIDERABLE_PERCENT, float('inf')),
            because,
        )

    return judge


def _tsp_cheapest_of_3(table: Table) -> Claim:
    third = f'{ABOVE}{OP}, {uav_name(2)}'
    every = [row for row in differences(table, 5, 'propulsion_j', TSP, OP)
             if ', ' in row.relation]  # fmt: skip
    rows = [row for row in every if row.relation == third]
    return Claim(
        5,
        "UAV 3's propulsion energy under TSP is somewhat lower than under OP",
        'lower',
        told(every),
        one_sided(rows, -1),
        'OP is within a per mille of flying at the speed of least power all the time, which '
        'nothing beats. The printed P6 minimises squared steps, which slows UAVs below that '
        'speed; that may be what the figure shows.',
    )


_EVEN = (
    'BL and TSP hand out all of F_max. OP gives each task the least that meets its deadline. A '
    'UAV of OP that has few, but large tasks gives each of them more than BL does on average.'
)
_SERVICE = (
    'Energy grows with the square of f, and UAVs of BL with few tasks compute faster than they '
    'must.'
)
_LATE = (
    'With even shares, UAVs with many tasks compute too slowly for the deadlines, which saves '
    'energy: whoever misses tasks is no better for spending less.'
)
_BL_FLIES = (
    'An ellipse flown at one speed is not at the speed of least power, but close to it: there is '
    'not much to gain.'
)

JUDGES: dict[Exhibit, tuple[Judge, ...]] = {
    3: (_all_met, _closest, _neither),
    4: (
        lower(
            4, 'cpu_ghz', (BL, TSP),
            'OP allocates significantly less computing than BL and TSP, all UAVs together', _EVEN,
            by=CONSIDERABLE_PERCENT,
        ),
        lower(
            4, 'cpu_ghz', (BL, TSP),
            'OP allocates significantly less computing than BL and TSP, for each UAV', _EVEN,
            by=CONSIDERABLE_PERCENT, each_uav=True,
        ),
        _same_curves,
        _highest_rate,
        _rate_alike,
    ),
    5: (
        _serves_cheaper(BASE, 'default instance', _SERVICE),
        _serves_cheaper(TIGHT, 'mean of drawn instances', _LATE),
        _tsp_serves_cheaper,
        lower(
            5, 'propulsion_j', (BL,), 'OP has a lower propulsion energy than BL, each UAV',
            _BL_FLIES, each_uav=True,
        ),
        _tsp_flies_dearer(
            TSP, 'Over the whole mission at one speed, a tour is about as fast as an ellipse.'
        ),
        _tsp_flies_dearer(
            TSP_HOVER,
            'Hovering takes a third more power than flying at the best speed. The paper describes '
            'both kinds of tours.',
        ),
        _tsp_cheapest_of_3,
    ),
}  # fmt: skip
