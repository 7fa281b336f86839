"""Experiments of a paper from the first job to the page in docs/.

    python -m sec_nodes.experiments.reproduction mllm

writes the page of an experiment anew from the tables beside it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sec_nodes import __version__
from sec_nodes.config import ConfigError
from sec_nodes.experiments.judging import Claim, write_claims
from sec_nodes.experiments.rows import Exhibit, Row, rows_of, spoken, stem
from sec_nodes.experiments.runner import Keeper, Labelled, Progress, carry_out
from sec_nodes.paths import share_dir

JOBS, REPORT, SUMMARY, CLAIMS = 'jobs', 'report.md', 'summary.json', 'claims.csv'


class Named(Protocol):
    """A plan: a dataclass with a name."""

    @property
    def name(self) -> str:
        """`quick` or `full`."""


PlanT = TypeVar('PlanT', bound=Named)
JobT = TypeVar('JobT', bound=Labelled)
StoreT = TypeVar('StoreT', bound=Keeper[Any])


class Experiment(ABC, Generic[PlanT, JobT, StoreT]):
    """Figures and tables of a paper: what they need, and how they are written."""

    name: ClassVar[str]
    exhibits: ClassVar[tuple[Exhibit, ...]]
    """Its figures and tables in the order of the page."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """What trainings need, see `needs_libraries`."""
    plans: Mapping[str, PlanT]
    """`quick` and `full`."""

    @abstractmethod
    def store(self, folder: Path) -> StoreT:
        """Who carries jobs out and keeps results in a folder."""

    @abstractmethod
    def jobs(self, exhibit: Exhibit, plan: PlanT) -> list[JobT]:
        """Everything that a figure needs."""

    @abstractmethod
    def write(self, exhibit: Exhibit, plan: PlanT, folder: Path, store: StoreT) -> list[Path]:
        """Write the table and the picture of a figure; the files that were written."""

    @abstractmethod
    def claims(self, rows: Iterable[Row]) -> list[Claim]:
        """What the paper says of the figures that there are rows of, judged."""

    @abstractmethod
    def spent(self, jobs: Sequence[JobT], store: StoreT) -> dict[str, Any]:
        """What jobs took, for the summary."""

    @abstractmethod
    def page(self, folder: Path, pictures: str) -> str:
        """The report on what a folder holds; `pictures` stands before their names in links."""

    def needs_libraries(self, exhibits: Sequence[Exhibit], plan: PlanT, folder: Path) -> bool:
        """Whether something is left to do that needs `libraries`: a training that jobs need."""
        store = self.store(folder / JOBS)
        jobs = (job for exhibit in exhibits for job in self.jobs(exhibit, plan))
        needed = {store.needs(job) for job in jobs} - {None}
        return not all(map(store.has, needed))

    @property
    def published(self) -> str:
        """Folder of what is published, below docs/."""
        return f'results/{self.name}'

    @property
    def published_page(self) -> str:
        """The page about it, below docs/."""
        return f'reproduce_{self.name}.md'


AnyExperiment = Experiment[Any, Any, Any]


def reproduce(
    experiment: AnyExperiment,
    exhibits: Sequence[Exhibit],
    plan: Named,
    folder: Path,
    workers: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> list[Path]:
    """Carry out figures, or what is left of them, and write tables, pictures and a report.

    Args:
        experiment: whose.
        exhibits: which; those that the folder has already stay in the report.
        plan: how much is done.
        folder: `jobs` in it keeps what jobs came to.
        workers: processes at work at a time.
        on_progress: told how far the jobs are.

    Returns:
        The files that were written.

    Raises:
        ConfigError: the folder is of another plan.
        KeyboardInterrupt, JobError: as `sec_nodes.experiments.runner.carry_out`.
    """
    _check_plan(folder, plan)
    store = experiment.store(folder / JOBS)
    jobs = [job for exhibit in exhibits for job in experiment.jobs(exhibit, plan)]
    carry_out(jobs, store, workers, on_progress)
    written = [
        path for exhibit in exhibits for path in experiment.write(exhibit, plan, folder, store)
    ]
    return [*written, *write_report(experiment, plan, folder, store)]


def write_report(experiment: AnyExperiment, plan: Named, folder: Path, store: Any) -> list[Path]:
    """Write summary, claims and report about all figures that the folder holds."""
    rows = rows_of(folder, experiment.exhibits)
    jobs = [job for exhibit in rows for job in experiment.jobs(exhibit, plan)]
    summary = {
        'version': __version__,
        'date': date.today().isoformat(),
        'machine': f'{os.cpu_count()} cores, {platform.machine()}',
        'plan': _plan_as_json(plan),
        **experiment.spent(jobs, store),
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + '\n', encoding='utf-8')
    found = experiment.claims(row for table in rows.values() for row in table)
    write_claims(folder / CLAIMS, found)
    (folder / REPORT).write_text(experiment.page(folder, ''), encoding='utf-8')
    return [folder / name for name in (SUMMARY, CLAIMS, REPORT)]


def publish(experiment: AnyExperiment, folder: Path, docs: Path) -> list[Path]:
    """Copy tables and pictures below docs/, and write the page about them.

    Raises:
        ConfigError: a figure is missing.
    """
    held = rows_of(folder, experiment.exhibits)
    missing = [spoken(exhibit) for exhibit in experiment.exhibits if exhibit not in held]
    if missing:
        raise ConfigError(
            f'{folder} lacks Figs {", ".join(missing)}; reproduce all of them, then publish'
        )
    target = docs / experiment.published
    target.mkdir(parents=True, exist_ok=True)
    names = [
        path.name
        for exhibit in experiment.exhibits
        for path in sorted(folder.glob(f'{stem(exhibit)}*'))
        if path.suffix in ('.csv', '.png')
    ]
    for name in (*names, CLAIMS, SUMMARY):
        shutil.copyfile(folder / name, target / name)
    return [target, write_page(experiment, docs)]


def write_page(experiment: AnyExperiment, docs: Path) -> Path:
    """Write the page about what is published below docs/."""
    path = docs / experiment.published_page
    folder = docs / experiment.published
    path.write_text(experiment.page(folder, f'{experiment.published}/'), encoding='utf-8')
    return path


def _check_plan(folder: Path, plan: Named) -> None:
    path = folder / SUMMARY
    if path.is_file():
        found = json.loads(path.read_text(encoding='utf-8'))['plan']
        if found != _plan_as_json(plan):
            raise ConfigError(
                f'{folder} holds results of another plan ({found["name"]}); give another '
                '--results, or remove its summary.json and tables'
            )


def _plan_as_json(plan: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(asdict(plan)))


if __name__ == '__main__':
    from sec_nodes.experiments.registry import experiment

    write_page(experiment(sys.argv[1]), share_dir() / 'docs')
