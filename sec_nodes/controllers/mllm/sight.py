"""What an observation of mllm says: who may go where, and what it would roughly cost there.

Reads the vector of `scenarios.mllm.observation` back into tasks, positions and links, for any
number of devices, and works out masks and costs of pairs of device and server. All of it runs on
numpy arrays, to decide, and on torch tensors, to learn; the arrays' module is passed as `xp`.

Equations are those of Yan et al., Drones 2025, 9, 500. Left out against the scenario itself: the
propagation of signals, the way between satellites, answers on their way down (together some
10 ms, with two hops up to 60 ms), and servers that idle between two tasks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sec_nodes.physics import spherical
from sec_nodes.scenarios.mllm.links import Links
from sec_nodes.scenarios.mllm.observation import DEADLINE_S, REMAINING_S, SIZE_BIT, SNR_DB, WORDS
from sec_nodes.scenarios.mllm.orbit import Chain
from sec_nodes.scenarios.mllm.settings import MllmSettings

_INSIDE_M = 1e-2
"""How far inside the range of a UAV a device must be: observations are rounded."""

Array = Any
"""numpy array or torch tensor."""


class Seen(NamedTuple):
    """An observation in units; X rows, K devices, M UAVs, N satellites, S servers."""

    size_bit: Array
    """(X, K), 0 for a device that does not ask."""
    words: Array
    """(X, K)"""
    accuracy: Array
    """(X, K)"""
    deadline_s: Array
    """(X, K)"""
    snr_db: Array
    """(X, K, S) at full power to each server's receiver, UAVs where they are."""
    device: Array
    """(X, K, 2) in units of the area."""
    uav: Array
    """(X, M, 2) in units of the area."""
    stays_s: Array
    """(X, S) how long the receiver can be heard; large for UAVs, 0 where there is none."""
    same: Array
    """(X, S, S) 1 where two servers have the same receiver, else 0."""
    backlog_s: Array
    """(X, S)"""

    @property
    def asks(self) -> Array:
        """(X, K) who asks."""
        return self.size_bit > 0


class Load(NamedTuple):
    """What the others do to a device at each server, (X, K, S) each."""

    radio_s: Array
    """Time that the device's own upload takes beside them."""

    disturbance: Array
    """Received power of the others over noise, before what reception suppresses."""
    ahead_s: Array
    """Work of others that arrive earlier."""
    work_s: Array
    """Work of all others."""
    tasks: Array
    """Number of others."""


class Estimate(NamedTuple):
    """What pairs of device and server would come to, (X, K, S) each."""

    radio_s: Array
    compute_s: Array
    wait_s: Array
    latency_s: Array
    late_s: Array
    energy_j: Array
    cost: Array
    """With penalties, in units of `Sight.cost_unit`."""
    toll: Array
    """What it costs the others, in the same units."""


