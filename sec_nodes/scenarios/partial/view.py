"""A mission as the nodes have it, in the words of partial's controllers, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.scenarios.partial.instance import (
    UNSERVED,
    PartialState,
    cut_tasks,
    nominal_split,
)
from sec_nodes.scenarios.partial.offloading import PartialOffloading
from sec_nodes.scenarios.partial.scenario import Partial, PartialDecision
from sec_nodes.slot import DECLINED, FloatArray, IntArray, MissionPlan, SlotState, UploadTable

_NOTHING_HZ = 1.0
"""Processor of a lost UAV: next to none, so that ratios stay finite."""
LATE_MARGIN_S = 0.2
"""How much later than foreseen a late program is reckoned with: UAVs are a little off their
path [s]."""
QUIET_DB = 0.05
"""Losses below this are rounding."""


@dataclass(frozen=True)
class Mission:
    """What is left of a mission: one copy of the scenario, and which tasks it is about."""

    scenario: Partial
    """The scenario with the slots that are left."""
    state: PartialState
    """Deadlines are those that plans aim at, `tasks.reserve_s` before the real ones."""
    task_id: IntArray
    """(N,) in the order of the state: first those that wait, then those that upload."""
    device_id: IntArray
    """(N,)"""
    due_s: FloatArray
    """(N,) real deadlines [s; simulation time]."""


def mission_of(
    scenario: PartialOffloading,
    state: SlotState,
    seed: int = 0,
    loss_db: FloatArray | None = None,
) -> Mission:
    """What is left of the mission in a slot.

    Tasks that wait for a decision and tasks that upload are in it. Those that UAVs compute are
    not; they keep their share of the processor. A lost UAV has none to give.

    Args:
        scenario: the system.
        state: the slot.
        seed: of controllers that draw random numbers.
        loss_db: (D,) of links beyond the model; None for what the slot's own links say.

    Raises:
        ValueError: the slot has no uploads, so it is no slot of a mission.
    """
    settings, uploads = scenario.settings, _uploads(state)
    # what must be sent again is still listed where its first try was
    again = np.isin(uploads.task_id, state.tasks.task_id)
    under_way = np.flatnonzero(np.isnan(uploads.arrived_s) & ~again)
    device = np.concatenate([state.tasks.device, uploads.device[under_way]])
    created_s = np.concatenate([state.tasks.created_s, uploads.created_s[under_way]])
    allowed_s = np.concatenate([state.tasks.deadline_s, uploads.deadline_s[under_way]])
    waiting = state.n_tasks
    menu_bit = _menus_bit(state)[state.devices.model[device]]
    n, m = len(device), state.n_uavs
    # the mission began when its first task was made
    began_s = float(created_s.min(initial=state.time_s))
    held = np.concatenate([np.full(waiting, UNSERVED), uploads.server[under_way]])
    alive = state.servers.alive[:m]
    held = np.where((held != UNSERVED) & ~alive[held], UNSERVED, held)
    depot_m = np.asarray(settings.uavs.depot_m, dtype=float)
    here_m = state.servers.position_m[:m, :2]
    limited = settings.uavs.acceleration_m_s2 is not None
    velocity_m_s = state.servers.velocity_m_s[:m, :2] if limited else np.full((m, 2), np.nan)
    mission = PartialState(
        seed=np.array([seed]),
        terminal_m=state.devices.position_m[device, :2][None],
        data_bit=menu_bit[None, :, 0, 0],
        work_cycle_per_bit=np.concatenate([state.tasks.steps, uploads.steps[under_way]])[None],
        deadline_s=(created_s + allowed_s - began_s - settings.tasks.reserve_s)[None],
        local_hz=state.devices.flop_s[device][None],
        splits_bit=menu_bit[None],
        split=np.zeros((1, n), dtype=np.int64),
        depot_m=depot_m[None],
        start_m=np.where(alive[:, None], here_m, depot_m)[None],
        velocity_m_s=np.where(alive[:, None], velocity_m_s, np.nan)[None],
        elapsed_s=np.array([state.time_s - began_s]),
        sent_bit=np.concatenate([np.zeros((waiting, 2)), uploads.sent_bit[under_way]])[None],
        held=held[None],
        reserved_hz=np.where(
            alive, reserved_hz(scenario, state), settings.uavs.cpu_hz - _NOTHING_HZ
        )[None],
        loss_db=(measured_loss_db(scenario, state) if loss_db is None else loss_db)[device][None],
    )
    split = nominal_split(settings, mission) if n else mission.split
    split[0, waiting:] = uploads.split[under_way]
    left = settings.model_copy(update={'slots': max(settings.slots - state.slot, 1)})
    rest = Partial(left)
    return Mission(
        scenario=rest,
        state=_patient(rest, replace(mission, split=split), state),
        task_id=np.concatenate([state.tasks.task_id, uploads.task_id[under_way]]),
        device_id=state.devices.device_id[device],
        due_s=created_s + allowed_s,
    )


def one_slot_ahead(scenario: PartialOffloading, state: SlotState) -> SlotState:
    """The next slot, if UAVs follow the plan in force and links stay as they are in this one.

    A plan that is made for it takes over without a jump, however long in this slot it takes to
    make.

    Raises:
        ValueError: there is no plan in force, or no slot of a mission.
    """
    if state.mission is None:
        raise ValueError(f'slot {state.slot} has no plan in force to look ahead along')
    servers, m = state.servers, state.n_uavs
    since = state.slot - state.mission.slot
    path_m = state.mission.waypoint_m
    next_m = path_m[:, min(since + 1, path_m.shape[1] - 1)]
    velocity_m_s = (next_m - path_m[:, min(since, path_m.shape[1] - 1)]) / state.slot_s
    return replace(
        state,
        slot=state.slot + 1,
        time_s=state.time_s + state.slot_s,
        servers=replace(
            servers,
            position_m=np.concatenate([next_m, servers.position_m[m:]]),
            velocity_m_s=np.concatenate([velocity_m_s, servers.velocity_m_s[m:]]),
        ),
        uploads=_uploads_after(state),
    )


def _uploads_after(state: SlotState) -> UploadTable:
    """How far uploads get within a slot at its rates; (7) and (11) in turn."""
    uploads, end_s = _uploads(state), state.time_s + state.slot_s
    cut = uploads.model, uploads.split
    rate_bit_s = state.links.rate_bit_s[uploads.device, uploads.server]
    size_bit = np.column_stack([state.models.back_flop[cut], state.models.cut_bit[cut]])
    speed = state.devices.flop_s[uploads.device]
    local_end_s = uploads.created_s + state.models.front_flop[cut] * uploads.steps / speed
    left_bit = size_bit - uploads.sent_bit
    with np.errstate(divide='ignore', invalid='ignore'):
        program_s = np.where(
            left_bit[:, 0] > 0, state.time_s + left_bit[:, 0] / rate_bit_s, state.time_s
        )
        begin_s = np.maximum(program_s, local_end_s)
        arrived_s = begin_s + np.where(left_bit[:, 1] > 0, left_bit[:, 1] / rate_bit_s, 0.0)
    open_s = np.column_stack([np.full(len(begin_s), state.slot_s), end_s - begin_s])
    more_bit = rate_bit_s[:, None] * np.maximum(open_s, 0.0)
    new = np.isnan(uploads.arrived_s) & (arrived_s <= end_s)
    return replace(
        uploads,
        sent_bit=np.minimum(uploads.sent_bit + more_bit, size_bit),
        program_s=np.where(program_s <= end_s, program_s, np.nan),
        arrived_s=np.where(new, arrived_s, uploads.arrived_s),
    )


def _patient(scenario: Partial, mission: PartialState, state: SlotState) -> PartialState:
    """The mission with devices that wait for programs which come late by the plan in force.

    (7) asks for programs within the local time, so that nothing waits. If links turn out worse,
    a program may come later, and its intermediate result after it: as if the device were slower.
    """
    if state.mission is None or not mission.n_tasks:
        return mission
    since = state.slot - state.mission.slot
    path_m = state.mission.waypoint_m[:, since : since + scenario.settings.slots + 1, :2]
    if path_m.shape[1] != scenario.settings.slots + 1:
        return mission
    held = mission.held[0]
    pairs = scenario.pairs(mission, path_m[None], mission.split)
    cuts = cut_tasks(mission, mission.split)
    program_s = pairs.program_end_s[0, np.maximum(held, 0), np.arange(mission.n_tasks)]
    late = (held != UNSERVED) & np.isfinite(program_s) & (program_s > cuts.local_s[0])
    local_cycle = mission.work_cycle_per_bit * (
        mission.data_bit
        - np.take_along_axis(mission.splits_bit[..., 0], mission.split[..., None], axis=2)[..., 0]
    )
    waiting_hz = local_cycle / (mission.elapsed_s[:, None] + program_s + LATE_MARGIN_S)
    return replace(mission, local_hz=np.where(late, waiting_hz, mission.local_hz))


def reserved_hz(scenario: PartialOffloading, state: SlotState) -> FloatArray:
    """(M,) processor that is taken by tasks which have arrived and are not finished yet."""
    uploads, limit_hz = _uploads(state), scenario.settings.uavs.cpu_hz
    cpu_hz = uploads.compute_share * limit_hz
    work_cycle = state.models.back_flop[uploads.model, uploads.split] * uploads.steps
    with np.errstate(divide='ignore', invalid='ignore'):
        finish_s = uploads.arrived_s + work_cycle / cpu_hz
    computing = np.isfinite(uploads.arrived_s) & (finish_s > state.time_s)
    taken_hz = np.bincount(uploads.server[computing], cpu_hz[computing], minlength=state.n_uavs)
    return np.minimum(taken_hz, limit_hz)


def plan_of(
    scenario: PartialOffloading,
    state: SlotState,
    mission: Mission,
    decision: PartialDecision,
    bound_j: float,
    reason: str,
) -> MissionPlan:
    """A decision on the only copy of a mission as a plan, with what it promises."""
    outcome = mission.scenario.evaluate(mission.state, decision)
    path_m = decision.waypoint_m[0]
    up_m = np.broadcast_to(scenario.settings.altitudes_m[:, None, None], (*path_m.shape[:2], 1))
    server = decision.server[0]
    return MissionPlan(
        slot=state.slot,
        waypoint_m=np.concatenate([path_m, up_m], axis=-1),
        task_id=mission.task_id,
        device_id=mission.device_id,
        server=np.where(server == UNSERVED, DECLINED, server),
        split=decision.split[0],
        cpu_hz=decision.cpu_hz[0],
        upload_end_s=state.time_s + outcome.upload_end_s[0],
        finish_s=state.time_s + outcome.finish_s[0],
        loss_db=mission.state.loss_db[0],
        due_s=mission.due_s,
        energy_j=outcome.energy_j[0],
        bound_j=bound_j,
        reason=reason,
    )


def _menus_bit(state: SlotState) -> FloatArray:
    """(Q, K, 2) program and intermediate result at each cut that leaves something to a UAV.

    Shorter menus are filled up as in `with_networks`.
    """
    models = state.models
    menu_bit = np.stack([models.back_flop, models.cut_bit], axis=-1)[:, :-1]
    beyond = np.arange(menu_bit.shape[1]) >= models.n_cuts[:, None] - 1
    return np.where(beyond[..., None], menu_bit[:, :1], menu_bit)


def _uploads(state: SlotState) -> UploadTable:
    if state.uploads is None:
        raise ValueError(f'slot {state.slot} tells nothing of uploads: it is none of a mission')
    return state.uploads


def measured_loss_db(scenario: PartialOffloading, state: SlotState) -> FloatArray:
    """(D,) by how much the links of each device are worse than the model, in the median [dB]."""
    m = state.n_uavs
    here_m = state.servers.position_m[:m]
    offset_m = state.devices.position_m[:, None, :2] - here_m[None, :, :2]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    expected = scenario.gain(distance_m, here_m[:, 2], np.zeros(len(offset_m)))
    with np.errstate(divide='ignore'):
        loss_db = 10.0 * np.log10(expected / state.links.gain[:, :m])
    known = state.servers.alive[:m] & np.isfinite(loss_db)
    loss_db = np.ma.median(np.ma.masked_array(loss_db, ~known), axis=1).filled(0.0)
    return np.where(np.abs(loss_db) < QUIET_DB, 0.0, loss_db)
