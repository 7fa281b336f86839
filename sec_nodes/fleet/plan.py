"""Everything that can be known of a run before its first process starts, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sec_nodes.config import ConfigError, parse_overrides
from sec_nodes.fleet.expand import ProcessSpec, RunFiles, expand, process_of, splits_uavs
from sec_nodes.fleet.failures import OF_PROCESSES, InjectedFailure, parse_failures
from sec_nodes.fleet.settings import FleetSettings, check_run_name, read_fleet
from sec_nodes.scenarios.registry import SCENARIOS, read_flown, scenario_of


@dataclass(frozen=True)
class Request:
    """What a user asks for; None leaves a value to the fleet's file."""

    fleet: str
    controller: str | None = None
    scenario: str | None = None
    slots: int | None = None
    seed: int | None = None
    speed: float | None = None
    backend: str | None = None
    images: Path | None = None
    results: Path | None = None
    per_vehicle: bool | None = None
    run: str | None = None
    host: str | None = None
    settings: Sequence[str] = ()
    """Overrides of the scenario, `key=value`."""
    failures: Sequence[str] = ()
    """`uav_1@20`, `uav_1@20-25:cut`, how many UAVs shall fail, or `random:0.05`."""


@dataclass(frozen=True)
class Plan:
    """A run that can start: all its names resolve and all its numbers are in range."""

    fleet: FleetSettings
    scenario: Any
    files: RunFiles
    processes: list[ProcessSpec]
    host: str | None = None
    failures: list[InjectedFailure] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What was chosen for the user, a line each."""


def make_plan(request: Request) -> Plan:
    """Check a request and work out what to start. Writes nothing.

    Raises:
        ConfigError: anything that cannot be used; the text names it and the remedy.
    """
    fleet = _with_trained_policy(read_fleet(request.fleet, _fleet_overrides(request)))
    fleet, notes = _with_its_scenario(fleet, request)
    fleet, more = _with_its_controller(fleet, request)
    scenario = read_flown(fleet.scenario, parse_overrides(list(request.settings)))
    scenario = _absolute_paths(scenario)
    if fleet.images:
        # nodes and the report may look for them from another folder
        fleet = fleet.model_copy(update={'images': fleet.images.expanduser().resolve()})
        check_images(fleet, scenario)
    files = _run_files(fleet, request.run, request.host)
    processes = expand(fleet, scenario, files, request.host)
    failures = parse_failures(request.failures, scenario, fleet.slots, fleet.seed)
    if splits_uavs(fleet, scenario):
        more += ('each UAV has a process of its own, so that one may fail alone',)
    plan = Plan(
        fleet=fleet,
        scenario=scenario,
        files=files,
        processes=processes,
        host=request.host,
        failures=failures,
        notes=notes + more + _processes_that_fail(failures, processes),
    )
    check_models_and_controller(fleet, scenario)
    return plan


def write_plan(plan: Plan) -> None:
    """Make the folder of the run, with the scenario and the parameters that the nodes read."""
    plan.files.logs.mkdir(parents=True, exist_ok=True)
    scenario = plan.scenario.model_dump(mode='json')
    _write_yaml(plan.files.scenario, scenario)
    _write_yaml(plan.files.folder / 'fleet.yaml', plan.fleet.model_dump(mode='json'))
    for spec in plan.processes:
        path = plan.files.params(spec.name)
        path.parent.mkdir(exist_ok=True)
        _write_yaml(path, {'/**': {'ros__parameters': spec.params}})


def check_images(fleet: FleetSettings, scenario: Any) -> None:
    """Raise `ConfigError` unless devices can take pictures from the folder of a fleet."""
    from sec_nodes.inference.pictures import PictureError
    from sec_nodes.world import build_world

    try:
        build_world(scenario).sights(str(fleet.images), fleet.seed)
    except PictureError as error:
        raise ConfigError(f'images = {fleet.images}: {error}') from None


def check_models_and_controller(fleet: FleetSettings, scenario: Any) -> None:
    """Read the models, checksums included, and make the controller once.

    Raises:
        ConfigError: a model is unknown, missing or damaged, or the controller is unknown or
            cannot play the scenario.
    """
    from sec_nodes.controllers.base import ControllerError, controller_class, create
    from sec_nodes.inference.manifest import ModelError, default_models_dir, read_checked
    from sec_nodes.world import build_world, manifest_id

    try:
        controller_class(fleet.controller)
        world = build_world(scenario)
        for name in world.scenario.models.model_id:
            for file in world.manifest.entry(manifest_id(name)).files:
                read_checked(default_models_dir(), file)
        create(fleet.controller, world.scenario, fleet.seed)
    except (ControllerError, ModelError) as error:
        raise ConfigError(str(error)) from None


def _processes_that_fail(
    failures: Sequence[InjectedFailure], processes: Sequence[ProcessSpec]
) -> tuple[str, ...]:
    """What to tell of processes that are killed or stopped, once for each.

    Raises:
        ConfigError: one of them runs elsewhere, so that it cannot be set going again from here.
    """
    shared: dict[str, str] = {}
    for failure in failures:
        spec = process_of(failure.name, processes)
        if failure.binds_process and spec is None:
            raise ConfigError(
                f'fail = {failure.name}: its process runs on another machine and cannot be set '
                'going again from here; leave out the end, or choose another kind'
            )
        if failure.kind in OF_PROCESSES and spec and not spec.params['ids'].isdigit():
            shared.setdefault(spec.name, failure.name)
    return tuple(
        f'{process} fail as a whole with {name}; --per-vehicle gives each its own process'
        for process, name in shared.items()
    )


def _fleet_overrides(request: Request) -> Mapping[str, Any]:
    names = (
        'controller', 'scenario', 'slots', 'seed', 'speed', 'backend', 'images', 'results',
        'per_vehicle',
    )  # fmt: skip
    given = {name: getattr(request, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _with_trained_policy(fleet: FleetSettings) -> FleetSettings:
    """The fleet with the whole path of its controller, if that is a file."""
    from sec_nodes.controllers.base import POLICY_SUFFIX

    if not fleet.controller.endswith(POLICY_SUFFIX):
        return fleet
    path = Path(fleet.controller).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(
            f'controller = {fleet.controller}: no such file; give one that `sec train` wrote'
        )
    return fleet.model_copy(update={'controller': str(path)})


def _with_its_scenario(
    fleet: FleetSettings, request: Request
) -> tuple[FleetSettings, tuple[str, ...]]:
    """The fleet with the scenario that the controller asked for needs, unless one is asked for.

    Returns:
        The fleet, and what to tell the user.
    """
    from sec_nodes.controllers.base import ControllerError, controller_class

    if request.controller is None or request.scenario is not None:
        return fleet, ()
    try:
        plays = controller_class(fleet.controller).plays
    except ControllerError as error:
        raise ConfigError(str(error)) from None
    if plays is None or plays == scenario_of(fleet.scenario):
        return fleet, ()
    note = (
        f'{request.controller} plays scenario {plays} only, which takes the place of '
        f'{fleet.scenario}'
    )
    return fleet.model_copy(update={'scenario': plays}), (note,)


def _with_its_controller(
    fleet: FleetSettings, request: Request
) -> tuple[FleetSettings, tuple[str, ...]]:
    """The fleet with the controller of its scenario, if that has its own and none is asked for.

    Returns:
        The fleet, and what to tell the user.
    """
    from sec_nodes.controllers.base import can_play, controller_class, controller_names

    scenario = scenario_of(fleet.scenario)
    own = SCENARIOS[scenario].flown_by
    if request.controller is not None or own is None or fleet.controller not in controller_names():
        return fleet, ()
    plays = can_play(fleet.controller, scenario)
    # who gives both scenario and controller in a file of their own means it
    if plays and (
        request.scenario is None or controller_class(fleet.controller).plays == scenario
    ):
        return fleet, ()
    why = 'is not for it in particular' if plays else f'does not play scenario {scenario}'
    note = f'{own} decides: {fleet.controller} {why}'
    return fleet.model_copy(update={'controller': own}), (note,)


def _absolute_paths(scenario: Any) -> Any:
    """Nodes may run in another folder than the one the user is in."""
    tle_file = getattr(scenario.satellites, 'tle_file', None)
    if tle_file is None:
        return scenario
    if not tle_file.is_file():
        raise ConfigError(
            f'satellites.tle_file = {tle_file}: no such file; give one, or null for the shell'
        )
    satellites = scenario.satellites.model_copy(update={'tle_file': tle_file.resolve()})
    return scenario.model_copy(update={'satellites': satellites})


def _run_files(fleet: FleetSettings, run: str | None, host: str | None) -> RunFiles:
    """A folder that no other run has."""
    results = fleet.results.expanduser().resolve()
    if run is None:
        stem, controller = (
            re.sub(r'[^A-Za-z0-9_]+', '-', text)
            for text in (Path(fleet.scenario).stem, _short_name(fleet.controller))
        )
        base = f'{stem}-{controller}-{datetime.now():%Y%m%d-%H%M%S}'
        names = [base, *(f'{base}-{number}' for number in range(2, 100))]
        run = next(name for name in names if not (results / name).exists())
    folder = results / check_run_name(run)
    if host is not None:
        folder = folder / host
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'run = {run!r}: {folder} exists already; choose another --run')
    if not _can_be_made(folder):
        raise ConfigError(
            f'results = {fleet.results}: cannot be written to; choose another folder'
        )
    return RunFiles(run, folder)


def _short_name(controller: str) -> str:
    """The name of a controller, or of its file without the folders."""
    return Path(controller).stem if Path(controller).is_absolute() else controller


def _can_be_made(folder: Path) -> bool:
    import os

    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _write_yaml(path: Path, tree: Any) -> None:
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding='utf-8')
