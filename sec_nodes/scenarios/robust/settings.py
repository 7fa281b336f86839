"""Parameters of the robust scenario, as config/scenarios/robust.yaml gives them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sec_nodes.config import Settings
from sec_nodes.physics.workload import NETWORKS
from sec_nodes.scenarios.fields import (
    Count,
    Decibel,
    Exponent,
    NotNegative,
    Positive,
    PositiveRange,
    Probability,
    Satellites,
)


class Mobility(Settings):
    """Gauss-Markov mobility of users, Meng and Li, eqs (3) and (4)."""

    mean_speed_m_s: NotNegative
    mean_heading_rad: Annotated[float, Field(ge=-6.2832, le=6.2832)]
    memory_speed: Probability
    memory_heading: Probability
    sigma_speed_m_s: NotNegative
    sigma_heading_rad: NotNegative


class NetworkCuts(Settings):
    """Where a network of the manifest can be cut; cut c leaves c layers to the user."""

    front_flop: Annotated[tuple[NotNegative, ...], Field(min_length=2)]
    """Work before each cut [FLOP]; the last leaves nothing to a UAV."""
    cut_bit: Annotated[tuple[NotNegative, ...], Field(min_length=2)]
    """What travels at each cut [bit]; nothing at the last."""


class Users(Settings):
    """Mobile users: each asks for one run of its network a slot."""

    count: Annotated[int, Field(ge=1)]
    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    layers: Literal['paper', 'models']
    codec: Literal['raw', 'f16', 'u8']
    cuts: tuple[NetworkCuts, ...] | None = None
    """Of each network; the manifest knows them, where `layers` is models."""
    frequency_hz: Positive
    power_max_w: Positive
    local_only: bool
    association: Literal['decided', 'nearest']
    mobility: Mobility

    @model_validator(mode='after')
    def _known(self) -> Users:
        unknown = [name for name in self.networks if name not in NETWORKS]
        if unknown and self.layers == 'paper':
            raise ValueError(
                f'networks: no layer table of {unknown}; known: {", ".join(NETWORKS)}. Others '
                'need layers = models'
            )
        return self


class Propulsion(Settings):
    """Rotary-wing power, eq. (2); see `sec_nodes.physics.energy.RotaryWing`."""

    blade_power_w: NotNegative
    induced_power_w: NotNegative
    tip_speed_m_s: Positive
    induced_speed_m_s: Positive
    drag_ratio: NotNegative
    air_density_kg_m3: Positive
    solidity: Positive
    disc_area_m2: Positive


class Uavs(Settings):
    """UAVs: servers that fly and may fail."""

    count: Annotated[int, Field(ge=1)]
    altitude_m: PositiveRange
    speed_m_s: Positive
    acceleration_m_s2: Positive
    jerk_m_s3: Positive
    safe_distance_m: NotNegative
    frequency_hz: Positive
    battery_j: Positive | None
    transmit_power_w: Positive
    propulsion: Propulsion


class Computing(Settings):
    """What a processor, of a user or a UAV, does in a cycle and what it spends on it."""

    flop_per_cycle: Positive
    capacitance_j_s2: Positive


class Radio(Settings):
    """Links from users to UAVs and between UAVs."""

    uplink_bandwidth_hz: Positive
    uplink_sharing: Literal['per_user', 'fdma']
    uplink_gain_db: Decibel
    path_loss_exponent: Exponent
    rician_factor: NotNegative
    backhaul_bandwidth_hz: Positive
    backhaul_gain_db: Decibel
    noise_dbm_hz: Decibel


class Failures(Settings):
    """How UAVs fail and what becomes of their tasks."""

    largest: Count
    fixed: Count | None
    migration: Literal['relay', 'resend', 'none']
    progress: Annotated[float, Field(ge=0, lt=1)]
    progress_kept: Literal['lost', 'checkpoint']
    reserve_s: NotNegative


class Detection(Settings):
    """How the nodes find out that a UAV has failed."""

    heartbeat_s: Annotated[float, Field(ge=0.02, le=10)]
    timeout_s: Annotated[float, Field(ge=0.1, le=60)]

    @model_validator(mode='after')
    def _some_beats(self) -> Detection:
        if self.timeout_s < 2.0 * self.heartbeat_s:
            raise ValueError(
                f'timeout_s = {self.timeout_s} leaves no room for two heartbeats of '
                f'{self.heartbeat_s} s; raise it, or lower heartbeat_s'
            )
        return self


class Objective(Settings):
    """Weights of the energies, eq. (27), and of the penalties, eq. (31)."""

    flight_weight: NotNegative
    compute_weight: NotNegative
    penalty_distance: NotNegative
    penalty_late: NotNegative
    penalty_outside: NotNegative


class RobustSettings(Settings):
    """All parameters of the robust scenario."""

    name: Literal['robust']
    slot_s: Positive
    horizon: Annotated[int, Field(ge=1)]
    area_m: tuple[Positive, Positive]
    users: Users
    uavs: Uavs
    computing: Computing
    radio: Radio
    allocation: Literal['joint', 'deadline', 'prop', 'sqrt', 'equal']
    failures: Failures
    detection: Detection
    objective: Objective

    @model_validator(mode='after')
    def _failures_are_possible(self) -> RobustSettings:
        failures, limit = self.failures, self.uavs.count
        if failures.largest > limit:
            raise ValueError(
                f'failures.largest = {failures.largest}, but there are {limit} UAVs and each '
                'fails at most once; lower it or raise uavs.count'
            )
        if failures.fixed is not None and failures.fixed > failures.largest:
            raise ValueError(
                f'failures.fixed = {failures.fixed} exceeds failures.largest = '
                f'{failures.largest}, eq. (11); raise largest as well'
            )
        if failures.largest and self.horizon < 2:
            raise ValueError(
                'UAVs fail from the second slot on: set horizon >= 2 or failures.largest = 0'
            )
        return self

    @model_validator(mode='after')
    def _reserve_leaves_time(self) -> RobustSettings:
        if self.failures.reserve_s >= self.slot_s:
            raise ValueError(
                f'failures.reserve_s = {self.failures.reserve_s} leaves nothing of a slot of '
                f'{self.slot_s} s; lower it'
            )
        return self

    @model_validator(mode='after')
    def _uavs_fit_apart(self) -> RobustSettings:
        if self.uavs.count > 1 and self.uavs.safe_distance_m > min(self.area_m) / self.uavs.count:
            raise ValueError(
                f'uavs.safe_distance_m = {self.uavs.safe_distance_m} leaves no room to place '
                f'{self.uavs.count} UAVs at random in {self.area_m} m; lower it'
            )
        return self

    @property
    def uplink_bandwidth_hz(self) -> float:
        """Bandwidth of one user B_u [Hz]: all of B_1, or its share of it."""
        radio = self.radio
        return radio.uplink_bandwidth_hz / (
            self.users.count if radio.uplink_sharing == 'fdma' else 1
        )

    @property
    def planned_s(self) -> float:
        """What allocation has of a slot [s]: the rest is kept for what failures cost."""
        return self.slot_s - self.failures.reserve_s

    @property
    def n_devices(self) -> int:
        """Users."""
        return self.users.count

    @property
    def satellites(self) -> Satellites:
        """None."""
        return Satellites(0)

    @property
    def n_servers(self) -> int:
        """UAVs."""
        return self.uavs.count

    @property
    def codec(self) -> str:
        """How tensors of real networks travel."""
        return self.users.codec
