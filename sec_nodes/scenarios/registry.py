"""Scenarios by name or by file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from sec_nodes.config import (
    ConfigError,
    Settings,
    known_names,
    load,
    mode_names,
    named_file,
    suggest,
    value_of,
)


class Entry(NamedTuple):
    """Where the classes of a scenario are, as `module:Class`; imported when they are needed."""

    settings: str
    scenario: str | None
    """None for survey, which needs models besides its settings: see `sec_nodes.world`."""
    flies: bool = False
    """Whether the ROS nodes fly it, see `sec_nodes.world`."""
    flown_mode: str | None = None
    """Mode that they fly if none is named."""
    devices_compute: bool = True
    """Whether devices can answer by themselves."""
    own_controllers: bool = False
    """Whether only controllers that were made for it can play it in single slots."""
    flown_by: str | None = None
    """Controller that flies it if none is asked for; None for that of the fleet."""
    completed_by: str | None = None
    """What fills in settings that stand in other files; it lies outside the scenarios."""


SCENARIOS = {
    'survey': Entry(
        'sec_nodes.scenarios.survey_settings:SurveySettings',
        None,
        True,
        completed_by='sec_nodes.levels:with_speeds',
    ),
    'mllm': Entry(
        'sec_nodes.scenarios.mllm.settings:MllmSettings',
        'sec_nodes.scenarios.mllm:Mllm',
        flies=True,
        flown_mode='measured',
        devices_compute=False,
        completed_by='sec_nodes.levels:with_levels',
    ),
    'maritime': Entry(
        'sec_nodes.scenarios.maritime.settings:MaritimeSettings',
        'sec_nodes.scenarios.maritime:Maritime',
        flies=True,
        devices_compute=False,
        own_controllers=True,
        flown_by='jcorm',
    ),
    'partial': Entry(
        'sec_nodes.scenarios.partial.settings:PartialSettings',
        'sec_nodes.scenarios.partial:Partial',
        flies=True,
        flown_mode='flown',
        own_controllers=True,
        flown_by='sca_bcd',
        completed_by='sec_nodes.levels:with_networks',
    ),
    'robust': Entry(
        'sec_nodes.scenarios.robust.settings:RobustSettings',
        'sec_nodes.scenarios.robust:Robust',
        flies=True,
        flown_mode='flown',
        flown_by='optimum',
        completed_by='sec_nodes.levels:with_layers',
    ),
}


def scenario_names() -> list[str]:
    """Names of the scenarios that ship with the product."""
    return known_names('scenario')


def scenario_modes(name: str) -> list[str]:
    """Modes of a scenario, by its name or file: what may follow it after a colon."""
    return mode_names(named_file('scenario', name))


def read_settings(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a scenario.

    Args:
        name_or_path: `mllm`, a YAML file of your own, or either with a mode: `mllm:stress`.
        overrides: values that replace those of the file, by dotted key.

    Raises:
        ConfigError: unknown name or mode, or a file that is not a sound scenario.
    """
    where, mode = split_mode(name_or_path)
    path = named_file('scenario', where)
    name = value_of(path, 'name')
    if name not in SCENARIOS:
        raise ConfigError(f'{path}: name = {name!r}: {suggest(str(name), list(SCENARIOS))}')
    entry = SCENARIOS[name]
    settings: Settings = load(path, imported(entry.settings), overrides, mode)
    return imported(entry.completed_by)(settings) if entry.completed_by else settings


def read_flown(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a scenario that the ROS nodes can fly; by its bare name, in its flown mode.

    Raises:
        ConfigError: as `read_settings`, and for a scenario that can only be simulated.
    """
    name = name_or_path
    if name in SCENARIOS and SCENARIOS[name].flown_mode:
        name_or_path = f'{name}:{SCENARIOS[name].flown_mode}'
    settings = read_settings(name_or_path, overrides)
    name = scenario_of(name_or_path)
    if not SCENARIOS[name].flies:
        raise ConfigError(
            f'scenario {name!r} cannot be flown by the ROS nodes yet, only simulated: '
            f'use `sec simulate {name}`, or fly one of {", ".join(flown_names())}'
        )
    return settings


def scenario_of(name_or_path: str) -> str:
    """The scenario that a name or a file, with a mode or not, is one of.

    Raises:
        ConfigError: unknown name, or a file that cannot be read.
    """
    return str(value_of(named_file('scenario', split_mode(name_or_path)[0]), 'name'))


def has_storage(settings: Settings) -> bool:
    """Whether UAVs pass data on that are stored on the way and brought to a ground station."""
    return hasattr(settings, 'ground_station')


def has_missions(settings: Settings) -> bool:
    """Whether a whole mission is planned at once, and uploads take many slots."""
    return hasattr(settings, 'mission_s')


def flown_names() -> list[str]:
    """Names of the scenarios that the ROS nodes fly."""
    return [name for name, entry in SCENARIOS.items() if entry.flies]


def split_mode(name_or_path: str) -> tuple[str, str | None]:
    """Part `mllm:stress` into the scenario and its mode; None without one."""
    where, separator, mode = name_or_path.rpartition(':')
    if not separator or Path(name_or_path).is_file():
        return name_or_path, None
    return where, mode


def imported(place: str) -> Any:
    """The object at `module:Name`."""
    module, _, attribute = place.partition(':')
    return getattr(import_module(module), attribute)
