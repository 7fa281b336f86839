"""The world of the survey scenario: drifting devices, a Walker shell, classifiers to be cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.inference.codec import encoded_size_bit
from sec_nodes.inference.manifest import ClassifierEntry, Manifest
from sec_nodes.loop.devices import DeviceFleet
from sec_nodes.loop.links import Receivers, link_table
from sec_nodes.loop.satellites import SatelliteNetwork
from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.scenarios.survey import Survey
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import FloatArray, IntArray, LinkTable, ModelTable, ServerKind
from sec_nodes.world.base import Server, World


class SurveyWorld(World):
    """The survey scenario with the cut tables of the models that it names.

    Args:
        settings: the scenario.
        manifest: where its models are.

    Raises:
        ModelError: the manifest does not know a model.
    """

    settings: SurveySettings

    def __init__(self, settings: SurveySettings, manifest: Manifest) -> None:
        # the table begins with the model of the devices, see `own_models`
        tiers = (settings.devices, settings.uavs, settings.satellites)
        entries = [
            manifest.classifier(name) for name in dict.fromkeys(tier.model for tier in tiers)
        ]
        super().__init__(Survey(settings, tabulate(entries, settings.codec)), manifest)
        self._sky: SatelliteNetwork | None = None

    def require_models(self) -> None:
        """Nothing to check: it cannot be made without them."""

    def server(self, number: int) -> Server:
        """What a server brings along."""
        uavs, satellites = self.settings.uavs, self.settings.satellites
        if number < uavs.count:
            return Server(
                ServerKind.UAV, uavs.model, uavs.flop_s, uavs.compute_power_w,
                uavs.transmit_power_w, uavs.battery_j,
            )  # fmt: skip
        return Server(
            ServerKind.SATELLITE, satellites.model, satellites.flop_s,
            satellites.compute_power_w, satellites.transmit_power_w,
        )  # fmt: skip

    def devices(self, ids: list[int], seed: int) -> DeviceFleet:
        """Some of the devices, before slot 0."""
        return DeviceFleet(self.settings, ids, seed)

    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> UavFleet:
        """Some of the UAVs at their start."""
        uavs = self.settings.uavs
        limits = MotionLimits(uavs.speed_m_s, uavs.acceleration_m_s2, uavs.jerk_m_s3)
        return UavFleet(start_positions(self.settings), limits, ids, step_s)

    def sky(self, seed: int) -> SatelliteNetwork:
        """The constellation above the site; it is where it is, whatever the seed, so all share it.

        Raises:
            ConfigError: too few satellites, or element sets that cannot be used.
        """
        if self._sky is None:
            try:
                self._sky = SatelliteNetwork(self.settings)
            except (ValueError, OSError) as error:
                raise ConfigError(f'satellites of {self.settings.name}: {error}') from None
        return self._sky

    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Gains, rates, delays and losses of a slot."""
        return link_table(self.settings, seed, slot, device_id, device_m, receivers)


def start_positions(settings: SurveySettings) -> FloatArray:
    """(M, 3) where UAVs start: on a circle around the centre, altitudes spread evenly [m; map]."""
    count = settings.uavs.count
    angle = math.pi / 2 + 2 * math.pi * np.arange(count) / max(count, 1)
    east_m, north_m = settings.area_m
    low_m, high_m = settings.uavs.altitude_m
    return np.column_stack(
        [
            east_m * (0.5 + 0.25 * np.cos(angle)),
            north_m * (0.5 + 0.25 * np.sin(angle)),
            np.linspace(low_m, high_m, count) if count > 1 else np.full(count, low_m),
        ]
    )


def tabulate(entries: Sequence[ClassifierEntry], codec: str) -> ModelTable:
    """Accuracy and cuts of models as one padded table.

    Args:
        entries: the models, in the order of the table's rows.
        codec: how tensors travel; decides the size of each cut.
    """
    shape = (len(entries), max(len(entry.cuts) for entry in entries))
    front_flop, back_flop, cut_bit = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, entry in enumerate(entries):
        for column, cut in enumerate(entry.cuts):
            front_flop[row, column] = cut.front_flop
            back_flop[row, column] = cut.back_flop
            cut_bit[row, column] = encoded_size_bit(cut.shape, cut.dtype, codec)
    return ModelTable(
        model_id=tuple(entry.id for entry in entries),
        accuracy=np.array([entry.accuracy.value for entry in entries]),
        n_cuts=np.array([len(entry.cuts) for entry in entries]),
        front_flop=front_flop,
        start_flop=np.zeros(shape),
        back_flop=back_flop,
        cut_bit=cut_bit,
    )
