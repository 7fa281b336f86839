"""Figs 3 to 8 from the first training to the last picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.experiments.jobs import Job, Play, Store
from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.keeping import spelt
from sec_nodes.experiments.mllm.claims import claims
from sec_nodes.experiments.mllm.curves import CurveRow, curve_rows
from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.page import page
from sec_nodes.experiments.mllm.plans import PLANS, Plan
from sec_nodes.experiments.mllm.plots import draw
from sec_nodes.experiments.mllm.tables import CURVED, figure_rows
from sec_nodes.experiments.reproduction import Experiment
from sec_nodes.experiments.rows import (
    Exhibit,
    Row,
    read_records,
    read_rows,
    write_records,
    write_rows,
)
from sec_nodes.experiments.trainings import Training, spent_on


class MllmExperiment(Experiment[Plan, Job, Store]):
    """Yan et al., Drones 2025, section 5.2."""

    name = 'mllm'
    exhibits = tuple(FIGURES)
    libraries = ('torch', 'tensorboard')
    plans = PLANS

    def store(self, folder: Path) -> Store:
        """Policies and evaluations."""
        return Store(folder)

    def jobs(self, exhibit: Exhibit, plan: Plan) -> list[Job]:
        """Plays of a figure; the trainings that they need come with them."""
        return FIGURES[int(exhibit)].jobs(plan)

    def write(self, exhibit: Exhibit, plan: Plan, folder: Path, store: Store) -> list[Path]:
        """The table, the picture and, where trainings are shown, their curves."""
        figure = FIGURES[int(exhibit)]
        table, picture, curves = (
            folder / f'fig{figure.number}{end}' for end in ('.csv', '.png', '_curves.csv')
        )
        write_rows(table, figure_rows(figure, plan, store))
        shows_trainings = figure.number in CURVED
        if shows_trainings:
            write_records(curves, CurveRow, curve_rows(figure.points(plan), store))
        # Drawn from what was written, so that the files alone make the same picture.
        shown = read_records(curves, CurveRow) if shows_trainings else []
        draw(picture, figure.number, read_rows(table), shown)
        return [table, picture, *([curves] if shows_trainings else [])]

    def claims(self, rows: Iterable[Row]) -> list[Claim]:
        """All claims about the figures that there are rows of."""
        return claims(rows)

    def page(self, folder: Path, pictures: str) -> str:
        """The report."""
        return page(folder, pictures)

    def spent(self, jobs: Sequence[Job], store: Store) -> dict[str, Any]:
        """How many plays and trainings there were, and their CPU time."""
        plays = {job for job in jobs if isinstance(job, Play)}
        return {'plays': len(plays), **spent_on(plays, store, 'algorithm', _named)}


def _named(training: Training) -> tuple[str, str]:
    """The algorithm, and the variant of the scenario that it was trained on, and how."""
    return training.algorithm, training.scenario + spelt(training.overrides + training.hyper)
