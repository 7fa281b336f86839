"""Figs 3 to 9 and Table II as places where players play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sec_nodes.experiments.keeping import Overrides
from sec_nodes.experiments.maritime.games import SCENARIO, Game, Job, Race
from sec_nodes.experiments.maritime.plans import (
    BOUND,
    COMPARED,
    GENETIC,
    JCORM,
    LITERAL,
    LITERAL_HALF,
    LOCAL,
    SCA,
    Plan,
)
from sec_nodes.experiments.rows import Exhibit
from sec_nodes.scenarios.registry import read_settings

BASE = 'base'
TABLE_2 = 'table2'
RACERS = (JCORM, LITERAL, SCA, GENETIC)
MBIT, MHZ, GHZ, GBYTE = 1e6, 1e6, 1e9, 8e9
BANDWIDTHS_MHZ = (20.0, 30.0, 40.0, 50.0, 60.0)
SIZES_MBIT = (1.0, 2.0, 3.0, 4.0, 5.0)
STORAGES_GBYTE = (1.0, 1.3, 1.5)
FREE_GBYTE = (1.0, 0.5)
UAV_CPUS_GHZ = (2.0, 2.5, 3.0)
UAV_BANDWIDTHS_MHZ = (5.0, 10.0, 15.0, 20.0)
RICIAN_FACTORS = (1.0, 10.0, 100.0)
DS_SHARES = (0.6, 0.8)
WEIGHTS = (0.01, 0.1, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Place:
    """A variant of the scenario at one place of a sweep."""

    mode: str
    """Name of the variant."""
    x: float
    overrides: Overrides
    over: tuple[str, ...] = ()
    """Variants that it is compared with at the same place."""


@dataclass(frozen=True)
class Point:
    """A player at a place."""

    place: Place
    player: str
    game: Game


@dataclass(frozen=True)
class Figure:
    """A figure of the paper."""

    number: int
    title: str
    axis: str
    """What is swept."""
    places: tuple[Place, ...]
    players: tuple[str, ...]
    quantities: tuple[str, ...]
    """What it is about; how many are late or early is told everywhere."""
    certified: bool = True
    by_slot: bool = False
    """Whether x is the slot until which utilities are added up, not a sweep."""

    def points(self, plan: Plan) -> list[Point]:
        """Everybody at every place; the bound last."""
        points = []
        for place in self.places:
            for player in plan.players(self.players, all_budgets=self.by_slot):
                game = Game(player, plan.episodes_of(player), place.overrides)
                points.append(Point(place, player, game))
            if self.certified:
                game = Game(JCORM, plan.bound_episodes, place.overrides, certify=True)
                points.append(Point(place, BOUND, game))
        return points

    def jobs(self, plan: Plan) -> list[Job]:
        """Everything that it needs."""
        return [point.game for point in self.points(plan)]


def race(plan: Plan) -> Race:
    """Table II: JCORM against SCA, and what else there is."""
    return Race(tuple(plan.players(RACERS)), plan.timed, JCORM, plan.batch)


def jobs(exhibit: Exhibit, plan: Plan) -> list[Job]:
    """Everything that a figure or Table II needs."""
    return [race(plan)] if exhibit == TABLE_2 else FIGURES[int(exhibit)].jobs(plan)


def changes(**wanted: Any) -> Overrides:
    """Settings, `uavs__cpu_hz` for uavs.cpu_hz, that differ from those of the scenario's file.

    What is the same in two figures is then the same job.
    """
    pairs = ((key.replace('__', '.'), value) for key, value in wanted.items())
    return tuple((key, value) for key, value in pairs if _usual(key) != value)


@lru_cache
def _usual(key: str) -> Any:
    value: Any = read_settings(SCENARIO)
    for part in key.split('.'):
        value = getattr(value, part)
    return value


def _bandwidths(mode: str, over: Sequence[str] = (), **wanted: Any) -> tuple[Place, ...]:
    return tuple(
        Place(mode, mhz, changes(radio__satellite_bandwidth_hz=mhz * MHZ, **wanted), tuple(over))
        for mhz in BANDWIDTHS_MHZ
    )


def _sizes(mode: str, over: Sequence[str] = (), **wanted: Any) -> tuple[Place, ...]:
    return tuple(
        Place(mode, mbit, changes(devices__size_bit=(mbit * MBIT,) * 2, **wanted), tuple(over))
        for mbit in SIZES_MBIT
    )


def storage_mode(free_gbyte: float, storage_gbyte: float) -> str:
    """Name of a variant of Fig. 6."""
    return f'{free_gbyte:g} GB free of {storage_gbyte:g} GB'


def _storages() -> tuple[Place, ...]:
    """Fig. 6: three storages, two of which have room for what is free at first."""
    places: tuple[Place, ...] = ()
    for free in FREE_GBYTE:
        smallest = storage_mode(free, STORAGES_GBYTE[0])
        for storage in STORAGES_GBYTE:
            mode = storage_mode(free, storage)
            places += _bandwidths(
                mode,
                () if mode == smallest else (smallest,),
                uavs__storage_bit=storage * GBYTE,
                uavs__initially_free_bit=free * GBYTE,
            )
    return places


def cpu_mode(ghz: float) -> str:
    """Name of a variant of Fig. 7."""
    return f'UAV {ghz:g} GHz'


def _uav_cpus() -> tuple[Place, ...]:
    """Fig. 7: three CPUs of UAVs, the paper's first."""
    places: tuple[Place, ...] = ()
    for ghz in UAV_CPUS_GHZ:
        over = () if ghz == UAV_CPUS_GHZ[0] else (cpu_mode(UAV_CPUS_GHZ[0]),)
        places += _sizes(cpu_mode(ghz), over, uavs__cpu_hz=ghz * GHZ)
    return places


