"""From a fleet to the processes that one machine starts, each with all its ROS parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sec_nodes.config import ConfigError, suggest
from sec_nodes.fleet.failures import moves_tasks
from sec_nodes.fleet.settings import VEHICLES, FleetSettings, Process
from sec_nodes.loop.deliveries import GROUND_STATION
from sec_nodes.loop.ids import ALL_IDS, parse_ids
from sec_nodes.scenarios.registry import has_storage

COORDINATOR = 'coordinator'
RECORDER = 'recorder'
_TIER_NAMES = {'device': 'devices', 'uav': 'uavs', 'satellite': 'satellites'}


@dataclass(frozen=True)
class ProcessSpec:
    """One process to start: a node with its name and parameters."""

    name: str
    node: str
    host: str | None = None
    respawn: bool = False
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """Python module that is the node."""
        return f'sec_nodes.nodes.{self.node}'


@dataclass(frozen=True)
class RunFiles:
    """Where the files of a run lie."""

    run: str
    folder: Path

    @property
    def scenario(self) -> Path:
        """The scenario as it is run, overrides included."""
        return self.folder / 'scenario.yaml'

    @property
    def logs(self) -> Path:
        """Folder of what each process printed."""
        return self.folder / 'logs'

    @property
    def stores(self) -> Path:
        """Folder of what vehicles and the ground station store."""
        return self.folder / 'stores'

    def params(self, process: str) -> Path:
        """ROS parameters of a process."""
        return self.folder / 'params' / f'{process}.yaml'


def expand(
    fleet: FleetSettings, scenario: Any, files: RunFiles, host: str | None = None
) -> list[ProcessSpec]:
    """Every process that one machine starts.

    Args:
        fleet: the fleet.
        scenario: the scenario, which says how many vehicles there are.
        files: where the run is kept.
        host: name of this machine; none = the one that has no name in the fleet.

    Raises:
        ConfigError: unknown host, vehicles without or with two processes, or two equal names.
    """
    if host is not None and host not in fleet.hosts:
        raise ConfigError(
            f'host {host!r} is not in fleet {fleet.name!r}; {suggest(host, fleet.hosts)}'
        )
    if not has_storage(scenario):
        without = tuple(p for p in fleet.processes if p.node != GROUND_STATION)
        fleet = fleet.model_copy(update={'processes': without})
    counts = {
        'device': scenario.n_devices,
        'uav': scenario.uavs.count,
        'satellite': scenario.satellites.count,
    }
    _check_cover(fleet, counts)
    alone = ('uav',) if moves_tasks(scenario) else ()
    specs = [
        spec
        for process in fleet.processes
        for spec in _specs(
            fleet,
            process,
            _names(fleet, process, counts, fleet.per_vehicle or process.node in alone),
            _common(fleet, scenario, files),
        )
    ]
    twice = [name for name, number in Counter(spec.name for spec in specs).items() if number > 1]
    if twice:
        raise ConfigError(
            f'fleet {fleet.name!r}: two processes are named {twice[0]!r}; '
            'give one a name of its own'
        )
    mine = [spec for spec in specs if spec.host == host]
    if not mine:
        raise ConfigError(
            f'fleet {fleet.name!r} has no process for this machine; '
            f'choose one with --host: {", ".join(fleet.hosts)}'
        )
    return mine


def splits_uavs(fleet: FleetSettings, scenario: Any) -> bool:
    """Whether UAVs get a process each although the fleet does not say so: they fail one by one."""
    return moves_tasks(scenario) and not fleet.per_vehicle


def process_of(server: str, processes: Sequence[ProcessSpec]) -> ProcessSpec | None:
    """The process that a UAV or satellite lives in; None if it is not among these."""
    node, _, number = server.rpartition('_')
    for spec in processes:
        ids = spec.params.get('ids', '') if spec.node == node else ''
        if ids and (ids == ALL_IDS or int(number) in parse_ids(ids, None)):
            return spec
    return None


def _common(fleet: FleetSettings, scenario: Any, files: RunFiles) -> dict[str, dict[str, Any]]:
    """Parameters that follow from the fleet: those of every node under '', then by node."""
    awaited = [node for node in (RECORDER, GROUND_STATION) if _has(fleet, node)]
    stores = {'store_dir': str(files.stores)} if has_storage(scenario) else {}
    beats, silence = _detection(scenario)
    return {
        '': {'scenario': str(files.scenario), 'seed': fleet.seed},
        COORDINATOR: {
            'run': files.run,
            'slots': fleet.slots,
            'speed': float(fleet.speed),
            'backend': fleet.backend,
            'await_nodes': ','.join(awaited),
            **silence,
        },
        'device': {'images': str(fleet.images.resolve()) if fleet.images else '', **beats},
        'controller': {'controller': fleet.controller},
        RECORDER: {'run_dir': str(files.folder)},
        **dict.fromkeys(('satellite', GROUND_STATION), stores),
        'uav': {**stores, **beats},
    }


def _detection(scenario: Any) -> tuple[dict[str, float], dict[str, float]]:
    """How often vehicles say that they live, and after which silence they do not, if it says."""
    detection = getattr(scenario, 'detection', None)
    if detection is None:
        return {}, {}
    return {'heartbeat_s': detection.heartbeat_s}, {'heartbeat_timeout_s': detection.timeout_s}


def _has(fleet: FleetSettings, node: str) -> bool:
    return any(process.node == node for process in fleet.processes)


def _specs(
    fleet: FleetSettings,
    process: Process,
    names: Iterator[tuple[str, str | None]],
    common: dict[str, dict[str, Any]],
) -> Iterator[ProcessSpec]:
    """One process, or one a vehicle."""
    node = process.node
    simulated = fleet.backend == 'sim' and node != COORDINATOR
    params = {**common[''], 'use_sim_time': simulated, **common.get(node, {}), **process.params}
    for name, ids in names:
        extra = {} if ids is None else {'ids': ids}
        yield ProcessSpec(name, node, process.host, process.respawn, {**params, **extra})


def _names(
    fleet: FleetSettings, process: Process, counts: dict[str, int], alone: bool
) -> Iterator[tuple[str, str | None]]:
    """Node names with the vehicles of each; none for nodes that are no vehicles."""
    node = process.node
    if node not in VEHICLES:
        yield process.name or node, None
        return
    vehicles = _vehicles(fleet, process, counts)
    if alone:
        for vehicle in vehicles:
            yield f'{node}_{vehicle}', str(vehicle)
    elif vehicles:
        tier = _TIER_NAMES[node]
        part = '' if process.ids == ALL_IDS else f'_{vehicles[0]}_{vehicles[-1]}'
        yield process.name or f'{tier}{part}', process.ids


def _vehicles(fleet: FleetSettings, process: Process, counts: dict[str, int]) -> list[int]:
    try:
        return parse_ids(process.ids, counts[process.node])
    except ValueError as error:
        raise ConfigError(f'fleet {fleet.name!r}, node {process.node}: {error}') from None


def _check_cover(fleet: FleetSettings, counts: dict[str, int]) -> None:
    """Every vehicle must be in one process, and the nodes that are no vehicles must be alone."""
    for node, count in counts.items():
        held = Counter(
            vehicle
            for process in fleet.processes
            if process.node == node
            for vehicle in _vehicles(fleet, process, counts)
        )
        for vehicle in range(count):
            if held[vehicle] != 1:
                number = 'no process' if not held[vehicle] else f'{held[vehicle]} processes'
                raise ConfigError(
                    f'fleet {fleet.name!r}: {node}_{vehicle} is in {number}; '
                    f'change the ids of its {node} processes, or {node} count of the scenario'
                )
    for node in (COORDINATOR, 'channel', 'controller', RECORDER, GROUND_STATION):
        present = sum(process.node == node for process in fleet.processes)
        if present > 1 or (node == COORDINATOR and not present):
            raise ConfigError(f'fleet {fleet.name!r}: it has {present} {node}s; there must be one')
