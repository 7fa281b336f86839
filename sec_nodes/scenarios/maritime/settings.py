"""Parameters of the maritime scenario, as config/scenarios/maritime.yaml gives them."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sec_nodes.config import Settings
from sec_nodes.physics.spherical import zenith_pass_s
from sec_nodes.scenarios.fields import (
    Count,
    Decibel,
    Exponent,
    NotNegative,
    Positive,
    Range,
    Satellites,
)


def _ascending(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[0] > pair[1]:
        raise ValueError('the first number must not exceed the second')
    return pair


CountRange = Annotated[tuple[Count, Count], AfterValidator(_ascending)]


class Uavs(Settings):
    """UAVs that serve marine devices and store what these collect."""

    count: Annotated[int, Field(ge=1)]
    altitude_m: Positive
    coverage_m: Positive
    cpu_hz: Positive
    capacitance_j_s2: Positive
    largest_power_w: Positive
    tolerant_power_w: Positive | None
    storage_bit: Positive
    initially_free_bit: NotNegative

    @property
    def upload_power_w(self) -> float:
        """Transmit power of delay-tolerant data p_DT [W]."""
        return self.tolerant_power_w or self.largest_power_w

    @model_validator(mode='after')
    def _check(self) -> Uavs:
        if self.initially_free_bit > self.storage_bit:
            raise ValueError(
                f'initially_free_bit = {self.initially_free_bit:g} exceeds storage_bit = '
                f'{self.storage_bit:g}: no more can be free than there is'
            )
        if self.upload_power_w > self.largest_power_w:
            raise ValueError(
                f'tolerant_power_w = {self.tolerant_power_w} exceeds largest_power_w = '
                f'{self.largest_power_w}: lower it, or null for the largest power'
            )
        return self


class MarineDevices(Settings):
    """Devices below a UAV; counts and sizes are drawn uniformly, anew in every slot."""

    sensitive_count: CountRange
    tolerant_count: CountRange
    size_bit: Range
    cycles_per_bit: Positive
    transmit_power_w: Positive


class Satellite(Settings):
    """The LEO satellite that passes over the area."""

    altitude_m: Annotated[float, Field(ge=150e3, le=2000e3)]
    minimum_elevation_deg: Annotated[float, Field(gt=0, lt=90)]
    rises_s: float
    """Start of its first pass, counted from the start of slot 0 [s]; negative if under way."""
    cpu_hz: Positive
    capacitance_j_s2: Positive


class Radio(Settings):
    """Links from devices to UAVs and from UAVs to the satellite."""

    uav_bandwidth_hz: Positive
    satellite_bandwidth_hz: Positive
    split_satellite_band: bool
    sensitive_share: Annotated[float, Field(gt=0, lt=1)]
    reference_gain_db: Decibel
    path_loss_exponent: Exponent
    rician_factor: NotNegative
    antenna_gain_db: Decibel
    noise_density_dbm_hz: Decibel
    fixed_noise_dbm: Decibel | None


class GroundStation(Settings):
    """Where the satellite hands over the data that it carries."""

    distance_m: float
    """From the area along the satellite's track, on the ground, positive ahead [m]."""
    minimum_elevation_deg: Annotated[float, Field(ge=0, lt=90)]
    rate_bit_s: Positive


class Flown(Settings):
    """What the nodes need besides the costs."""

    uav_model: str
    satellite_model: str
    frame_bit: Positive
    byte_share: Annotated[float, Field(gt=0, le=1)]


class MaritimeSettings(Settings):
    """All parameters of the maritime scenario."""

    name: Literal['maritime']
    slots: Annotated[int, Field(ge=1)]
    slot_s: Positive
    area_m: tuple[Positive, Positive]
    energy_weight_mbit_j: NotNegative
    uavs: Uavs
    devices: MarineDevices
    satellite: Satellite
    radio: Radio
    ground_station: GroundStation
    flown: Flown

    @property
    def satellites(self) -> Satellites:
        """The satellites that serve."""
        return Satellites(1)

    @property
    def n_servers(self) -> int:
        """UAVs and the satellite."""
        return self.uavs.count + self.satellites.count

    @property
    def columns(self) -> int:
        """Devices that a UAV can have at most; those of UAV m have the numbers m * columns on."""
        return self.devices.sensitive_count[1] + self.devices.tolerant_count[1]

    @property
    def n_devices(self) -> int:
        """Devices that there can be."""
        return self.uavs.count * self.columns

    @model_validator(mode='after')
    def _slot_within_a_pass(self) -> MaritimeSettings:
        elevation_rad = math.radians(self.satellite.minimum_elevation_deg)
        visible_s = float(zenith_pass_s(self.satellite.altitude_m, elevation_rad))
        if self.slot_s > visible_s:
            raise ValueError(
                f'slot_s = {self.slot_s:g} outlasts the {visible_s:.1f} s for which the satellite '
                'is in view, (1), so that no slot could use it: use shorter slots, or a lower '
                'satellite.minimum_elevation_deg'
            )
        return self