def channel_mode(factor: float, share: float) -> str:
    """Name of a variant of Fig. 8."""
    return f'K = {factor:g}, omega = {share:g}'


def _channels() -> tuple[Place, ...]:
    """Fig. 8: Rician factors and shares of the band; nothing stored at first in 1 GB."""
    places = []
    for share in DS_SHARES:
        for factor in RICIAN_FACTORS:
            over = []
            if factor != RICIAN_FACTORS[0]:
                over.append(channel_mode(RICIAN_FACTORS[0], share))
            if share != DS_SHARES[0]:
                over.append(channel_mode(factor, DS_SHARES[0]))
            for mhz in UAV_BANDWIDTHS_MHZ:
                overrides = changes(
                    uavs__storage_bit=GBYTE,
                    uavs__initially_free_bit=GBYTE,
                    radio__uav_bandwidth_hz=mhz * MHZ,
                    radio__rician_factor=factor,
                    radio__sensitive_share=share,
                )
                places.append(Place(channel_mode(factor, share), mhz, overrides, tuple(over)))
    return tuple(places)


LOW_POWER, LARGE_SIZES = '0.5 W', '2 to 4 Mbit'


def _weights() -> tuple[Place, ...]:
    """Fig. 9: as the scenario stands (1 W, 1 to 3 Mbit), with less power, with more data."""
    variants: dict[str, dict[str, Any]] = {
        BASE: {},
        LOW_POWER: {'uavs__largest_power_w': 0.5},
        LARGE_SIZES: {'devices__size_bit': (2 * MBIT, 4 * MBIT)},
    }
    return tuple(
        Place(
            mode,
            weight,
            changes(energy_weight_mbit_j=weight, **wanted),
            () if mode == BASE else (BASE,),
        )
        for mode, wanted in variants.items()
        for weight in WEIGHTS
    )


_ALL = ('utility_mbit', 'delivered_mbit', 'energy_j')
_ONE_UTILITY = ('utility_mbit',)
FIGURES = {
    figure.number: figure
    for figure in (
        Figure(
            3, 'Bandwidth of the satellite', 'bandwidth of the satellite [MHz]',
            _bandwidths(BASE), COMPARED, _ALL,
        ),
        Figure(
            4, 'Utility over the slots', 'slot', (Place(BASE, 0, ()),), COMPARED, _ONE_UTILITY,
            by_slot=True,
        ),
        Figure(
            5, 'Data size', 'data of a delay-sensitive device [Mbit]', _sizes(BASE), COMPARED,
            ('utility_mbit', 'delay_s'),
        ),
        Figure(
            6, 'Storage of the UAVs', 'bandwidth of the satellite [MHz]', _storages(),
            (JCORM, LITERAL), _ONE_UTILITY,
        ),
        Figure(
            7, 'Delay and computing power of UAVs', 'data of a delay-sensitive device [Mbit]',
            _uav_cpus(), (JCORM, LITERAL, LITERAL_HALF, LOCAL), ('delay_s', 'ratio'),
            certified=False,
        ),
        Figure(
            8, 'Channel between devices and UAVs', 'bandwidth of a UAV [MHz]', _channels(),
            (JCORM, LITERAL), _ONE_UTILITY, certified=False,
        ),
        Figure(
            9, 'Weight of energy', 'lambda [Mbit/J]', _weights(), (JCORM, LITERAL),
            ('utility_mbit', 'energy_j'),
        ),
    )
}  # fmt: skip
_TITLES: dict[Exhibit, str] = {number: figure.title for number, figure in FIGURES.items()}
TITLES: dict[Exhibit, str] = {
    3: _TITLES[3],
    4: _TITLES[4],
    TABLE_2: 'Running time',
    **_TITLES,
}
"""In the order of the paper, which discusses Table II with Fig. 4."""
