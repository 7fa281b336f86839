"""What the paper claims of Figs 3 to 8, and whether our numbers bear it out; see `judging`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNDECIDED,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    judged,
    listed,
    near,
    one_sided,
    ordered,
    trend,
    within,
    worst,
)
from sec_nodes.experiments.mllm.figures import FLAT
from sec_nodes.experiments.mllm.plans import COMPARED, OPTIMUM, STRUCTURED
from sec_nodes.experiments.mllm.published import LOWER_REWARD_PERCENT
from sec_nodes.experiments.mllm.tables import (
    ABOVE_FIRST,
    ABOVE_FLAT,
    ABOVE_STRUCTURED,
    FLUCTUATION,
    WHILE_LEARNING,
)
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

BASELINES = COMPARED[1:]
_REACHED = (STRUCTURED, FLAT, OPTIMUM)
_SHORT = 'Trainings are too short to tell: their curves have fewer than eight stretches.'
_DECOUPLED = (
    'Here slots do not depend on each other, requests hardly so: greedy is within a few percent '
    'of the per-slot optimum, so larger gaps are broken constraints or failed learning.'
)
_CALIBRATED = (
    'Mode fig7 was calibrated to the four printed values, so this is no independent test.'
)
_NO_JOULES = (
    'Uploads are 0.05 to 1 % of the energy: powers, and places of UAVs through the radio, cannot '
    'move it by more. Who computes can: that is chosen by all variants, and by coverage places '
    'have a say in it.'
)


def claims(rows: Iterable[Row]) -> list[Claim]:
    """All claims about the figures that there are rows of."""
    return judged(rows, _JUDGES)


def _best_reward(relation: str, name: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(3, 'reward', relation, BASELINES, 'paper')
        return Claim(
            3,
            f'AD-SAC (`{name}`) reaches a higher final reward than PPO, D3QN, DDPG and Hybrid-PPO',
            'lower reward of all four',
            f'reward of eq. (34) against `{name}`: {listed(rows)}',
            one_sided(rows, -1),
            'The reward, K beta / cost, knows no constraints: breaking them can raise it. The '
            'next line is about the cost with its penalties.',
        )

    return judge


def _least_cost(relation: str, name: str, mode: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(3, 'cost', relation, BASELINES, mode)
        return Claim(
            3,
            f'AD-SAC (`{name}`) has the least weighted cost, mode {mode}',
            'least cost',
            f'penalised cost above `{name}`: {listed(rows)}',
            one_sided(rows, 1),
            _DECOUPLED if mode == 'paper' else 'Not a problem of the paper; ours beside it.',
        )

    return judge


def _size_of_gap(table: Table) -> Claim:
    low, high = LOWER_REWARD_PERCENT
    rows = table.of(3, 'reward', ABOVE_FLAT, BASELINES, 'paper')
    return Claim(
        3,
        'Their rewards are 5.7 to 13.4 % lower',
        f'-{high} to -{low} %',
        f'reward of eq. (34) against `{FLAT}`: {listed(rows)}',
        within(rows, -high, -low),
        _DECOUPLED,
    )


def _hybrid_second(table: Table) -> Claim:
    rows = table.of(3, 'reward', ABOVE_FLAT, BASELINES, 'paper')
    hybrid = [row for row in rows if row.player == 'hybrid_ppo']
    others = [row for row in rows if row.player != 'hybrid_ppo']
    return Claim(
        3,
        'Hybrid-PPO ends with a higher reward than DDPG, D3QN and PPO',
        'second after AD-SAC',
        f'reward of eq. (34) against `{FLAT}`: {listed([*hybrid, *others])}',
        ordered(others, hybrid),
        'Intervals that overlap decide nothing.',
    )


def _faster(table: Table) -> Claim:
    ours = table.of(3, WHILE_LEARNING, MEAN, [FLAT], 'paper')
    others = table.of(3, WHILE_LEARNING, MEAN, BASELINES, 'paper')
    return Claim(
        3,
        'AD-SAC converges faster',
        'steeper curve',
        f'mean cost over the whole training, with the least and largest of the runs: '
        f'{listed([*ours, *others], percent=False)}',
        ordered(ours, others),
        _SHORT if not ours else 'Judged by the mean over training, exploration included.',
    )


def _steadier(table: Table) -> Claim:
    ours = table.of(3, FLUCTUATION, MEAN, [FLAT], 'paper')
    others = table.of(3, FLUCTUATION, MEAN, ('ppo', 'd3qn'), 'paper')
    return Claim(
        3,
        'PPO and D3QN fluctuate more than AD-SAC',
        'greater fluctuations',
        'spread about the trend in the second half [%], with the least and largest of the runs: '
        f'{listed([*ours, *others], percent=False)}',
        ordered(ours, others),
        _SHORT if not ours else 'Includes how strongly each of them explores.',
    )


def _rate(rate: float, statement: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(4, 'cost', ABOVE_FLAT, [FLAT], 'paper', rate)
        return Claim(
            4,
            statement,
            'worse than 0.001',
            f'final cost above that with 0.001: {listed(rows)}',
            one_sided(rows, 1),
            'Judged by what is learnt in the end. Section 5.1 prints 0.0003, Table 2 0.001.',
        )

    return judge


def _trend(figure: int, quantity: str, side: int, statement: str, because: str) -> Judge:
    """What all learners and masked random do from one end of a sweep to the other."""

    def judge(table: Table) -> Claim:
        players = (*COMPARED, 'masked_random')
        rows = table.of(figure, quantity, ABOVE_FIRST, players, x=table.last(figure))
        return trend(figure, side, statement, rows, listed(rows), because)

    return judge


def _lowest(figure: int, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = [
            row
            for quantity in ('latency_s', 'energy_j')
            for row in table.of(figure, quantity, ABOVE_FLAT, BASELINES)
        ]
        wrong = [row for row in rows if row.high < 0]
        right = [row for row in rows if row.low > 0]
        return Claim(
            figure,
            'AD-SAC has the lowest latency and the lowest energy everywhere',
            'lowest at every place',
            f'of {len(rows)} comparisons with a baseline {len(right)} say so and {len(wrong)} the '
            'opposite',
            one_sided(rows, 1),
            because,
        )

    return judge


def _printed(quantity: str, x: float, unit: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(7, quantity, MEAN, _REACHED, x=x)
        printed = next((row.published for row in rows if row.published is not None), None)
        return Claim(
            7,
            f'{quantity.partition("_")[0]} where all ask for an accuracy of {x:g}',
            '-' if printed is None else f'{printed:g} {unit}',
            f'{listed(rows, percent=False)} {unit}',
            UNTESTABLE if printed is None else _met({r.player: r.value for r in rows}, printed),
            _CALIBRATED,
        )

    return judge


def _rise(quantity: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(7, quantity, ABOVE_FIRST, _REACHED, x=0.7)
        printed = next((row.published for row in rows if row.published is not None), None)
        factors = {row.player: 1 + row.value / 100 for row in rows}
        return Claim(
            7,
            f'{quantity.partition("_")[0]} rises from an accuracy of 0.3 to 0.7',
            '-' if printed is None else f'+{printed:g} %',
            listed(rows),
            UNTESTABLE if printed is None else _met(factors, 1 + printed / 100),
            _CALIBRATED,
        )

    return judge


def _met(values: Mapping[str, float], printed: float) -> str:
    """Whether AD-SAC as described comes to a printed value.

    If it does not, but others show that it can be reached, its training may have been too short.
    """
    reached = {player for player, value in values.items() if near(value, printed) == HOLDS}
    if FLAT in reached:
        return HOLDS
    return UNDECIDED if reached else FAILS


def _sharpest_step(table: Table) -> Claim:
    said, verdicts = [], []
    for quantity in ('latency_s', 'energy_j'):
        rows = sorted(table.of(7, quantity, MEAN, [FLAT]), key=lambda row: row.x or 0)
        steps = [(b.value - a.value, a.x, b.x) for a, b in pairwise(rows)]
        if not steps:
            verdicts.append(UNTESTABLE)
            continue
        step, start, end = max(steps)
        said.append(f'{quantity.partition("_")[0]} {step:+.3g} from {start:g} to {end:g}')
        verdicts.append(HOLDS if (start, end) == (0.5, 0.6) else FAILS)
    return Claim(
        7,
        'The sharpest step is from 0.5 to 0.6, where satellites take over from UAVs',
        'from 0.5 to 0.6',
        '; '.join(said) or 'no numbers',
        worst(verdicts),
        'UAVs have accuracies of 0.42, 0.52 and 0.58 in our settings, which puts the step there.',
    )


def _ablated(player: str, quantity: str, mode: str, statement: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(8, quantity, ABOVE_FLAT, [player], mode)
        printed = next((row.published for row in rows if row.published is not None), None)
        verdict = one_sided(rows, 1)
        if printed is not None and verdict != FAILS:
            inside = all(row.low <= printed <= row.high for row in rows)
            verdict = verdict if inside else FAILS
        return Claim(
            8,
            statement,
            f'+{printed:g} %' if printed is not None else '-',
            f'above `{FLAT}`: {listed(rows)}',
            verdict,
            because,
        )

    return judge


def _unclear_energy(table: Table) -> Claim:
    rows = table.of(8, 'energy_j', ABOVE_FLAT, ['ad_sac_c'], 'paper')
    return Claim(
        8,
        'AD-SAC-C has "better energy efficiency 13.5% increase"',
        '13.5 %, sign unclear',
        f'above `{FLAT}`: {listed(rows)}',
        UNTESTABLE,
        'The sentence contradicts itself and the one before, that AD-SAC is best in energy too.',
    )


def _cross_advantage(table: Table) -> Claim:
    rows = table.of(8, 'energy_j', ABOVE_FLAT, ('ad_sac_d',), 'paper')
    return Claim(
        8,
        'Energy is dominated by power and trajectories, latency by offloading',
        'as the reason for +24.3 % energy',
        f'energy of `ad_sac_d`, which discretises powers and trajectories, above `{FLAT}`: '
        f'{listed(rows)}',
        UNDECIDED,
        f'Powers do not, by arithmetic. {_NO_JOULES}',
    )


_K_ENERGY = (
    'Energy of a slot is a sum over its requests, so it rises with their number whatever is done.'
)
_K_LATENCY = (
    'Nothing is shared but receivers, at -15 dB; UAVs do not fill up, since every request has a '
    'GPU of its own.'
)
_TMAX = (
    'The deadline enters the cost only as a price of being late: a looser one lets cheap servers '
    'be used a little more.'
)
_UAVS_SAVE = (
    'Satellites need 1.5 J a word, UAVs 0.66 J (Table 1 and Fig. 7 itself): moving to satellites '
    'raises energy, it cannot lower it.'
)
_BOTH = 'The objective weighs both: who has the least cost need not have the least of either.'

_JUDGES: Mapping[Exhibit, tuple[Judge, ...]] = {
    3: (
        _best_reward(ABOVE_FLAT, FLAT),
        _best_reward(ABOVE_STRUCTURED, STRUCTURED),
        *(
            _least_cost(relation, name, mode)
            for mode in ('paper', 'stress', 'extended')
            for relation, name in ((ABOVE_FLAT, FLAT), (ABOVE_STRUCTURED, STRUCTURED))
        ),
        _size_of_gap,
        _hybrid_second,
        _faster,
        _steadier,
    ),
    4: (
        _rate(1e-4, 'A critic learning rate of 0.0001 learns more slowly than 0.001'),
        _rate(1e-2, 'A critic learning rate of 0.01 fails to settle'),
    ),
    5: (
        _trend(5, 'latency_s', 1, 'Latency rises with the number of devices', _K_LATENCY),
        _trend(5, 'energy_j', 1, 'Energy rises with the number of devices', _K_ENERGY),
        _lowest(5, _BOTH),
    ),
    6: (
        _trend(6, 'latency_s', 1, 'Latency rises with the deadline', _TMAX),
        _trend(6, 'energy_j', -1, 'Energy falls as the deadline grows', _UAVS_SAVE),
        _trend(6, 'uav_share', -1, 'With looser deadlines more goes to satellites', _UAVS_SAVE),
        _lowest(6, _BOTH),
    ),
    7: (
        _printed('latency_s', 0.3, 's'),
        _printed('latency_s', 0.7, 's'),
        _printed('energy_j', 0.3, 'J'),
        _printed('energy_j', 0.7, 'J'),
        _rise('latency_s'),
        _rise('energy_j'),
        _sharpest_step,
        _lowest(7, _BOTH),
    ),
    8: (
        _ablated(
            'ad_sac_d', 'latency_s', 'paper', 'AD-SAC-D has a latency higher by 7.4 %', _DECOUPLED
        ),
        _ablated('ad_sac_d', 'energy_j', 'paper', 'AD-SAC-D needs 24.3 % more energy', _NO_JOULES),
        _ablated(
            'ad_sac_c', 'latency_s', 'paper', 'AD-SAC-C has a latency higher by 11.7 %', _DECOUPLED
        ),
        _unclear_energy,
        _cross_advantage,
        *(
            _ablated(
                player,
                'cost',
                mode,
                f'{player} costs more, mode {mode}',
                'Not printed; the cost is what is minimised.',
            )
            for mode in ('paper', 'stress', 'extended')
            for player in ('ad_sac_d', 'ad_sac_c')
        ),
    ),
}
