"""A step of successive convex approximation as one writes it down in cvxpy, to compare with.

P5 and P6 of Liu et al., Sensors 2026, 26(11), 3540, as corrected, for one UAV without a limit of
acceleration. Same approximations as `controllers.partial.trajectory`, but a slack for each
distance. The problem is built and compiled anew for every step, for its data depend on the path.
"""

from __future__ import annotations

import cvxpy
import numpy as np

from sec_nodes.controllers.partial.flight import Sortie
from sec_nodes.controllers.partial.minorant import RateMinorants, time_minorant
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.partial.uploads import endless_passage, slot_overlap_s
from sec_nodes.slot import FloatArray

MARGIN = 1.0 + 1e-5


def cvxpy_step(
    settings: PartialSettings, sortie: Sortie, path_m: FloatArray, reach_m: float
) -> FloatArray:
    """The path (M + 1, 2) that is best in the convex problem around `path_m`."""
    slots, slot_s, n = settings.slots, settings.slot_s, len(sortie.terminal_m)
    tasks, wing, uavs = sortie.tasks, settings.wing, settings.uavs
    # lengths in 100 m, data in Mb, energies in kJ, work in Gcycle
    path, place = path_m / 100.0, sortie.terminal_m / 100.0
    q = cvxpy.Variable((slots + 1, 2))
    speed, induced = cvxpy.Variable(slots), cvxpy.Variable(slots)
    distance = cvxpy.Variable((n, slots))
    end, left = cvxpy.Variable(n), cvxpy.Variable(n, pos=True)

    offset_m = path_m[None, :-1] - sortie.terminal_m[:, None]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    bound = RateMinorants(sortie.link, n, float(np.hypot(*settings.area_m))).around(distance_m)
    aside = distance - distance_m / 100.0
    rate = (
        bound.rate_bit_s / 1e6
        + cvxpy.multiply(bound.slope_bit_s_m * 1e-4, aside)
        - cvxpy.multiply(bound.curvature_bit_s_m2 * 5e-3, cvxpy.square(aside))
    )
    end_s, _ = endless_passage(bound.rate_bit_s, tasks.local_s, tasks.intermediate_bit, slot_s)
    program_s = slot_overlap_s(np.zeros(n), tasks.local_s, slot_s, slots)
    upload_s = slot_overlap_s(tasks.local_s, end_s, slot_s, slots)
    psi = time_minorant(
        rate_bit_s(np.maximum(distance_m - reach_m, 0.0), sortie.link),
        rate_bit_s(distance_m + reach_m, sortie.link),
        end_s,
        slot_s,
    )
    later = cvxpy.min(
        psi.intercept_bit / 1e6
        + cvxpy.multiply(psi.slope_bit_s / 1e6, cvxpy.reshape(end, (n, 1), order='C')),
        axis=1,
    )
    step, here = q[1:] - q[:-1], np.diff(path, axis=0)
    length_m = np.hypot(here[:, 0], here[:, 1]) * 100.0
    ratio = (length_m / (slot_s * wing.induced_speed_m_s)) ** 2
    drop = np.sqrt(np.sqrt(1.0 + ratio**2 / 4.0) - ratio / 2.0)
    pace = slot_s * wing.induced_speed_m_s / 100.0
    flown = 2.0 * cvxpy.sum(cvxpy.multiply(here, step), axis=1) - (here**2).sum(axis=1)
    constraints = [
        q[0] == sortie.start_m / 100.0,
        q[-1] == sortie.end_m / 100.0,
        cvxpy.norm(step, axis=1) * 100.0 / slot_s <= speed,
        speed <= uavs.speed_m_s,
        cvxpy.power(induced, -2)
        <= drop**2 + cvxpy.multiply(2.0 * drop, induced - drop) + flown / pace**2,
        cvxpy.norm(q - path, axis=1) <= reach_m / 100.0,
        cvxpy.sum(cvxpy.multiply(program_s, rate), axis=1) >= tasks.program_bit / 1e6 * MARGIN,
        cvxpy.sum(cvxpy.multiply(upload_s, rate), axis=1) + later
        >= tasks.intermediate_bit / 1e6 * MARGIN,
        end >= np.maximum(psi.earliest_s, tasks.local_s),
        end <= np.minimum(psi.latest_s, settings.mission_s),
        left <= tasks.deadline_s - end,
        tasks.work_cycle / 1e9 @ cvxpy.inv_pos(left) <= sortie.cpu_hz / 1e9,
    ]
    constraints += [cvxpy.norm(q[:-1] - place[k], axis=1) <= distance[k] for k in range(n)]
    blade = wing.blade_power_w * (1.0 + 3.0 * cvxpy.square(speed / wing.tip_speed_m_s))
    drag = 0.5 * wing.drag_ratio * wing.air_density_kg_m3 * wing.solidity * wing.disc_area_m2
    power_w = cvxpy.sum(blade + drag * cvxpy.power(speed, 3) + wing.induced_power_w * induced)
    phi = uavs.capacitance_j_s2 * 1e27 * settings.objective.service_weight
    service_j = phi * (tasks.work_cycle / 1e9) ** 3 @ cvxpy.power(left, -2)
    problem = cvxpy.Problem(cvxpy.Minimize((slot_s * power_w + service_j) / 1e3), constraints)
    problem.solve(solver=cvxpy.CLARABEL)
    return np.asarray(q.value) * 100.0
