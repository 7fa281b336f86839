"""The vocabulary that simulation, nodes and controllers share: what is known, what is decided.

A controller looks at a `SlotState` and answers with a `SlotDecision`. Both are frozen
collections of numpy arrays; the letters in the shapes are

====== =========================================================
K      tasks that wait for a decision in this slot
D      devices
S      servers: the M UAVs first, then the N satellites
Q, C   models, and cuts of the model that has most of them
====== =========================================================

Lengths are in metres in a local east-north-up frame (`map`), times in seconds of simulation
time, energies in joule, sizes in bit, work in floating point operations (FLOP).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LOCAL = -1
"""Server number that stands for the device itself."""

DECLINED = -2
"""Server number that stands for a task that the controller gives up."""


class ServerKind(IntEnum):
    """What a server is; the numbers are those of sec_offload/msg/ServerState."""

    UAV = 0
    SATELLITE = 1


class Status(IntEnum):
    """How a task ended; the numbers are those of sec_offload/msg/TaskOutcome."""

    DONE = 0
    LATE = 1
    FAILED = 2
    REJECTED = 3


TASKS_PER_DEVICE = 2**32
"""A device makes at most one task a slot, whose number is that of the slot: so numbers stay
unique when a device restarts."""


def task_number(device: IntArray, slot: int) -> IntArray:
    """Numbers of the tasks that devices make in a slot, unique in a run."""
    return device * TASKS_PER_DEVICE + slot


@dataclass(frozen=True)
class ModelTable:
    """Accuracy and cuts of every model, padded to the longest cut list.

    Cut 0 sends the raw input, cut `n_cuts - 1` runs everything on the device.
    """

    model_id: tuple[str, ...]
    """(Q,) identifiers, as in models/manifest.yaml."""
    accuracy: FloatArray
    """(Q,) share of right answers on the held-out set."""
    n_cuts: IntArray
    """(Q,) number of cuts of each model; entries beyond are padding."""
    front_flop: FloatArray
    """(Q, C) work before the cut [FLOP]."""
    start_flop: FloatArray
    """(Q, C) work after the cut that is done once, before the first step [FLOP]."""
    back_flop: FloatArray
    """(Q, C) work after the cut of each step [FLOP]."""
    cut_bit: FloatArray
    """(Q, C) size of what is sent, as encoded [bit]."""


@dataclass(frozen=True)
class TaskTable:
    """Tasks that wait for a decision."""

    task_id: IntArray
    """(K,) unique in a run."""
    device: IntArray
    """(K,) row of the device in `DeviceTable` and `LinkTable`."""
    created_s: FloatArray
    """(K,) when the picture was taken [s]."""
    deadline_s: FloatArray
    """(K,) allowed time from `created_s` to the answer [s]."""
    accuracy: FloatArray
    """(K,) accuracy that the answering model must have."""
    input_bit: FloatArray
    """(K,) what the task adds to the model's cut 0 [bit]; 0 if that knows the size of inputs."""
    steps: FloatArray
    """(K,) how often a server's layers run for the answer: 1, or the words of an answer."""
    answer_bit: FloatArray
    """(K,) expected size of the answer [bit]."""
    attempt: IntArray
    """(K,) how often the task has been sent out before."""


@dataclass(frozen=True)
class DeviceTable:
    """Devices, in ascending order of their identifiers."""

    device_id: IntArray
    """(D,)"""
    position_m: FloatArray
    """(D, 3) [m; map]."""
    velocity_m_s: FloatArray
    """(D, 3) [m/s; map]."""
    flop_s: FloatArray
    """(D,) effective speed of its computer [FLOP/s]."""
    backlog_s: FloatArray
    """(D,) computing time already promised at the start of the slot [s]."""
    model: IntArray
    """(D,) row of the device's model; where `flop_s` is 0 it cannot run it."""


@dataclass(frozen=True)
class ServerTable:
    """Every server of the scenario; dead ones stay, with `alive` false."""

    kind: IntArray
    """(S,) `ServerKind`."""
    alive: BoolArray
    """(S,)"""
    position_m: FloatArray
    """(S, 3) [m; map]."""
    velocity_m_s: FloatArray
    """(S, 3) [m/s; map]."""
    model: IntArray
    """(S,) row of the model that the server runs; -1 where it is the device's."""
    flop_s: FloatArray
    """(S,) effective speed of its computer [FLOP/s]."""
    compute_power_w: FloatArray
    """(S,) power while computing [W]."""
    transmit_power_w: FloatArray
    """(S,) power of its transmitter [W]."""
    backlog_s: FloatArray
    """(S,) computing time already promised at the start of the slot [s]."""
    energy_left_j: FloatArray
    """(S,) left in the battery [J]; infinite where energy is no limit."""


