"""Slots of a mission of partial as the nodes would see them, with made-up networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.scenarios.partial.offloading import PartialOffloading
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import (
    DeviceTable,
    ServerTable,
    SlotState,
    TaskTable,
    UploadTable,
    task_number,
)

SIZES_BIT = 1.4e6, 3.1e6, 4.9e6


def menu(size_bit):
    """20 layers of equal size; tensors get smaller half way."""
    return tuple(
        (size_bit * (1 - k / 20), 400e3 if k == 0 else 131e3 if k < 10 else 33e3)
        for k in range(20)
    )


def offloading(**overrides):
    """The scenario as it is flown, with networks of 20 equal layers."""
    settings = read_settings(
        'partial',
        {
            'uavs.acceleration_m_s2': 2.0,
            'uavs.from_rest': True,
            'uavs.layer_m': 5.0,
            'tasks.reserve_s': 1.5,
            **{key.replace('__', '.'): value for key, value in overrides.items()},
        },
    )
    tasks = settings.tasks.model_copy(
        update={'networks': ('s', 'm', 'l'), 'menus_bit': tuple(menu(size) for size in SIZES_BIT)}
    )
    return PartialOffloading(settings.model_copy(update={'tasks': tasks}))


def nobody_uploads():
    """No uploads yet."""
    number, value = np.zeros(0, dtype=np.int64), np.zeros(0)
    columns = dict.fromkeys(UploadTable.__dataclass_fields__, value)
    integers = ('task_id', 'device', 'server', 'model', 'split')
    return UploadTable(
        **{**columns, **dict.fromkeys(integers, number), 'sent_bit': np.zeros((0, 2))}
    )


def first_slot(scenario):
    """The start of the mission: every terminal has a task, every UAV hovers at the depot."""
    settings, instance = scenario.settings, scenario.physical.reset(np.array([0]))
    n, m = instance.n_tasks, settings.uavs.count
    device_id = np.arange(n)
    uav_m = np.column_stack([instance.start_m[0], settings.altitudes_m])
    position_m = np.column_stack([instance.terminal_m[0], np.zeros(n)])
    offset_m = position_m[:, None, :2] - uav_m[None, :, :2]
    zeros = np.zeros(n)
    return SlotState(
        slot=0,
        time_s=0.0,
        slot_s=settings.slot_s,
        tasks=TaskTable(
            task_id=task_number(device_id, 0),
            device=device_id,
            created_s=zeros,
            deadline_s=instance.deadline_s[0],
            accuracy=zeros,
            input_bit=zeros,
            steps=instance.work_cycle_per_bit[0],
            answer_bit=zeros,
            attempt=np.zeros(n, dtype=np.int64),
        ),
        devices=DeviceTable(
            device_id=device_id,
            position_m=position_m,
            velocity_m_s=np.zeros((n, 3)),
            flop_s=instance.local_hz[0],
            backlog_s=zeros,
            model=device_id % len(SIZES_BIT),
        ),
        servers=ServerTable(
            kind=np.zeros(m, dtype=np.int64),
            alive=np.ones(m, dtype=bool),
            position_m=uav_m,
            velocity_m_s=np.zeros((m, 3)),
            model=np.full(m, -1),
            flop_s=np.full(m, settings.uavs.cpu_hz),
            compute_power_w=np.zeros(m),
            transmit_power_w=np.zeros(m),
            backlog_s=np.zeros(m),
            energy_left_j=np.full(m, np.inf),
        ),
        models=scenario.models,
        links=scenario.link_table(
            np.hypot(offset_m[..., 0], offset_m[..., 1]), uav_m[:, 2], zeros
        ),
        uploads=nobody_uploads(),
    )


def later_slot(scenario, start, decision, slot, loss_db=None):
    """A slot of the mission in which everything has gone as decided so far.

    Args:
        scenario: the system.
        start: the first slot.
        decision: what was decided there, with a plan.
        slot: number of the later slot.
        loss_db: (N,) by how much links are worse in that slot.
    """
    settings, plan, now_s = scenario.settings, decision.mission, slot * start.slot_s
    m, tasks = start.n_uavs, start.tasks
    path_m = plan.waypoint_m
    uav_m = path_m[:, slot]
    here = (start.devices.model[tasks.device], decision.split)
    program_bit, result_bit = start.models.back_flop[here], start.models.cut_bit[here]
    local_s = start.models.front_flop[here] * tasks.steps / start.devices.flop_s[tasks.device]
    sent_bit = np.zeros((start.n_tasks, 2))
    arrived_s = np.full(start.n_tasks, np.nan)
    for n, uav in enumerate(decision.server):
        offset_m = path_m[uav, :slot, :2] - start.devices.position_m[n, :2]
        gain = scenario.gain(
            np.hypot(offset_m[:, 0], offset_m[:, 1])[None], settings.altitudes_m[uav], np.zeros(1)
        )[0]
        ratio = gain * settings.radio.transmit_power_w / start.links.noise_w[0]
        rate = settings.radio.bandwidth_hz * np.log2(1 + ratio)
        for k in range(slot):
            begin_s, end_s = k * start.slot_s, (k + 1) * start.slot_s
            sent_bit[n, 0] += rate[k] * start.slot_s
            open_s = max(end_s - max(begin_s, local_s[n]), 0.0)
            sent_bit[n, 1] += rate[k] * open_s
            if sent_bit[n, 1] >= result_bit[n] and np.isnan(arrived_s[n]):
                arrived_s[n] = end_s - (sent_bit[n, 1] - result_bit[n]) / rate[k]
    sent_bit = np.minimum(sent_bit, np.column_stack([program_bit, result_bit]))
    offset_m = start.devices.position_m[:, None, :2] - uav_m[None, :, :2]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    loss_db = np.zeros(len(distance_m)) if loss_db is None else loss_db
    velocity_m_s = (path_m[:, slot] - path_m[:, slot - 1]) / start.slot_s
    return replace(
        start.only(np.zeros(0, dtype=np.int64)),
        slot=slot,
        time_s=now_s,
        servers=replace(start.servers, position_m=uav_m, velocity_m_s=velocity_m_s),
        links=scenario.link_table(distance_m, uav_m[:m, 2], loss_db),
        mission=plan,
        uploads=UploadTable(
            task_id=tasks.task_id,
            device=tasks.device,
            server=decision.server,
            model=here[0],
            split=decision.split,
            compute_share=decision.compute_share,
            steps=tasks.steps,
            created_s=tasks.created_s,
            deadline_s=tasks.deadline_s,
            sent_bit=sent_bit,
            program_s=np.where(sent_bit[:, 0] >= program_bit, now_s, np.nan),
            arrived_s=arrived_s,
        ),
    )
