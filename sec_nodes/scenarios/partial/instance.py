"""Instances of the partial scenario: frozen ones from a file, random ones by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sec_nodes.physics import randomness
from sec_nodes.physics.randomness import Stream
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.settings import PartialSettings, read_tree
from sec_nodes.slot import BoolArray, FloatArray, IntArray

MEGABIT = 1e6
GIGAHERTZ = 1e9
CYCLE_PER_BIT = GIGAHERTZ / MEGABIT
"""One Gcycle/Mb."""

UNSERVED = -1
"""Server number of a task that no UAV takes; it violates (5)."""

_SHRINKING = 0.4, 1.6, 4.0
"""Intermediate results shrink with the depth k/layers of the cut: R (0.4 + 1.6 e^(-4 depth))."""


@dataclass(frozen=True)
class PartialState:
    """What is known before a mission of each copy: who waits where with which task.

    B copies, U UAVs, N terminals, K cuts. A mission that is under way is one that begins later,
    with what is left of it: UAVs start in flight, and some of the uploads are done.
    """

    seed: IntArray
    """(B,)"""
    terminal_m: FloatArray
    """(B, N, 2) positions w_n, east and north [m]."""
    data_bit: FloatArray
    """(B, N) D_n."""
    work_cycle_per_bit: FloatArray
    """(B, N) F_n."""
    deadline_s: FloatArray
    """(B, N) T_n, from the start of the mission."""
    local_hz: FloatArray
    """(B, N) f_n^lc."""
    splits_bit: FloatArray
    """(B, N, K, 2) program D_off that is uploaded and run on the UAV, intermediate result S."""
    split: IntArray
    """(B, N) the cut that the task comes with."""
    depot_m: FloatArray
    """(B, 2) where all UAVs land, and where a new mission starts."""
    start_m: FloatArray
    """(B, U, 2) where each UAV is when the mission begins."""
    velocity_m_s: FloatArray
    """(B, U, 2) how fast it is then; NaN if any first step is allowed."""
    elapsed_s: FloatArray
    """(B,) time since the devices began."""
    sent_bit: FloatArray
    """(B, N, 2) what has been uploaded of the program and of the intermediate result."""
    held: IntArray
    """(B, N) UAV that has part of a task's program already, UNSERVED if none."""
    reserved_hz: FloatArray
    """(B, U) processor that is taken by tasks that are not in the state any more."""
    loss_db: FloatArray
    """(B, N) loss of a terminal's links beyond what the scenario knows."""

    @property
    def n_copies(self) -> int:
        """Number of copies B."""
        return self.data_bit.shape[0]

    @property
    def n_tasks(self) -> int:
        """Number of terminals N, each with one task."""
        return self.data_bit.shape[1]

    def only(self, copies: IntArray | slice) -> PartialState:
        """The state of some copies, (b,) indices or a slice."""
        return PartialState(**{name: value[copies] for name, value in vars(self).items()})

    def with_tasks(self, tasks: IntArray | BoolArray) -> PartialState:
        """The state of some terminals, (n,) indices or a mask, in their order."""
        shared = 'seed', 'depot_m', 'start_m', 'velocity_m_s', 'elapsed_s', 'reserved_hz'
        return PartialState(
            **{
                name: value if name in shared else value[:, tasks]
                for name, value in vars(self).items()
            }
        )


@dataclass(frozen=True)
class CutTasks:
    """Tasks after their cut is chosen, all (B, N); what is left of them, from now."""

    local_s: FloatArray
    """T_lc = F (D - D_off) / f_lc: (6)."""
    program_bit: FloatArray
    """D_off, to be uploaded within the local time: (7)."""
    intermediate_bit: FloatArray
    """S, to be uploaded after it: (11)."""
    work_cycle: FloatArray
    """W = F D_off, what the UAV computes."""
    deadline_s: FloatArray
    """T_n."""


def cut_tasks(state: PartialState, split: IntArray) -> CutTasks:
    """Cut each task at `split` (B, N)."""
    chosen_bit = np.take_along_axis(state.splits_bit, split[..., None, None], axis=2)[:, :, 0]
    program_bit = chosen_bit[..., 0]
    local_cycle = state.work_cycle_per_bit * (state.data_bit - program_bit)
    elapsed_s = state.elapsed_s[:, None]
    left_bit = np.maximum(chosen_bit - state.sent_bit, 0.0)
    return CutTasks(
        local_s=np.maximum(local_cycle / state.local_hz - elapsed_s, 0.0),
        program_bit=left_bit[..., 0],
        intermediate_bit=left_bit[..., 1],
        work_cycle=state.work_cycle_per_bit * program_bit,
        deadline_s=state.deadline_s - elapsed_s,
    )


def every_cut(state: PartialState) -> list[CutTasks]:
    """The tasks at cut 0, 1, ... K - 1."""
    cuts = range(state.splits_bit.shape[2])
    return [cut_tasks(state, np.full_like(state.split, cut)) for cut in cuts]


