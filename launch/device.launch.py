"""Start the devices of a fleet.

ros2 launch sec_offload device.launch.py ids:=0-4
ros2 launch sec_offload device.launch.py --show-args
"""

from launch import LaunchDescription
from sec_nodes.fleet.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe(['device'])
