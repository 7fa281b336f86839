"""What a spectator knows of a run, as plain data: the live view draws it, the monitor fills it."""

from __future__ import annotations

from dataclasses import dataclass, field

STATUSES = ('done', 'late', 'failed', 'rejected')
"""In the order of sec_offload/msg/TaskOutcome."""

RUN_STATES = ('waiting', 'running', 'draining', 'finished', 'aborted')
"""In the order of sec_offload/msg/RunState."""

STAGES = ('front', 'upload', 'back', 'download')
"""Where the energy of a task goes: sec_offload/msg/TaskEnergy."""


WAYS = ('relay', 'resend', 'local')
"""How tasks of failed servers go on: sec_offload/msg/Migration."""


@dataclass(frozen=True)
class ServerView:
    """A UAV or satellite."""

    name: str
    is_uav: bool
    position_m: tuple[float, float, float]
    tracking_error_m: float = 0.0
    energy_left: float | None = None
    """Share of the battery that is left; none where energy is no limit."""
    backlog_s: float = 0.0
    alive: bool = True
    stored_bit: float = 0.0
    storage_bit: float = 0.0
    """Size of its storage [bit]; 0 where it is not limited, or where there is none."""
    ground_contact: bool = False
    """Whether the ground station sees it."""


@dataclass(frozen=True)
class TaskView:
    """How one task ended."""

    status: str
    server: str
    latency_s: float
    deadline_s: float
    answer: str = ''
    truth: str = ''
    question_kind: str = ''
    reason: str = ''


@dataclass(frozen=True)
class RelayView:
    """What a UAV did in the last slot that it reported on."""

    satellite: int
    """Server that it passed data on to; negative if none was in view."""
    ratio: float
    upload_start_s: float
    """Since the start of the slot [s]."""
    late: bool


MISSION_STAGES = ('program', 'device', 'intermediate', 'uav', 'done', 'missed')
"""What a task of a mission is at: its program goes up; the device computes on; the intermediate
result goes up; the UAV computes; answered in time, or ended otherwise."""


@dataclass(frozen=True)
class MissionView:
    """A mission, and the plan in force."""

    plans: int
    """Plans so far."""
    slot: int
    """First slot of the plan in force."""
    controller: str
    largest_j: float
    """What that plan asks of a UAV at most, for the rest of the mission [J]."""
    bound_j: float
    """What no plan can beat in that [J]; NaN if nobody said."""
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    """Tasks by UAV and stage; '-' for those that nobody serves."""
    ways: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """Way of each UAV in the plane [m; map]."""

    @property
    def names(self) -> list[str]:
        """UAVs, and '-' if there are tasks that nobody serves."""
        return [*self.ways, *(name for name in self.stages if name not in self.ways)]


@dataclass(frozen=True)
class PassView:
    """One pass of a satellite over the site."""

    name: str
    rise_s: float
    set_s: float
    peak_deg: float


@dataclass(frozen=True)
class Snapshot:
    """A run at an instant."""

    run: str = ''
    scenario: str = ''
    state: str = 'waiting'
    detail: str = ''
    slot: int = 0
    slots: int = 0
    time_s: float = 0.0
    """Start of the slot [s; simulation time]."""
    speed: float = 1.0
    real_time_factor: float = 0.0
    controller: str = ''
    fallback: bool = False
    decide_s: float = 0.0
    created: int = 0
    """Tasks known to the coordinator."""
    ended: dict[str, int] = field(default_factory=dict)
    """Tasks with an outcome, by status."""
    served: dict[str, dict[str, int]] = field(default_factory=dict)
    """Tasks with an outcome, by server and status; '-' was never sent out."""
    latency_p50_s: float = 0.0
    latency_p95_s: float = 0.0
    energy_j: dict[str, float] = field(default_factory=dict)
    """Energy of all tasks by stage [J]."""
    right: int = 0
    judged: int = 0
    """Answers to pictures whose content is known; frames of one task count one by one."""
    repaired: int = 0
    dropped: int = 0
    """Decisions that broke a constraint: replaced, or not replaceable."""
    area_m: tuple[float, float] = (1.0, 1.0)
    devices: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Devices in the plane [m; map]."""
    links: dict[int, str] = field(default_factory=dict)
    """Server of each device that sent a task in the last slot."""
    servers: dict[str, ServerView] = field(default_factory=dict)
    relays: dict[str, RelayView] = field(default_factory=dict)
    """UAVs that pass data on to a satellite, by name."""
    uploaded_bit: float = 0.0
    """What they have handed to satellites so far [bit]."""
    late_batches: int = 0
    files: int = 0
    """Files on the ground."""
    delivered_bit: float = 0.0
    """What these files stand for [bit]."""
    mission: MissionView | None = None
    """None in runs without missions, and before the first plan."""
    passes: tuple[PassView, ...] = ()
    recent: tuple[TaskView, ...] = ()
    """Last tasks, the newest first."""
    events: tuple[str, ...] = ()
    """Last events, the newest first."""

    @property
    def n_ended(self) -> int:
        """Tasks with an outcome."""
        return sum(self.ended.values())

    @property
    def n_open(self) -> int:
        """Tasks without an outcome yet."""
        return max(self.created - self.n_ended, 0)

    @property
    def is_over(self) -> bool:
        """Finished or aborted."""
        return self.state in ('finished', 'aborted')
