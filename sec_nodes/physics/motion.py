"""Motion: a jerk-limited autopilot, straight set-points, walking users, the PX4 frame border."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sec_nodes.physics.checks import (
    FloatArray,
    Floats,
    require_finite,
    require_last_axis,
    require_nonnegative,
    require_positive,
)


@dataclass(frozen=True)
class MotionLimits:
    """What a vehicle can do; each limit bounds the norm of a 3-D vector."""

    speed_m_s: float
    """Greatest speed [m/s]."""
    acceleration_m_s2: float
    """Greatest acceleration [m/s^2]."""
    jerk_m_s3: float
    """Greatest change of acceleration per second [m/s^3]."""

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            require_positive(field.name, limit, 'Give each vehicle a limit above 0.')
            require_finite(field.name, limit, 'Use a large finite limit instead.')


@dataclass(frozen=True)
class MotionState:
    """Kinematic state of N vehicles in a common ENU frame, arrays (N, 3)."""

    position_m: FloatArray
    """Position [m; ENU]."""
    velocity_m_s: FloatArray
    """Velocity [m/s; ENU]."""
    acceleration_m_s2: FloatArray
    """Acceleration of the last step [m/s^2; ENU]."""

    @classmethod
    def at_rest(cls, position_m: FloatArray) -> MotionState:
        """Return the state of vehicles standing still at `position_m` (N, 3)."""
        require_last_axis('position_m', position_m, 3)
        return cls(position_m, np.zeros_like(position_m), np.zeros_like(position_m))


def track(
    state: MotionState,
    reference_m: FloatArray,
    reference_velocity_m_s: FloatArray,
    limits: MotionLimits,
    step_s: float,
) -> MotionState:
    """Advance N vehicles by one step (e.g. 0.02 s) towards moving set-points.

    `reference_m` and `reference_velocity_m_s` (N, 3) [ENU] are the set-points at the time of
    `state`.  A vehicle is a double integrator with constant acceleration within a step.  Its
    autopilot is a cascade: the position error asks for a closing speed it can still brake from,
    the velocity error asks for an acceleration, and this moves under the jerk limit.  Against a
    set-point of constant velocity the error decays to 0; a still one is reached without lasting
    overshoot.  After every step |v|, |a| and |a - a_old| / step_s keep their limits (to rounding).

    Raises ValueError for NaN or infinite input, step_s <= 0, and for a state from which the limits
    cannot be kept (too fast, or accelerating so hard that it must become so).
    """
    require_positive('step_s', step_s, 'Pass the control period in seconds, e.g. 0.02.')
    wanted = _wanted_acceleration(state, reference_m, reference_velocity_m_s, limits, step_s)
    change: FloatArray = _shorten(wanted - state.acceleration_m_s2, limits.jerk_m_s3 * step_s)
    acceleration: FloatArray = state.acceleration_m_s2 + change
    velocity: FloatArray = state.velocity_m_s + step_s * acceleration
    if not _within(velocity, acceleration, limits, step_s):
        # Rare, so the question whether the input was sound is asked only here.
        _require_trackable(state, reference_m, reference_velocity_m_s, limits, step_s)
        acceleration = _keep_speed(state, acceleration, limits, step_s)
        velocity = state.velocity_m_s + step_s * acceleration
    position = state.position_m + (0.5 * step_s) * (state.velocity_m_s + velocity)
    return MotionState(position, velocity, acceleration)


def _wanted_acceleration(
    state: MotionState,
    reference_m: FloatArray,
    reference_velocity_m_s: FloatArray,
    limits: MotionLimits,
    step_s: float,
) -> FloatArray:
    """Return the acceleration the cascade asks for, within the acceleration limit."""
    # With this gain a velocity error that saturates the acceleration ramps it back to zero just
    # within the jerk limit.  A quarter of it for the position loop is critical damping.
    velocity_gain: float = min(limits.jerk_m_s3 / limits.acceleration_m_s2, 0.25 / step_s)
    position_gain = 0.25 * velocity_gain
    # Brake with half the acceleration, so that the other half can catch up on the jerk's delay.
    braking = 0.5 * limits.acceleration_m_s2
    error = reference_m - state.position_m
    # Closing speed position_gain * r near the goal, on the parabola sqrt(2 braking (r - r0 / 2))
    # beyond r0, where the two have the same value and slope.
    r0 = braking / position_gain**2
    r = np.maximum(_norm(error), r0)
    closing_gain = np.sqrt(braking * (2.0 * r - r0)) / r
    wanted = _shorten(reference_velocity_m_s + closing_gain[..., None] * error, limits.speed_m_s)
    return _shorten(velocity_gain * (wanted - state.velocity_m_s), limits.acceleration_m_s2)


def _keep_speed(
    state: MotionState, acceleration: FloatArray, limits: MotionLimits, step_s: float
) -> FloatArray:
    """Return the given accelerations, reduced where they would lead beyond the speed limit.

    A vehicle under a jerk limit goes on gaining speed while its acceleration dies out.  What must
    stay within the speed limit is therefore the coasting velocity, reached by ramping the
    acceleration straight to zero.  Ramping leaves it unchanged and moves the velocity along a
    straight line to it, so once it is within the limit there is always a step that keeps it there.
    """
    speed = limits.speed_m_s * _slack(acceleration, ulps=32)
    after = state.velocity_m_s + step_s * acceleration
    over = _norm(_coasting_velocity(after, acceleration, limits, step_s)) > speed
    velocity = state.velocity_m_s[over]
    current = state.acceleration_m_s2[over]
    ramp = current - _shorten(current, limits.jerk_m_s3 * step_s)
    change = acceleration[over] - ramp
    low = np.zeros(len(ramp), dtype=ramp.dtype)  # share of the change that is known to be safe
    width = 0.5
    for _ in range(12):
        trial = ramp + (low + width)[..., None] * change
        coasting = _coasting_velocity(velocity + step_s * trial, trial, limits, step_s)
        low = np.where(_norm(coasting) <= speed, low + width, low)
        width *= 0.5
    kept = acceleration.copy()
    kept[over] = ramp + low[..., None] * change
    return kept


def _coasting_velocity(
    velocity: FloatArray, acceleration: FloatArray, limits: MotionLimits, step_s: float
) -> FloatArray:
    """Return the velocity reached when the acceleration ramps to zero from the next step on.

    The steps add |a| - i J dt for i = 1 .. n, n the number of full ramp steps within |a|.
    """
    ramp = limits.jerk_m_s3 * step_s
    size = _norm(acceleration)
    n = np.floor(size / ramp)
    gain = step_s * n * (1.0 - 0.5 * ramp * (n + 1.0) / np.maximum(size, ramp))
    return velocity + gain[..., None] * acceleration


def _within(
    velocity: FloatArray, acceleration: FloatArray, limits: MotionLimits, step_s: float
) -> bool:
    """Tell whether all vehicles are within their limits and can stay there; False for a NaN."""
    coasting = _coasting_velocity(velocity, acceleration, limits, step_s)
    slack = _slack(coasting, ulps=32)
    return bool(
        _norm(coasting).max(initial=0.0) <= limits.speed_m_s * slack
        and _norm(velocity).max(initial=0.0) <= limits.speed_m_s * slack
        and _norm(acceleration).max(initial=0.0) <= limits.acceleration_m_s2 * slack
    )


def _require_trackable(
    state: MotionState,
    reference_m: FloatArray,
    reference_velocity_m_s: FloatArray,
    limits: MotionLimits,
    step_s: float,
) -> None:
    """Raise ValueError for input that `track` cannot answer within the limits."""
    remedy = 'Drop the message that carried it.'
    for name, vector in (
        ('state.position_m', state.position_m),
        ('state.velocity_m_s', state.velocity_m_s),
        ('state.acceleration_m_s2', state.acceleration_m_s2),
        ('reference_m', reference_m),
        ('reference_velocity_m_s', reference_velocity_m_s),
    ):
        require_finite(name, vector, remedy)
    coasting = _coasting_velocity(state.velocity_m_s, state.acceleration_m_s2, limits, step_s)
    slack = _slack(coasting, ulps=4096)  # wider, so that no step can refuse what a step left
    for name, vector, limit in (
        ('velocity_m_s', state.velocity_m_s, limits.speed_m_s),
        ('acceleration_m_s2', state.acceleration_m_s2, limits.acceleration_m_s2),
        ('velocity_m_s after the acceleration has died out', coasting, limits.speed_m_s),
    ):
        size = _norm(vector)
        fine = size <= limit * slack
        if not fine.all():
            vehicle = int(np.argmin(fine))
            raise ValueError(
                f'state.{name} of vehicle {vehicle} is {size[vehicle]}, but the limit is {limit}. '
                'Start within the limits: raise them or slow the vehicle down first.'
            )


def _slack(vectors: FloatArray, ulps: int) -> float:
    """Return the factor by which rounding alone may pass a limit."""
    return 1.0 + ulps * float(np.finfo(vectors.dtype).eps)


def _norm(vectors: FloatArray) -> FloatArray:
    """Return the lengths (...) of vectors (..., 3)."""
    return np.sqrt(np.einsum('...i,...i->...', vectors, vectors))


def _shorten(vectors: FloatArray, limit: float) -> FloatArray:
    """Scale vectors (..., 3) longer than `limit` back to it."""
    return vectors * (limit / np.maximum(_norm(vectors), limit))[..., None]


def accelerate(
    position_m: FloatArray,
    velocity_m_s: FloatArray,
    acceleration_m_s2: FloatArray,
    speed_limit_m_s: float,
    acceleration_limit_m_s2: float,
    duration_s: float,
) -> tuple[FloatArray, FloatArray]:
    """Fly for one slot at a constant acceleration; return the new (position, velocity), (..., 3).

    Meng & Li, eqs. (6) and (7), with v(t+1) = v(t) + a(t) delta, which the paper leaves out.  An
    acceleration beyond its limit is shortened; one that would lead beyond the speed limit is
    replaced by the one that leads to the shortened velocity, which is never the longer of the two.
    Raises ValueError for an acceleration that is not finite, or limits or a duration that are not
    positive.
    """
    require_positive('duration_s', duration_s, 'Pass the length of the slot in seconds.')
    require_positive('speed_limit_m_s', speed_limit_m_s, 'Pass a limit above 0.')
    require_positive('acceleration_limit_m_s2', acceleration_limit_m_s2, 'Pass one above 0.')
    require_finite('acceleration_m_s2', acceleration_m_s2, 'Decide for a finite one.')
    allowed = _shorten(acceleration_m_s2, acceleration_limit_m_s2)
    velocity = _shorten(velocity_m_s + duration_s * allowed, speed_limit_m_s)
    position = position_m + (0.5 * duration_s) * (velocity_m_s + velocity)
    return position, velocity


def reference_along(
    start_m: FloatArray,
    goal_m: FloatArray,
    elapsed_s: Floats,
    duration_s: float,
    speed_m_s: float,
) -> tuple[FloatArray, FloatArray]:
    """Return the set-point (position, velocity), (..., 3), on the way from start to goal.

    It moves on a straight line at the constant speed that arrives after `duration_s`, or at
    `speed_m_s` if that is slower, and then it arrives later.  It rests at the goal.  `elapsed_s`
    broadcasts against (...).  Raises ValueError for a negative elapsed time, or a duration or
    speed that is not positive.
    """
    require_nonnegative('elapsed_s', elapsed_s, 'Count from the start of the movement.')
    require_positive('duration_s', duration_s, 'Pass the length of the slot in seconds.')
    require_positive('speed_m_s', speed_m_s, 'Pass the speed limit of the vehicle.')
    way = goal_m - start_m
    arrival_s = np.maximum(_norm(way) / speed_m_s, duration_s)
    under_way = np.less(elapsed_s, arrival_s)
    share = np.where(under_way, np.divide(elapsed_s, arrival_s), 1.0).astype(way.dtype)
    velocity = way / arrival_s[..., None] * under_way[..., None]
    # Written so that it is the goal itself on arrival, not the goal to within rounding.
    position = start_m * (1.0 - share)[..., None] + goal_m * share[..., None]
    return position, velocity


@dataclass(frozen=True)
class GaussMarkov:
    """Parameters of Gauss-Markov mobility (Meng & Li, eqs. (3) and (4))."""

    heading_memory: float
    """mu_1 in [0, 1]: 1 keeps the heading for ever, 0 forgets it each slot [-]."""
    speed_memory: float
    """mu_2 in [0, 1] [-]."""
    mean_heading_rad: float
    """theta_bar [rad; 0 = east, counter-clockwise]."""
    mean_speed_m_s: float
    """v_bar [m/s]."""
    heading_deviation_rad: float
    """Standard deviation of Psi [rad]."""
    speed_deviation_m_s: float
    """Standard deviation of Phi [m/s]."""

    def __post_init__(self) -> None:
        for name in ('heading_memory', 'speed_memory'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(
                    f'{name} is {getattr(self, name)}, but must lie in [0, 1]. '
                    'It is the correlation from slot to slot.'
                )
        for name in ('mean_speed_m_s', 'heading_deviation_rad', 'speed_deviation_m_s'):
            require_nonnegative(name, getattr(self, name), 'Pass a magnitude.')


def gauss_markov_step(
    position_m: FloatArray,
    heading_rad: FloatArray,
    speed_m_s: FloatArray,
    parameters: GaussMarkov,
    normals: FloatArray,
    duration_s: float,
    area_m: FloatArray | float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Move users for one slot; return the new (position, heading, speed).

    Meng & Li, eqs. (3) and (4): first the position with the old heading and speed, then heading
    and speed remember a share mu of themselves, never a negative speed.  Walls of the rectangle
    [0, area_m] reflect: x mirrors the heading at the y axis, then y at the x axis.

    `position_m` (..., 2) [ENU], `heading_rad` and `speed_m_s` (...), `normals` (..., 2) standard
    normal draws (heading, speed), `area_m` one side or two [m].  Headings are not wrapped, because
    the next one is an average with theta_bar.  Raises ValueError for a position outside the area,
    a negative speed, or a duration or area that is not positive.
    """
    require_positive('area_m', area_m, 'Pass the sides of the area in metres.')
    require_positive('duration_s', duration_s, 'Pass the length of the slot in seconds.')
    require_nonnegative('speed_m_s', speed_m_s, 'Turn the heading instead.')
    require_nonnegative('position_m', position_m, 'Place users inside the area.')
    require_nonnegative('area_m - position_m', area_m - position_m, 'Place users inside.')
    require_last_axis('normals', normals, 2)
    p = parameters
    direction = np.stack([np.cos(heading_rad), np.sin(heading_rad)], axis=-1)
    moved = position_m + (speed_m_s * duration_s)[..., None] * direction
    heading = (
        p.heading_memory * heading_rad
        + (1.0 - p.heading_memory) * p.mean_heading_rad
        + _innovation(p.heading_memory) * p.heading_deviation_rad * normals[..., 0]
    )
    speed = np.maximum(
        0.0,
        p.speed_memory * speed_m_s
        + (1.0 - p.speed_memory) * p.mean_speed_m_s
        + _innovation(p.speed_memory) * p.speed_deviation_m_s * normals[..., 1],
    )
    # A mirror at 0 and at the far side is a triangle wave of twice the side; its falling half is
    # where the number of reflections is odd.
    phase = np.mod(moved, 2.0 * area_m)
    mirrored = phase > area_m
    inside = np.where(mirrored, 2.0 * area_m - phase, phase)
    heading = np.where(mirrored[..., 0], np.pi - heading, heading)
    heading = np.where(mirrored[..., 1], -heading, heading)
    return inside, heading, speed


def _innovation(memory: float) -> float:
    """Return sqrt(1 - mu^2), the share of new noise that keeps the variance constant."""
    return float(np.sqrt(1.0 - memory * memory))


def ned_from_enu(vectors_enu: FloatArray) -> FloatArray:
    """Return vectors (..., 3) in north-east-down, for the border to PX4 only.

    Swapping the first two axes and turning the third is its own inverse.
    """
    require_last_axis('vectors_enu', vectors_enu, 3)
    return np.stack([vectors_enu[..., 1], vectors_enu[..., 0], -vectors_enu[..., 2]], axis=-1)


def enu_from_ned(vectors_ned: FloatArray) -> FloatArray:
    """Return vectors (..., 3) in east-north-up from PX4's north-east-down."""
    require_last_axis('vectors_ned', vectors_ned, 3)
    return np.stack([vectors_ned[..., 1], vectors_ned[..., 0], -vectors_ned[..., 2]], axis=-1)
