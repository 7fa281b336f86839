"""The mllm scenario as one would first write it: a Gymnasium environment of loops over entities.

It is what bench/environments/run.py measures the vectorised environment against, and what a test
compares every number with. It shares nothing with sec_nodes.scenarios but the parameters: the
equations of Yan et al. (Drones 2025, 9, 500), as corrected, are written out again, one task, one
server and one satellite at a time. Modes `paper`, `stress` and `extended`; every device asks once
a slot.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from sec_nodes.scenarios.mllm.settings import MllmSettings

LIGHT_M_S = 299_792_458.0
EARTH_M = 6_371_000.0
GRAVITATION = 3.986004418e14


@dataclass
class Inputs:
    """One slot, as lists: device k, UAV m, satellite n."""

    device_m: list[tuple[float, float]]
    size_bit: list[float]
    words: list[float]
    deadline_s: list[float]
    accuracy: list[float]
    fading_uav: list[list[float]]
    fading_satellite: list[list[float]]
    in_track_rad: list[float]
    uav_m: list[tuple[float, float]]
    backlog_s: list[float]


class LoopMllm(gymnasium.Env[Any, Any]):
    """The mllm environment, one entity after the other.

    Observation: as `sec_offload/Mllm-v0`. Action: `{'server': K integers, 'continuous': K + 2M
    numbers in [-1, 1]}`, powers first.

    Args:
        settings: parameters of the scenario.
    """

    def __init__(self, settings: MllmSettings) -> None:
        self.settings = settings
        self.n_uavs = len(settings.uavs.altitude_m)
        self.n_satellites = len(settings.satellites.accuracy)
        self.n_servers = self.n_uavs + self.n_satellites
        self.n_devices = settings.devices.count
        length = self.n_devices * (6 + self.n_servers) + 2 * self.n_uavs + 2 * self.n_satellites
        if settings.queue.enabled:
            length += self.n_servers
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (length,), np.float32)
        self.action_space = gymnasium.spaces.Dict(
            {
                'server': gymnasium.spaces.MultiDiscrete([self.n_servers] * self.n_devices),
                'continuous': gymnasium.spaces.Box(
                    -1, 1, (self.n_devices + 2 * self.n_uavs,), np.float32
                ),
            }
        )
        height_m = EARTH_M + settings.satellites.altitude_m
        self.orbit_m = height_m
        self.rate_rad_s = math.sqrt(GRAVITATION / height_m**3)
        minimum = math.radians(settings.satellites.minimum_elevation_deg)
        self.minimum_rad = minimum
        self.reach_rad = math.acos(EARTH_M / height_m * math.cos(minimum)) - minimum
        self.window_rad = math.radians(settings.satellites.spacing_deg) * self.n_satellites

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.random = random.Random(seed)
        self.slot = 0
        east_m, north_m = self.settings.area_m
        self.device_m = [
            (self.random.uniform(0, east_m), self.random.uniform(0, north_m))
            for _ in range(self.n_devices)
        ]
        self.uav_m = [tuple(place) for place in self.settings.uavs.start_m]
        self.backlog_s = [0.0] * self.n_servers
        self.start_rad = self.random.uniform(0, self.window_rad)
        self.draw()
        return self.observe(), self.info(None)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play a slot."""
        devices = self.settings.devices
        low_w, high_w = devices.power_w
        power_w = [
            low_w + (high_w - low_w) * (float(action['continuous'][k]) + 1) / 2
            for k in range(self.n_devices)
        ]
        uav_m = []
        for m in range(self.n_uavs):
            y = [float(action['continuous'][self.n_devices + 2 * m + axis]) for axis in (0, 1)]
            uav_m.append(self.fly(m, y))
        outcome = self.evaluate(
            self.inputs, [int(server) for server in action['server']], power_w, uav_m
        )
        self.uav_m = uav_m
        self.backlog_s = outcome['backlog_next_s']
        self.slot += 1
        self.draw()
        truncated = self.slot >= self.settings.slots
        reward = self.settings.objective.reward_scale / outcome['penalised_cost']
        return self.observe(), reward, False, truncated, self.info(outcome)

    def fly(self, m: int, y: list[float]) -> tuple[float, float]:
        """Where UAV m goes: anywhere, or as far as it gets in a slot."""
        east_m, north_m = self.settings.area_m
        speed_m_s = self.settings.uavs.speed_m_s
        if speed_m_s is None:
            return east_m * (y[0] + 1) / 2, north_m * (y[1] + 1) / 2
        reach_m = speed_m_s * self.settings.slot_s / max(1.0, math.hypot(*y))
        x = self.uav_m[m][0] + reach_m * y[0]
        z = self.uav_m[m][1] + reach_m * y[1]
        return min(max(x, 0.0), east_m), min(max(z, 0.0), north_m)

    def draw(self) -> None:
        """Tasks and fading of a slot."""
        tasks, radio = self.settings.tasks, self.settings.radio
        phase = self.start_rad + self.rate_rad_s * self.slot * self.settings.slot_s
        in_track_rad = []
        for n in range(self.n_satellites):
            angle = phase + n * math.radians(self.settings.satellites.spacing_deg)
            half = self.window_rad / 2
            in_track_rad.append((angle + half) % self.window_rad - half)
        scatter, shape, line_of_sight = radio.shadowing
        fading_uav, fading_satellite = [], []
        for _ in range(self.n_devices):
            row = []
            for _ in range(self.n_uavs):
                kappa = radio.rician_factor
                side = math.sqrt(0.5 / (kappa + 1))
                real = math.sqrt(kappa / (kappa + 1)) + side * self.random.gauss(0, 1)
                row.append(real**2 + (side * self.random.gauss(0, 1)) ** 2)
            fading_uav.append(row)
            row = []
            for _ in range(self.n_satellites):
                direct = self.random.gammavariate(shape, line_of_sight / shape)
                side = math.sqrt(scatter)
                real = math.sqrt(direct) + side * self.random.gauss(0, 1)
                row.append(real**2 + (side * self.random.gauss(0, 1)) ** 2)
            fading_satellite.append(row)
        self.inputs = Inputs(
            device_m=self.device_m,
            size_bit=[self.random.uniform(*tasks.size_bit) for _ in range(self.n_devices)],
            words=[float(self.random.choice(tasks.words)) for _ in range(self.n_devices)],
            deadline_s=[self.random.uniform(*tasks.deadline_s) for _ in range(self.n_devices)],
            accuracy=[self.random.uniform(*tasks.accuracy) for _ in range(self.n_devices)],
            fading_uav=fading_uav,
            fading_satellite=fading_satellite,
            in_track_rad=in_track_rad,
            uav_m=self.uav_m,
            backlog_s=self.backlog_s,
        )

    def look(self, in_track_rad: list[float]) -> dict[str, list[Any]]:
        """Elevation, range, remaining time and position of each satellite; eqs (4), (5)."""
        seen: dict[str, list[Any]] = {'up': [], 'range_m': [], 'left_s': [], 'place': [], 'el': []}
        for n, phi in enumerate(in_track_rad):
            psi = math.radians(self.settings.satellites.cross_track_deg[n])
            gamma = math.acos(math.cos(phi) * math.cos(psi))
            elevation = math.atan2(math.cos(gamma) - EARTH_M / self.orbit_m, math.sin(gamma))
            up = elevation >= self.minimum_rad
            square = EARTH_M**2 + self.orbit_m**2 - 2 * EARTH_M * self.orbit_m * math.cos(gamma)
            left_s = 0.0
            if up:
                set_rad = math.acos(math.cos(self.reach_rad) / math.cos(psi))
                left_s = (set_rad - phi) / self.rate_rad_s
            seen['up'].append(up)
            seen['el'].append(elevation)
            seen['range_m'].append(math.sqrt(square))
            seen['left_s'].append(left_s)
            seen['place'].append(
                (
                    self.orbit_m * math.cos(phi) * math.cos(psi),
                    self.orbit_m * math.sin(phi) * math.cos(psi),
                    self.orbit_m * math.sin(psi),
                )
            )
        return seen

    def route(self, seen: dict[str, list[Any]], in_track_rad: list[float], n: int) -> Any:
        """Access satellite of satellite n, hops to it and their length; None if none is up."""
        if seen['up'][n]:
            return n, 0, 0.0
        best = None
        for other in range(self.n_satellites):
            if seen['up'][other] and (best is None or seen['el'][other] > seen['el'][best]):
                best = other
        if best is None:
            return None
        chain = sorted(range(self.n_satellites), key=lambda i: in_track_rad[i])
        first, last = sorted((chain.index(n), chain.index(best)))
        length_m = 0.0
        for place in range(first, last):
            length_m += math.dist(seen['place'][chain[place]], seen['place'][chain[place + 1]])
        return best, last - first, length_m

    def uav_gain(self, inputs: Inputs, k: int, m: int, place: tuple[float, float]) -> float:
        """Power gain of device k at UAV m, eqs (6), (7)."""
        radio = self.settings.radio
        r = math.dist(inputs.device_m[k], place)
        distance_m = math.sqrt(r**2 + self.settings.uavs.altitude_m[m] ** 2)
        reference = 10 ** (radio.reference_gain_db / 10)
        return reference * distance_m**-radio.path_loss_exponent * inputs.fading_uav[k][m]

    def satellite_gain(self, inputs: Inputs, seen: dict[str, list[Any]], k: int, n: int) -> float:
        """Power gain of device k at satellite n."""
        radio = self.settings.radio
        antennas_db = (
            radio.satellite_antenna_db + radio.device_antenna_db - radio.additional_loss_db
        )
        path = (LIGHT_M_S / (4 * math.pi * seen['range_m'][n] * radio.carrier_hz)) ** 2
        return 10 ** (antennas_db / 10) * path * inputs.fading_satellite[k][n]

    def noise_w(self) -> float:
        """Noise power of every receiver."""
        return 10 ** ((self.settings.radio.noise_dbm - 30) / 10)

    def evaluate(
        self,
        inputs: Inputs,
        server: list[int],
        power_w: list[float],
        uav_m: list[tuple[float, float]],
    ) -> dict[str, Any]:
        """Latency, energy and cost of a slot; eqs (8) to (34)."""
        settings = self.settings
        uavs, satellites, radio = settings.uavs, settings.satellites, settings.radio
        seen = self.look(inputs.in_track_rad)
        noise_w = self.noise_w()
        xi = 10 ** (radio.residual_interference_db / 10)
        receiver: list[int | None] = []
        routes: list[Any] = []
        received_w: list[float] = []
        for k in range(self.n_devices):
            if server[k] < self.n_uavs:
                receiver.append(server[k])
                routes.append(None)
                gain = self.uav_gain(inputs, k, server[k], uav_m[server[k]])
            else:
                route = self.route(seen, inputs.in_track_rad, server[k] - self.n_uavs)
                routes.append(route)
                receiver.append(None if route is None else self.n_uavs + route[0])
                gain = 0.0 if route is None else self.satellite_gain(inputs, seen, k, route[0])
            received_w.append(gain * power_w[k])
        found: dict[str, list[Any]] = {
            name: []
            for name in (
                'latency_s', 'energy_j', 'upload_s', 'compute_s', 'download_s', 'unserved',
                'accuracy_broken', 'coverage_broken', 'power_broken',
            )
        }  # fmt: skip
        for k in range(self.n_devices):
            s = server[k]
            answer_bit = settings.tasks.answer_bit_per_word * inputs.words[k]
            high_w = settings.devices.power_w[1]
            found['power_broken'].append(not 0 <= power_w[k] <= high_w * (1 + 1e-9))
            if receiver[k] is None:
                found['unserved'].append(True)
                for name in ('upload_s', 'compute_s', 'download_s'):
                    found[name].append(0.0)
                found['latency_s'].append(2 * inputs.deadline_s[k])
                found['energy_j'].append(0.0)
                found['accuracy_broken'].append(
                    satellites.accuracy[s - self.n_uavs] < inputs.accuracy[k] - 1e-12
                )
                found['coverage_broken'].append(False)
                continue
            found['unserved'].append(False)
            others_w = sum(
                received_w[j]
                for j in range(self.n_devices)
                if j != k and receiver[j] == receiver[k]
            )
            sinr = received_w[k] / (xi * others_w + noise_w)
            if s < self.n_uavs:
                rate = radio.uav_bandwidth_hz * math.log2(1 + sinr)
                radio_s = min(inputs.size_bit[k] / rate, radio.longest_upload_s)
                upload_s, upload_j = radio_s, power_w[k] * radio_s
                compute_s, compute_j = self.compute(uavs, s, inputs.words[k])
                signal_w = self.uav_gain(inputs, k, s, uav_m[s]) * uavs.transmit_power_w
                other_uavs_w = sum(
                    self.uav_gain(inputs, k, m, uav_m[m]) * uavs.transmit_power_w
                    for m in range(self.n_uavs)
                    if m != s
                )
                down = radio.uav_bandwidth_hz * math.log2(1 + signal_w / (other_uavs_w + noise_w))
                download_s = answer_bit / down
                download_j = uavs.transmit_power_w * download_s
                accuracy = uavs.accuracy[s]
                far = math.dist(inputs.device_m[k], uav_m[s]) > uavs.coverage_m + 1e-9
            else:
                access, hops, isl_m = routes[k]
                rate = radio.satellite_bandwidth_hz * math.log2(1 + sinr)
                radio_s = min(inputs.size_bit[k] / rate, radio.longest_upload_s)
                flight_s = seen['range_m'][access] / LIGHT_M_S
                relay_s = isl_m / LIGHT_M_S + hops * inputs.size_bit[k] / satellites.isl_rate_bit_s
                upload_s = radio_s + flight_s + relay_s
                upload_j = power_w[k] * (radio_s + flight_s) + satellites.isl_power_w * relay_s
                compute_s, compute_j = self.compute(satellites, s - self.n_uavs, inputs.words[k])
                signal_w = self.satellite_gain(inputs, seen, k, access)
                signal_w *= satellites.transmit_power_w
                down = radio.satellite_bandwidth_hz * math.log2(1 + signal_w / noise_w)
                back_s = isl_m / LIGHT_M_S + hops * answer_bit / satellites.isl_rate_bit_s
                download_s = back_s + answer_bit / down + flight_s
                download_j = satellites.isl_power_w * back_s
                download_j += satellites.transmit_power_w * (answer_bit / down + flight_s)
                accuracy = satellites.accuracy[s - self.n_uavs]
                far = False
            found['upload_s'].append(upload_s)
            found['compute_s'].append(compute_s)
            found['download_s'].append(download_s)
            found['latency_s'].append(upload_s + compute_s + download_s)
            found['energy_j'].append(upload_j + compute_j + download_j)
            found['accuracy_broken'].append(accuracy < inputs.accuracy[k] - 1e-12)
            found['coverage_broken'].append(far)
            if settings.queue.enabled:
                found.setdefault('upload_j', []).append(upload_j)
        return self.price(inputs, server, routes, seen, found)

    def compute(self, servers: Any, number: int, words: float) -> tuple[float, float]:
        """Time and energy of an answer: by the paper's constants, or as a profile has them."""
        if self.settings.compute == 'paper':
            compute_s = servers.flop_per_word * words / servers.flop_s
            return compute_s, servers.compute_power_w * compute_s
        pace = servers.paces[number]
        compute_s = pace.start_s + words * pace.word_s
        return compute_s, pace.power_w * compute_s

    def queue(
        self, inputs: Inputs, server: list[int], found: dict[str, list[Any]]
    ) -> tuple[list[float], list[bool], list[float]]:
        """Waiting times, who is dropped, and the backlog that is left, first come first served."""
        wait_s = [0.0] * self.n_devices
        dropped = [False] * self.n_devices
        left_s = []
        for s in range(self.n_servers):
            free_s = inputs.backlog_s[s]
            mine = [
                k for k in range(self.n_devices) if server[k] == s and not found['unserved'][k]
            ]
            for k in sorted(mine, key=lambda k: (found['upload_s'][k], k)):
                start_s = max(found['upload_s'][k], free_s)
                wait_s[k] = start_s - found['upload_s'][k]
                if wait_s[k] > self.settings.queue.longest_wait_s:
                    dropped[k] = True
                else:
                    free_s = start_s + found['compute_s'][k]
            left_s.append(max(0.0, free_s - self.settings.slot_s))
        return wait_s, dropped, left_s

    def price(
        self,
        inputs: Inputs,
        server: list[int],
        routes: list[Any],
        seen: dict[str, list[Any]],
        found: dict[str, list[Any]],
    ) -> dict[str, Any]:
        """Queues, penalties and the objective (31)."""
        settings, objective = self.settings, self.settings.objective
        wait_s, dropped = [0.0] * self.n_devices, [False] * self.n_devices
        left_s = [0.0] * self.n_servers
        if settings.queue.enabled:
            wait_s, dropped, left_s = self.queue(inputs, server, found)
        visibility_broken, late, cost, penalised = [], [], [], []
        for k in range(self.n_devices):
            latency_s = found['latency_s'][k] + wait_s[k]
            broken = found['unserved'][k]
            if routes[k] is not None:
                broken = broken or latency_s > seen['left_s'][routes[k][0]]
            if dropped[k]:
                latency_s = 2 * inputs.deadline_s[k]
                found['energy_j'][k] = found['upload_j'][k]
            found['latency_s'][k] = latency_s
            visibility_broken.append(broken)
            late.append(latency_s > inputs.deadline_s[k])
            cost.append(
                objective.latency_weight * latency_s / objective.latency_reference_s
                + objective.energy_weight * found['energy_j'][k] / objective.energy_reference_j
            )
            flags = (
                found['accuracy_broken'][k]
                + found['coverage_broken'][k]
                + found['power_broken'][k]
                + broken
                + dropped[k]
            )
            overdue_s = max(0.0, latency_s - inputs.deadline_s[k])
            penalised.append(
                cost[k]
                + objective.lateness_penalty * overdue_s / objective.latency_reference_s
                + objective.violation_penalty * flags
            )
        return {
            **found,
            'wait_s': wait_s,
            'dropped': dropped,
            'visibility_broken': visibility_broken,
            'late': late,
            'backlog_next_s': left_s,
            'task_cost': cost,
            'task_penalised': penalised,
            'cost': sum(cost) / self.n_devices,
            'penalised_cost': sum(penalised) / self.n_devices,
        }

    def observe(self) -> Any:
        """The state (32), scaled."""
        settings, inputs = self.settings, self.inputs
        seen = self.look(inputs.in_track_rad)
        high_w = settings.devices.power_w[1]
        noise_w = self.noise_w()
        values = []
        values += [size / 1e7 for size in inputs.size_bit]
        values += [words / 96 for words in inputs.words]
        values += list(inputs.accuracy)
        values += [deadline / 3 for deadline in inputs.deadline_s]
        for k in range(self.n_devices):
            for m in range(self.n_uavs):
                snr = self.uav_gain(inputs, k, m, inputs.uav_m[m]) * high_w / noise_w
                values.append(10 * math.log10(snr) / 60)
            for n in range(self.n_satellites):
                if not seen['up'][n]:
                    values.append(-1.0)
                    continue
                snr = self.satellite_gain(inputs, seen, k, n) * high_w / noise_w
                values.append(10 * math.log10(snr) / 60)
        for place in inputs.device_m:
            values += [place[0] / settings.area_m[0], place[1] / settings.area_m[1]]
        for place in inputs.uav_m:
            values += [place[0] / settings.area_m[0], place[1] / settings.area_m[1]]
        values += [left_s / 443 for left_s in seen['left_s']]
        values += [float(up) for up in seen['up']]
        if settings.queue.enabled:
            values += [backlog / settings.queue.longest_wait_s for backlog in inputs.backlog_s]
        return np.array(values, dtype=np.float32)

    def info(self, outcome: dict[str, Any] | None) -> dict[str, Any]:
        """Which servers are admissible, and what each device's task cost."""
        inputs = self.inputs
        seen = self.look(inputs.in_track_rad)
        long_s = 2 * max(inputs.deadline_s)
        mask = np.zeros((self.n_devices, self.n_servers), dtype=bool)
        for k in range(self.n_devices):
            for m in range(self.n_uavs):
                near = math.dist(inputs.device_m[k], inputs.uav_m[m])
                able = self.settings.uavs.accuracy[m] >= inputs.accuracy[k] - 1e-12
                mask[k, m] = able and near <= self.settings.uavs.coverage_m + 1e-9
            for n in range(self.n_satellites):
                able = self.settings.satellites.accuracy[n] >= inputs.accuracy[k] - 1e-12
                route = self.route(seen, inputs.in_track_rad, n)
                mask[k, self.n_uavs + n] = (
                    able and route is not None and seen['left_s'][route[0]] >= long_s
                )
        info: dict[str, Any] = {'action_mask': mask}
        if outcome is not None:
            info['device_reward'] = [-cost for cost in outcome['task_penalised']]
            info['cost'] = outcome['cost']
            info['penalised_cost'] = outcome['penalised_cost']
        return info
