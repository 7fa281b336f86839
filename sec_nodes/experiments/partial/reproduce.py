"""Figs 3 to 7 and Algorithm 1 from the first plan to the last picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.partial.claims import claims
from sec_nodes.experiments.partial.figures import TITLES, jobs
from sec_nodes.experiments.partial.missions import Job, Mission, MissionStore
from sec_nodes.experiments.partial.page import page
from sec_nodes.experiments.partial.plans import PLANS, Plan
from sec_nodes.experiments.partial.plots import draw
from sec_nodes.experiments.partial.tables import rows
from sec_nodes.experiments.reproduction import Experiment
from sec_nodes.experiments.rows import Exhibit, Row, read_rows, stem, write_rows


class PartialExperiment(Experiment[Plan, Job, MissionStore]):
    """Liu et al., Sensors 2026, 26(11), 3540, section 5."""

    name = 'partial'
    exhibits = tuple(TITLES)
    plans = PLANS

    def store(self, folder: Path) -> MissionStore:
        """Plans and certificates."""
        return MissionStore(folder)

    def jobs(self, exhibit: Exhibit, plan: Plan) -> list[Job]:
        """Missions of a figure."""
        return jobs(exhibit, plan)

    def write(self, exhibit: Exhibit, plan: Plan, folder: Path, store: MissionStore) -> list[Path]:
        """The table and the picture."""
        table, picture = (folder / f'{stem(exhibit)}{end}' for end in ('.csv', '.png'))
        write_rows(table, rows(exhibit, plan, store))
        # Drawn from what was written, so that the file alone makes the same picture.
        draw(picture, exhibit, read_rows(table))
        return [table, picture]

    def claims(self, rows: Iterable[Row]) -> list[Claim]:
        """All claims about the figures that there are rows of."""
        return claims(rows)

    def spent(self, jobs: Sequence[Job], store: MissionStore) -> dict[str, Any]:
        """How many plans were made, and the CPU time."""
        every = set(jobs)
        plans = sum(job.episodes for job in every if isinstance(job, Mission))
        return {'plans': plans, 'cpu_s': round(sum(map(store.cpu_s, every)))}

    def page(self, folder: Path, pictures: str) -> str:
        """The report."""
        return page(folder, pictures)
