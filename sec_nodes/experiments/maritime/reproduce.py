"""Figs 3 to 9 and Table II from the first game to the last picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.maritime.claims import claims
from sec_nodes.experiments.maritime.figures import FIGURES, TABLE_2, TITLES, jobs
from sec_nodes.experiments.maritime.games import GameStore, Job
from sec_nodes.experiments.maritime.page import page
from sec_nodes.experiments.maritime.plans import PLANS, Plan
from sec_nodes.experiments.maritime.plots import draw
from sec_nodes.experiments.maritime.tables import figure_rows, race_rows
from sec_nodes.experiments.reproduction import Experiment
from sec_nodes.experiments.rows import Exhibit, Row, read_rows, stem, write_rows


class MaritimeExperiment(Experiment[Plan, Job, GameStore]):
    """Qi et al., IEEE Internet Things J. 2025, section VI."""

    name = 'maritime'
    exhibits = tuple(TITLES)
    plans = PLANS

    def store(self, folder: Path) -> GameStore:
        """Games and races."""
        return GameStore(folder)

    def jobs(self, exhibit: Exhibit, plan: Plan) -> list[Job]:
        """Games of a figure, the race of Table II."""
        return jobs(exhibit, plan)

    def write(self, exhibit: Exhibit, plan: Plan, folder: Path, store: GameStore) -> list[Path]:
        """The table and the picture."""
        table, picture = (folder / f'{stem(exhibit)}{end}' for end in ('.csv', '.png'))
        if exhibit == TABLE_2:
            write_rows(table, race_rows(plan, store))
        else:
            write_rows(table, figure_rows(FIGURES[int(exhibit)], plan, store))
        # Drawn from what was written, so that the file alone makes the same picture.
        draw(picture, exhibit, read_rows(table))
        return [table, picture]

    def claims(self, rows: Iterable[Row]) -> list[Claim]:
        """All claims about the figures that there are rows of."""
        return claims(rows)

    def spent(self, jobs: Sequence[Job], store: GameStore) -> dict[str, Any]:
        """How many games there were, and their CPU time."""
        every = set(jobs)
        return {'games': len(every), 'cpu_s': round(sum(map(store.cpu_s, every)))}

    def page(self, folder: Path, pictures: str) -> str:
        """The report."""
        return page(folder, pictures)
