"""The exact problem of one UAV for IPOPT, written a second time in CasADi: a yardstick for tests.

Nothing is convex and nothing is approximated here: propulsion (1), rates (2) to (4), windows and
processor as in Liu et al. 2026 as corrected. Units: 100 m, s, Mb, GHz, kJ.
"""

from __future__ import annotations

import casadi
import numpy as np

_LENGTH_M = 100.0


def nlp_optimum(settings, sortie, start_m, end_s):
    """Least E_u [J] and path (M + 1, 2) that IPOPT finds from a path and upload ends (n,)."""
    slots, slot_s, n = settings.slots, settings.slot_s, len(end_s)
    inner = casadi.MX.sym('q', 2, slots - 1)
    tau = casadi.MX.sym('tau', n)
    q = casadi.horzcat(sortie.start_m / _LENGTH_M, inner, sortie.end_m / _LENGTH_M)
    step2 = casadi.sum1((q[:, 1:] - q[:, :-1]) ** 2) * _LENGTH_M**2
    speed2 = step2 / slot_s**2
    flown_j = slot_s * casadi.sum2(_power_w(settings.airframe, speed2))
    tasks, beta = sortie.tasks, settings.objective.service_weight
    work = tasks.work_cycle / 1e9
    left_s = tasks.deadline_s - tau
    phi = settings.uavs.capacitance_j_s2 * 1e27
    cost = (flown_j + beta * phi * casadi.sum1(work**3 / left_s**2)) / 1e3
    limits, low, high = [speed2.T], [0.0] * slots, [settings.uavs.speed_m_s**2] * slots
    if settings.uavs.acceleration_m_s2 is not None:
        bend = (q[:, 2:] - 2 * q[:, 1:-1] + q[:, :-2]) * _LENGTH_M / slot_s**2
        limits.append(casadi.sum1(bend**2).T)
        low += [0.0] * (slots - 1)
        high += [settings.uavs.acceleration_m_s2**2] * (slots - 1)
    begins_s = np.arange(slots) * slot_s
    for task in range(n):
        rate = _rate_mb_s(settings, sortie, q[:, :-1], task)
        local_s = tasks.local_s[task]
        until = np.clip(local_s - begins_s, 0.0, slot_s)
        limits.append(casadi.dot(rate, casadi.DM(until).T))
        limits.append(_carried(rate, local_s, tau[task], begins_s, slot_s))
        low += [tasks.program_bit[task] / 1e6, tasks.intermediate_bit[task] / 1e6]
        high += [np.inf, np.inf]
    limits.append(casadi.sum1(work / left_s))
    low.append(-np.inf)
    high.append(sortie.cpu_hz / 1e9)
    unknown = casadi.vertcat(casadi.vec(inner), tau)
    problem = {'x': unknown, 'f': cost, 'g': casadi.vertcat(*limits)}
    options = {'print_time': False, 'ipopt.print_level': 0, 'ipopt.sb': 'yes'}
    solver = casadi.nlpsol('path', 'ipopt', problem, {**options, 'ipopt.max_iter': 500})
    free = np.full(2 * (slots - 1), np.inf)
    latest_s = np.minimum(tasks.deadline_s - 1e-3, slots * slot_s)
    found = solver(
        x0=np.concatenate([start_m[1:-1].ravel() / _LENGTH_M, end_s]),
        lbx=np.concatenate([-free, tasks.local_s]),
        ubx=np.concatenate([free, latest_s]),
        lbg=low,
        ubg=high,
    )
    x = np.array(found['x']).ravel()
    inner_m = x[: 2 * (slots - 1)].reshape(-1, 2) * _LENGTH_M
    path_m = np.concatenate([sortie.start_m[None], inner_m, sortie.end_m[None]])
    return float(found['f']) * 1e3, path_m, solver.stats()['success']


def _power_w(wing, speed2):
    z = speed2 / (2 * wing.induced_speed_m_s**2)
    induced = wing.induced_power_w / casadi.sqrt(casadi.sqrt(1 + z**2) + z)
    blade = wing.blade_power_w * (1 + 3 * speed2 / wing.tip_speed_m_s**2)
    drag = 0.5 * wing.drag_ratio * wing.air_density_kg_m3 * wing.solidity * wing.disc_area_m2
    return blade + drag * (speed2 + 1e-9) ** 1.5 + induced


def _rate_mb_s(settings, sortie, q, task):
    radio, height_m = settings.radio, sortie.link.altitude_m
    offset_m = q * _LENGTH_M - sortie.terminal_m[task]
    distance_m = casadi.sqrt(casadi.sum1(offset_m**2) + 1e-6)
    theta = casadi.atan2(height_m, distance_m) * 180 / np.pi
    a, b = radio.los_midpoint_deg, radio.los_steepness_per_deg
    sight = 1 / (1 + a * casadi.exp(-b * (theta - a)))
    wave = 4 * np.pi * radio.carrier_hz / radio.light_speed_m_s
    loss_db = (
        20 * np.log10(wave)
        + 10 * casadi.log10(distance_m**2 + height_m**2)
        + sight * radio.los_loss_db
        + (1 - sight) * radio.nlos_loss_db
        + float(
            np.broadcast_to(sortie.link.penetration_loss_db, (len(sortie.terminal_m), 1))[task, 0]
        )
    )
    noise_db = radio.noise_dbm_hz - 30 + 10 * np.log10(radio.bandwidth_hz)
    snr = 10 ** ((10 * np.log10(radio.transmit_power_w) - loss_db - noise_db) / 10)
    return radio.bandwidth_hz / 1e6 * casadi.log(1 + snr) / np.log(2)


def _carried(rate, from_s, until_s, begins_s, slot_s):
    begins = casadi.DM(np.maximum(begins_s, from_s)).T
    shared_s = casadi.fmin(until_s, casadi.DM(begins_s + slot_s).T) - begins
    inside = casadi.DM((begins_s + slot_s > from_s).astype(float)).T
    return casadi.dot(rate, casadi.fmax(shared_s, 0.0) * inside)
