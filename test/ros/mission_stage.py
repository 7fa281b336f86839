"""What tests of nodes that fly missions share: a scenario with small networks, and orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sec_nodes.nodes.vector_messages import point
from sec_nodes.paths import config_dir
from sec_offload import msg

NETWORKS = ('scene-s', 'scene-l')


def mission_file(folder: Path) -> str:
    """The flown mode of partial, as a file of its own, with networks that take no time."""
    tree = yaml.safe_load((config_dir() / 'scenarios' / 'partial.yaml').read_text())
    tree['modes']['flown']['tasks.networks'] = list(NETWORKS)
    path = folder / 'mission.yaml'
    path.write_text(yaml.safe_dump(tree))
    return f'{path}:flown'


def plan_of(
    slot: int, slot_s: float, paths: Any, shares: Any = (), **fields: Any
) -> msg.MissionPlan:
    """A plan in force: paths (M, L + 1, 3), and (task, server, cycles a second) of each task."""
    plan = msg.MissionPlan(slot=slot, start_s=slot * slot_s, slot_s=slot_s, controller='test')
    plan.paths = [
        msg.MissionPath(server_id=uav, waypoints=[point(place) for place in path])
        for uav, path in enumerate(paths)
    ]
    plan.energy_j = [0.0] * len(paths)
    plan.task_id = [task for task, _, _ in shares]
    plan.server = [server for _, server, _ in shares]
    plan.cpu_hz = [float(cpu_hz) for _, _, cpu_hz in shares]
    plan.device_id = plan.split = [0] * len(shares)
    plan.upload_end_s = plan.finish_s = plan.due_s = plan.loss_db = [0.0] * len(shares)
    for name, value in fields.items():
        setattr(plan, name, value)
    return plan
