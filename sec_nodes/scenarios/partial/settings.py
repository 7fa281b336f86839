"""Parameters of the partial scenario, as config/scenarios/partial.yaml gives them."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from sec_nodes.config import Settings
from sec_nodes.paths import config_dir
from sec_nodes.physics.energy import RotaryWing
from sec_nodes.physics.urban import UrbanLink
from sec_nodes.scenarios.fields import Decibel, NotNegative, Positive, PositiveRange, Satellites
from sec_nodes.slot import FloatArray


class Tasks(Settings):
    """Where tasks come from, and what they ask for if they are drawn (all uniform)."""

    file: Path | None
    count: Annotated[int, Field(ge=1)]
    data_bit: PositiveRange
    deadline_s: PositiveRange
    work_cycle_per_bit: PositiveRange
    local_hz: PositiveRange
    layers: Annotated[int, Field(ge=2)]
    intermediate_ratio: PositiveRange
    networks: Annotated[tuple[str, ...], Field(min_length=1)] | None
    codec: Literal['raw', 'f16', 'u8']
    menus_bit: tuple[tuple[tuple[NotNegative, NotNegative], ...], ...] | None = None
    """Of each network and cut, size of what is behind it and of the tensor there; the manifest
    knows them."""
    reserve_s: NotNegative
    nominal_distance_m: NotNegative
    nominal_margin: Annotated[float, Field(gt=0, le=1)]
    split: Literal['given', 'free']


class Uavs(Settings):
    """UAVs: servers that fly a closed path from a common depot."""

    count: Annotated[int, Field(ge=1)]
    depot_m: tuple[NotNegative, NotNegative]
    altitude_m: Positive
    layer_m: NotNegative
    speed_m_s: Positive
    acceleration_m_s2: Positive | None
    from_rest: bool
    cpu_hz: Positive
    capacitance_j_s2: Positive


class Shadow(Settings):
    """A loss of a terminal's links that nobody knows of before it is there."""

    terminal: Annotated[int, Field(ge=0)]
    from_s: NotNegative
    loss_db: Decibel


class Airframe(Settings):
    """Parameters of the propulsion power (1)."""

    blade_power_w: Positive
    induced_power_w: Positive
    tip_speed_m_s: Positive
    induced_speed_m_s: Positive
    drag_ratio: NotNegative
    air_density_kg_m3: Positive
    solidity: Positive
    disc_area_m2: Positive


class Radio(Settings):
    """Uplink from terminals to UAVs, (2) to (4)."""

    los_midpoint_deg: Positive
    los_steepness_per_deg: Positive
    los_loss_db: NotNegative
    nlos_loss_db: NotNegative
    penetration_loss_db: NotNegative
    carrier_hz: Positive
    bandwidth_hz: Positive
    transmit_power_w: Positive
    noise_dbm_hz: Decibel
    light_speed_m_s: Positive
    shadows: tuple[Shadow, ...]

    @model_validator(mode='after')
    def _walls_cost(self) -> Radio:
        if self.nlos_loss_db < self.los_loss_db:
            raise ValueError(
                f'nlos_loss_db is {self.nlos_loss_db}, but must not be below los_loss_db = '
                f'{self.los_loss_db}: the rate would grow with the distance'
            )
        return self


class Objective(Settings):
    """Weights of service (beta) and of the terminals' radio energy (gamma)."""

    service_weight: NotNegative
    radio_weight: NotNegative


class PartialSettings(Settings):
    """All parameters of the partial scenario."""

    name: Literal['partial']
    area_m: tuple[Positive, Positive]
    slot_s: Positive
    slots: Annotated[int, Field(ge=2)]
    tasks: Tasks
    uavs: Uavs
    airframe: Airframe
    radio: Radio
    objective: Objective

    @model_validator(mode='after')
    def _depot_in_the_area(self) -> PartialSettings:
        if any(x > side for x, side in zip(self.uavs.depot_m, self.area_m, strict=True)):
            raise ValueError(
                f'uavs.depot_m is {self.uavs.depot_m}, but must lie in the area {self.area_m}: '
                'move the depot or enlarge area_m'
            )
        return self

    @model_validator(mode='after')
    def _deadlines_in_the_mission(self) -> PartialSettings:
        latest_s = self.tasks.deadline_s[1]
        if self.tasks.file is None and latest_s > self.mission_s * (1 + 1e-12):
            raise ValueError(
                f'tasks.deadline_s reaches {latest_s} s, but the mission ends after '
                f'{self.mission_s:g} s: lengthen slot_s or slots'
            )
        return self

    @property
    def mission_s(self) -> float:
        """Length T = M t_s of the mission [s]."""
        return self.slots * self.slot_s

    @property
    def wing(self) -> RotaryWing:
        """Parameters of the propulsion power."""
        return RotaryWing(**self.airframe.model_dump())

    @property
    def link(self) -> UrbanLink:
        """Parameters of the uplink to the lowest UAV."""
        radio = self.radio.model_dump(exclude={'shadows'})
        return UrbanLink(altitude_m=self.uavs.altitude_m, **radio)

    @cached_property
    def n_devices(self) -> int:
        """Terminals: those of the file, or as many as are drawn.

        Raises:
            ValueError: the file cannot be read.
        """
        if self.tasks.file is None:
            return self.tasks.count
        return len(read_tree(self.tasks.file)['w'])

    @property
    def codec(self) -> str:
        """How tensors of real networks travel."""
        return self.tasks.codec

    @property
    def satellites(self) -> Satellites:
        """None."""
        return Satellites(0)

    @property
    def n_servers(self) -> int:
        """UAVs."""
        return self.uavs.count

    @property
    def altitudes_m(self) -> FloatArray:
        """(U,) altitude of each UAV."""
        return self.uavs.altitude_m + self.uavs.layer_m * np.arange(self.uavs.count)


def read_tree(path: Path) -> dict[str, Any]:
    """What an instance file holds.

    Args:
        path: absolute, or relative to config/.

    Raises:
        ValueError: it cannot be read, or holds no terminals.
    """
    where = path if path.is_absolute() else config_dir() / path
    try:
        tree = json.loads(where.read_text(encoding='utf-8'))
        len(tree['w'])
    except OSError as error:
        raise ValueError(f'{where} cannot be read ({error.strerror}); mend tasks.file') from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} is no instance ({error!r}); see docs/scenario_partial.md'
        ) from None
    return dict(tree)
