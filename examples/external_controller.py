"""A controller of one's own, as a ROS 2 node that knows nothing of sec_nodes.

    sec up examples/external_fleet.yaml &       # a fleet without a controller node
    python examples/external_controller.py      # this one decides

Any node in any language can do this: subscribe to `slot_state`, publish `slot_decision`.
"""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from sec_offload.msg import SlotDecision, SlotState, TaskDecision

FULL_POWER_W = 1.0


class StrongestLink(Node):
    """Sends each raw picture over the strongest link to a model that is good enough."""

    def __init__(self):
        super().__init__('controller')
        self.decisions = self.create_publisher(SlotDecision, 'slot_decision', 10)
        self.create_subscription(SlotState, 'slot_state', self.decide, 10)

    def decide(self, state):
        """Answer one slot."""
        answer = SlotDecision(slot=state.slot, controller='strongest_link')
        accuracy = {model.model_id: model.accuracy for model in state.models}
        row_of = {device: row for row, device in enumerate(state.device_id)}
        for task in state.tasks:
            first = row_of[task.device_id] * len(state.servers)
            usable = [
                (state.links.gain[first + column], server.server_id)
                for column, server in enumerate(state.servers)
                if server.alive
                and state.links.reachable[first + column]
                and state.links.remaining_s[column] > task.deadline_s
                and accuracy[server.model_id] >= task.accuracy
            ]
            server = max(usable)[1] if usable else TaskDecision.DECLINED
            answer.tasks.append(
                TaskDecision(task_id=task.task_id, server=server, power_w=FULL_POWER_W, backup=-1)
            )
        self.decisions.publish(answer)


rclpy.init()
try:
    rclpy.spin(StrongestLink())
except (KeyboardInterrupt, ExternalShutdownException):
    pass
finally:
    rclpy.try_shutdown()
