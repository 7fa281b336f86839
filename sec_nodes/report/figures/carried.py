"""What UAVs hold, what their slots went into, and what was passed on; in runs with relays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sec_nodes.report.carried import ENERGIES, uav_names
from sec_nodes.report.figures import style
from sec_nodes.report.figures.orbit import passes_of
from sec_nodes.report.load import Run, Table
from sec_nodes.report.units import joule

BIT_PER_GBIT = 1e9

OVER_AREA, OVER_GROUND = '#f7ecd2', style.KIND_COLORS['ground_station']
"""Shade of times in which the satellite is over the area, strip of those over the station."""

_MOST_ROWS = 16
_ROW_SHARE = 0.8
"""Of the distance between two rows, how much a full one takes."""

_PARTS = (
    ('devices send urgent data', '#eedd88'),
    ('urgent data are computed', '#44bb99'),
    ('only collecting', '#e9e9e9'),
    ('stored data go up', '#4477aa'),
)
_ENERGY_PARTS = (
    ('urgent data to the satellite', '#eedd88'),
    ('stored data to the satellite', '#4477aa'),
    ('computing, UAV', '#44bb99'),
    ('computing, satellite', '#ee8866'),
)


def draw_storage(ax: Axes, run: Run) -> str:
    """Draw how full each UAV's storage was; returns what to see in it."""
    names, end_s = _shown(run), _end_s(run)
    _shade_passes(ax, run, end_s)
    for row, name in enumerate(names):
        own = _of(run['relays'], name)
        time_s = np.append(own['slot'][:1], own['slot'] + 1) * run.slot_s
        level_bit = np.append(_first_bit(run, own), own['stored_bit'])
        share = level_bit / own['storage_bit'][0]
        ax.fill_between(time_s, row, row - _ROW_SHARE * share, color='#4477aa', lw=0, zorder=3)
        ax.plot([0, end_s], [row - _ROW_SHARE] * 2, color=style.INK, lw=0.7, ls=(0, (4, 2)))
        ax.annotate(
            f'{level_bit[-1] / BIT_PER_GBIT:.2f}',
            (end_s, row),
            xytext=(4, 1),
            textcoords='offset points',
            fontsize=7.5,
        )
    _rows(ax, names)
    ax.set_xlim(0, end_s)
    ax.set_xlabel('simulation time [s]')
    capacity = run['relays']['storage_bit'].max() / BIT_PER_GBIT
    style.legend(
        ax,
        handles=[Patch(fc='#4477aa', label='stored'), *_shade_handles()],
    )
    return (
        f'How full the storage of each UAV is; the dashed line is its size, {capacity:g} Gbit, '
        'the number what is left at the end [Gbit]. Storage can only empty while the satellite '
        f'is over the area.{_left_out(run)}'
    )


def draw_slot_use(ax: Axes, run: Run) -> str:
    """Draw what the time of each UAV went into, slot by slot; returns what to see in it."""
    names = _shown(run)
    for row, name in enumerate(names):
        own = _of(run['relays'], name)
        edges = np.vstack([np.zeros(len(own)), *_instants(run, own)]) / run.slot_s
        for (_, color), low, high in zip(_PARTS, edges, edges[1:], strict=False):
            ax.bar(
                own['slot'],
                -_ROW_SHARE * (high - low),
                bottom=row - _ROW_SHARE * low,
                width=0.92 if len(own) <= 80 else 1.0,
                color=color,
                lw=0,
            )
        late = own['slot'][own['late']]
        ax.plot(late, np.full(len(late), row - 0.9), 'v', ms=4, color=style.FAILED, lw=0)
    _rows(ax, names)
    ax.set_xlim(-0.6, run['relays']['slot'].max() + 0.6)
    ax.set_xlabel('slot')
    handles: list[Patch] = [Patch(fc=color, label=label) for label, color in _PARTS]
    style.legend(ax, 2, handles=handles)
    late_count = int(run['relays']['late'].sum())
    return (
        f'Each column is a slot of {run.slot_s:g} s, from the bottom up: devices send their '
        'urgent data, UAV and satellite compute them, then stored data go up. Grey is time in '
        'which nothing goes up, because the satellite is away or the storage would run empty. '
        + (f'A red mark is a batch that was late, {late_count} in all.' if late_count else '')
        + _left_out(run)
    ).strip()


