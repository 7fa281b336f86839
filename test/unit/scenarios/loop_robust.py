"""A slot of the robust scenario written out user by user, from the equations of Meng and Li.

It shares nothing with sec_nodes.scenarios but the parameters and the drawn numbers of a state.
"""

from __future__ import annotations

import math

NETWORKS = {
    # (kind, C_in or U_in, C_out or U_out, side out, kernel), side of what goes on, channels
    'alexnet': [
        ('conv', 3, 64, 55, 11), ('conv', 64, 192, 27, 5), ('conv', 192, 384, 13, 3),
        ('conv', 384, 256, 13, 3), ('conv', 256, 256, 13, 3),
        ('fc', 9216, 4096), ('fc', 4096, 4096), ('fc', 4096, 1000),
    ],
    'vgg13': [(64, 224), (64, 224), (128, 112), (128, 112), (256, 56), (256, 56), (512, 28),
              (512, 28), (512, 14), (512, 14)],
    'vgg16': [(64, 224), (64, 224), (128, 112), (128, 112), (256, 56), (256, 56), (256, 56),
              (512, 28), (512, 28), (512, 28), (512, 14), (512, 14), (512, 14)],
}  # fmt: skip
ALEXNET_INPUTS = [3 * 224**2, 64 * 27**2, 192 * 13**2, 384 * 13**2, 256 * 13**2, 256 * 6**2,
                  4096, 4096]  # fmt: skip
FULLY_CONNECTED = [(25088, 4096), (4096, 4096), (4096, 1000)]