@dataclass(frozen=True)
class LinkTable:
    """Radio links between devices (rows) and servers (columns) in one slot.

    A satellite below the horizon is reached through its access satellite; gains and rates are
    those of the radio link, delays include the inter-satellite links.
    """

    gain: FloatArray
    """(D, S) power gain, fading included."""
    rate_bit_s: FloatArray
    """(D, S) uplink rate at full power without interference [bit/s]."""
    downlink_rate_bit_s: FloatArray
    """(D, S) rate from the receiver back to the device [bit/s]."""
    delay_s: FloatArray
    """(D, S) one-way propagation [s]."""
    reachable: BoolArray
    """(D, S) in coverage of the UAV, or with a visible access satellite."""
    loss: FloatArray
    """(D, S) probability that a payload is lost."""
    bandwidth_hz: FloatArray
    """(S,) uplink bandwidth [Hz]."""
    noise_w: FloatArray
    """(S,) noise power at the receiver [W]."""
    receiver: IntArray
    """(S,) identity of the radio receiver; servers may share one, and its interference."""
    hops: IntArray
    """(S,) inter-satellite links between receiver and server."""
    isl_m: FloatArray
    """(S,) length of those links together [m]."""
    remaining_s: FloatArray
    """(S,) time until the receiver sets [s]; infinite for UAVs, 0 where none is visible."""


@dataclass(frozen=True)
class UploadTable:
    """Tasks of a mission that have been assigned and have not ended, R of them.

    Their devices upload in all slots, first the program, that is the layers after the cut, then
    the intermediate result.
    """

    task_id: IntArray
    """(R,)"""
    device: IntArray
    """(R,) rows of `DeviceTable`."""
    server: IntArray
    """(R,) UAV that receives."""
    model: IntArray
    """(R,) rows of `ModelTable`."""
    split: IntArray
    """(R,) cut of the model."""
    compute_share: FloatArray
    """(R,) reserved share of the server's computer."""
    steps: FloatArray
    """(R,) as in `TaskTable`."""
    created_s: FloatArray
    """(R,) as in `TaskTable` [s]."""
    deadline_s: FloatArray
    """(R,) as in `TaskTable` [s]."""
    sent_bit: FloatArray
    """(R, 2) uploaded by the start of the slot of program and intermediate result [bit]."""
    program_s: FloatArray
    """(R,) when the program had arrived [s]; NaN if it has not."""
    arrived_s: FloatArray
    """(R,) when both had arrived [s]; NaN if they have not."""


@dataclass(frozen=True)
class MissionPlan:
    """A plan for all that is left of a mission, L slots, and what it promises for N tasks."""

    slot: int
    """First slot of the plan."""
    waypoint_m: FloatArray
    """(M, L + 1, 3) where each UAV is at the start of each slot, and at the end [m; map]."""
    task_id: IntArray
    """(N,)"""
    device_id: IntArray
    """(N,)"""
    server: IntArray
    """(N,) UAV that serves each, `DECLINED` for none."""
    split: IntArray
    """(N,) its cut."""
    cpu_hz: FloatArray
    """(N,) processor that it gets [cycle/s]."""
    upload_end_s: FloatArray
    """(N,) when its intermediate result has arrived [s]; infinite if never."""
    finish_s: FloatArray
    """(N,) when its answer is ready [s]; infinite if never."""
    loss_db: FloatArray
    """(N,) loss of its links beyond the model that the plan reckons with [dB]."""
    due_s: FloatArray
    """(N,) its deadline [s]."""
    energy_j: FloatArray
    """(M,) of each UAV for the rest of the mission [J]."""
    bound_j: float
    """What no plan can beat in the largest of them [J]."""
    reason: str
    """Why it was made."""


@dataclass(frozen=True)
class RelayTable:
    """What each UAV has to pass on to a satellite in a slot: urgent data and stored ones."""

    alive: BoolArray
    """(M,) UAVs that are there."""
    satellite: IntArray
    """(M,) server that each reaches during the whole slot; `LOCAL` where there is none."""
    satellite_gain: FloatArray
    """(M,) power gain to it; 0 where there is none."""
    batch_bit: FloatArray
    """(M,) urgent data that its devices bring [bit]."""
    upload_s: FloatArray
    """(M,) time until all of these are on the UAV [s]."""
    collect_rate_bit_s: FloatArray
    """(M,) rate at which data to be stored come in [bit/s]."""
    stored_bit: FloatArray
    """(M,) data in its storage [bit]."""
    storage_bit: FloatArray
    """(M,) size of its storage [bit]."""


@dataclass(frozen=True)
class RelayPlan:
    """What each UAV passes on, all (M,)."""

    ratio: FloatArray
    """Share of its urgent data that the satellite computes, in [0, 1]."""
    power_w: FloatArray
    """Transmit power for that share [W]."""
    cpu_hz: FloatArray
    """CPU of the satellite for it [cycle/s]."""
    start_s: FloatArray
    """When the upload of stored data begins, since the start of the slot [s]."""