def draw_totals(ax: Axes, run: Run) -> str:
    """Draw what was collected, uploaded and delivered so far; returns what to see in it."""
    relays, end_s = run['relays'], _end_s(run)
    slots = np.arange(relays['slot'].max() + 1)
    _shade_passes(ax, run, end_s)
    last = {}
    for column, label, color in (
        ('collected_bit', 'collected by UAVs', '#117733'),
        ('uploaded_bit', 'uploaded to the satellite', '#4477aa'),
        ('overflow_bit', 'no room for it', style.FAILED),
    ):
        total = _sum_by_slot(relays, column, len(slots)).cumsum() / BIT_PER_GBIT
        last[column] = total[-1]
        if column != 'overflow_bit' or total[-1] > 0:
            _line(ax, (slots + 1) * run.slot_s, total, label, color)
    down = run['deliveries']
    order = np.argsort(down['time_s'], kind='stable')
    total = down['size_bit'][order].cumsum() / BIT_PER_GBIT
    ax.step(
        np.concatenate(([0], down['time_s'][order], [end_s])),
        np.concatenate(([0], total, total[-1:] if len(total) else [0])),
        where='post',
        color='#882255',
        label='delivered to the ground',
    )
    ax.set_xlim(0, end_s)
    ax.set_ylim(bottom=0)
    ax.grid(True, axis='y')
    ax.set_xlabel('simulation time [s]')
    ax.set_ylabel('data so far [Gbit]')
    style.legend(ax, 3, handles=[*ax.get_legend_handles_labels()[0], *_shade_handles()])
    on_board = last['uploaded_bit'] - (total[-1] if len(total) else 0.0)
    return (
        'All UAVs together; what they had stored before the run is uploaded as well. Between '
        'upload and delivery the satellite carries the data: '
        f'{max(on_board, 0.0):.3g} Gbit of them were still on board at the end. A file counts as '
        'delivered once it is whole.'
    )


def draw_decisions(ax: Axes, run: Run) -> str:
    """Draw ratio, power and CPU of each UAV and slot; returns what to see in it."""
    names, relays = _shown(run), run['relays']
    power_w = _number(run, 'uavs', 'largest_power_w', relays['power_w'].max())
    cpu_hz = _number(run, 'satellite', 'cpu_hz', relays['cpu_hz'].max())
    panels = (
        ('ratio', 1.0, 'share x that the satellite computes'),
        ('power_w', power_w, 'transmit power for it, of the largest'),
        ('cpu_hz', cpu_hz, "share of the satellite's CPU"),
    )
    figure, spec = ax.figure, ax.get_subplotspec()
    assert isinstance(figure, Figure)
    assert spec is not None
    ax.remove()
    grid = spec.subgridspec(len(panels), 1)
    for number, (column, full, title) in enumerate(panels):
        panel = figure.add_subplot(grid[number])
        _heat_map(panel, figure, names, _shares(run, names, column, full))
        panel.set_title(title, fontsize=8.5, fontweight='normal')
        if number < len(panels) - 1:
            panel.set_xticklabels([])
    panel.set_xlabel('slot')
    return (
        'What the controller decided for each UAV and slot; grey where no satellite was in view. '
        f'The largest power is {power_w:g} W, the CPU of the satellite {cpu_hz / 1e9:g} GHz. '
        f'The scales differ.{_left_out(run)}'
    )


def draw_spent(ax: Axes, run: Run) -> str:
    """Draw what each UAV's data cost in energy; returns what to see in it."""
    names, relays = _shown(run), run['relays']
    left = np.zeros(len(names))
    for column, (label, color) in zip(ENERGIES, _ENERGY_PARTS, strict=True):
        width = np.array([_of(relays, name)[f'{column}_j'].sum() for name in names])
        ax.barh(range(len(names)), width, left=left, height=0.66, color=color, label=label)
        left = left + width
    ax.set_yticks(range(len(names)), [name.replace('_', ' ') for name in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.05 * left.max() if left.max() > 0 else 1.0)
    ax.grid(True, axis='x')
    ax.set_xlabel('energy in this run [J]')
    style.legend(ax, 2)
    total_j = sum(float(relays[f'{column}_j'].sum()) for column in ENERGIES)
    return (
        f'The energy that the objective weighs, {joule(total_j)} in all; computing on the '
        f'satellite is counted at the UAV whose data it was.{_left_out(run)}'
    )


def contact_spans(run: Run) -> list[tuple[float, float]]:
    """When the ground station saw the satellite, in whole slots [s]."""
    stores = run['stores']
    seen = np.unique(stores['slot'][stores['ground_contact']])
    if not len(seen):
        return []
    unbroken = np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1)
    return [(float(part[0] * run.slot_s), float((part[-1] + 1) * run.slot_s)) for part in unbroken]


