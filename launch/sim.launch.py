"""Start the whole fleet on this machine.

ros2 launch sec_offload sim.launch.py controller:=greedy slots:=60
ros2 launch sec_offload sim.launch.py --show-args
"""

from launch import LaunchDescription
from sec_nodes.fleet.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe()