class Sight:
    """Reads observations.

    Args:
        settings: the scenario, complete as `read_settings` gives it; the number of devices is
            taken from each observation.
    """

    def __init__(self, settings: MllmSettings) -> None:
        self.settings = settings
        uavs, satellites, radio = settings.uavs, settings.satellites, settings.radio
        self.m, self.n = uavs.count, satellites.count
        self.s = self.m + self.n
        self.queue = settings.queue.enabled
        paces = [*uavs.pace, *satellites.pace]
        self.start_s = _row(pace.start_s for pace in paces)
        self.word_s = _row(pace.word_s for pace in paces)
        self.compute_w = _row(pace.power_w for pace in paces)
        self.least_accuracy = _row([*uavs.accuracy, *satellites.accuracy])
        self.is_uav = _row([1.0] * self.m + [0.0] * self.n)
        self.bandwidth_hz = _row(
            [radio.uav_bandwidth_hz] * self.m + [radio.satellite_bandwidth_hz] * self.n
        )
        self.height2 = np.square(_row(uavs.altitude_m))
        self.area_m = _row(settings.area_m)
        links = Links(settings)
        self.residual = 10 ** (radio.residual_interference_db / 10)
        if radio.interference == 'none':
            self.residual = 0.0
        self.full_w = settings.devices.power_w[1]
        self.noise_w = links.noise_w
        speed_m_s = uavs.speed_m_s
        self.step_m = None if speed_m_s is None else speed_m_s * settings.slot_s
        goal = settings.objective
        self.time_price = goal.latency_weight / goal.latency_reference_s
        self.energy_price = goal.energy_weight / goal.energy_reference_j
        self.late_price = goal.lateness_penalty / goal.latency_reference_s
        self.violation_price = goal.violation_penalty
        self.cost_unit = 2.0 * self.time_price + 50.0 * self.energy_price
        """Cost of a task of 2 s and 50 J: cost of usual size."""
        chain = Chain(satellites)
        lowest_rad = math.radians(satellites.minimum_elevation_deg)
        self.rate_rad_s = chain.rate_rad_s
        self.cross_cos = np.cos(np.radians(satellites.cross_track_deg)).astype(np.float32)
        reach = spherical.footprint_half_angle_rad(satellites.altitude_m, lowest_rad)
        self.set_rad = np.arccos(np.clip(math.cos(float(reach)) / self.cross_cos, -1, 1))

    def devices_in(self, length: int) -> int:
        """K of an observation of some length.

        Raises:
            ValueError: no number of devices gives that length.
        """
        rest = length - 2 * self.s - (self.s if self.queue else 0)
        devices, left = divmod(rest, 6 + self.s)
        if left or devices < 1:
            raise ValueError(
                f'an observation of {length} numbers is none of {self.m} UAVs and {self.n} '
                'satellites; was it made for another scenario?'
            )
        return devices

    def see(self, observation: Array, xp: Any = np) -> Seen:
        """Observations (X, n) in units."""
        rows, s = len(observation), self.s
        size, words, accuracy, deadline, snr, device, uav, remaining, visible, backlog = self._cut(
            observation
        )
        k = size.shape[1]
        receiver, stays_s = self._receivers(remaining, visible, xp)
        same = xp.stack([receiver == receiver[:, j : j + 1] for j in range(s)], 1)
        same = as_numbers(same & (receiver >= 0)[:, None], observation)
        at = xp.stack([receiver == j for j in range(s)], 2)  # (X, server, receiver)
        heard = snr.reshape(rows, k, s) @ as_numbers(at, observation).swapaxes(1, 2)
        if not self.queue:
            backlog = xp.zeros_like(stays_s)
        return Seen(
            size_bit=size * SIZE_BIT,
            words=words * WORDS,
            accuracy=accuracy,
            deadline_s=deadline * DEADLINE_S,
            snr_db=heard * SNR_DB,
            device=device.reshape(rows, k, 2),
            uav=uav.reshape(rows, self.m, 2),
            stays_s=stays_s,
            same=same,
            backlog_s=backlog * self.settings.queue.longest_wait_s,
        )

    def _cut(self, observation: Array) -> list[Array]:
        """The blocks of observations (X, n), and the last, which may be empty."""
        length = observation.shape[1]
        k, m, n, s = self.devices_in(length), self.m, self.n, self.s
        ends = np.cumsum([k, k, k, k, k * s, 2 * k, 2 * m, n, n]).tolist()
        return [observation[:, a:b] for a, b in zip([0, *ends], [*ends, length], strict=True)]

    def _receivers(self, remaining: Array, visible: Array, xp: Any) -> tuple[Array, Array]:
        """Receiver (X, S) of each server, -1 without one, and how long it can be heard [s]."""
        left_s = remaining * REMAINING_S
        angle = as_constants(self.set_rad, remaining, xp) - self.rate_rad_s * left_s
        height = xp.cos(angle) * as_constants(self.cross_cos, remaining, xp)
        seen = visible > 0.5
        height = xp.where(seen, height, height * 0 - 2)
        highest = height.argmax(-1)[:, None]
        own = as_constants(np.arange(self.n), highest, xp) + xp.zeros_like(highest)
        through = xp.where(seen, own, highest + xp.zeros_like(own))
        some = seen.any(-1)[:, None]
        receiver = xp.where(some, through + self.m, xp.zeros_like(through) - 1)
        rows = len(remaining)
        uavs = as_constants(np.arange(self.m), receiver, xp) + xp.zeros_like(receiver[:, :1])
        picked = xp.stack(
            [
                xp.where(through == j, left_s[:, j : j + 1], left_s[:, :1] * 0)
                for j in range(self.n)
            ]
        ).sum(0)
        stays_s = xp.where(some, picked, picked * 0)
        forever = as_constants(np.full((rows, self.m), 1e6), left_s, xp)
        return _joined([uavs, receiver], xp), _joined([forever, stays_s], xp)

    def split(self, continuous: Array, devices: int) -> tuple[Array, Array]:
        """Powers (X, K) and moves (X, M, 2) of continuous parts (X, K + 2 M), in [-1, 1]."""
        return continuous[:, :devices], continuous[:, devices:].reshape(-1, self.m, 2)

    def moved(self, seen: Seen, move: Array, xp: Any = np) -> Array:
        """Positions (X, M, 2), in units of the area, to which moves send the UAVs."""
        return self._after(seen.uav, move, xp)

    def _after(self, uav: Array, move: Array, xp: Any) -> Array:
        if self.step_m is None:
            return (move + 1) / 2
        length = xp.sqrt((move * move).sum(-1) + 1e-12)[..., None]
        way = move / xp.clip(length, 1.0, None)
        return xp.clip(uav + way * as_constants(self.step_m / self.area_m, move, xp), 0.0, 1.0)

    def distance_m(self, device: Array, uav: Array, xp: Any = np) -> Array:
        """Horizontal distances (X, K, M) [m]."""
        way = (device[:, :, None] - uav[:, None]) * as_constants(self.area_m, uav, xp)
        return xp.sqrt((way * way).sum(-1) + 1e-6)

    def inside(self, seen: Seen, distance_m: Array, xp: Any = np) -> Array:
        """How far inside the range of a server a device is, (X, K, S), in units of the range.

        1 for satellites.
        """
        margin = 1 - (distance_m + _INSIDE_M) / self.settings.uavs.coverage_m
        return _joined([margin, seen.snr_db[..., self.m :] * 0 + 1], xp)

    def may(self, seen: Seen, xp: Any = np) -> Array:
        """Options (X, K, S) bool apart from the range of UAVs: accuracy, eq. (2), and orbits."""
        return self._fit(seen.accuracy, seen.deadline_s, seen.stays_s, xp)

    def _fit(self, accuracy: Array, deadline_s: Array, stays_s: Array, xp: Any) -> Array:
        """As `may`, of accuracies and deadlines (X, K), and how long servers (X, S) stay."""
        accurate = accuracy[..., None] <= as_constants(self.least_accuracy, accuracy, xp)
        longest_s = _largest(deadline_s, xp)
        return accurate & (stays_s >= 2 * longest_s[:, None])[:, None]

    def mask(self, observation: Array, continuous: Array, xp: Any = np) -> Array:
        """Options (X, K, S) bool where the continuous part of the action sends the UAVs.

        A device without any gets all: every choice then breaks a constraint.

        Args:
            observation: (X, n).
            continuous: (X, K + 2 M) in [-1, 1].
            xp: numpy or torch, whose arrays these are.
        """
        _, _, accuracy, deadline, _, device, uav, remaining, visible, _ = self._cut(observation)
        rows, devices = accuracy.shape
        stays_s = self._receivers(remaining, visible, xp)[1]
        move = self.split(continuous, devices)[1]
        after = self._after(uav.reshape(rows, self.m, 2), move, xp)
        allowed = self._fit(accuracy, deadline * DEADLINE_S, stays_s, xp)
        distance_m = self.distance_m(device.reshape(rows, devices, 2), after, xp)
        covers = distance_m + _INSIDE_M <= self.settings.uavs.coverage_m
        allowed[..., : self.m] &= covers
        return allowed | ~allowed.any(-1)[..., None]

    def snr_after(self, seen: Seen, distance_m: Array, xp: Any = np) -> Array:
        """SNR (X, K, S) at full power, a ratio, with UAVs at other distances, eq. (6)."""
        before_m = self.distance_m(seen.device, seen.uav, xp)
        height2 = as_constants(self.height2, before_m, xp)
        exponent = self.settings.radio.path_loss_exponent
        nearer = (before_m**2 + height2) / (distance_m**2 + height2)
        gain = _joined([nearer ** (exponent / 2), seen.snr_db[..., self.m :] * 0 + 1], xp)
        return 10 ** (seen.snr_db / 10) * gain

    def radio_s(self, seen: Seen, snr: Array, disturbance: Array, xp: Any = np) -> Array:
        """Time (X, K, S) that uploads take on the radio [s], eqs (8), (10), (12).

        Args:
            seen: the observation.
            snr: (X, K, S) at the power that is used.
            disturbance: (X, K, S) of the others, over noise.
            xp: numpy or torch.
        """
        sinr = snr / (1 + self.residual * disturbance)
        rate = as_constants(self.bandwidth_hz, snr, xp) * xp.log1p(sinr) / math.log(2)
        longest_s = self.settings.radio.longest_upload_s
        return xp.clip(seen.size_bit[..., None] / (rate + 1.0), 0.0, longest_s)

    def load(self, seen: Seen, snr: Array, weight: Array, xp: Any = np) -> Load:
        """What others do to each device if device i goes to server j with weight (X, K, S).

        Args:
            seen: the observation.
            snr: (X, K, S) at the powers that are used.
            weight: (X, K, S) probabilities or choices; 0 for devices that do not ask.
            xp: numpy or torch.
        """
        sent = weight * snr
        disturbance = (sent.sum(1)[:, None] - sent) @ seen.same
        work_s = weight * self.compute_s(seen, xp)
        radio_s = self.radio_s(seen, snr, disturbance, xp)
        return Load(
            radio_s=radio_s,
            disturbance=disturbance,
            ahead_s=_ahead(radio_s, work_s, xp) if self.queue else work_s * 0,
            work_s=work_s.sum(1)[:, None] - work_s,
            tasks=weight.sum(1)[:, None] - weight,
        )

    def compute_s(self, seen: Seen, xp: Any = np) -> Array:
        """Computing (X, K, S) [s], eqs (14), (23)."""
        word_s = as_constants(self.word_s, seen.words, xp)
        start_s = as_constants(self.start_s, seen.words, xp) * seen.asks[..., None]
        return seen.words[..., None] * word_s + start_s

    def estimate(
        self, seen: Seen, snr: Array, power: Array, weight: Array, load: Load, xp: Any = np
    ) -> Estimate:
        """What each pair of device and server would come to, eqs (12) to (31).

        Args:
            seen: the observation.
            snr: (X, K, S) at the powers that are used.
            power: (X, K, S) these powers, as shares of full power.
            weight: (X, K, S) where devices go, as for `load`.
            load: of the others.
            xp: numpy or torch.
        """
        radio_s = load.radio_s
        compute_s = self.compute_s(seen, xp)
        zero = radio_s * 0
        wait_s = zero
        if self.queue:
            busy_s = seen.backlog_s[:, None] + load.ahead_s
            wait_s = xp.clip(busy_s - radio_s, 0.0, None)
        latency_s = radio_s + wait_s + compute_s
        late_s = xp.clip(latency_s - seen.deadline_s[..., None], 0.0, None)
        energy_j = power * self.full_w * radio_s + compute_s * as_constants(
            self.compute_w, zero, xp
        )
        cost = (
            self.time_price * latency_s + self.energy_price * energy_j + self.late_price * late_s
        )
        if self.queue:
            longest_s = self.settings.queue.longest_wait_s
            cost = cost + self.violation_price * xp.clip(wait_s - longest_s + 0.5, 0.0, 1.0)
        price = weight * (self.time_price + self.late_price * as_numbers(late_s > 0, late_s))
        toll = self._toll(snr, radio_s, load, price, seen.same)
        if self.queue:
            later = price.sum(1)[:, None] - price - _ahead(radio_s, price, xp)
            toll = toll + compute_s * later
        unit = self.cost_unit
        return Estimate(
            radio_s, compute_s, wait_s, latency_s, late_s, energy_j, cost / unit, toll / unit
        )

    def _toll(self, snr: Array, radio_s: Array, load: Load, price: Array, same: Array) -> Array:
        """What a device's signal costs the others at a receiver, to first order, (X, K, S).

        The derivative of u / (B log2(1 + s / (1 + xi I))) by xi I.

        Args:
            snr: (X, K, S), s.
            radio_s: (X, K, S) these times.
            load: disturbances I.
            price: (X, K, S) what a second costs each device, by where it goes.
            same: (X, S, S) servers with the same receiver.
        """
        noise = 1 + self.residual * load.disturbance
        sinr = snr / noise
        slope_s = radio_s * sinr / ((1 + sinr) * _log1p(sinr) * noise + 1e-9)
        hurt = price * slope_s
        others = (hurt.sum(1)[:, None] - hurt) @ same
        toll: Array = self.residual * snr * others
        return toll