@dataclass(frozen=True)
class SlotState:
    """Everything that a controller may look at to decide one slot."""

    slot: int
    time_s: float
    slot_s: float
    tasks: TaskTable
    devices: DeviceTable
    servers: ServerTable
    models: ModelTable
    links: LinkTable
    relays: RelayTable | None = None
    """None in scenarios in which UAVs pass nothing on."""
    uploads: UploadTable | None = None
    """None in scenarios without missions."""
    mission: MissionPlan | None = None
    """The plan in force; None before the first, and in scenarios without missions."""

    @property
    def n_tasks(self) -> int:
        """Number of tasks K."""
        return len(self.tasks.task_id)

    @property
    def n_servers(self) -> int:
        """Number of servers S."""
        return len(self.servers.kind)

    @property
    def n_uavs(self) -> int:
        """Number of UAVs M; they are servers 0..M-1."""
        return int(np.count_nonzero(self.servers.kind == ServerKind.UAV))

    def only(self, tasks: IntArray) -> SlotState:
        """The same slot with only some of its tasks, by their rows."""
        kept = {name: getattr(self.tasks, name)[tasks] for name in TaskTable.__dataclass_fields__}
        return replace(self, tasks=TaskTable(**kept))

    def executing_model(self, server: IntArray) -> IntArray:
        """Model that answers each task: the server's, or the device's own.

        Args:
            server: (K,) server of each task; `LOCAL` and `DECLINED` give the device's model.

        Returns:
            (K,) rows of `models`.
        """
        own = self.devices.model[self.tasks.device]
        if not self.n_servers:
            return own
        model = self.servers.model[np.maximum(server, 0)]
        return np.where((server >= 0) & (model >= 0), model, own)

    def payload_bit(self, server: IntArray, split: IntArray) -> FloatArray:
        """(K,) size of what each task sends to its server if cut at `split` [bit]."""
        size_bit = self.models.cut_bit[self.executing_model(server), split]
        return size_bit + np.where(split == 0, self.tasks.input_bit, 0.0)

    def server_flop(self, server: IntArray, split: IntArray) -> FloatArray:
        """(K,) work that each task leaves to its server if cut at `split` [FLOP]."""
        model = self.executing_model(server)
        steps_flop = self.models.back_flop[model, split] * self.tasks.steps
        return self.models.start_flop[model, split] + steps_flop


@dataclass(frozen=True)
class SlotDecision:
    """A controller's answer to one `SlotState`, in the order of its tasks."""

    server: IntArray
    """(K,) server, `LOCAL` or `DECLINED`."""
    split: IntArray
    """(K,) cut of the executing model: layers before it run on the device."""
    power_w: FloatArray
    """(K,) transmit power of the device [W]."""
    compute_share: FloatArray
    """(K,) reserved share of the server's computer; 0 = first come, first served."""
    backup: IntArray
    """(K,) server to turn to if the first one is lost; `LOCAL` for the device itself."""
    uav_goal_m: FloatArray
    """(M, 3) where each UAV shall be at the end of the slot [m; map]."""
    relays: RelayPlan | None = None
    """What UAVs pass on to the satellite; None in scenarios in which they do not."""
    mission: MissionPlan | None = None
    """A new plan for what is left of a mission; None to leave the one that is in force."""

    def only(self, tasks: IntArray) -> SlotDecision:
        """The same decision on some of the tasks, by their rows."""
        return replace(self, **{name: getattr(self, name)[tasks] for name in PER_TASK})

    def with_rows(self, tasks: IntArray, other: SlotDecision) -> SlotDecision:
        """This decision with those of another on some tasks, whose rows they are."""
        columns = {name: getattr(self, name).copy() for name in PER_TASK}
        for name, column in columns.items():
            column[tasks] = getattr(other, name)
        return replace(self, **columns)


PER_TASK = ('server', 'split', 'power_w', 'compute_share', 'backup')
"""Fields of a `SlotDecision` that have a row for each task."""


@dataclass(frozen=True)
class SlotOutcome:
    """What a decision costs, task by task. Infinite times mean that there is no answer."""

    front_s: FloatArray
    """(K,) layers on the device, waiting for its processor included [s]."""
    upload_s: FloatArray
    """(K,) radio, propagation and inter-satellite links towards the server [s]."""
    wait_s: FloatArray
    """(K,) in the server's queue [s]."""
    back_s: FloatArray
    """(K,) layers on the server [s]."""
    download_s: FloatArray
    """(K,) the answer's way back [s]."""
    front_j: FloatArray
    """(K,) layers on the device [J]."""
    upload_j: FloatArray
    """(K,) transmitter of the device and inter-satellite links [J]."""
    back_j: FloatArray
    """(K,) layers on the server [J]."""
    download_j: FloatArray
    """(K,) transmitter of the server [J]."""

    @property
    def latency_s(self) -> FloatArray:
        """(K,) from the assignment to the answer [s]."""
        return self.front_s + self.upload_s + self.wait_s + self.back_s + self.download_s

    @property
    def energy_j(self) -> FloatArray:
        """(K,) everything spent on the task [J]."""
        return self.front_j + self.upload_j + self.back_j + self.download_j
