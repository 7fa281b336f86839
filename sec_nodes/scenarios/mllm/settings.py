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
Scale = Annotated[str, Field(min_length=1)]
"""Name of the questions that accuracy is a share of, as `sec_nodes.inference.profiles.Scale`, or
`abstract`; numbers on two scales cannot be compared."""


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
    accuracy_scale: Scale
    answer_bit_per_word: Positive


class Pace(Settings):
    """How long a server takes for an answer, and at which power."""

    start_s: NotNegative
    """Image and prompt, before the first word."""
    word_s: Positive
    power_w: NotNegative


class Servers(Settings):
    """What UAVs and satellites have in common: they run models. One entry a server in the lists.

    Where `models` are named, `read_settings` replaces `accuracy` by theirs and, with
    `compute: profile`, fills in `paces` from the profile of `platform`.
    """

    accuracy: Annotated[tuple[Probability, ...], Field(min_length=1)]
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None
    platform: str | None
    paces: tuple[Pace, ...] | None = None
    flop_per_word: Positive
    flop_s: Positive
    compute_power_w: NotNegative
    transmit_power_w: Positive

    @property
    def pace(self) -> tuple[Pace, ...]:
        """The pace of each server: v / f and P_exe, unless profiles say more."""
        if self.paces is not None:
            return self.paces
        word_s = self.flop_per_word / self.flop_s
        alike = Pace(start_s=0.0, word_s=word_s, power_w=self.compute_power_w)
        return (alike,) * len(self.accuracy)


class Uavs(Servers):
    """UAVs: servers that fly. One entry a UAV in the lists."""

    altitude_m: Annotated[tuple[Positive, ...], Field(min_length=1)]
    start_m: tuple[tuple[NotNegative, NotNegative], ...]
    coverage_m: Positive
    speed_m_s: Positive | None

    @property
    def count(self) -> int:
        """Number of UAVs M."""
        return len(self.altitude_m)

    @model_validator(mode='after')
    def _one_entry_each(self) -> Uavs:
        for name in ('start_m', 'accuracy' if self.models is None else 'models'):
            _require_length(name, len(getattr(self, name)), 'altitude_m', self.count)
        return self


class Satellites(Servers):
    """A chain of satellites that passes the area. One entry a satellite in the lists."""

    cross_track_deg: tuple[Angle, ...]
    altitude_m: Annotated[float, Field(ge=150e3, le=2000e3)]
    minimum_elevation_deg: Annotated[float, Field(ge=0, lt=90)]
    spacing_deg: Positive
    isl_power_w: NotNegative
    isl_rate_bit_s: Positive

    @property
    def count(self) -> int:
        """Number of satellites N."""
        return len(self.accuracy if self.models is None else self.models)

    @property
    def window_rad(self) -> float:
        """In-track angle after which the chain repeats [rad]."""
        return self.count * math.radians(self.spacing_deg)

    @model_validator(mode='after')
    def _one_entry_each(self) -> Satellites:
        one_each = 'accuracy' if self.models is None else 'models'
        _require_length('cross_track_deg', len(self.cross_track_deg), one_each, self.count)
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
    compute: Literal['paper', 'profile']
    assumed_start_s: NotNegative | None
    devices: Devices
    tasks: Tasks
    uavs: Uavs
    satellites: Satellites
    radio: Radio
    queue: Queue
    objective: Objective

    @property
    def n_devices(self) -> int:
        """Devices that there can be, K."""
        return self.devices.count

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

    @model_validator(mode='after')
    def _models_fit_together(self) -> MllmSettings:
        tiers = {'uavs': self.uavs, 'satellites': self.satellites}
        named = [tier for tier, servers in tiers.items() if servers.models is not None]
        if len(named) == 1:
            raise ValueError(
                f'{named[0]}.models are named, but not those of the other servers, and an '
                'accuracy that was measured cannot be compared with an abstract one; name both '
                'or neither'
            )
        if bool(named) == (self.tasks.accuracy_scale == 'abstract'):
            raise ValueError(
                f'tasks.accuracy_scale = {self.tasks.accuracy_scale!r} with '
                f'{"models" if named else "no models"} named: requirements must be on the scale '
                'of the models (such as sea or mmmu_val), and on scale abstract without any'
            )
        for tier, servers in tiers.items():
            if self.compute == 'paper' and servers.paces is not None:
                raise ValueError(f'{tier}.paces are given, but compute = paper; leave them out')
            if self.compute == 'profile' and None in (servers.models, servers.platform):
                raise ValueError(
                    f'compute = profile needs {tier}.models and {tier}.platform; name both, or '
                    'use compute: paper'
                )
        return self

    def require_complete(self) -> None:
        """Raise ValueError if models are named, but what is known of them is not filled in."""
        for tier, servers in (('uavs', self.uavs), ('satellites', self.satellites)):
            paced = servers.paces if self.compute == 'profile' else servers.pace
            if not len(servers.accuracy) == len(paced or ()) == servers.count:
                raise ValueError(
                    f'{tier}.accuracy or {tier}.paces are not those of {tier}.models = '
                    f'{servers.models}; read the scenario with '
                    'sec_nodes.scenarios.registry.read_settings, which fills them in'
                )


def _require_length(name: str, length: int, other: str, count: int) -> None:
    if length != count:
        raise ValueError(f'{name} has {length} entries, but {other} has {count}; give as many')
