"""Scenarios as worlds that the nodes fly, models included; free of ROS."""

from __future__ import annotations

from sec_nodes.config import ConfigError, Settings
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.world.base import Devices, Server, Sight, Sky, World
from sec_nodes.world.mllm import MllmWorld
from sec_nodes.world.survey import SurveyWorld

__all__ = ['Devices', 'Server', 'Sight', 'Sky', 'World', 'build_world']


def build_world(settings: Settings) -> World:
    """A scenario with the tables of the models that it names; the models stay on disk.

    Args:
        settings: the scenario.

    Raises:
        ConfigError: the scenario can only be simulated.
        ModelError: the manifest is broken or does not know a model.
    """
    if isinstance(settings, SurveySettings):
        return SurveyWorld(settings, load_manifest())
    if isinstance(settings, MllmSettings):
        if settings.uavs.models is None:
            raise ConfigError(
                'scenario mllm names no models that could answer; fly mode measured '
                '(`--scenario mllm:measured`), or set uavs.models and satellites.models'
            )
        return MllmWorld(settings, load_manifest())
    name = getattr(settings, 'name', '?')
    raise ConfigError(
        f'scenario {name!r} cannot be flown by the ROS nodes yet, only simulated: '
        f'use `sec simulate {name}`, or fly survey or mllm'
    )
