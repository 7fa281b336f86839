"""Node `controller`: answers every slot state with a decision."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sec_nodes.controllers.base import Controller, ControllerError, create
from sec_nodes.nodes import names
from sec_nodes.nodes.base import CommonParameters, SecNode, run
from sec_nodes.nodes.parameters import parameter
from sec_nodes.nodes.slot_messages import decision_message, state_from
from sec_offload import msg


@dataclass(frozen=True)
class Parameters(CommonParameters):
    """Parameters of the node `controller`."""

    controller: str = parameter(
        'greedy',
        'who decides: a registered name, package.module:Class of your own, or NAME.npz',
    )


class ControllerNode(SecNode):
    """One controller in charge; another may take over while the run goes on."""

    def __init__(self) -> None:
        super().__init__('controller', Parameters)
        self.chosen: Parameters = self.settings_of_run
        self.world = self.read_world()
        self.controller = self.make(self.chosen.controller)
        self.decisions = self.advertise(names.SLOT_DECISION)
        self.listen(names.SLOT_STATE, self.on_slot_state)
        name, kind = names.SET_CONTROLLER
        self.create_service(kind, name, self.on_set_controller)

    def make(self, name: str) -> Controller:
        """A controller for the scenario of the run.

        Raises:
            ControllerError: there is none of this name, or its own code fails.
        """
        try:
            return create(name, self.world.scenario, self.chosen.seed)
        except ControllerError:
            raise
        except Exception as error:  # foreign code: its module or its constructor
            why = f'{type(error).__name__}: {error}'
            raise ControllerError(f'controller {name!r} cannot be made ({why})') from None

    def health(self) -> dict[str, object]:
        """Who is in charge."""
        return {'controller': self.controller.name}

    def on_slot_state(self, message: msg.SlotState) -> None:
        """Decide a slot. A controller that fails leaves the slot to the fallback."""
        missions = self.world.missions is not None
        state = state_from(message, self.world.device_model, missions)
        began = time.perf_counter()
        try:
            decision = self.controller.decide(state)
            answer = decision_message(state, decision)
        except Exception as error:  # a controller is foreign code: whatever it raises stays here
            self.complain(
                'controller failed', f'{self.controller.name}: {type(error).__name__}: {error}'
            )
            return
        answer.decide_s = time.perf_counter() - began
        answer.controller = self.controller.name
        answer.header.stamp = self.get_clock().now().to_msg()
        self.decisions.publish(answer)

    def on_set_controller(self, request: Any, response: Any) -> Any:
        """Put another controller in charge."""
        try:
            successor = self.make(request.name)
        except ControllerError as error:
            response.success, response.message = False, str(error)
            return response
        response.success, response.message = True, self.controller.name
        self.get_logger().info(f'{successor.name} takes over from {self.controller.name}')
        self.controller = successor
        return response


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(ControllerNode, args)


if __name__ == '__main__':
    main()
