"""What a slot offers and what is decided, as messages and back.

What cannot be used raises `BadMessageError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sec_nodes.loop.links import Receivers
from sec_nodes.nodes import mission_messages
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.relay_messages import plan_from, plan_messages, relays_from
from sec_nodes.nodes.vector_messages import array3, point
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    DeviceTable,
    FloatArray,
    LinkTable,
    ModelTable,
    ServerTable,
    SlotDecision,
    SlotState,
    TaskTable,
    UploadTable,
)
from sec_offload import msg

LARGEST_ID = 2**63 - 1
"""Tasks are numbered in 64 bits with a sign."""


def receivers_from(servers: Sequence[msg.ServerState]) -> Receivers:
    """Who receives for each server."""
    return Receivers(
        kind=np.array([server.kind for server in servers], dtype=np.int64),
        receiver=np.array([server.receiver for server in servers], dtype=np.int64),
        position_m=array3([server.receiver_position for server in servers]),
        in_view=np.array([server.in_view for server in servers], dtype=bool),
        hops=np.array([server.hops for server in servers], dtype=np.int64),
        isl_m=np.array([server.isl_m for server in servers], dtype=float),
        remaining_s=np.array([server.remaining_s for server in servers], dtype=float),
        transmit_power_w=np.array([server.transmit_power_w for server in servers], dtype=float),
    )


def links_message(
    slot: int, device_id: Sequence[int], server_id: Sequence[int], links: LinkTable
) -> msg.LinkTable:
    """A link table as a message, row-major."""
    flat = {
        name: getattr(links, name).reshape(-1).tolist() for name in LinkTable.__dataclass_fields__
    }
    return msg.LinkTable(
        slot=slot, device_id=[int(i) for i in device_id], server_id=list(server_id), **flat
    )


def links_from(message: msg.LinkTable) -> LinkTable:
    """A link table from its message.

    Raises:
        BadMessageError: the lengths of its arrays do not fit together.
    """
    shape = (len(message.device_id), len(message.server_id))
    columns: dict[str, Any] = {}
    for name in LinkTable.__dataclass_fields__:
        values = np.asarray(getattr(message, name))
        per_link = name in (
            'gain',
            'rate_bit_s',
            'downlink_rate_bit_s',
            'delay_s',
            'reachable',
            'loss',
        )
        expected = shape if per_link else shape[1:]
        if values.size != np.prod(expected, dtype=int):
            raise BadMessageError(f'link table: {name} has {values.size} entries for {expected}')
        columns[name] = values.reshape(expected)
    for name in ('receiver', 'hops'):
        columns[name] = columns[name].astype(np.int64)
    columns['reachable'] = columns['reachable'].astype(bool)
    return LinkTable(**columns)


def model_messages(models: ModelTable) -> list[msg.ModelProfile]:
    """Profiles of all models."""
    profiles = []
    for row, model_id in enumerate(models.model_id):
        cuts = slice(0, int(models.n_cuts[row]))
        profiles.append(
            msg.ModelProfile(
                model_id=model_id,
                accuracy=float(models.accuracy[row]),
                front_flop=models.front_flop[row, cuts].tolist(),
                start_flop=models.start_flop[row, cuts].tolist(),
                back_flop=models.back_flop[row, cuts].tolist(),
                cut_bit=models.cut_bit[row, cuts].tolist(),
            )
        )
    return profiles


def models_from(profiles: Sequence[msg.ModelProfile]) -> ModelTable:
    """The padded table of model profiles."""
    n_cuts = np.array([len(profile.cut_bit) for profile in profiles], dtype=np.int64)
    widest = int(n_cuts.max(initial=0))

    def padded(name: str) -> FloatArray:
        table = np.zeros((len(profiles), widest))
        for row, profile in enumerate(profiles):
            values = getattr(profile, name)
            if len(values) != n_cuts[row]:
                raise BadMessageError(f'profile of {profile.model_id}: {name} and cut_bit differ')
            table[row, : len(values)] = values
        return table

    return ModelTable(
        model_id=tuple(profile.model_id for profile in profiles),
        accuracy=np.array([profile.accuracy for profile in profiles]),
        n_cuts=n_cuts,
        front_flop=padded('front_flop'),
        start_flop=padded('start_flop'),
        back_flop=padded('back_flop'),
        cut_bit=padded('cut_bit'),
    )


def state_from(message: msg.SlotState, device_model: str, missions: bool = False) -> SlotState:
    """A slot state from its message.

    Args:
        message: the state as published.
        device_model: model that runs on devices where the message does not say.
        missions: whether uploads take many slots and plans are flown.

    Raises:
        BadMessageError: its parts do not fit together.
    """
    models = models_from(message.models)
    row_of_model = {name: row for row, name in enumerate(models.model_id)}
    row_of_device = {device: row for row, device in enumerate(message.device_id)}
    try:
        # a server without a model of its own runs those of the devices
        server_model = [
            row_of_model[server.model_id] if server.model_id else -1 for server in message.servers
        ]
        own_model = [
            row_of_model[name]
            for name in message.device_model or [device_model] * len(message.device_id)
        ]
        task_device = [row_of_device[task.device_id] for task in message.tasks]
    except KeyError as error:
        raise BadMessageError(f'slot state refers to {error}, which it does not list') from None
    tasks = message.tasks
    servers = message.servers
    _check_lengths(message)

    def column(items: Sequence[Any], name: str, dtype: type = float) -> Any:
        return np.array([getattr(item, name) for item in items], dtype=dtype)

    return SlotState(
        slot=message.slot,
        time_s=message.time_s,
        slot_s=message.slot_s,
        tasks=TaskTable(
            task_id=column(tasks, 'task_id', np.int64),
            device=np.array(task_device, dtype=np.int64),
            created_s=column(tasks, 'created_s'),
            deadline_s=column(tasks, 'deadline_s'),
            accuracy=column(tasks, 'accuracy'),
            input_bit=column(tasks, 'input_bit'),
            steps=column(tasks, 'steps'),
            answer_bit=column(tasks, 'answer_bit'),
            attempt=np.array(message.attempt, dtype=np.int64),
        ),
        devices=DeviceTable(
            device_id=np.array(message.device_id, dtype=np.int64),
            position_m=array3(message.device_position),
            velocity_m_s=array3(message.device_velocity),
            flop_s=np.array(message.device_flop_s, dtype=float),
            backlog_s=np.array(message.device_backlog_s, dtype=float),
            model=np.array(own_model, dtype=np.int64),
        ),
        servers=ServerTable(
            kind=column(servers, 'kind', np.int64),
            alive=column(servers, 'alive', bool),
            position_m=array3([server.position for server in servers]),
            velocity_m_s=array3([server.velocity for server in servers]),
            model=np.array(server_model, dtype=np.int64),
            flop_s=column(servers, 'flop_s'),
            compute_power_w=column(servers, 'compute_power_w'),
            transmit_power_w=column(servers, 'transmit_power_w'),
            backlog_s=column(servers, 'backlog_s'),
            energy_left_j=np.where(
                column(servers, 'has_battery', bool), column(servers, 'energy_left_j'), np.inf
            ),
        ),
        models=models,
        links=links_from(message.links),
        relays=relays_from(message.relays),
        uploads=_uploads(message, models.model_id) if missions else None,
        mission=mission_messages.plan_from(message.mission) if missions else None,
    )


def _uploads(message: msg.SlotState, model_id: Sequence[str]) -> UploadTable:
    return mission_messages.uploads_from(message.links.uploads, message.device_id, model_id)


def _check_lengths(message: msg.SlotState) -> None:
    """Raise `BadMessageError` if arrays of a slot state do not belong to the same things."""
    n_devices = len(message.device_id)
    for name in ('position', 'velocity', 'flop_s', 'backlog_s'):
        found = len(getattr(message, f'device_{name}'))
        if found != n_devices:
            raise BadMessageError(f'slot state: {found} device_{name} for {n_devices} devices')
    if len(message.device_model) not in (0, n_devices):
        raise BadMessageError(
            f'slot state: {len(message.device_model)} device_model for {n_devices} devices'
        )
    if len(message.attempt) != len(message.tasks):
        raise BadMessageError(
            f'slot state: {len(message.attempt)} attempts for {len(message.tasks)} tasks'
        )
    servers = [server.server_id for server in message.servers]
    if list(message.links.device_id) != list(message.device_id):
        raise BadMessageError('slot state: its links are those of other devices')
    if list(message.links.server_id) != servers:
        raise BadMessageError('slot state: its links are those of other servers')
    huge = [task.task_id for task in message.tasks if task.task_id > LARGEST_ID]
    if huge:
        raise BadMessageError(f'slot state: task {huge[0]} exceeds {LARGEST_ID}')


def decision_message(state: SlotState, decision: SlotDecision) -> msg.SlotDecision:
    """A decision as a message."""
    tasks = [
        msg.TaskDecision(
            task_id=int(state.tasks.task_id[row]),
            server=int(decision.server[row]),
            split=int(decision.split[row]),
            power_w=float(decision.power_w[row]),
            compute_share=float(decision.compute_share[row]),
            backup=int(decision.backup[row]),
        )
        for row in range(state.n_tasks)
    ]
    goals = [point(goal) for goal in decision.uav_goal_m]
    mission = decision.mission
    return msg.SlotDecision(
        slot=state.slot,
        tasks=tasks,
        uav_goal=goals,
        relays=plan_messages(decision.relays),
        mission=[mission_messages.plan_message(mission, state.slot_s, '')] if mission else [],
    )


def decision_from(message: msg.SlotDecision, state: SlotState) -> tuple[SlotDecision, int]:
    """A decision in the order of the tasks of a state.

    Tasks that the message leaves out, or names twice, get a server that does not exist, so that
    screening replaces them.

    Returns:
        The decision, and the number of entries for tasks that the state does not hold.
    """
    n_tasks = state.n_tasks
    server = np.full(n_tasks, np.iinfo(np.int32).max, dtype=np.int64)
    split, backup = np.zeros(n_tasks, dtype=np.int64), np.full(n_tasks, LOCAL, dtype=np.int64)
    power_w, share = np.zeros(n_tasks), np.zeros(n_tasks)
    row_of = {int(task_id): row for row, task_id in enumerate(state.tasks.task_id)}
    taken: set[int] = set()
    unknown = 0
    for entry in message.tasks:
        row = row_of.get(entry.task_id)
        if row is None:
            unknown += 1
            continue
        twice = row in taken
        taken.add(row)
        server[row] = np.iinfo(np.int32).max if twice else entry.server
        split[row], backup[row] = entry.split, entry.backup
        power_w[row], share[row] = entry.power_w, entry.compute_share
    local = (server == LOCAL) | (server == DECLINED)
    own_cut = state.models.n_cuts[state.devices.model[state.tasks.device]] - 1
    goals = (
        array3(message.uav_goal) if message.uav_goal else state.servers.position_m[: state.n_uavs]
    )
    return (
        SlotDecision(
            server=server,
            split=np.where(local, own_cut, split),
            power_w=power_w,
            compute_share=share,
            backup=backup,
            uav_goal_m=goals,
            relays=plan_from(message.relays, state.relays),
            mission=mission_messages.plan_from(message.mission),
        ),
        unknown,
    )
