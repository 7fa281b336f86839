"""The figures of a report. Each draws on axes that it is given and returns its caption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sec_nodes.report.figures import carried, mission
from sec_nodes.report.figures.costs import draw_energy
from sec_nodes.report.figures.failures import draw_failures
from sec_nodes.report.figures.flight import draw_tracking
from sec_nodes.report.figures.orbit import draw_passes
from sec_nodes.report.figures.slots import draw_outcomes
from sec_nodes.report.figures.space import draw_map
from sec_nodes.report.figures.times import draw_latency, draw_timeline
from sec_nodes.report.load import Run

Draw = Callable[[Axes, Run], str]
"""Draws on axes, and says what is to be seen."""


@dataclass(frozen=True)
class Plot:
    """One figure of the report."""

    title: str
    draw: Draw
    size_in: tuple[float, float]


PLOTS = (
    Plot('Map', draw_map, (6.6, 6.4)),
    Plot('Latency by server', draw_latency, (6.6, 3.4)),
    Plot('Energy of a task', draw_energy, (6.6, 2.2)),
    Plot('Tracking error', draw_tracking, (6.6, 2.8)),
    Plot('Timeline of single tasks', draw_timeline, (6.6, 4.0)),
    Plot('Tasks over slots', draw_outcomes, (6.6, 2.8)),
    Plot('Satellite passes', draw_passes, (6.6, 2.4)),
)
"""Figures in the order of the report."""


CARRIED = (
    Plot('Storage of the UAVs', carried.draw_storage, (6.6, 3.8)),
    Plot('Where the slots went', carried.draw_slot_use, (6.6, 4.0)),
    Plot('Data on their way', carried.draw_totals, (6.6, 3.2)),
    Plot('Decisions', carried.draw_decisions, (6.6, 4.6)),
    Plot('Energy by UAV', carried.draw_spent, (6.6, 2.8)),
)
"""Figures of runs whose UAVs relay to a satellite."""

MISSION = (
    Plot('Plan and flight', mission.draw_ways, (6.6, 6.4)),
    Plot('Tasks, planned and real', mission.draw_tasks, (6.6, 5.2)),
    Plot('Uploads', mission.draw_stages, (6.6, 2.8)),
    Plot('Tracking error', draw_tracking, (6.6, 2.8)),
    Plot('Energy by UAV', mission.draw_energies, (6.6, 2.8)),
    Plot('Distance between UAVs', mission.draw_distances, (6.6, 2.8)),
)
"""Figures of runs whose UAVs fly the plan of a mission."""

FAILURES = (Plot('Failures over time', draw_failures, (6.6, 4.4)),)
"""Figures of runs in which servers failed."""

_OF_SLOTS = (draw_map, draw_tracking, draw_timeline, draw_outcomes, draw_passes)
"""What `MISSION` shows instead, or what missions do not have."""


def plots_of(run: Run) -> tuple[Plot, ...]:
    """Figures on tasks and servers that have something to show."""
    if len(run['sorties']):
        return tuple(plot for plot in PLOTS if plot.draw not in _OF_SLOTS)
    left_out: list[Draw] = []
    if _hovering(run):
        left_out.append(draw_tracking)
    if not run.has_satellites:
        left_out.append(draw_passes)
    return tuple(plot for plot in PLOTS if plot.draw not in left_out)


def _hovering(run: Run) -> bool:
    """Whether UAVs, if there are any, stood still: there is nothing to track."""
    error_m = run['uavs']['tracking_error_m']
    return len(error_m) > 0 and not (error_m > 0).any()


def single(plot: Plot, run: Run) -> tuple[Figure, str]:
    """A figure by itself, and its caption."""
    figure = Figure(figsize=plot.size_in, layout='constrained')
    FigureCanvasAgg(figure)
    return figure, plot.draw(figure.add_subplot(), run)


def overview(run: Run) -> Figure:
    """Everything important on one page."""
    figure = Figure(figsize=(13.2, 11.2), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    FigureCanvasAgg(figure)
    titles = {plot.draw: plot.title for plot in (*PLOTS, *CARRIED, *MISSION, *FAILURES)}
    places = _places_of(run)(figure)
    for letter, (draw, place) in zip('abcdefg', places, strict=False):
        ax = figure.add_subplot(place)
        draw(ax, run)
        ax.set_title(f'{letter}   {titles[draw]}', pad=_title_pad(ax, figure))
    return figure


def _places_of(run: Run) -> Callable[[Figure], list[tuple[Draw, SubplotSpec]]]:
    if len(run['sorties']):
        return _mission_places
    if len(run['relays']):
        return _relay_places
    if not len(run['failures']) or run.has_satellites:
        return _places
    return _calm_failure_places if _hovering(run) else _failure_places


def _places(figure: Figure) -> list[tuple[Draw, SubplotSpec]]:
    grid = figure.add_gridspec(4, 2, width_ratios=(1.0, 1.06), height_ratios=(1, 0.72, 1, 0.62))
    return [
        (draw_map, grid[0:2, 0]),
        (draw_latency, grid[0, 1]),
        (draw_energy, grid[1, 1]),
        (draw_outcomes, grid[2, 0]),
        (draw_timeline, grid[2, 1]),
        (draw_tracking, grid[3, 0]),
        (draw_passes, grid[3, 1]),
    ]


def _failure_places(figure: Figure) -> list[tuple[Draw, SubplotSpec]]:
    grid = figure.add_gridspec(4, 2, width_ratios=(1.0, 1.06), height_ratios=(1, 0.72, 1.1, 0.62))
    return [
        *_above_failures(grid),
        (draw_tracking, grid[3, 0]),
        (draw_outcomes, grid[3, 1]),
    ]


def _calm_failure_places(figure: Figure) -> list[tuple[Draw, SubplotSpec]]:
    grid = figure.add_gridspec(3, 2, width_ratios=(1.0, 1.06), height_ratios=(1, 0.72, 1.3))
    return _above_failures(grid)


def _above_failures(grid: GridSpec) -> list[tuple[Draw, SubplotSpec]]:
    return [
        (draw_map, grid[0:2, 0]),
        (draw_latency, grid[0, 1]),
        (draw_energy, grid[1, 1]),
        (draw_failures, grid[2, 0]),
        (draw_timeline, grid[2, 1]),
    ]


def _relay_places(figure: Figure) -> list[tuple[Draw, SubplotSpec]]:
    grid = figure.add_gridspec(4, 2, width_ratios=(1.0, 1.06), height_ratios=(1, 1, 0.9, 0.7))
    return [
        (draw_map, grid[0:2, 0]),
        (carried.draw_storage, grid[0, 1]),
        (carried.draw_slot_use, grid[1, 1]),
        (carried.draw_totals, grid[2, 0]),
        (draw_latency, grid[2, 1]),
        (draw_outcomes, grid[3, 0]),
        (carried.draw_spent, grid[3, 1]),
    ]


def _mission_places(figure: Figure) -> list[tuple[Draw, SubplotSpec]]:
    grid = figure.add_gridspec(4, 2, width_ratios=(1.0, 1.06), height_ratios=(1, 1, 0.8, 0.8))
    return [
        (mission.draw_ways, grid[0:2, 0]),
        (mission.draw_tasks, grid[0:2, 1]),
        (mission.draw_stages, grid[2, 0]),
        (draw_tracking, grid[2, 1]),
        (mission.draw_energies, grid[3, 0]),
        (mission.draw_distances, grid[3, 1]),
    ]


def _title_pad(ax: Axes, figure: Figure) -> float:
    """Room for the legend between axes and title [pt]."""
    legend = ax.get_legend()
    if legend is None:
        return 8
    return 4 + 72 * float(legend.get_window_extent().height) / figure.dpi
