"""What the paper claims of Figs 3 to 9 and Table II, judged by our numbers; see `judging`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    Claim,
    Judge,
    Table,
    judged,
    one_sided,
    within,
    worst,
)
from sec_nodes.experiments.maritime import scheme_claims
from sec_nodes.experiments.maritime.figures import (
    BASE,
    DS_SHARES,
    FREE_GBYTE,
    LARGE_SIZES,
    LOW_POWER,
    RICIAN_FACTORS,
    STORAGES_GBYTE,
    UAV_CPUS_GHZ,
    channel_mode,
    cpu_mode,
    storage_mode,
)
from sec_nodes.experiments.maritime.judges import (
    SAME_PERCENT,
    by_variant,
    failures,
    fine,
    over_variants,
    printed_percent,
    to_the_end,
)
from sec_nodes.experiments.maritime.plans import JCORM, LITERAL, LITERAL_HALF, LOCAL
from sec_nodes.experiments.maritime.tables import ABOVE, ABOVE_PREVIOUS, OVER
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

_SLIGHT_PERCENT = 10.0
"""Up to what a difference is slight."""
_NAMED_MHZ = (30.0, 40.0)
"""Bandwidths that the text names."""


def claims(rows: Iterable[Row]) -> list[Claim]:
    """All claims about the figures that there are rows of."""
    return judged(rows, _JUDGES)


def _energy_falls(table: Table) -> Claim:
    rows = table.of(3, 'energy_j', ABOVE_PREVIOUS, [JCORM])
    steps = '; '.join(f'until {row.x:g} MHz {fine(row)}' for row in rows)
    return Claim(
        3,
        'Energy falls with bandwidth',
        'falls',
        f'`{JCORM}`, step by step: {steps}',
        one_sided(rows, -1),
        _ENERGY,
    )


def _storages_alike(where: str, places_mhz: Sequence[float] | None, because: str) -> Judge:
    """Whether 1.3 and 1.5 GB are alike at some bandwidths; None stands for all."""

    def judge(table: Table) -> Claim:
        smallest = storage_mode(0.5, STORAGES_GBYTE[0])
        swept = sorted({row.x for row in table.rows if row.figure == 6 and row.x is not None})
        gaps = {}
        for x in places_mhz or swept:
            middle, largest = (
                table.of(6, 'utility_mbit', f'{OVER}{smallest}', [JCORM], mode, x)[0].value
                for mode in (storage_mode(0.5, storage) for storage in STORAGES_GBYTE[1:])
            )
            gaps[x] = 100 * ((100 + largest) / (100 + middle) - 1)
        return Claim(
            6,
            f'With 0.5 GB free, storages of 1.3 and 1.5 GB hardly differ, {where}',
            'not significant',
            '1.5 GB above 1.3 GB: '
            + '; '.join(f'{gap:+.2f} % at {x:g} MHz' for x, gap in gaps.items()),
            HOLDS if all(abs(gap) <= SAME_PERCENT for gap in gaps.values()) else FAILS,
            because,
        )

    return judge


def _slower_when_small(player: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        first = min(row.x for row in table.rows if row.figure == 7 and row.x is not None)
        rows = table.of(7, 'delay_s', f'{ABOVE}{LOCAL}', [player], x=first)
        return Claim(
            7,
            f'With little data JCORM (`{player}`) is slightly slower than no offloading',
            'slightly higher delay',
            f'above `{LOCAL}` with {first:g} Mbit: {by_variant(rows)}',
            worst([one_sided(rows, 1), within(rows, 0.0, _SLIGHT_PERCENT)]),
            because,
        )

    return judge


def _faster_when_large(table: Table) -> Claim:
    last = table.last(7)
    rows = table.of(7, 'delay_s', f'{ABOVE}{LOCAL}', [JCORM], x=last)
    late = failures(table, 7, cpu_mode(UAV_CPUS_GHZ[0]), last, (JCORM, LOCAL))
    return Claim(
        7,
        'With much data JCORM is significantly faster than no offloading',
        'significantly lower delay',
        f'above `{LOCAL}` with {last:g} Mbit: {by_variant(rows)}; at 2 GHz{late}',
        one_sided(rows, -1),
        'It shares the work with the satellite. Who fails all deadlines by computing alone is '
        'charged the time that it really takes.',
    )


def _weight_drops(per_unit: bool) -> Judge:
    """How much utility falls from 0.01 to 1, and from 1 to 10."""

    def judge(table: Table) -> Claim:
        value = {row.x: row.value for row in table.of(9, 'utility_mbit', MEAN, [JCORM], BASE)}
        early, late = value[0.01] - value[1.0], value[1.0] - value[10.0]
        unit = ''
        if per_unit:
            early, late, unit = early / 0.99, late / 9, ' per unit of lambda'
        return Claim(
            9,
            f'Utility falls noticeably until lambda = 1, more gradually until 10{unit}',
            'steeper before 1',
            f'falls by {early:.4g} Mbit{unit} until 1, by {late:.4g} Mbit{unit} until 10',
            HOLDS if early > late else FAILS,
            'The optimum of a slot is convex in lambda, a maximum of lines, so slopes can only '
            'flatten: here hardly, since hundreds of J stand against tens of thousands of Mbit.'
            if per_unit
            else 'Lambda grows nine times as much in the second part, and utility is close to a '
            'straight line in it.',
        )

    return judge


_BANDWIDTH = 'Urgent data are sent sooner, and the rest of the slot carries more.'
_ENERGY = (
    'A UAV transmits stored data in all that is left of the slot: what is saved on urgent data is '
    'spent on uploads, at the same power. It falls only where storage runs empty.'
)
_FREE = (
    'Storage and link limit together here; how much depends on parameters that Table I has and '
    'the available text lacks.'
)
_STALLED = (
    'Algorithm 2 as printed stays where it begins, so its seed decides, which the paper does not '
    'state: one that offloads half crosses no offloading, one that balances both sides does not. '
    "The crossing of the paper's figure may be such a stall."
)
_ALONE = 'A UAV that computes faster needs the satellite less.'

_JUDGES: dict[Exhibit, tuple[Judge, ...]] = {
    3: (
        to_the_end(3, 'utility_mbit', 1, 'Utility rises with bandwidth', _BANDWIDTH),
        to_the_end(3, 'delivered_mbit', 1, 'The data volume rises with bandwidth', _BANDWIDTH),
        _energy_falls,
    ),
    **scheme_claims.JUDGES,
    6: (
        *(
            over_variants(
                6, 'utility_mbit', 1,
                [
                    (storage_mode(free, storage), storage_mode(free, STORAGES_GBYTE[0]))
                    for storage in STORAGES_GBYTE[1:]
                ],
                f'With {free:g} GB free, utility rises with the storage',
                'With the same space free, more storage means more stored at first; that matters '
                'where the link can carry it.',
            )
            for free in FREE_GBYTE
        ),
        printed_percent(
            6, 'utility_mbit', ABOVE_PREVIOUS, 40,
            'With 1 GB free of 1.5 GB, 40 MHz give 4.9 % more than 30 MHz', _FREE,
            storage_mode(1.0, 1.5),
        ),
        printed_percent(
            6, 'utility_mbit', ABOVE_PREVIOUS, 40,
            'With 0.5 GB free, 40 MHz give 24.9 % more than 30 MHz',
            'With noise that grows with the band, which was chosen for this: no independent test.',
            storage_mode(0.5, 1.5),
        ),
        _storages_alike(
            'at 30 and 40 MHz', _NAMED_MHZ,
            'The link is the limit. These are the bandwidths that the text names.',
        ),
        _storages_alike(
            'wherever we looked', None,
            'A faster link empties 0.8 GB. Our range is chosen; that of the paper is not in the '
            'text.',
        ),
    ),
    7: (
        _slower_when_small(
            JCORM,
            'x = 0 is among its choices: the optimum of a slot cannot be slower where the link is '
            'the limit.',
        ),
        *(_slower_when_small(player, _STALLED) for player in (LITERAL, LITERAL_HALF)),
        _faster_when_large,
        over_variants(
            7, 'delay_s', -1,
            [(cpu_mode(ghz), cpu_mode(UAV_CPUS_GHZ[0])) for ghz in UAV_CPUS_GHZ[1:]],
            'Delay falls with the computing power of UAVs', _ALONE,
        ),
        over_variants(
            7, 'ratio', -1,
            [(cpu_mode(ghz), cpu_mode(UAV_CPUS_GHZ[0])) for ghz in UAV_CPUS_GHZ[1:]],
            'The offloaded share falls with the computing power of UAVs', _ALONE,
        ),
    ),
    8: (
        over_variants(
            8, 'utility_mbit', 1,
            [
                (channel_mode(factor, share), channel_mode(RICIAN_FACTORS[0], share))
                for share in DS_SHARES
                for factor in RICIAN_FACTORS[1:]
            ],
            'Utility rises with the Rician factor',
            'Less fading means a higher mean rate, by concavity of the logarithm, and the slowest '
            'urgent device is less slow.',
        ),
        to_the_end(
            8, 'utility_mbit', 1, 'Utility rises with the bandwidth of UAVs',
            'More can be collected, and that is the limit with empty storage.', (JCORM,),
        ),
        over_variants(
            8, 'utility_mbit', -1,
            [
                (channel_mode(factor, DS_SHARES[1]), channel_mode(factor, DS_SHARES[0]))
                for factor in RICIAN_FACTORS
            ],
            'Utility falls with the share of the band for urgent data',
            'What urgent data are given is missing for the collection of the others.',
        ),
    ),
    9: (
        to_the_end(
            9, 'utility_mbit', -1, 'Utility falls with lambda', 'Energy is charged more.',
            (JCORM,),
        ),
        _weight_drops(per_unit=False),
        _weight_drops(per_unit=True),
        over_variants(
            9, 'utility_mbit', -1, [(LOW_POWER, BASE)],
            'Utility is lower with less transmit power',
            'p_DT is taken to be P_max, so that uploads are slower.',
        ),
        over_variants(
            9, 'utility_mbit', -1, [(LARGE_SIZES, BASE)],
            'Utility is lower with larger data sizes',
            'Longer urgent tasks leave less of the slot.',
        ),
    ),
}  # fmt: skip