def new_mission(
    settings: PartialSettings,
    *,
    seed: IntArray,
    terminal_m: FloatArray,
    data_bit: FloatArray,
    work_cycle_per_bit: FloatArray,
    deadline_s: FloatArray,
    local_hz: FloatArray,
    splits_bit: FloatArray,
    split: IntArray,
    depot_m: FloatArray,
) -> PartialState:
    """The state before a mission: nothing has been sent, all UAVs are at the depot.

    Arguments as the fields of `PartialState`.
    """
    copies, tasks = data_bit.shape
    uavs = settings.uavs.count
    any_step = 0.0 if settings.uavs.from_rest else np.nan
    return PartialState(
        seed=seed,
        terminal_m=terminal_m,
        data_bit=data_bit,
        work_cycle_per_bit=work_cycle_per_bit,
        deadline_s=deadline_s,
        local_hz=local_hz,
        splits_bit=splits_bit,
        split=split,
        depot_m=depot_m,
        start_m=np.repeat(depot_m[:, None], uavs, axis=1),
        velocity_m_s=np.full((copies, uavs, 2), any_step),
        elapsed_s=np.zeros(copies),
        sent_bit=np.zeros((copies, tasks, 2)),
        held=np.full((copies, tasks), UNSERVED),
        reserved_hz=np.zeros((copies, uavs)),
        loss_db=np.zeros((copies, tasks)),
    )


def read_instance(settings: PartialSettings, path: Path, seed: IntArray) -> PartialState:
    """The instance of a file, the same in every copy.

    The file is JSON with `depot` and `w` [m], `D` [Mb], `F` [Gcycle/Mb], `Tn` [s], `flc` [GHz],
    `splits` (N, K, 2) as shares of D and `k0`. Its `U` and `params`, if any, are a record of what
    it was made for: the scenario file rules.

    Args:
        settings: the scenario.
        path: absolute, or relative to config/.
        seed: (B,)

    Raises:
        ValueError: missing file or key, or numbers that make no instance.
    """
    tree = read_tree(path)
    try:
        terminal_m, depot_m, splits = (np.array(tree[k], float) for k in ('w', 'depot', 'splits'))
        data, work, deadline, local = (np.array(tree[k], float) for k in ('D', 'F', 'Tn', 'flc'))
        split = np.array(tree['k0'], np.int64)
        if data.ndim != 1:
            raise ValueError(f'D must be a list of numbers, not {tree["D"]!r:.60}')
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} is no instance ({error!r}); see docs/scenario_partial.md'
        ) from error
    one = new_mission(
        settings,
        seed=np.zeros(1, dtype=np.int64),
        terminal_m=terminal_m[None],
        data_bit=data[None] * MEGABIT,
        work_cycle_per_bit=work[None] * CYCLE_PER_BIT,
        deadline_s=deadline[None],
        local_hz=local[None] * GIGAHERTZ,
        splits_bit=(splits * data[:, None, None])[None] * MEGABIT,
        split=split[None],
        depot_m=depot_m[None],
    )
    require_instance(one, settings.area_m)
    one = with_networks(settings, one)
    copied = {
        name: np.broadcast_to(value, (len(seed), *value.shape[1:]))
        for name, value in vars(one).items()
    }
    return PartialState(**{**copied, 'seed': np.asarray(seed)})


def draw_instance(settings: PartialSettings, seed: IntArray) -> PartialState:
    """An instance for each seed (B,): terminals and tasks uniform in the ranges of the settings.

    A terminal picks the cut that would take the slowest processor of a UAV if it were served
    from `nominal_distance_m`, among those whose program would arrive within `nominal_margin` of
    its local time; if there is none, the one whose program comes closest.
    """
    tasks = settings.tasks
    terminal = np.arange(tasks.count)
    place = randomness.uniform(seed[:, None], Stream.PLACEMENT, terminal, 0, 2)
    draws = np.moveaxis(randomness.uniform(seed[:, None], Stream.TASK, terminal, 0, 5), -1, 0)
    data_bit = _within(tasks.data_bit, draws[0])
    ratio = _within(tasks.intermediate_ratio, draws[4])
    depth = np.arange(tasks.layers) / tasks.layers
    floor, swell, decay = _SHRINKING
    shape = np.where(depth > 0, floor + swell * np.exp(-decay * depth), 0.0)
    share = np.stack(np.broadcast_arrays(1.0 - depth, ratio[..., None] * shape), axis=-1)
    state = new_mission(
        settings,
        seed=np.asarray(seed),
        terminal_m=place * np.asarray(settings.area_m),
        data_bit=data_bit,
        work_cycle_per_bit=_within(tasks.work_cycle_per_bit, draws[2]),
        deadline_s=_within(tasks.deadline_s, draws[1]),
        local_hz=_within(tasks.local_hz, draws[3]),
        splits_bit=share * data_bit[..., None, None],
        split=np.zeros(data_bit.shape, dtype=np.int64),
        depot_m=np.broadcast_to(np.asarray(settings.uavs.depot_m), (len(seed), 2)),
    )
    state = replace(state, split=nominal_split(settings, state))
    return with_networks(settings, state)


