"""Missions: messages to the project's own types and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point

from sec_nodes.nodes.base import BadMessageError
from sec_nodes.slot import FloatArray, MissionPlan, UploadTable
from sec_offload import msg

_INTEGERS = ('task_id', 'device_id', 'server', 'split')
_FLOATS = ('cpu_hz', 'upload_end_s', 'finish_s', 'loss_db', 'due_s')
PER_TASK = (*_INTEGERS, *_FLOATS)
"""Fields of a plan that have an entry for each task."""


def plan_message(plan: MissionPlan, slot_s: float, controller: str) -> msg.MissionPlan:
    """A plan as a message.

    Args:
        plan: the plan.
        slot_s: length of a slot [s].
        controller: who made it.
    """
    return msg.MissionPlan(
        slot=plan.slot,
        start_s=plan.slot * slot_s,
        slot_s=slot_s,
        controller=controller,
        reason=plan.reason,
        paths=[
            msg.MissionPath(
                server_id=uav, waypoints=[Point(x=x, y=y, z=z) for x, y, z in path_m.tolist()]
            )
            for uav, path_m in enumerate(plan.waypoint_m)
        ],
        energy_j=plan.energy_j.tolist(),
        bound_j=plan.bound_j,
        **{name: getattr(plan, name).tolist() for name in PER_TASK},
    )


def plan_from(messages: Sequence[msg.MissionPlan]) -> MissionPlan | None:
    """A plan from its message; None without one.

    Raises:
        BadMessageError: paths are not those of UAVs 0, 1, 2 ... and of one length, or lists of
            tasks are not.
    """
    if not messages:
        return None
    message = messages[0]
    if [path.server_id for path in message.paths] != list(range(len(message.paths))):
        raise BadMessageError('mission plan: paths must be those of UAVs 0, 1, 2 ..., in order')
    lengths = {len(path.waypoints) for path in message.paths}
    if len(lengths) != 1:
        raise BadMessageError(f'mission plan: paths have {sorted(lengths)} waypoints')
    counts = {name: len(getattr(message, name)) for name in PER_TASK}
    if len(set(counts.values())) != 1:
        raise BadMessageError(f'mission plan: its lists of tasks differ in length: {counts}')
    columns: dict[str, Any] = {
        **{name: np.array(getattr(message, name), dtype=np.int64) for name in _INTEGERS},
        **{name: np.array(getattr(message, name), dtype=float) for name in _FLOATS},
    }
    return MissionPlan(
        slot=message.slot,
        waypoint_m=np.stack([waypoints(path) for path in message.paths]),
        energy_j=np.array(message.energy_j, dtype=float),
        bound_j=message.bound_j,
        reason=message.reason,
        **columns,
    )


def waypoints(path: msg.MissionPath) -> FloatArray:
    """(L + 1, 3) where a path leads [m; map]."""
    return np.array([[p.x, p.y, p.z] for p in path.waypoints], dtype=float).reshape(-1, 3)


def uploads_from(
    messages: Sequence[msg.MissionUpload], device_id: Sequence[int], model_id: Sequence[str]
) -> UploadTable:
    """How far uploads have got.

    Args:
        messages: as the channel has it.
        device_id: (D,) identifiers of the state's devices.
        model_id: (Q,) of its models.

    Raises:
        BadMessageError: a device or model that the state does not list, or a size that is none.
    """
    row_of_device = {device: row for row, device in enumerate(device_id)}
    row_of_model = {name: row for row, name in enumerate(model_id)}
    try:
        device = [row_of_device[one.device_id] for one in messages]
        model = [row_of_model[one.model_id] for one in messages]
    except KeyError as error:
        raise BadMessageError(f'uploads refer to {error}, which the state does not list') from None

    def floats(name: str) -> FloatArray:
        return np.array([getattr(one, name) for one in messages], dtype=float)

    sent_bit = np.column_stack([floats('program_bit'), floats('intermediate_bit')])
    if not np.all(np.isfinite(sent_bit) & (sent_bit >= 0)):
        raise BadMessageError(f'uploads: sizes are {sent_bit.tolist()}')
    return UploadTable(
        task_id=np.array([one.task_id for one in messages], dtype=np.int64),
        device=np.array(device, dtype=np.int64),
        server=np.array([one.server for one in messages], dtype=np.int64),
        model=np.array(model, dtype=np.int64),
        split=np.array([one.split for one in messages], dtype=np.int64),
        compute_share=floats('compute_share'),
        steps=floats('steps'),
        created_s=floats('created_s'),
        deadline_s=floats('deadline_s'),
        sent_bit=sent_bit,
        program_s=_known(floats('program_s')),
        arrived_s=_known(floats('arrived_s')),
    )


def _known(instant_s: FloatArray) -> FloatArray:
    """Instants, NaN where they are negative, which says that they are yet to come."""
    return np.where(instant_s < 0, np.nan, instant_s)
