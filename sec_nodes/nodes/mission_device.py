"""Node `device` where missions are flown: it uploads the program while its own part runs."""

from __future__ import annotations

from functools import cache

from sec_nodes.inference.manifest import ModelError
from sec_nodes.loop.ledger import Energy, Timing
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.device import DeviceNode, Pending
from sec_nodes.slot import LOCAL
from sec_offload import msg


class MissionDeviceNode(DeviceNode):
    """Devices of one process that upload what is behind the cut as a program.

    Partial program offloading of Liu et al., Sensors 2026, 26(11), 3540: the layers before the cut
    run on the device, (6), while the program uploads, (7); then follows the tensor at the cut,
    (11). If the UAV is lost the next one gets both again, but the device's part is not run twice.
    """

    def __init__(self) -> None:
        from sec_nodes.inference.programs import fingerprint, graph_of, head_of

        super().__init__()
        # devices share networks, and reading one takes two tenths of a second
        self.graph_of, self.fingerprint = cache(graph_of), fingerprint
        self.program_of = cache(lambda name, cut: head_of(self.graph_of(name), cut))
        self.programs = self.advertise(names.PROGRAM_TX)
        self.lifelines += (self.programs,)

    @property
    def codec(self) -> str:
        """How tensors travel."""
        return str(self.world.settings.tasks.codec)

    def rounds(self, order: msg.Assignment) -> float:
        """Cycles a bit of the network, in which its work is counted."""
        return float(order.steps)

    def compute(
        self,
        slot: int,
        order: msg.Assignment,
        pending: Pending,
        ready_s: float,
        timing: Timing,
        energy: Energy,
    ) -> None:
        """Send the program, then run the layers before the cut. On the worker's thread."""
        if order.server != LOCAL:
            try:
                program = self.program_from(order)
            except (ModelError, ValueError) as error:
                self.tell(order, msg.TaskReport.ERROR, f'no_program: {error}')
                return
            self.releases.at(order.assigned_s, lambda: self.programs.publish(program))
        super().compute(slot, order, pending, ready_s, timing, energy)

    def program_from(self, order: msg.Assignment) -> msg.Program:
        """The layers after the cut.

        Raises:
            ModelError: the network is missing or altered.
            ValueError: there is no such cut.
        """
        data = self.program_of(order.model_id, order.split)
        program = msg.Program(
            task_id=order.task_id,
            device_id=order.device_id,
            server=order.server,
            attempt=order.attempt,
            model_id=order.model_id,
            cut=order.split,
            sha256=self.fingerprint(data),
            data=data,
            ready_s=order.assigned_s,
        )
        program.header.stamp = to_stamp(order.assigned_s)
        return program
