"""Parameters of the survey scenario, as config/scenarios/survey.yaml gives them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sec_nodes.config import Settings
from sec_nodes.scenarios.fields import (
    Count,
    Decibel,
    NotNegative,
    Positive,
    PositiveRange,
    Probability,
    ProbabilityRange,
    Range,
)
from sec_nodes.scenarios.radio import AirSpaceRadio


class Site(Settings):
    """Where on Earth the area lies; its south-west corner is the origin of `map`."""

    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    epoch: datetime


class Mobility(Settings):
    """Gauss-Markov mobility of devices, Meng and Li, eqs (3) and (4)."""

    mean_speed_m_s: NotNegative
    mean_heading_deg: Annotated[float, Field(ge=-360, le=360)]
    memory_speed: Probability
    memory_heading: Probability
    sigma_speed_m_s: NotNegative
    sigma_heading_rad: NotNegative


class Devices(Settings):
    """Field devices: they take pictures, may compute a little, and transmit."""

    count: Annotated[int, Field(ge=1)]
    rate_per_s: NotNegative
    transmit_power_w: Range
    flop_s: PositiveRange
    compute_j_per_flop: NotNegative
    model: str
    mobility: Mobility


class Tasks(Settings):
    """What tasks ask for, drawn uniformly."""

    deadline_s: PositiveRange
    accuracy: ProbabilityRange
    answer_bit: NotNegative


class Uavs(Settings):
    """UAVs: servers that fly.

    Where `platform` names a profile, `read_settings` replaces `flop_s` and `compute_power_w`.
    """

    count: Count
    altitude_m: PositiveRange
    coverage_m: Positive
    speed_m_s: Positive
    acceleration_m_s2: Positive
    jerk_m_s3: Positive
    transmit_power_w: NotNegative
    flop_s: Positive
    compute_power_w: NotNegative
    battery_j: Positive
    model: str
    platform: str | None


class Satellites(Settings):
    """The constellation, and those of its satellites that compute; `platform` as for UAVs."""

    count: Count
    altitude_m: Annotated[float, Field(ge=150e3, le=2000e3)]
    inclination_deg: Annotated[float, Field(gt=0, lt=180)]
    planes: Annotated[int, Field(ge=1)]
    per_plane: Annotated[int, Field(ge=1)]
    phasing: Count
    tle_file: Path | None
    minimum_elevation_deg: Annotated[float, Field(ge=0, lt=90)]
    transmit_power_w: NotNegative
    isl_power_w: NotNegative
    isl_rate_bit_s: Positive
    flop_s: Positive
    compute_power_w: NotNegative
    model: str
    platform: str | None


class Radio(AirSpaceRadio):
    """Links from devices to UAVs and satellites."""

    noise_figure_db: NotNegative
    residual_interference_db: Decibel
    loss: Probability


class Objective(Settings):
    """Weights of the cost of a task, Yan et al., eq. (31)."""

    latency_weight: NotNegative
    energy_weight: NotNegative
    latency_reference_s: Positive
    energy_reference_j: Positive


class SurveySettings(Settings):
    """All parameters of the survey scenario."""

    name: Literal['survey']
    slot_s: Positive
    area_m: tuple[Positive, Positive]
    site: Site
    devices: Devices
    tasks: Tasks
    uavs: Uavs
    satellites: Satellites
    radio: Radio
    objective: Objective
    codec: Literal['raw', 'f16', 'u8']

    @property
    def n_devices(self) -> int:
        """Devices that there can be."""
        return self.devices.count

    @property
    def n_servers(self) -> int:
        """UAVs and satellites together."""
        return self.uavs.count + self.satellites.count
