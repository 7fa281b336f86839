"""Figs 3 to 5, failures and the theorem from the first training to the last picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.reproduction import Experiment
from sec_nodes.experiments.robust.claims import claims
from sec_nodes.experiments.robust.curves import CurveRow, curve_rows
from sec_nodes.experiments.robust.figures import TITLES, points
from sec_nodes.experiments.robust.page import page
from sec_nodes.experiments.robust.plans import FLAT, PLANS, Plan
from sec_nodes.experiments.robust.plots import draw
from sec_nodes.experiments.robust.tables import rows
from sec_nodes.experiments.robust.trials import SCENARIO, Job, Trial, TrialStore
from sec_nodes.experiments.rows import (
    Exhibit,
    Row,
    read_records,
    read_rows,
    stem,
    write_records,
    write_rows,
)
from sec_nodes.experiments.trainings import Training, spent_on
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust.settings import RobustSettings


class RobustExperiment(Experiment[Plan, Job, TrialStore]):
    """Meng and Li, the section of simulation results, and failures."""

    name = 'robust'
    exhibits = tuple(TITLES)
    libraries = ('torch', 'tensorboard')
    plans = PLANS

    def store(self, folder: Path) -> TrialStore:
        """Policies and trials."""
        return TrialStore(folder)

    def jobs(self, exhibit: Exhibit, plan: Plan) -> list[Job]:
        """Trials of a figure; the trainings that they need come with them."""
        return [trial for point in points(exhibit, plan) for trial in point.plays]

    def write(self, exhibit: Exhibit, plan: Plan, folder: Path, store: TrialStore) -> list[Path]:
        """The table, the picture and, where trainings are shown, their curves."""
        table, picture = (folder / f'{stem(exhibit)}{end}' for end in ('.csv', '.png'))
        write_rows(table, rows(exhibit, plan, store))
        written, shown = [table, picture], []
        if exhibit == 3:
            curves = folder / 'fig3_curves.csv'
            settings = read_settings(SCENARIO)
            assert isinstance(settings, RobustSettings)
            write_records(curves, CurveRow, curve_rows(points(3, plan), store, settings.horizon))
            written.append(curves)
            shown = read_records(curves, CurveRow)
        # Drawn from what was written, so that the files alone make the same picture.
        draw(picture, exhibit, read_rows(table), shown)
        return written

    def claims(self, rows: Iterable[Row]) -> list[Claim]:
        """All claims about the figures that there are rows of."""
        return claims(rows)

    def page(self, folder: Path, pictures: str) -> str:
        """The report."""
        return page(folder, pictures)

    def spent(self, jobs: Sequence[Job], store: TrialStore) -> dict[str, Any]:
        """How many trials and trainings there were, and their CPU time."""
        trials = {job for job in jobs if isinstance(job, Trial)}
        return {'trials': len(trials), **spent_on(trials, store, 'learner', _named)}


def _named(training: Training) -> tuple[str, str]:
    """The learner, and the mode that it was trained on."""
    flat = dict(training.hyper).get('networks') == 'flat'
    return f'{training.algorithm}{FLAT if flat else ""}', training.scenario
