"""What a controller is, and how one is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

import numpy as np

from sec_nodes.config import suggest
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.registry import SCENARIOS
from sec_nodes.slot import LOCAL, FloatArray, IntArray, SlotDecision, SlotState

ENTRY_POINT_GROUP = 'sec_nodes.controllers'
BUILT_IN = (
    'sec_nodes.controllers.baselines',
    'sec_nodes.controllers.greedy',
    'sec_nodes.controllers.mllm.learned_slot',
)
OF_SCENARIOS = {
    'maritime': 'sec_nodes.controllers.maritime.slot',
    'partial': 'sec_nodes.controllers.partial.slot',
    'robust': 'sec_nodes.controllers.robust.slot',
}
"""Modules of controllers that play a single scenario; importing one takes up to a second."""
POLICY_SUFFIX = '.npz'
"""Names that end so are files of trained policies."""


class ControllerError(ValueError):
    """A controller that cannot be used; the text says what is known instead."""


class Controller(ABC):
    """Decides slots. A subclass sets `name` and implements `decide`.

    Args:
        scenario: costs, constraints and parameters of the system to control.
        seed: seed of the controller's own randomness; the same seed and states give the same
            decisions.
    """

    name: ClassVar[str]
    computes_on_devices: ClassVar[bool] = False
    """Whether it has no way but the devices' own computers."""
    plays: ClassVar[str | None] = None
    """The only scenario that it can play; None for any."""

    def __init__(self, scenario: Offloading, seed: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed

    @abstractmethod
    def decide(self, state: SlotState) -> SlotDecision:
        """Answer one slot. Must not change `state`."""


ControllerT = TypeVar('ControllerT', bound=type[Controller])
_registry: dict[str, type[Controller]] = {}


def register(controller: ControllerT) -> ControllerT:
    """Make a controller known by its name. Used as a class decorator.

    Raises:
        ControllerError: another class has the name.
    """
    holder = _registry.setdefault(controller.name, controller)
    if holder is not controller and holder.__qualname__ != controller.__qualname__:
        raise ControllerError(
            f'controller name {controller.name!r} belongs to {holder.__module__}; choose another'
        )
    return controller


def controller_names() -> list[str]:
    """Names of all controllers: built-in, installed as entry points, or registered."""
    _load_known(*OF_SCENARIOS)
    return sorted(_registry)


def controller_class(name: str, scenario_name: str | None = None) -> type[Controller]:
    """The class of a controller.

    Args:
        name: one of `controller_names`, `package.module:Class`, or a file of a trained policy.
        scenario_name: scenario to look at first, named without its mode; None for none.

    Raises:
        ControllerError: there is none.
    """
    _load_known(scenario_name)
    if name.endswith(POLICY_SUFFIX):
        from sec_nodes.controllers.learned import player

        return player(name, 'learned_slot')[0]
    if ':' in name:
        return _imported(name)
    if name not in _registry:
        _load_known(*OF_SCENARIOS)
    if name not in _registry:
        raise ControllerError(f'unknown controller {name!r}; {suggest(name, list(_registry))}')
    return _registry[name]


def create(name: str, scenario: Any, seed: int = 0) -> Controller:
    """A controller by name.

    Args:
        name: registered name, `package.module:Class` of a class that is not registered, or
            NAME.npz, a trained policy.
        scenario: system to control; in simulations of other scenarios than survey, their view in
            the vocabulary of `sec_nodes.slot`.
        seed: seed of the controller's own randomness.

    Raises:
        ControllerError: no controller has this name, the class is none, or the scenario is not
            one that it can play.
    """
    settings = getattr(scenario, 'settings', None)
    kind = controller_class(name, getattr(settings, 'name', None))
    devices_compute = getattr(scenario, 'devices_compute', True)
    if kind.computes_on_devices and not devices_compute:
        scenario_name = scenario.settings.name
        able = [known for known in controller_names() if can_play(known, scenario_name)]
        raise ControllerError(
            f'controller {name!r} leaves tasks on their devices, but devices of '
            f'{scenario_name} cannot compute; those that can play: {", ".join(able)}'
        )
    if kind.plays is None and getattr(scenario, 'own_controllers', False):
        name_of = scenario.settings.name
        able = [known for known in controller_names() if _registry[known].plays == name_of]
        raise ControllerError(
            f'controller {name!r} was not made for {name_of}, whose slots ask for more than '
            f'tasks; those that were: {", ".join(able)}'
        )
    if kind.plays is not None and kind.plays != scenario.settings.name:
        raise ControllerError(
            f'controller {name!r} was made for scenario {kind.plays}, not for '
            f'{scenario.settings.name}; choose that scenario, or another controller'
        )
    return kind(scenario, seed)


def can_play(name: str, scenario_name: str) -> bool:
    """Whether one of `controller_names` can play a scenario, named without its mode."""
    kind, scenario = _registry[name], SCENARIOS[scenario_name]
    if kind.plays is None:
        return not scenario.own_controllers and (
            scenario.devices_compute or not kind.computes_on_devices
        )
    return kind.plays == scenario_name


def own_cut(state: SlotState) -> IntArray:
    """(K,) the cut that leaves everything to the device."""
    return state.models.n_cuts[state.devices.model[state.tasks.device]] - 1


def decision(
    state: SlotState,
    server: IntArray,
    *,
    uav_goal_m: FloatArray,
    split: IntArray | None = None,
    power_w: FloatArray | None = None,
    backup: IntArray | None = None,
) -> SlotDecision:
    """A decision from the parts that an algorithm cares about.

    Tasks that stay on the device get the cut that leaves everything there.

    Args:
        state: the slot.
        server: (K,) server, `LOCAL` or `DECLINED`.
        uav_goal_m: (M, 3) goals of the UAVs [m; map].
        split: (K,) cut; by default the raw picture is sent.
        power_w: (K,) transmit power [W]; 0 by default.
        backup: (K,) second choice; by default the device itself.
    """
    n_tasks = state.n_tasks
    split = np.zeros(n_tasks, dtype=np.int64) if split is None else split
    return SlotDecision(
        server=server,
        split=np.where(server < 0, own_cut(state), split),
        power_w=np.zeros(n_tasks) if power_w is None else power_w,
        compute_share=np.zeros(n_tasks),
        backup=np.full(n_tasks, LOCAL, dtype=np.int64) if backup is None else backup,
        uav_goal_m=uav_goal_m,
    )


def _load_known(*scenario_names: str | None) -> None:
    of_scenarios = [OF_SCENARIOS[name] for name in scenario_names if name in OF_SCENARIOS]
    for module in (*BUILT_IN, *of_scenarios):
        import_module(module)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name not in _registry:
            register(entry.load())


def _imported(name: str) -> type[Controller]:
    module, _, attribute = name.partition(':')
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # foreign code: importing it may fail in any way
        raise ControllerError(
            f'controller {name!r} cannot be imported ({type(error).__name__}: {error}); '
            'its module must be on PYTHONPATH and sound'
        ) from None
    if not (isinstance(found, type) and issubclass(found, Controller)):
        raise ControllerError(f'{name!r} is no subclass of sec_nodes.controllers.base.Controller')
    return found
