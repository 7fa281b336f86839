"""Scenarios and their controllers by name, ready to be simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sec_nodes.config import ConfigError
from sec_nodes.controllers import base
from sec_nodes.controllers.base import Controller, ControllerError
from sec_nodes.controllers.batch import BatchController, batch_controller_names, create_batch
from sec_nodes.inference.manifest import ModelError
from sec_nodes.loop.simulation import SurveyState, SurveySystem
from sec_nodes.scenarios.base import Scenario
from sec_nodes.scenarios.registry import SCENARIOS, imported, read_settings
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import SlotDecision
from sec_nodes.world import build_world

AnyScenario = Scenario[Any, Any, Any]
AnyController = BatchController[Any, Any, Any]


class EachCopy(BatchController[SurveySystem, SurveyState, tuple[SlotDecision, ...]]):
    """A controller of single slots, asked for each copy in turn.

    Args:
        scenario: the simulated survey.
        decider: the controller, as the ROS node has it.
    """

    scenario_name = 'survey'

    def __init__(self, scenario: SurveySystem, decider: Controller) -> None:
        super().__init__(scenario, decider.seed)
        self.name = decider.name
        self._decider = decider

    def decide(self, state: SurveyState) -> tuple[SlotDecision, ...]:
        """Answer the slot of every copy."""
        return tuple(self._decider.decide(slot) for slot in state.slots)


def system(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> AnyScenario:
    """A scenario that can be simulated.

    Args:
        name_or_path: `mllm`, `mllm:stress`, or a YAML file of your own.
        overrides: values that replace those of the file, by dotted key.

    Raises:
        ConfigError: unknown name, unsound file, or a model that is missing.
    """
    settings = read_settings(name_or_path, overrides)
    if isinstance(settings, SurveySettings):
        try:
            return SurveySystem(build_world(settings).scenario)
        except ModelError as error:
            raise ConfigError(str(error)) from None
    name: str = settings.name  # type: ignore[attr-defined]
    place = SCENARIOS[name].scenario
    if place is None:
        raise ConfigError(f'scenario {name!r} cannot be simulated')
    try:
        scenario: AnyScenario = imported(place)(settings)
    except ValueError as error:
        raise ConfigError(f'{name_or_path}: {error}') from None
    return scenario


def controllers_of(scenario: AnyScenario) -> list[str]:
    """Names of the controllers that know a scenario."""
    if isinstance(scenario, SurveySystem):
        return base.controller_names()
    return batch_controller_names(scenario.name)


def controller(name: str, scenario: AnyScenario, seed: int) -> AnyController:
    """A controller of a scenario.

    Args:
        name: one of `controllers_of`, or for survey `package.module:Class` as well.
        scenario: what it controls.
        seed: seed of its own randomness.

    Raises:
        ConfigError: no controller of this scenario has that name.
    """
    try:
        if isinstance(scenario, SurveySystem):
            return EachCopy(scenario, base.create(name, scenario.survey, seed))
        return create_batch(name, scenario, seed)
    except ControllerError as error:
        raise ConfigError(str(error)) from None