def _shares(run: Run, names: list[str], column: str, full: float) -> NDArray[np.float64]:
    """A column of `relays` by UAV and slot, in parts of a full one; NaN without satellite."""
    relays = run['relays']
    shares = np.full((len(names), int(relays['slot'].max()) + 1), np.nan)
    for row, name in enumerate(names):
        own = _of(relays, name)
        own = own.where(own['satellite'] >= 0)
        shares[row, own['slot']] = own[column] / (full or 1.0)
    return shares


def _heat_map(ax: Axes, figure: Figure, names: list[str], shares: NDArray[np.float64]) -> None:
    top = float(np.nanmax(shares, initial=0.0))
    picture = ax.imshow(
        shares,
        aspect='auto',
        cmap='viridis',
        vmin=0,
        vmax=top if top > 0 else 1.0,
        interpolation='nearest',
    )
    ax.set_facecolor(style.FAINT)
    ax.set_yticks(range(len(names)), [name.replace('_', ' ') for name in names])
    ax.tick_params(axis='y', length=0, labelsize=6.5 if len(names) > 6 else 8)
    ax.spines[:].set_visible(False)
    figure.colorbar(picture, ax=ax, fraction=0.05, pad=0.01)


def _instants(run: Run, own: Table) -> Iterator[NDArray[np.float64]]:
    """When the parts of each slot end [s since its start]; each row of one UAV."""
    slot_s = run.slot_s
    sent_s = np.minimum(own['upload_s'], slot_s)
    done_s = np.clip(own['finish_s'], sent_s, slot_s)
    start_s = np.clip(own['upload_start_s'], 0.0, slot_s)
    power_w = _upload_power_w(run)
    lasts_s = own['tolerant_radio_j'] / power_w if power_w else slot_s - start_s
    yield sent_s
    yield done_s
    yield np.maximum(start_s, done_s)
    yield np.minimum(start_s + np.where(own['uploaded_bit'] > 0, lasts_s, 0.0), slot_s)


def _upload_power_w(run: Run) -> float:
    uavs = run.scenario.get('uavs', {})
    return float(uavs.get('tolerant_power_w') or uavs.get('largest_power_w') or 0.0)


def _shade_passes(ax: Axes, run: Run, end_s: float) -> None:
    """Shade the times in which the satellite sees the area, and the ground station sees it."""
    for item in passes_of(run['passes']):
        if item.rise_s < end_s and item.set_s > 0:
            ax.axvspan(max(item.rise_s, 0.0), min(item.set_s, end_s), color=OVER_AREA, lw=0)
    for begin_s, finish_s in contact_spans(run):
        # Both may be true at once: the station has a strip along the upper edge.
        ax.axvspan(begin_s, finish_s, ymin=0.97, color=OVER_GROUND, lw=0, zorder=2)


def _shade_handles() -> list[Patch]:
    return [
        Patch(fc=OVER_AREA, label='satellite over the area'),
        Patch(fc=OVER_GROUND, label='over the ground station'),
    ]


def _first_bit(run: Run, own: Table) -> float:
    """What a UAV held at the start of its first slot; without a record, by its balance [bit]."""
    stores, name, slot = run['stores'], own['name'][0], own['slot'][0]
    first = stores['stored_bit'][(stores['name'] == name) & (stores['slot'] == slot)]
    if len(first):
        return float(first[0])
    return float(own['stored_bit'][0] + own['uploaded_bit'][0] - own['collected_bit'][0])


def _shown(run: Run) -> list[str]:
    return uav_names(run['relays'])[:_MOST_ROWS]


def _left_out(run: Run) -> str:
    more = len(uav_names(run['relays'])) - _MOST_ROWS
    return f' {more} more UAVs are left out.' if more > 0 else ''


def _of(relays: Table, name: str) -> Table:
    own = relays.where(relays['name'] == name)
    return own.where(np.argsort(own['slot'], kind='stable'))


def _rows(ax: Axes, names: list[str]) -> None:
    middle = np.arange(len(names)) - 0.5 * _ROW_SHARE
    ax.set_yticks(middle, [name.replace('_', ' ') for name in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.85, -1.2)


def _line(
    ax: Axes, time_s: NDArray[np.float64], total: NDArray[np.float64], label: str, color: str
) -> None:
    ax.plot(np.append(0.0, time_s), np.append(0.0, total), color=color, label=label)


def _sum_by_slot(relays: Table, column: str, slots: int) -> NDArray[np.float64]:
    return np.bincount(relays['slot'], relays[column], slots).astype(float)


def _number(run: Run, group: str, name: str, otherwise: float) -> float:
    return float(run.scenario.get(group, {}).get(name, otherwise))


def _end_s(run: Run) -> float:
    return float(run['relays']['slot'].max() + 1) * run.slot_s