def with_networks(settings: PartialSettings, state: PartialState) -> PartialState:
    """The state with the sizes of real networks, terminal n having network n modulo their number.

    D is the size of the whole network as a program. Shorter menus are filled up with their first
    cut, which leaves no local time in which its program could arrive. As it was where the settings
    name no networks.
    """
    menus = settings.tasks.menus_bit
    if menus is None:
        return state
    longest = max(len(menu) for menu in menus)
    padded = np.array([[*menu, *[menu[0]] * (longest - len(menu))] for menu in menus])
    own = np.arange(state.n_tasks) % len(menus)
    splits_bit = np.broadcast_to(padded[own], (state.n_copies, state.n_tasks, longest, 2))
    state = replace(state, splits_bit=splits_bit, data_bit=splits_bit[:, :, 0, 0])
    return replace(state, split=nominal_split(settings, state))


def nominal_split(settings: PartialSettings, state: PartialState) -> IntArray:
    """(B, N) the cut that each terminal picks by itself; see `draw_instance`."""
    tasks = settings.tasks
    nominal_bit_s = float(rate_bit_s(tasks.nominal_distance_m, settings.link))
    speed_hz, fill = [], []
    for cut in every_cut(state):
        left_s = cut.deadline_s - cut.local_s - cut.intermediate_bit / nominal_bit_s
        in_time = left_s > 0
        needed_hz = cut.work_cycle / np.where(in_time, left_s, 1.0)
        speed_hz.append(np.where(in_time, needed_hz, np.inf))
        capacity_bit = nominal_bit_s * cut.local_s
        with np.errstate(divide='ignore', invalid='ignore'):
            fill.append(cut.program_bit / capacity_bit)
    load = np.stack(fill, axis=-1)
    cost_hz = np.where(load <= tasks.nominal_margin, np.stack(speed_hz, axis=-1), np.inf)
    possible = np.isfinite(cost_hz).any(axis=-1)
    return np.where(possible, cost_hz.argmin(axis=-1), load.argmin(axis=-1))


def require_instance(state: PartialState, area_m: tuple[float, float]) -> None:
    """Raise ValueError unless the numbers of a state make an instance, naming what does not."""
    copies, tasks = state.data_bit.shape if state.data_bit.ndim == 2 else (0, 0)
    if tasks == 0:
        raise ValueError(
            f'data_bit has shape {state.data_bit.shape}, but must be (B, N) with at least one '
            'task. Without tasks there is nothing to fly for.'
        )
    cuts = state.splits_bit.shape[2] if state.splits_bit.ndim == 4 else 0
    uavs = state.start_m.shape[1] if state.start_m.ndim == 3 else 0
    shapes = {
        'seed': (copies,),
        'terminal_m': (copies, tasks, 2),
        'splits_bit': (copies, tasks, cuts, 2),
        'depot_m': (copies, 2),
        'start_m': (copies, uavs, 2),
        'velocity_m_s': (copies, uavs, 2),
        'elapsed_s': (copies,),
        'sent_bit': (copies, tasks, 2),
        'reserved_hz': (copies, uavs),
    }
    for name, value in vars(state).items():
        wanted = shapes.get(name, (copies, tasks))
        if value.shape != wanted:
            raise ValueError(
                f'{name} has shape {value.shape}, but must have {wanted}. '
                'All arrays of an instance describe the same copies and tasks.'
            )
        if name != 'velocity_m_s' and not np.isfinite(value).all():
            raise ValueError(f'{name} holds {value[~np.isfinite(value)][0]}, not a number.')
    for name in ('depot_m', 'terminal_m'):
        place_m = getattr(state, name)
        outside = ((place_m < 0) | (place_m > np.asarray(area_m))).any(axis=-1)
        if outside.any():
            raise ValueError(
                f'{name} holds {place_m[outside][0]}, but must lie in the area {area_m}. '
                'Move it, or enlarge area_m.'
            )
    for name in ('data_bit', 'work_cycle_per_bit', 'deadline_s', 'local_hz'):
        if not (getattr(state, name) > 0).all():
            raise ValueError(f'{name} holds {getattr(state, name).min()}, but must be > 0.')
    if cuts == 0 or state.split.min() < 0 or state.split.max() >= cuts:
        raise ValueError(
            f'split holds {state.split.min()} to {state.split.max()}, but there are {cuts} cuts. '
            'Cuts are counted from 0.'
        )
    # a share times D is rounded: a program of exactly D may end up an ulp above it
    too_much = state.splits_bit[..., 0] > state.data_bit[..., None] * (1 + 1e-12)
    if (state.splits_bit < 0).any() or too_much.any():
        raise ValueError('splits_bit must hold sizes >= 0, and programs no larger than data_bit.')


def _within(bounds: tuple[float, float], level: FloatArray) -> FloatArray:
    return bounds[0] + (bounds[1] - bounds[0]) * level
