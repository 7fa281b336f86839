"""What one UAV does in a slot of maritime: urgent tasks first, then stored data.

Qi et al., IEEE Internet Things J. 2025, eqs (11) to (26), formulas in
`sec_nodes.scenarios.maritime.stages`. Times and energies are those of the decided ratio x; frames
are whole, so that the satellite computes about x of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from sec_nodes.loop.handover import bits_of, shares_byte, whole_bytes
from sec_nodes.scenarios.maritime import stages
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.scenarios.maritime.stages import Stage

NOBODY = -1
"""No satellite."""
Key = tuple[int, int]
"""Number of a task and of its try."""


@dataclass(frozen=True)
class Order:
    """What a UAV shall do in a slot; as it stands, nothing but its own tasks."""

    ratio: float = 0.0
    """Share of urgent data that the satellite computes x [0..1]."""
    power_w: float = 0.0
    cpu_hz: float = 0.0
    start_s: float = 0.0
    """When the upload of stored data begins t, since the start of the slot [s]."""
    satellite: int = NOBODY
    upload_rate_bit_s: float = 0.0
    """Rate R^T of that upload [bit/s]."""
    streams: Mapping[int, float] = field(default_factory=dict)
    """Rate of each device that has data to be stored [bit/s]."""

    @property
    def offloads(self) -> bool:
        """Whether the satellite can get a part of the urgent data."""
        return self.satellite != NOBODY and self.ratio > 0 and self.power_w > 0 and self.cpu_hz > 0


class Phase(Enum):
    """How far a slot is."""

    GATHERING = auto()
    """Urgent data come in."""
    COMPUTING = auto()
    STORING = auto()
    """Urgent tasks are done; stored data come in and go on."""


@dataclass(frozen=True)
class FrameAnswer:
    """What a model says of a frame."""

    answer: str
    confidence: float
    inference_s: float = 0.0
    """Measured on this machine [s]."""


@dataclass(frozen=True)
class SatelliteShare:
    """What the satellite made of its share of the urgent data."""

    transmit_s: float
    execute_s: float
    energy_j: float
    finish_s: float
    """When its answers were on the UAV, since the start of the slot [s]."""
    inference_s: float
    """Measured on its machine [s]."""


NOTHING = SatelliteShare(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class TaskAnswer:
    """What became of the urgent data of one device."""

    answer: str
    confidence: float
    inference_s: float
    frames: int
    failure: str = ''
    """Why there is no answer; empty if there is one."""


@dataclass(frozen=True)
class RelayFigures:
    """A slot in figures; names and units are those of RelayReport.msg."""

    satellite: int
    ratio: float
    power_w: float
    cpu_hz: float
    start_s: float
    batch_bit: float
    frames: int
    frames_offloaded: int
    upload_s: float
    local_s: float
    transmit_s: float
    execute_s: float
    finish_s: float
    late: bool
    upload_start_s: float
    collected_bit: float
    overflow_bit: float
    uploaded_bit: float
    stored_bit: float
    storage_bit: float
    sensitive_radio_j: float
    tolerant_radio_j: float
    uav_compute_j: float
    satellite_compute_j: float
    files_stored: int
    local_inference_s: float
    satellite_inference_s: float

    @property
    def uav_j(self) -> float:
        """Energy of the UAV, (25) [J]."""
        return self.sensitive_radio_j + self.tolerant_radio_j + self.uav_compute_j


def offloaded_frames(ratio: float, frames: int) -> int:
    """Whole frames that stand for a share of them: at least one, if there is a share."""
    if ratio <= 0 or frames == 0:
        return 0
    return min(max(round(ratio * frames), 1), frames)


def at_measured_time(stage: Stage, time_s: float) -> tuple[float, float]:
    """Time and energy of a stage that took another time at the same power [s, J]."""
    modelled_s = float(stage.time_s)
    return time_s, float(stage.energy_j) * time_s / modelled_s if modelled_s > 0 else 0.0


class RelaySlot:
    """A UAV's slot, from the tasks that were announced to the figures at its end.

    Args:
        settings: the scenario.
        order: what was decided.
        tasks: urgent data that were announced, by task and try [bit].
        measured: whether computing takes the time of this machine in place of the model's.
    """

    def __init__(
        self,
        settings: MaritimeSettings,
        order: Order,
        tasks: Mapping[Key, float],
        measured: bool = False,
    ) -> None:
        self.settings, self.ordered, self.order = settings, order, order
        self.phase = Phase.GATHERING
        self.frames_of: dict[Key, range] = {}
        """Frames of each task, once all are there; in the order in which they were announced."""
        self.frames_offloaded = 0
        self.upload_s = 0.0
        """When all urgent data were on the UAV T_up, since the start of the slot [s]."""
        self.batch_bit = 0.0
        """How much they are D [bit]."""
        self.share: SatelliteShare | None = None
        self.overflow_bit = 0.0
        self._tasks, self._awaited, self._measured = dict(tasks), set(tasks), measured
        self._arrived: dict[Key, int] = {}
        self._answers: dict[int, FrameAnswer] = {}
        self._failures: dict[int, str] = {}
        self._radio_s, self._tolerant_radio_j = 0.0, 0.0
        self._lost = False

    # -- urgent data -----------------------------------------------------------------------------

    def awaits(self, key: Key) -> bool:
        """Whether a task's data are yet to come."""
        return self.phase is Phase.GATHERING and key in self._awaited

    def arrived(self, key: Key, upload_s: float, frames: int) -> None:
        """A task's data are there, at an instant since the start of the slot [s]."""
        self._awaited.discard(key)
        self._arrived[key] = frames
        self.upload_s = max(self.upload_s, upload_s)

    def gone(self, key: Key) -> None:
        """A task's data will not come."""
        self._awaited.discard(key)

    @property
    def is_gathered(self) -> bool:
        """Whether all urgent data are there or known to be lost."""
        return not self._awaited

    def begin(self) -> None:
        """Split the frames: the first stay, the last go to the satellite."""
        self.phase = Phase.COMPUTING
        self.batch_bit = math.fsum(self._tasks[key] for key in self._arrived)
        first = 0
        for key in self._tasks:
            if key in self._arrived:
                self.frames_of[key] = range(first, first + self._arrived[key])
                first += self._arrived[key]
        if self.order.offloads:
            self.frames_offloaded = offloaded_frames(self.order.ratio, first)
        self._lost = self.frames_offloaded == 0

    @property
    def frames(self) -> int:
        """Frames of all tasks."""
        return sum(map(len, self.frames_of.values()))

    @property
    def size_bit(self) -> Mapping[Key, float]:
        """Urgent data of each task [bit]."""
        return self._tasks

    @property
    def own_frames(self) -> range:
        """Frames that stay on the UAV."""
        return range(self.frames - self.frames_offloaded)

    @property
    def sent_frames(self) -> range:
        """Frames that go to the satellite."""
        return range(self.frames - self.frames_offloaded, self.frames)

    @property
    def sent_bit(self) -> float:
        """What these count for x D [bit]."""
        return self.order.ratio * self.batch_bit

    @property
    def awaits_satellite(self) -> bool:
        """Whether the satellite's answers are yet to come."""
        return self.phase is Phase.COMPUTING and self.share is None and not self._lost

    def answered(self, frame: int, answer: FrameAnswer) -> None:
        """A model of the UAV has answered."""
        self._answers[frame] = answer

    def failed(self, frame: int, reason: str) -> None:
        """A model of the UAV could not answer."""
        self._failures[frame] = reason

    def satellite_answered(self, share: SatelliteShare, answers: list[FrameAnswer]) -> None:
        """The satellite's answers are there, one a frame."""
        self.share = share
        self._radio_s = share.transmit_s
        self._answers.update(zip(self.sent_frames, answers, strict=True))

    def satellite_lost(self, transmit_s: float = 0.0) -> range:
        """The satellite gives no answers; whoever learns that computes all data on the UAV.

        Args:
            transmit_s: how long frames were sent to it in vain [s].

        Returns:
            Frames that the UAV has to compute besides its own.
        """
        self._lost = True
        self._radio_s = transmit_s
        return self.sent_frames

    def without_satellite(self) -> None:
        """Nothing more goes to the satellite in this slot."""
        self.order = replace(self.order, satellite=NOBODY, upload_rate_bit_s=0.0)

    @property
    def is_computed(self) -> bool:
        """Whether there is an answer, or a failure, for every frame."""
        done = len(self._answers.keys() | self._failures.keys())
        return self.phase is Phase.COMPUTING and not self.awaits_satellite and done == self.frames

    def local(self) -> tuple[float, float]:
        """Computing on the UAV, (12) and (24) [s, J]."""
        kept_bit = self.batch_bit if self._lost else (1.0 - self.order.ratio) * self.batch_bit
        stage = stages.on_uav(self.settings, kept_bit)
        if self._measured:
            return at_measured_time(stage, self.local_inference_s)
        return float(stage.time_s), float(stage.energy_j)

    @property
    def urgent_j(self) -> float:
        """Energy of the urgent tasks, on the UAV and on the satellite [J]."""
        radio_j = self.order.power_w * self._radio_s
        return radio_j + self.local()[1] + (self.share or NOTHING).energy_j

    @property
    def local_inference_s(self) -> float:
        """Measured time of the frames that the UAV computed [s]."""
        own = self.own_frames if self.share is not None else range(self.frames)
        return sum(self._answers[frame].inference_s for frame in own if frame in self._answers)

    @property
    def finish_s(self) -> float:
        """When the urgent tasks are done T_DS, (16), since the start of the slot [s]."""
        if self.batch_bit == 0:
            return 0.0
        return max(self.upload_s + self.local()[0], (self.share or NOTHING).finish_s)

    @property
    def is_late(self) -> bool:
        """Whether that is after the end of the slot."""
        return bool(stages.is_late(self.settings, self.finish_s))

    def answer_of(self, key: Key) -> TaskAnswer:
        """The answer to a task: those to its frames."""
        own = self.frames_of[key]
        for frame in own:
            if frame in self._failures:
                return TaskAnswer('', 0.0, 0.0, len(own), self._failures[frame])
        answers = [self._answers[frame] for frame in own]
        return TaskAnswer(
            answer=' '.join(one.answer for one in answers),
            confidence=sum(one.confidence for one in answers) / len(answers),
            inference_s=sum(one.inference_s for one in answers),
            frames=len(own),
        )

    # -- stored data -----------------------------------------------------------------------------

    @property
    def upload_start_s(self) -> float:
        """When the upload of stored data begins, since the start of the slot [s]."""
        if self.is_late:
            return self.settings.slot_s
        return min(self.order.start_s, self.settings.slot_s)

    def grants(self, stored_byte: int) -> dict[int, int]:
        """How many bytes each device may hand over, (17) under (18), by device.

        Args:
            stored_byte: what is in the storage [byte].
        """
        streams = self.order.streams
        offered_bit = sum(streams.values()) * self.upload_start_s
        stored_bit = min(bits_of(self.settings, stored_byte), self.settings.uavs.storage_bit)
        taken_bit = float(stages.collected_bit(self.settings, offered_bit, stored_bit))
        self.overflow_bit = offered_bit - taken_bit
        free_byte = whole_bytes(self.settings, self.settings.uavs.storage_bit) - stored_byte
        return shares_byte(self.settings, taken_bit, streams, max(free_byte, 0))

    def upload_byte(self, stored_byte: int) -> int:
        """How many bytes may go to the satellite in what is left of the slot, (19) to (21).

        Args:
            stored_byte: what is in the storage, collected data included [byte].
        """
        stored_bit = bits_of(self.settings, stored_byte)
        rate_bit_s = self.order.upload_rate_bit_s if self.order.satellite != NOBODY else 0.0
        size_bit, energy_j = stages.uploading(
            self.settings, self.upload_start_s, rate_bit_s, stored_bit
        )
        self._tolerant_radio_j = float(energy_j)
        return min(whole_bytes(self.settings, float(size_bit)), stored_byte)

    def figures(
        self, collected_byte: int, uploaded_byte: int, stored_byte: int, files_stored: int
    ) -> RelayFigures:
        """The slot in figures.

        Args:
            collected_byte: taken in from devices [byte].
            uploaded_byte: what the satellite confirmed [byte].
            stored_byte: in the storage at the end [byte].
            files_stored: files in it, whole or in part.
        """
        share, settings = self.share or NOTHING, self.settings
        local_s, uav_compute_j = self.local()
        return RelayFigures(
            satellite=self.order.satellite,
            ratio=self.ordered.ratio,
            power_w=self.ordered.power_w,
            cpu_hz=self.ordered.cpu_hz,
            start_s=self.ordered.start_s,
            batch_bit=self.batch_bit,
            frames=self.frames,
            frames_offloaded=self.frames_offloaded if self.share is not None else 0,
            upload_s=self.upload_s,
            local_s=local_s,
            transmit_s=self._radio_s,
            execute_s=share.execute_s,
            finish_s=self.finish_s,
            late=self.is_late,
            upload_start_s=self.upload_start_s,
            collected_bit=bits_of(settings, collected_byte),
            overflow_bit=self.overflow_bit,
            uploaded_bit=bits_of(settings, uploaded_byte),
            stored_bit=bits_of(settings, stored_byte),
            storage_bit=settings.uavs.storage_bit,
            sensitive_radio_j=self.order.power_w * self._radio_s,
            tolerant_radio_j=self._tolerant_radio_j,
            uav_compute_j=uav_compute_j,
            satellite_compute_j=share.energy_j,
            files_stored=files_stored,
            local_inference_s=self.local_inference_s,
            satellite_inference_s=share.inference_s,
        )
