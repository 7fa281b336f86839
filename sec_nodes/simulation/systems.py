"""Scenarios and their controllers by name, ready to be simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sec_nodes.config import ConfigError
from sec_nodes.controllers import base
from sec_nodes.controllers.base import Controller, ControllerError
from sec_nodes.controllers.batch import BatchController, batch_controller_names, create_batch
from sec_nodes.inference.manifest import ModelError
from sec_nodes.loop.simulation import FlownState, FlownSystem
from sec_nodes.scenarios.base import Scenario
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.view import MllmView
from sec_nodes.scenarios.registry import SCENARIOS, imported, read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.view import RobustView
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import SlotDecision, SlotState
from sec_nodes.world import build_world

AnyScenario = Scenario[Any, Any, Any]
AnyController = BatchController[Any, Any, Any]


class View(Protocol):
    """How the copies of a scenario look to a controller of single slots."""

    def slot_states(self, state: Any) -> Sequence[SlotState]:
        """Every copy as a `SlotState`."""

    def joined(self, state: Any, answers: Sequence[SlotDecision]) -> Any:
        """The answers as one decision on all copies."""


class FlownView:
    """A world that is flown speaks this language already."""

    def slot_states(self, state: FlownState) -> Sequence[SlotState]:
        """Every copy as a `SlotState`."""
        return state.slots

    def joined(
        self, state: FlownState, answers: Sequence[SlotDecision]
    ) -> tuple[SlotDecision, ...]:
        """The answers as one decision on all copies."""
        return tuple(answers)


class EachCopy(BatchController[Any, Any, Any]):
    """A controller of single slots, as the ROS nodes have it, asked for each copy in turn.

    Args:
        scenario: what is simulated.
        decider: the controller.
        view: how it sees the scenario.
    """

    scenario_name = 'any'

    def __init__(self, scenario: AnyScenario, decider: Controller, view: View) -> None:
        super().__init__(scenario, decider.seed)
        self.name = decider.name
        self._decider, self._view, self._scenario = decider, view, scenario.name

    def decide(self, state: Any) -> Any:
        """Answer the slot of every copy.

        Raises:
            ConfigError: the scenario cannot carry out an answer.
        """
        slots = self._view.slot_states(state)
        try:
            answers = [self._decider.decide(slot) for slot in slots]
        except AttributeError as error:
            if error.obj is not self._view:
                raise
            raise ConfigError(
                f'controller {self.name} asks its scenario for {error.name!r}, but '
                f'{self._scenario} offers settings, transmit_power_w and admissible'
            ) from None
        try:
            return self._view.joined(state, answers)
        except ValueError as error:
            raise ConfigError(f'controller {self.name}: {error}') from None


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
            return FlownSystem(build_world(settings))
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


def controllers_of(scenario: AnyScenario, in_all: bool = False) -> list[str]:
    """Names of the controllers that know a scenario.

    Args:
        scenario: what they control.
        in_all: leave out those that are for small cases only.
    """
    if isinstance(scenario, FlownSystem):
        name = scenario.world.settings.name
        return [known for known in base.controller_names() if base.can_play(known, name)]
    return batch_controller_names(scenario.name, in_all)


def controller(name: str, scenario: AnyScenario, seed: int) -> AnyController:
    """A controller of a scenario.

    Args:
        name: one of `controllers_of`, `package.module:Class` of a controller of single slots, or
            NAME.npz, a trained policy.
        scenario: what it controls.
        seed: seed of its own randomness.

    Raises:
        ConfigError: no controller of this scenario has that name.
    """
    try:
        if isinstance(scenario, FlownSystem):
            return EachCopy(
                scenario, base.create(name, scenario.world.scenario, seed), FlownView()
            )
        if ':' in name and not name.endswith(base.POLICY_SUFFIX):
            view = _view(scenario)
            return EachCopy(scenario, base.create(name, view, seed), view)
        return create_batch(name, scenario, seed)
    except ControllerError as error:
        text = str(error)
        raise ConfigError(text if repr(name) in text else f'controller {name}: {text}') from None


def _view(scenario: AnyScenario) -> Any:
    if isinstance(scenario, Mllm):
        return MllmView(scenario)
    if isinstance(scenario, Robust):
        return RobustView(scenario)
    raise ConfigError(
        f'a slot of {scenario.name} is no SlotState, so controllers of single slots cannot decide '
        f'it; known: {", ".join(controllers_of(scenario))}'
    )
