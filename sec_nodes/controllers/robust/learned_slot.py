"""Trained policies as controllers of single slots of robust, as the ROS nodes have them.

Those that ship are made by `slot`, as all controllers of copies are.
"""

from __future__ import annotations

from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.controllers.robust import learned
from sec_nodes.controllers.robust.slot import SlotController


def from_file(name: str, file: PolicyFile) -> type[SlotController]:
    """A controller of a name that plays a file."""
    of_copies = learned.from_file(name, file)
    members = {'name': name, 'of_copies': of_copies, '__doc__': of_copies.__doc__}
    return type(f'Slot{of_copies.__name__}', (SlotController,), members)
