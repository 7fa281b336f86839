"""Scenarios as worlds that the nodes fly, models included; free of ROS."""

from __future__ import annotations

from typing import Any

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.loop.devices import Devices
from sec_nodes.scenarios.registry import flown_names, imported
from sec_nodes.world.base import Server, Sight, Sky, World, manifest_id

__all__ = ['Devices', 'Server', 'Sight', 'Sky', 'World', 'build_world', 'manifest_id']

WORLDS = {
    'survey': 'sec_nodes.world.survey:SurveyWorld',
    'mllm': 'sec_nodes.world.mllm:MllmWorld',
    'maritime': 'sec_nodes.world.maritime:MaritimeWorld',
    'partial': 'sec_nodes.world.partial:PartialWorld',
    'robust': 'sec_nodes.world.robust:RobustWorld',
}
"""Where the world of a scenario is; imported when it is needed, since each takes its time."""


def build_world(settings: Any) -> World:
    """A scenario with the tables of the models that it names; the models stay on disk.

    Args:
        settings: the scenario.

    Raises:
        ConfigError: the scenario can only be simulated, or names no models.
        ModelError: the manifest is broken or does not know a model.
    """
    if settings.name not in WORLDS:
        raise ConfigError(
            f'scenario {settings.name!r} cannot be flown by the ROS nodes yet, only simulated: '
            f'use `sec simulate {settings.name}`, or fly one of {", ".join(flown_names())}'
        )
    world: World = imported(WORLDS[settings.name])(settings, load_manifest())
    world.require_models()
    return world