def layers(name):
    """FLOPs of each layer, and bits of the tensor that enters it."""
    if name == 'alexnet':
        flop = []
        for kind, *sizes in NETWORKS[name]:
            if kind == 'conv':
                c_in, c_out, side, kernel = sizes
                flop.append(2 * side**2 * c_in * kernel**2 * c_out)
            else:
                flop.append(2 * (sizes[0] - 1) * sizes[1])
        return flop, [32 * size for size in ALEXNET_INPUTS]
    flop, bits, channels, side = [], [], 3, 224
    for c_out, at in NETWORKS[name]:
        bits.append(32 * channels * at**2)  # pooling before this layer has brought it to its side
        assert at in (side, side // 2)
        flop.append(2 * at**2 * channels * 9 * c_out)
        channels, side = c_out, at
    for u_in, u_out in FULLY_CONNECTED:
        bits.append(32 * u_in)
        flop.append(2 * (u_in - 1) * u_out)
    return flop, bits


def slot(settings, state, decision, copy):
    """Everything that a slot comes to in one copy, as a dictionary."""
    s = Slot(settings, state, decision, copy)
    s.upload()
    s.fail()
    s.compute()
    s.fly()
    return s.totals()


class Slot:
    """One slot of one copy."""

    def __init__(self, settings, state, decision, copy):
        self.p, self.copy = settings, copy
        self.users, self.uavs = range(settings.users.count), range(settings.uavs.count)
        self.state, self.decision = state, decision
        self.was_alive = [bool(x) for x in state.alive[copy]]
        now = int(state.slot[copy])
        self.alive = [
            self.was_alive[j] and now < int(state.failure_slot[copy][j]) for j in self.uavs
        ]
        self.noise_hz = 10 ** ((settings.radio.noise_dbm_hz - 30) / 10)
        radio = settings.radio
        share = settings.users.count if radio.uplink_sharing == 'fdma' else 1
        self.bandwidth_hz = radio.uplink_bandwidth_hz / share
        names = settings.users.networks
        self.tables = [layers(names[int(state.network[copy][i])]) for i in self.users]

    def snr(self, i, j):
        """|h|^2 / sigma^2, (14)."""
        radio = self.p.radio
        x, y = self.state.user_m[self.copy][i]
        distance_m = math.dist((x, y, 0.0), self.state.uav_m[self.copy][j])
        gain = 10 ** (radio.uplink_gain_db / 10) * distance_m**-radio.path_loss_exponent
        fading = float(self.state.fading[self.copy][i][j])
        return gain * fading / (self.noise_hz * self.bandwidth_hz)

    def rate(self, power_w, i, j):
        """(15)."""
        return self.bandwidth_hz * math.log2(1 + power_w * self.snr(i, j))

    def between(self, j, k):
        """(16), (17) as corrected."""
        radio = self.p.radio
        square = math.dist(self.state.uav_m[self.copy][j], self.state.uav_m[self.copy][k]) ** 2
        snr = self.p.uavs.transmit_power_w * 10 ** (radio.backhaul_gain_db / 10) / square
        snr /= self.noise_hz * radio.backhaul_bandwidth_hz
        return radio.backhaul_bandwidth_hz * math.log2(1 + snr)

    def upload(self):
        """Local layers, frequencies and powers by the rule, uploads."""
        p = self.p
        per_cycle = p.computing.flop_per_cycle
        self.task = []
        for i in self.users:
            flop, bits = self.tables[i]
            phi = int(self.decision.split[self.copy][i])
            front = sum(flop[: phi - 1]) / per_cycle
            self.task.append(
                {
                    'phi': phi,
                    'front': front,
                    'rear': sum(flop[phi - 1 :]) / per_cycle,
                    'bits': bits[phi - 1],
                    'server': int(self.decision.server[self.copy][i]),
                    'local_s': front / p.users.frequency_hz,
                    'f': 0.0,
                    'power': 0.0,
                    'admitted': False,
                }
            )
        for i in self.users:
            if not self.was_alive[self.task[i]['server']]:
                self.task[i]['server'] = None
        for j in self.uavs:
            self.allocate([i for i in self.users if self.task[i]['server'] == j], j)
        for i in self.users:
            t = self.task[i]
            t['tr_s'] = 0.0
            if t['admitted']:
                t['tr_s'] = t['bits'] / self.rate(t['power'], i, t['server'])

    def allocate(self, members, j):
        """Rules prop, sqrt, equal and deadline of one UAV."""
        p, rule = self.p, self.p.allocation
        total_hz = p.uavs.frequency_hz
        if rule == 'deadline':
            wanted = []
            for i in members:
                t = self.task[i]
                left_s = p.slot_s - t['local_s'] - t['bits'] / self.rate(p.users.power_max_w, i, j)
                if left_s > 0:
                    wanted.append((t['rear'] / left_s, i))
            used = 0.0
            for f, i in sorted(wanted):
                if used + f <= total_hz:
                    used += f
                    self.task[i].update(f=f, admitted=True)
        else:
            weigh = {'prop': lambda c: c, 'sqrt': math.sqrt, 'equal': lambda c: 1.0}[rule]
            weights = {i: weigh(self.task[i]['rear']) for i in members}
            for i in members:
                f = total_hz * weights[i] / sum(weights.values())
                self.task[i].update(f=f, admitted=True)
        for i in members:
            t = self.task[i]
            if not t['admitted']:
                continue
            left_s = p.slot_s - t['local_s'] - t['rear'] / t['f']
            power = p.users.power_max_w
            if left_s > 0:
                exponent = t['bits'] / (self.bandwidth_hz * left_s)
                if exponent < 1000:
                    power = min(power, (2**exponent - 1) / self.snr(i, j))
            t['power'] = power

    def fail(self):
        """Failures, and where the tasks of failed UAVs go."""
        p, failures = self.p, self.p.failures
        for i in self.users:
            t = self.task[i]
            t.update(effective=t['server'] if t['admitted'] else None, mig_s=0.0, lost_s=0.0)
            t.update(lost_cycles=0.0, migrated=False, lost=False, rest=t['rear'])
        hit = [
            i for i in self.users if self.task[i]['admitted']
            and not self.alive[self.task[i]['server']]
        ]  # fmt: skip
        moves = []
        for i in hit:
            t = self.task[i]
            t.update(effective=None, lost=True)
            t['lost_cycles'] = failures.progress * t['rear']
            t['lost_s'] = t['lost_cycles'] / t['f']
            targets = [k for k in self.uavs if self.alive[k] and k != t['server']]
            if failures.migration == 'none' or not targets:
                continue
            wish = self.decision.preference[self.copy][i]
            k = max(targets, key=lambda k: (wish[k], -k))
            bits, rest = t['bits'], t['rear']
            keeps = failures.progress_kept == 'checkpoint' and failures.migration == 'relay'
            if failures.progress > 0 and keeps:
                flop, sizes = self.tables[i]
                done, m = t['lost_cycles'], t['phi']
                while m < len(flop) and done >= flop[m - 1] / p.computing.flop_per_cycle:
                    done -= flop[m - 1] / p.computing.flop_per_cycle
                    m += 1
                bits, rest = sizes[m - 1], sum(flop[m - 1 :]) / p.computing.flop_per_cycle
            if failures.migration == 'resend':
                mig_s = bits / self.rate(t['power'], i, k)
            else:
                mig_s = bits / self.between(t['server'], k)
            left_s = p.slot_s - t['local_s'] - t['tr_s'] - t['lost_s'] - mig_s
            if left_s > 0:
                moves.append((rest / left_s, i, k, mig_s, rest))
        load = dict.fromkeys(self.uavs, 0.0)
        for i in self.users:
            t = self.task[i]
            if t['effective'] is not None:
                load[t['effective']] += t['f']
        for k in self.uavs:
            used = load[k]
            for f, i, target, mig_s, rest in sorted(moves):
                if target != k:
                    continue
                used += f  # in order: once one does not fit, no larger one does
                if used <= p.uavs.frequency_hz:
                    self.task[i].update(
                        effective=k, mig_s=mig_s, migrated=True, lost=False, rest=rest, new_f=f
                    )

    def compute(self):
        """Times and energies, (18) to (27)."""
        p = self.p
        kappa = p.computing.capacitance_j_s2
        for i in self.users:
            t = self.task[i]
            served = t['effective'] is not None
            f = t.get('new_f', t['f'])
            t['off_s'] = t['rest'] / f if served else 0.0
            t['latency'] = math.inf
            if served:
                t['latency'] = t['local_s'] + t['tr_s'] + t['lost_s'] + t['mig_s'] + t['off_s']
            t['completed'] = t['latency'] <= p.slot_s * (1 + 1e-9)
            t['local_j'] = kappa * p.users.frequency_hz**2 * t['front']
            t['tr_j'] = t['power'] * t['tr_s']
            resend = p.failures.migration == 'resend'
            t['resend_j'] = t['power'] * t['mig_s'] if resend else 0.0
            t['mig_j'] = 0.0 if resend else p.uavs.transmit_power_w * t['mig_s']
            t['off_j'] = kappa * t['f'] ** 2 * t['lost_cycles']
            if served:
                t['off_j'] += kappa * f**2 * t['rest']

    def fly(self):
        """Motion of the UAVs, and what it costs."""
        p, uavs = self.p, self.p.uavs
        low = (0.0, 0.0, uavs.altitude_m[0])
        high = (*p.area_m, uavs.altitude_m[1])
        self.place, self.flight_j, self.n_out = [], [], 0
        for j in self.uavs:
            q = [float(x) for x in self.state.uav_m[self.copy][j]]
            v = [float(x) for x in self.state.uav_velocity_m_s[self.copy][j]]
            if not self.alive[j]:
                self.place.append(q)
                self.flight_j.append(0.0)
                continue
            speed = math.hypot(*v)
            self.flight_j.append(self.propulsion(speed) * p.slot_s)
            a = [float(x) for x in self.decision.acceleration_m_s2[self.copy][j]]
            scale = min(1.0, uavs.acceleration_m_s2 / max(math.hypot(*a), 1e-300))
            after = [v[d] + scale * a[d] * p.slot_s for d in range(3)]
            scale = min(1.0, uavs.speed_m_s / max(math.hypot(*after), 1e-300))
            after = [scale * x for x in after]
            effective = [(after[d] - v[d]) / p.slot_s for d in range(3)]
            new = [q[d] + v[d] * p.slot_s + effective[d] * p.slot_s**2 / 2 for d in range(3)]
            if any(not low[d] <= new[d] <= high[d] for d in range(3)):
                self.n_out += 1
            self.place.append([min(max(new[d], low[d]), high[d]) for d in range(3)])
        self.n_close = sum(
            math.dist(self.place[j], self.place[k]) < uavs.safe_distance_m
            for j in self.uavs for k in self.uavs
            if j < k and self.alive[j] and self.alive[k]
        )  # fmt: skip

    def propulsion(self, v):
        """(2) as corrected."""
        w = self.p.uavs.propulsion
        x = v**2 / (2 * w.induced_speed_m_s**2)
        drag = w.drag_ratio * w.air_density_kg_m3 * w.solidity * w.disc_area_m2 / 2
        blade = w.blade_power_w * (1 + 3 * v**2 / w.tip_speed_m_s**2)
        return blade + drag * v**3 + w.induced_power_w * math.sqrt(math.sqrt(1 + x**2) - x)

    def totals(self):
        """(27) and (31)."""
        weights = self.p.objective
        tasks = self.task
        users_j = sum(t['local_j'] + t['tr_j'] + t['resend_j'] for t in tasks)
        uavs_j = sum(t['off_j'] + t['mig_j'] for t in tasks)
        e_tot = users_j + weights.flight_weight * sum(self.flight_j)
        e_tot += weights.compute_weight * uavs_j
        late = sum(not t['completed'] for t in tasks)
        penalty = (
            (1 + weights.penalty_distance * self.n_close)
            * (1 + weights.penalty_late * late)
            * (1 + weights.penalty_outside * self.n_out)
        )
        found = {
            name: [t[key] for t in tasks]
            for name, key in {
                'local_s': 'local_s', 'transmission_s': 'tr_s', 'lost_s': 'lost_s',
                'migration_s': 'mig_s', 'offload_s': 'off_s', 'latency_s': 'latency',
                'local_j': 'local_j', 'transmission_j': 'tr_j', 'resend_j': 'resend_j',
                'migration_j': 'mig_j', 'offload_j': 'off_j', 'completed': 'completed',
                'migrated': 'migrated', 'lost': 'lost',
            }.items()
        }  # fmt: skip
        return found | {
            'e_tot_j': e_tot, 'penalty': penalty, 'reward': -e_tot * penalty,
            'flight_j': self.flight_j, 'uav_m': self.place,
            'n_close': self.n_close, 'n_outside': self.n_out, 'n_late': late,
        }  # fmt: skip
