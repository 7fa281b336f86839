"""Start the satellites of a fleet, e.g. on the board that plays them.

ros2 launch sec_offload satellite.launch.py
ros2 launch sec_offload satellite.launch.py --show-args
"""

from launch import LaunchDescription
from sec_nodes.fleet.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe(['satellite'])