def _row(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=np.float32)


def as_constants(values: np.ndarray, array: Array, xp: Any) -> Array:
    """Constants as an array of the module of another, of its type."""
    if xp is np:
        return values.astype(array.dtype, copy=False)
    return xp.as_tensor(values, dtype=array.dtype)


def as_numbers(flags: Array, like: Array) -> Array:
    """Flags as numbers of the type of another array."""
    return flags.astype(like.dtype) if isinstance(flags, np.ndarray) else flags.to(like.dtype)


def _joined(parts: list[Array], xp: Any) -> Array:
    """Arrays joined along the last axis."""
    return xp.concatenate(parts, -1)


def _log1p(array: Array) -> Array:
    return np.log1p(array) if isinstance(array, np.ndarray) else array.log1p()


def _largest(array: Array, xp: Any) -> Array:
    return array.max(-1) if xp is np else array.amax(-1)


def _ahead(arrival_s: Array, work_s: Array, xp: Any) -> Array:
    """Work (X, K, S) [s] that arrives at a server before a device's own, of all devices."""
    if xp is np:
        order = arrival_s.argsort(1)
        before = np.take_along_axis(work_s, order, 1)
        before = before.cumsum(1) - before
        back = np.empty_like(order)
        np.put_along_axis(back, order, np.arange(order.shape[1])[None, :, None], 1)
        return np.take_along_axis(before, back, 1)
    order = arrival_s.detach().argsort(1)
    before = xp.take_along_dim(work_s, order, 1)
    before = before.cumsum(1) - before
    return xp.take_along_dim(before, order.argsort(1), 1)
