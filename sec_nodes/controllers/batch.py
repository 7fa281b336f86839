"""Controllers of many copies of a scenario at once, found by scenario and name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar

from sec_nodes.config import suggest
from sec_nodes.controllers.base import POLICY_SUFFIX, ControllerError
from sec_nodes.scenarios.base import Scenario
from sec_nodes.slot import FloatArray

ScenarioT = TypeVar('ScenarioT', bound=Scenario[Any, Any, Any])
StateT = TypeVar('StateT')
DecisionT = TypeVar('DecisionT')

BUILT_IN: dict[str, tuple[str, ...]] = {
    'mllm': (
        'sec_nodes.controllers.mllm.baselines',
        'sec_nodes.controllers.mllm.optimum',
        'sec_nodes.controllers.mllm.exact',
        'sec_nodes.controllers.mllm.learned',
    ),
    'maritime': (
        'sec_nodes.controllers.maritime.baselines',
        'sec_nodes.controllers.maritime.genetic',
        'sec_nodes.controllers.maritime.literal',
        'sec_nodes.controllers.maritime.reference',
        'sec_nodes.controllers.maritime.sca',
    ),
    'partial': (
        'sec_nodes.controllers.partial.algorithm_one',
        'sec_nodes.controllers.partial.baselines',
        'sec_nodes.controllers.partial.descent',
        'sec_nodes.controllers.partial.sca_bcd',
    ),
    'robust': (
        'sec_nodes.controllers.robust.baselines',
        'sec_nodes.controllers.robust.optimum',
        'sec_nodes.controllers.robust.learned',
    ),
}
"""Modules that register the controllers of each scenario."""


class BatchController(ABC, Generic[ScenarioT, StateT, DecisionT]):
    """Decides a slot in all copies of a scenario.

    Args:
        scenario: costs, constraints and parameters of the system to control.
        seed: seed of the controller's own randomness; the same seed and states give the same
            decisions.
    """

    name: str
    scenario_name: ClassVar[str]
    for_small_cases: ClassVar[bool] = False
    """Whether it takes too long to be among `--compare all`."""

    def __init__(self, scenario: ScenarioT, seed: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed

    @abstractmethod
    def decide(self, state: StateT) -> DecisionT:
        """Answer one slot of every copy. Must not change `state`."""

    def bound(self, state: StateT) -> FloatArray | None:
        """(B,) a cost that nobody beats here who completes all tasks that can be completed.

        NaN in copies where none is known; None if none ever is.
        """
        return None


ControllerT = TypeVar('ControllerT', bound=type[BatchController[Any, Any, Any]])
_registry: dict[tuple[str, str], type[BatchController[Any, Any, Any]]] = {}


def register_batch(controller: ControllerT) -> ControllerT:
    """Make a controller known by its scenario and name. Used as a class decorator.

    Raises:
        ControllerError: another class has the name.
    """
    key = controller.scenario_name, controller.name
    holder = _registry.setdefault(key, controller)
    if holder is not controller and holder.__qualname__ != controller.__qualname__:
        raise ControllerError(
            f'controller name {controller.name!r} of scenario {controller.scenario_name} belongs '
            f'to {holder.__module__}; choose another'
        )
    return controller


def batch_controller_names(scenario_name: str, in_all: bool = False) -> list[str]:
    """Names of the controllers of a scenario.

    Args:
        scenario_name: as in config/scenarios.
        in_all: leave out those that are for small cases only.
    """
    for module in BUILT_IN.get(scenario_name, ()):
        import_module(module)
    return sorted(
        name
        for (scenario, name), kind in _registry.items()
        if scenario == scenario_name and not (in_all and kind.for_small_cases)
    )


def batch_controller_class(scenario_name: str, name: str) -> type[BatchController[Any, Any, Any]]:
    """The class of one of `batch_controller_names`."""
    return _registry[scenario_name, name]


def create_batch(
    name: str, scenario: Scenario[Any, Any, Any], seed: int = 0
) -> BatchController[Any, Any, Any]:
    """A controller by name.

    Args:
        name: one of `batch_controller_names`, or NAME.npz, a trained policy.
        scenario: system to control.
        seed: seed of the controller's own randomness.

    Raises:
        ControllerError: no controller of this scenario has this name, or none that fits it.
    """
    if name.endswith(POLICY_SUFFIX):
        return _trained(name, scenario, seed)
    known = batch_controller_names(scenario.name)
    if name not in known:
        raise ControllerError(
            f'unknown controller {name!r} for scenario {scenario.name}; {suggest(name, known)}'
        )
    return _registry[scenario.name, name](scenario, seed)


def _trained(
    path: str, scenario: Scenario[Any, Any, Any], seed: int
) -> BatchController[Any, Any, Any]:
    """The controller that plays a file."""
    from sec_nodes.controllers.learned import player

    kind, of_scenario = player(path, 'learned')
    if of_scenario != scenario.name:
        raise ControllerError(
            f'controller {path!r} was made for scenario {of_scenario}, not for {scenario.name}; '
            'choose that scenario, or another controller'
        )
    made: BatchController[Any, Any, Any] = kind(scenario, seed)
    return made
