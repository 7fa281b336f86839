"""The fleet: which nodes run where with which parameters, as config/fleets/*.yaml gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from sec_nodes.config import ConfigError, Settings, known_names, load, named_file
from sec_nodes.loop.ids import ALL_IDS, parse_ids

NodeKind = Literal[
    'coordinator', 'device', 'uav', 'satellite', 'ground_station', 'channel', 'controller',
    'recorder',
]  # fmt: skip
VEHICLES: tuple[str, ...] = ('device', 'uav', 'satellite')
"""Nodes of which one process may stand for several vehicles."""

_ROS_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')
_RUN_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')


def _ids(text: str) -> str:
    parse_ids(text, count=None)
    return text


def _ros_name(name: str | None) -> str | None:
    if name is not None and not _ROS_NAME.fullmatch(name):
        raise ValueError('a node name has letters, digits and _, and starts with a letter')
    return name


class Process(Settings):
    """One process of the fleet, or one a vehicle where the fleet says `per_vehicle`."""

    node: NodeKind
    name: Annotated[str | None, AfterValidator(_ros_name)] = None
    """Name of the ROS node; by default that of its tier or vehicle."""
    ids: Annotated[str, AfterValidator(_ids)] = ALL_IDS
    """Vehicles of this process, counted within their tier: `all`, or as in `0-4,7`."""
    host: str | None = None
    """Machine that runs it, as named by `sec up --host`; none = wherever `sec up` is called."""
    respawn: bool = False
    """Start it again when it dies, a few times."""
    params: dict[str, bool | int | float | str | list[Any]] = Field(default_factory=dict)
    """Further ROS parameters of the node."""


class FleetSettings(Settings):
    """A fleet and what it does in a run."""

    name: str
    backend: Literal['sim', 'hardware']
    """`sim`: radio, motion and orbits are emulated; `hardware`: nodes follow the wall clock."""
    scenario: str
    """Name of a scenario, or a YAML file."""
    controller: str
    """Registered name, `package.module:Class`, or NAME.npz, a trained policy."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    slots: Annotated[int, Field(ge=1, le=10**7)]
    speed: Annotated[float, Field(ge=0, le=1000)]
    """Simulated seconds per wall second; 0 = lockstep, as fast as possible."""
    images: Path | None = None
    """Folder of pictures that devices take instead of rendered ones."""
    results: Path = Path('results')
    """Folder that gets one folder a run."""
    per_vehicle: bool = False
    """One process a vehicle instead of one a tier."""
    processes: Annotated[tuple[Process, ...], Field(min_length=1)]

    @property
    def hosts(self) -> list[str]:
        """Machines that the fleet names."""
        return sorted({process.host for process in self.processes if process.host})


def read_fleet(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> FleetSettings:
    """Settings of a fleet.

    Args:
        name_or_path: `laptop`, or a YAML file of your own.
        overrides: values that replace those of the file.

    Raises:
        ConfigError: unknown name, or a file that is no sound fleet.
    """
    path = named_file('fleet', name_or_path)
    fleet = load(path, FleetSettings, overrides)
    if fleet.backend == 'hardware' and fleet.speed != 1.0:
        raise ConfigError(
            f'{path}: speed = {fleet.speed:g}: hardware runs in real time; set it to 1.0'
        )
    return fleet


def fleet_names() -> list[str]:
    """Names of the fleets that ship with the product."""
    return known_names('fleet')


def check_run_name(name: str) -> str:
    """Return the name of a run, which is the name of a folder as well.

    Raises:
        ConfigError: not fit for a folder.
    """
    if not _RUN_NAME.fullmatch(name):
        raise ConfigError(
            f'run = {name!r}: use letters, digits, ".", "_" and "-", and start with a letter '
            'or a digit'
        )
    return name
