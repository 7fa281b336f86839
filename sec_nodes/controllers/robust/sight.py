"""What a vector of robust's environment means physically, for learnt policies.

An observation says where everybody is and how good the links are; with the scenario's tables this
gives, for every user, UAV and split, about how much energy it takes and how much of the UAV it
asks for. UAVs have time t of what is left of the slot for an upload and the rest to compute, as in
`scenarios.robust.joint`, but t is the best of a few and nobody else asks for the UAV.

The letters in the shapes are B copies, I users, J UAVs and C splits (phi - 1 counts them).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sec_nodes.physics.channel import air_ground_gain, db_to_ratio, dbm_to_watt
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.power import unit_upload_s
from sec_nodes.scenarios.robust.vector import EFFICIENCY_BIT_S_HZ, observation_blocks
from sec_nodes.slot import FloatArray, IntArray

COMPUTING_SHARES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
"""Parts of the longest computing time that are tried."""
DEAREST = 20.0
"""Energy of what is impossible, and the largest there is, in units of a usual task."""
GREEDIEST = 2.0
"""The same for the part of a UAV that a task asks for."""
USUAL_M = 150.0
"""Distance at which the unit of energies is taken."""
ROUNDS = 3
"""How often policies look at all users anew, each beside the load that the others put on UAVs."""
SCORE_LIMIT = 2.0
"""Largest score of a UAV that a task may move to, before tanh."""
NEAR_M = 30.0
"""Distance at which UAVs begin to mind each other."""
STANDING = 0.02, 0.001
"""What is added to velocities and their squares, in units of the largest speed, where only their
direction counts."""


class Sight(NamedTuple):
    """A batch of slots, all float32: arrays, or tensors for who learns."""

    energy: Any
    """(B, I, J, C) of a task, in units of a usual one; `DEAREST` where it is not possible."""
    demand: Any
    """(B, I, J, C) part of the UAV that it asks for."""
    least: Any
    """(B, I, J, C) part of the UAV that it needs at least."""
    possible: Any
    """(B, I, J, C) 1 where it meets the deadline on a living UAV, or stays with its user."""
    sent: Any
    """(B, I, J) energy of the upload in the cheapest split, in the same units."""
    centre: Any
    """(B, I, C) number in [-1, 1] that means this split."""
    exists: Any
    """(B, I, C) 1 for splits that there are."""
    link: Any
    """(B, J, J) rates between UAVs over 20 bit/s/Hz, 0 to oneself and where either has failed."""
    user: Any
    """(B, I, 2) places in units of half the area, from its middle."""
    uav: Any
    """(B, J, 3) the same of UAVs, and their altitude in units of half its range."""
    velocity: Any
    """(B, J, 3) in units of the largest speed."""
    alive: Any
    """(B, J)"""


class Looker:
    """Makes a `Sight` of observations.

    Args:
        scenario: the system.
    """

    def __init__(self, scenario: Robust) -> None:
        settings = scenario.settings
        self.settings, self._blocks = settings, observation_blocks(settings)
        self._front = scenario.front_cycles.astype(np.float32)
        self._rear = scenario.rear_cycles.astype(np.float32)
        unit_s = unit_upload_s(scenario.size_bit, settings.uplink_bandwidth_hz)
        self._unit_s = np.asarray(unit_s, dtype=np.float32)
        self._layers = scenario.tables.layers
        low_m, high_m = settings.uavs.altitude_m
        self._half_m = np.array(
            [settings.area_m[0] / 2, settings.area_m[1] / 2, (high_m - low_m) / 2 or 1.0]
        ).astype(np.float32)
        self._middle_m = np.array([*self._half_m[:2], (low_m + high_m) / 2], dtype=np.float32)
        self._space_m = np.array([*settings.area_m, high_m], dtype=np.float32)
        self.unit_j = 1.0
        self.unit_j = self._usual_j()
        """Energy of a usual task [J]."""

    def __call__(self, observation: FloatArray) -> Sight:
        """What observations (B, n) mean."""
        settings, blocks = self.settings, self._blocks
        users, uavs = settings.users.count, settings.uavs.count
        part = {name: observation[:, block] for name, block in blocks.items()}
        network = part['network'].reshape(-1, users, len(settings.users.networks)).argmax(-1)
        rate = part['rate'].reshape(-1, users, uavs) * np.float32(EFFICIENCY_BIT_S_HZ)
        nats = rate * np.float32(np.log(2.0))
        alive = part['alive']
        energy, demand, least, possible, sent = self._pairs(network, nats, alive)
        link = np.zeros((len(observation), uavs, uavs), dtype=np.float32)
        first, second = np.triu_indices(uavs, 1)
        link[:, first, second] = link[:, second, first] = part['backhaul']
        user_m = part['user'].reshape(-1, users, 2) * self._space_m[:2]
        uav_m = part['uav'].reshape(-1, uavs, 3) * self._space_m
        count = (self._layers + settings.users.local_only)[network][..., None]
        column = np.arange(self._front.shape[1])
        return Sight(
            energy=energy,
            demand=demand,
            least=least,
            possible=possible,
            sent=sent,
            centre=((2 * column + 1) / count - 1).clip(-1, 1).astype(np.float32),
            exists=(column < count).astype(np.float32),
            link=link,
            user=(user_m - self._middle_m[:2]) / self._half_m[:2],
            uav=(uav_m - self._middle_m) / self._half_m,
            velocity=part['velocity'].reshape(-1, uavs, 3),
            alive=alive,
        )

    def _pairs(
        self, network: IntArray, nats: FloatArray, alive: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Energies, demands, least demands and what is possible, (B, I, J, C), and uploads.

        Args:
            network: (B, I) of each user.
            nats: (B, I, J) what links carry at full power [nat/s/Hz].
            alive: (B, J) 1 for living UAVs.
        """
        settings = self.settings
        user_hz, uav_hz = settings.users.frequency_hz, settings.uavs.frequency_hz
        capacitance = settings.computing.capacitance_j_s2
        weight = np.float32(settings.objective.compute_weight * capacitance)
        front, cycles, unit_s = (
            table[network][:, :, None] for table in (self._front, self._rear, self._unit_s)
        )
        column = np.arange(front.shape[-1])
        last = self._layers[network][:, :, None, None]
        nats = np.maximum(nats, np.float32(1e-6))[..., None]
        time_s = np.float32(settings.planned_s) - front / np.float32(user_hz)
        longest_s = time_s - unit_s / nats
        least = cycles / np.maximum(longest_s, np.float32(1e-9)) / np.float32(uav_hz)
        sent = (column < last) & (longest_s > 0) & (least <= 1) & (alive[:, None, :, None] > 0)
        longest_s = np.where(sent, longest_s, np.float32(1))
        noise_w = np.float32(settings.users.power_max_w) / np.expm1(nats)
        best_j = np.full(sent.shape, np.inf, dtype=np.float32)
        demand, upload_j = np.zeros_like(best_j), np.zeros_like(best_j)
        with np.errstate(divide='ignore', over='ignore', invalid='ignore'):
            for share in COMPUTING_SHARES:
                computing_s = longest_s * np.float32(share)
                upload_s = time_s - computing_s
                asked = cycles / computing_s / np.float32(uav_hz)
                sent_j = upload_s * np.expm1(unit_s / upload_s) * noise_w
                cost_j = sent_j + weight * cycles * np.square(asked * np.float32(uav_hz))
                better = sent & (cost_j < best_j) & (asked <= 1 + 1e-6)
                best_j, demand = np.where(better, cost_j, best_j), np.where(better, asked, demand)
                upload_j = np.where(better, sent_j, upload_j)
        stays = np.broadcast_to(column == last, sent.shape) & settings.users.local_only
        on_time = front / np.float32(user_hz) <= settings.slot_s * (1 + 1e-6)
        best_j = np.where(stays & on_time, np.float32(0), best_j)
        local_j = np.float32(capacitance * user_hz**2) * front
        possible = np.isfinite(best_j)
        energy = np.minimum((best_j + local_j) / np.float32(self.unit_j), np.float32(DEAREST))
        none = np.float32(GREEDIEST)
        demand = np.where(possible, demand, none)
        least = np.where(possible, np.where(stays, np.float32(0), least), none)
        cheapest = energy.argmin(axis=-1)[..., None]
        upload = np.take_along_axis(upload_j, cheapest, axis=-1)[..., 0] / np.float32(self.unit_j)
        return energy, demand, least, possible.astype(np.float32), upload

    def _usual_j(self) -> float:
        """Mean over networks of the least energy of a task at `USUAL_M`; 1 if none is in time."""
        radio, one = self.settings.radio, np.ones(1)
        noise_w = float(dbm_to_watt(radio.noise_dbm_hz)) * self.settings.uplink_bandwidth_hz
        reference = float(db_to_ratio(radio.uplink_gain_db)) / noise_w
        snr_per_w = air_ground_gain(USUAL_M * one, reference, radio.path_loss_exponent, one)
        gain = float(snr_per_w[0]) * self.settings.users.power_max_w
        network = np.arange(len(self._layers))[None]
        nats = np.full((1, len(self._layers), 1), np.log1p(gain), dtype=np.float32)
        energy, *_ = self._pairs(network, nats, np.ones((1, 1), dtype=np.float32))
        least_j = energy.min(axis=(2, 3))
        return float(least_j[least_j < DEAREST].mean()) if (least_j < DEAREST).any() else 1.0
