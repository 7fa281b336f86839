"""What tests of nodes have in common whose tasks go on elsewhere when a UAV fails."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import yaml

from sec_nodes.inference.codec import encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.paths import config_dir
from sec_offload import msg

_tasks = itertools.count(1)


def robust_file(folder: Path, **flown: Any) -> str:
    """The flown mode of robust with other values; `uavs__battery_j=9` sets uavs.battery_j."""
    tree = yaml.safe_load((config_dir() / 'scenarios' / 'robust.yaml').read_text())
    tree['modes']['flown'] |= {key.replace('__', '.'): value for key, value in flown.items()}
    path = folder / 'robust.yaml'
    path.write_text(yaml.safe_dump(tree))
    return f'{path}:flown'


def picture(task_id: int) -> Any:
    """What the device of a task saw."""
    return RenderedPictures().picture(1, 0, 0, task_id).image


def order_of(**fields: Any) -> msg.Assignment:
    """An order to UAV 0 for a new task."""
    given = {
        'task_id': next(_tasks), 'device_id': 3, 'server': 0, 'model_id': 'scene-l', 'split': 2,
        'compute_share': 0.5, 'steps': 1.0, 'power_w': 0.1,
    }  # fmt: skip
    return msg.Assignment(**(given | fields))


def payload_for(order: msg.Assignment, model: SplitModel, **fields: Any) -> msg.Payload:
    """What the device sends after an order."""
    tensor = model.run_front(order.split, picture(order.task_id))
    payload = msg.Payload(
        task_id=order.task_id, device_id=order.device_id, server=order.server,
        attempt=order.attempt, model_id=order.model_id, cut=order.split, steps=order.steps,
        power_w=order.power_w, created_s=order.created_s, **packet_fields(encode(tensor, 'raw')),
    )  # fmt: skip
    payload.energy.front_j, payload.energy.upload_j = 0.25, 0.125
    for name, value in fields.items():
        setattr(payload, name, value)
    return payload
