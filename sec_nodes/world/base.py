"""A system that the nodes fly: who is there, how everybody moves, and who hears whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import Manifest
from sec_nodes.inference.pictures import FolderPictures, Picture, PictureSource, RenderedPictures
from sec_nodes.loop.devices import Devices
from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.satellites import SatelliteView
from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics.visibility import VisibilityWindows
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.slot import TASKS_PER_DEVICE, FloatArray, IntArray, LinkTable, ServerKind

if TYPE_CHECKING:
    from sec_nodes.scenarios.maritime import Maritime


@dataclass(frozen=True)
class Server:
    """What a UAV or a satellite brings along."""

    kind: ServerKind
    model_id: str
    """Model that it runs, as the scenario's table of models calls it."""
    flop_s: float
    """Effective speed of its computer [FLOP/s]."""
    compute_power_w: float
    """Power while computing [W]."""
    transmit_power_w: float
    """Power of its transmitter [W]."""
    battery_j: float | None = None
    """What its battery holds when full [J]; none = energy is no limit."""


@dataclass(frozen=True)
class Sight:
    """What a device has before it when it makes a task."""

    take: Callable[[], Picture]
    """Takes the picture, which may take a while; PictureError if there is none."""
    prompt: str = ''
    """Question to a language model; empty for a classifier."""
    kind: str = ''
    """Kind of question, where that is known."""


def manifest_id(model_id: str) -> str:
    """Name in the manifest of a model, which a table of models may have once for each tier."""
    return model_id.partition('@')[0]


@dataclass(frozen=True)
class Missions:
    """How missions are flown that are planned as a whole: uploads take many slots."""

    planning_s: float
    """Wall time that the first plan may take beyond that of other decisions [s]."""
    replanning_s: float
    """The same for later decisions: UAVs follow the plan in force meanwhile [s]."""


@dataclass(frozen=True)
class Failover:
    """What becomes of a task within its slot when the server that has it fails."""

    migration: Literal['relay', 'resend', 'none']
    """The failed server passes the tensor on if it can, else the device sends it again; the device
    always does; or the task is lost."""
    keeps_progress: bool
    """Whether layers that are done need not be done again after a relay."""


class StillDevices(Devices):
    """Devices of one process that do not compute, and do not move within a slot.

    Subclasses say where they are and what they ask: `open_slot`.

    Args:
        ids: identifiers of the devices, ascending.
        place_m: (D, 2) where they are at first, east and north [m; map].
    """

    def __init__(self, ids: list[int], place_m: FloatArray) -> None:
        super().__init__(ids, np.zeros(len(ids)))
        self.place(place_m)

    def place(self, place_m: FloatArray) -> None:
        """Put the devices somewhere, (D, 2) east and north [m; map]."""
        self._position_m = np.hstack([place_m, np.zeros((len(place_m), 1))])

    @property
    def position_m(self) -> FloatArray:
        """(D, 3) positions [m; map]; devices are on the surface."""
        return self._position_m

    @property
    def velocity_m_s(self) -> FloatArray:
        """(D, 3) velocities [m/s; map]: none."""
        return np.zeros_like(self._position_m)

    def start_s(self, row: int, ready_s: float, service_s: float) -> float:
        """When a task may leave the device: at once, there is nothing to compute."""
        return ready_s

    def backlog_s(self, now_s: float) -> FloatArray:
        """(D,) computing time already promised: none."""
        return np.zeros(len(self.ids))


class Sky(Protocol):
    """The serving satellites, whoever has their numbers, and how they are reached."""

    mask_rad: float
    """Least elevation above the horizon [rad]."""
    windows: VisibilityWindows
    """Passes, as far as they have been computed."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each satellite that may serve."""

    def at(self, time_s: float) -> SatelliteView:
        """The serving satellites at an instant [s; simulation time]."""

    def passes(self, start_s: float, end_s: float) -> IntArray:
        """Rows of `windows` that lie at least partly in a span [s], in the order of rise."""


