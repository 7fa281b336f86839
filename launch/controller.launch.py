"""Start the controller of a fleet, e.g. to put another in charge.

ros2 launch sec_offload controller.launch.py controller:=nearest_uav
ros2 launch sec_offload controller.launch.py --show-args
"""

from launch import LaunchDescription
from sec_nodes.fleet.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe(['controller'])
