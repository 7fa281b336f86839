"""Start the UAVs of a fleet, e.g. on the board of one of them.

ros2 launch sec_offload uav.launch.py ids:=1
ros2 launch sec_offload uav.launch.py --show-args
"""

from launch import LaunchDescription
from sec_nodes.fleet.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe(['uav'])
