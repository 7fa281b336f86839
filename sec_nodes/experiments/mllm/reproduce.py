"""Figs 3 to 8 from the first training to the last picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.jobs import Job, Play, Store, Training, needs
from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.mllm.claims import claims
from sec_nodes.experiments.mllm.curves import curve_rows, read_curves, write_curves
from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.page import page
from sec_nodes.experiments.mllm.plans import PLANS, Plan
from sec_nodes.experiments.mllm.plots import draw
from sec_nodes.experiments.mllm.tables import CURVED, figure_rows
from sec_nodes.experiments.reproduction import JOBS, Experiment
from sec_nodes.experiments.rows import Exhibit, Row, read_rows, write_rows


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

    def needs_libraries(self, exhibits: Sequence[Exhibit], plan: Plan, folder: Path) -> bool:
        """Whether something is left to train."""
        store = self.store(folder / JOBS)
        jobs = (job for exhibit in exhibits for job in self.jobs(exhibit, plan))
        return not all(store.has(training) for training in _trainings(jobs))

    def write(self, exhibit: Exhibit, plan: Plan, folder: Path, store: Store) -> list[Path]:
        """The table, the picture and, where trainings are shown, their curves."""
        figure = FIGURES[int(exhibit)]
        table, picture, curves = (
            folder / f'fig{figure.number}{end}' for end in ('.csv', '.png', '_curves.csv')
        )
        write_rows(table, figure_rows(figure, plan, store))
        shows_trainings = figure.number in CURVED
        if shows_trainings:
            write_curves(curves, curve_rows(figure.points(plan), store))
        # Drawn from what was written, so that the files alone make the same picture.
        shown = read_curves(curves) if shows_trainings else []
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
        trainings = sorted(_trainings(plays), key=lambda training: training.label)
        spent = _by_algorithm(trainings, store)
        return {
            'plays': len(plays),
            'trainings': len(trainings),
            'cpu_s': round(
                sum(entry['cpu_s'] * entry['runs'] for entry in spent)
                + sum(store.play_cpu_s(play) for play in plays)
            ),
            'spent': spent,
        }


def _trainings(jobs: Iterable[Job]) -> set[Training]:
    """What jobs need."""
    return {training for training in map(needs, jobs) if training is not None}


def _by_algorithm(trainings: Sequence[Training], store: Store) -> list[dict[str, Any]]:
    """What the trainings of each algorithm in each variant of the scenario took, on average."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for training in trainings:
        changes = ''.join(f' {key}={value}' for key, value in training.overrides + training.hyper)
        key = training.algorithm, training.scenario + changes
        groups.setdefault(key, []).append(store.summary(training))
    return [
        {
            'algorithm': algorithm,
            'scenario': scenario,
            'runs': len(summaries),
            'steps': round(float(np.mean([one['steps'] for one in summaries]))),
            'updates': float(np.mean([one['updates'] for one in summaries])),
            'cpu_s': round(float(np.mean([one['cpu_s'] for one in summaries])), 1),
        }
        for (algorithm, scenario), summaries in groups.items()
    ]