class World(ABC):
    """What every node of a run agrees on. All that is drawn depends on the seed alone.

    Args:
        scenario: costs and constraints.
        manifest: the models that there are.
    """

    fallback: ClassVar[str] = 'nearest_uav'
    """Controller that decides when nobody else does."""
    hovers: ClassVar[bool] = False
    """Whether UAVs stay where they are, so that nobody needs to hear of it at full rate."""
    relays: Maritime | None = None
    """What UAVs pass on to the satellite and how long that takes; None where they do not."""
    missions: Missions | None = None
    """How missions are flown; None where every slot is decided by itself."""
    failover: Failover | None = None
    """How tasks of failed servers go on within their slot; None where pictures go to backups."""

    def __init__(self, scenario: Offloading, manifest: Manifest) -> None:
        self.scenario = scenario
        self.manifest = manifest

    @property
    def settings(self) -> Any:
        """Parameters of the scenario."""
        return self.scenario.settings

    @abstractmethod
    def require_models(self) -> None:
        """Check that there are models that can answer, and not costs alone.

        Raises:
            ConfigError: the scenario names none.
            ModelError: the manifest does not know one.
        """

    @property
    def own_models(self) -> tuple[str, ...]:
        """Models of the devices, which run them in turn; where they do not compute, any."""
        return self.scenario.models.model_id[:1]

    @property
    def device_model(self) -> str:
        """Model of the first device."""
        return self.own_models[0]

    def device_models(self, ids: list[int]) -> list[str]:
        """Model of each of some devices."""
        names = self.own_models
        return [names[device % len(names)] for device in ids]

    @abstractmethod
    def server(self, number: int) -> Server:
        """What a server brings along; UAVs come first."""

    @abstractmethod
    def devices(self, ids: list[int], seed: int) -> Devices:
        """Some of the devices, before slot 0."""

    def sights(self, images: str, seed: int) -> Callable[[Task], Sight]:
        """What devices see, the same for the same task of the same run; here one picture a task.

        Args:
            images: folder of the user's own pictures; empty for rendered ones.
            seed: seed of the run.

        Raises:
            PictureError: the folder has no pictures that can be used.
        """
        sources = {name: self.pictures(name, images) for name in self.own_models}

        def sight(task: Task) -> Sight:
            source = sources[self.device_models([task.device_id])[0]]
            number = task.task_id % TASKS_PER_DEVICE
            return Sight(partial(source.picture, seed, task.device_id, task.slot, number))

        return sight

    def pictures(self, model_id: str, images: str) -> PictureSource:
        """Rendered scenes, or pictures of a folder, in the size that a network takes.

        Raises:
            PictureError: the folder has no pictures that can be used.
        """
        entry = self.manifest.network(model_id)
        rows, columns = entry.input.shape[1:3]
        if images:
            return FolderPictures(images, size=(rows, columns), classes=entry.classes or ())
        return RenderedPictures(size=(rows, columns))

    @abstractmethod
    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> UavFleet:
        """Some of the UAVs at their start, with the period of their control [s]."""

    def sky(self, seed: int) -> Sky:
        """The satellites.

        Raises:
            ConfigError: there are none, or they cannot be computed.
        """
        raise ConfigError(f'scenario {self.settings.name} has no satellites; start no such node')

    @abstractmethod
    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Gains, rates, delays and losses of a slot.

        Args:
            seed: seed of the run.
            slot: number of the slot.
            device_id: (D,) identifiers, which address the random draws.
            device_m: (D, 3) positions [m; map].
            receivers: who receives for each of the S servers.
        """

    def relay_gain(self, slot: int) -> FloatArray:
        """(M,) power gain from each UAV to the satellite; empty without relays."""
        return np.zeros(0)

    def ground_in_view(self, slot: int) -> bool:
        """Whether a ground station sees the satellite during a whole slot."""
        return False
