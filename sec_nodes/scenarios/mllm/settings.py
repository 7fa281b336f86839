"""Parameters of the mllm scenario, as config/scenarios/mllm.yaml gives them."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sec_nodes.config import Settings
from sec_nodes.scenarios.fields import (
    Decibel,
    NotNegative,
    Positive,
    PositiveRange,
    Probability,
    ProbabilityRange,
)
from sec_nodes.scenarios.radio import AirSpaceRadio

AtLeastOne = Annotated[int, Field(ge=1)]
Angle = Annotated[float, Field(ge=-90, le=90)]
Interference = Literal['same_server', 'same_tier', 'all', 'none', 'orthogonal']


class Devices(Settings):
    """Field devices: each may ask for one answer a slot."""

    count: AtLeastOne
    requests_per_slot: Positive | None
    power_w: PositiveRange


class Tasks(Settings):
    """What requests ask for, drawn uniformly and anew in each slot."""

    size_bit: PositiveRange
    words: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    deadline_s: PositiveRange
    accuracy: ProbabilityRange
    answer_bit_per_word: Positive


class Uavs(Settings):
    """UAVs: servers that fly. One entry a UAV in the lists."""

    altitude_m: Annotated[tuple[Positive, ...], Field(min_length=1)]
    start_m: tuple[tuple[NotNegative, NotNegative], ...]
    accuracy: tuple[Probability, ...]
    coverage_m: Positive
    speed_m_s: Positive | None
    flop_per_word: Positive
    flop_s: Positive
    compute_power_w: NotNegative
    transmit_power_w: Positive

    @property
    def count(self) -> int:
        """Number of UAVs M."""
        return len(self.altitude_m)

    @model_validator(mode='after')
    def _one_entry_each(self) -> Uavs:
        for name in ('start_m', 'accuracy'):
            _require_length(name, len(getattr(self, name)), 'altitude_m', self.count)
        return self


class Satellites(Settings):
    """A chain of satellites that passes the area. One entry a satellite in the lists."""

    accuracy: Annotated[tuple[Probability, ...], Field(min_length=1)]
    cross_track_deg: tuple[Angle, ...]
    altitude_m: Annotated[float, Field(ge=150e3, le=2000e3)]
    minimum_elevation_deg: Annotated[float, Field(ge=0, lt=90)]
    spacing_deg: Positive
    flop_per_word: Positive
    flop_s: Positive
    compute_power_w: NotNegative
    transmit_power_w: Positive
    isl_power_w: NotNegative
    isl_rate_bit_s: Positive

    @property
    def count(self) -> int:
        """Number of satellites N."""
        return len(self.accuracy)

    @property
    def window_rad(self) -> float:
        """In-track angle after which the chain repeats [rad]."""
        return self.count * math.radians(self.spacing_deg)

    @model_validator(mode='after')
    def _one_entry_each(self) -> Satellites:
        _require_length('cross_track_deg', len(self.cross_track_deg), 'accuracy', self.count)
        if self.window_rad > 2 * math.pi:
            raise ValueError(
                f'{self.count} satellites {self.spacing_deg} degrees apart do not fit on an '
                'orbit; lower spacing_deg'
            )
        return self


class Radio(AirSpaceRadio):
    """Links from devices to UAVs and satellites."""

    noise_dbm: Decibel
    noise_is_density: bool
    interference: Interference
    residual_interference_db: Annotated[float, Field(le=0)]
    longest_upload_s: Positive


class Queue(Settings):
    """First come, first served computing at each server, carried from slot to slot."""

    enabled: bool
    longest_wait_s: Positive


class Objective(Settings):
    """Weights of the cost of a task, Yan et al., eqs (31) and (34), and what violations cost."""

    latency_weight: NotNegative
    energy_weight: NotNegative
    latency_reference_s: Positive
    energy_reference_j: Positive
    lateness_penalty: NotNegative
    violation_penalty: NotNegative
    reward_scale: Positive

    @model_validator(mode='after')
    def _something_counts(self) -> Objective:
        if self.latency_weight + self.energy_weight == 0:
            raise ValueError('latency_weight and energy_weight must not both be 0')
        return self


class MllmSettings(Settings):
    """All parameters of the mllm scenario."""

    name: Literal['mllm']
    slots: AtLeastOne
    slot_s: Positive
    area_m: tuple[Positive, Positive]
    devices: Devices
    tasks: Tasks
    uavs: Uavs
    satellites: Satellites
    radio: Radio
    queue: Queue
    objective: Objective

    @property
    def n_servers(self) -> int:
        """UAVs and satellites together, S."""
        return self.uavs.count + self.satellites.count

    @model_validator(mode='after')
    def _uavs_start_inside(self) -> MllmSettings:
        for east, north in self.uavs.start_m:
            if east > self.area_m[0] or north > self.area_m[1]:
                raise ValueError(
                    f'uavs.start_m holds {(east, north)}, outside area_m = {self.area_m}'
                )
        return self


def _require_length(name: str, length: int, other: str, count: int) -> None:
    if length != count:
        raise ValueError(f'{name} has {length} entries, but {other} has {count}; give as many')
