"""`sec reproduce`: experiments of a paper carried out anew, with the printed numbers beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from sec_nodes.cli.training_environment import go_on_there, has_libraries
from sec_nodes.config import ConfigError
from sec_nodes.experiments.registry import experiment
from sec_nodes.experiments.reproduction import AnyExperiment, Named, publish, reproduce
from sec_nodes.experiments.rows import Exhibit
from sec_nodes.experiments.runner import JobError, Progress
from sec_nodes.learning.jobs import cores
from sec_nodes.paths import share_dir

FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Order:
    """What a user asks for."""

    experiment: str
    figures: Sequence[str]
    """Numbers of the paper's, names of those that it lacks."""
    tables: Sequence[int]
    """Without figures and tables all are meant."""
    quick: bool
    full: bool
    results: Path
    publish: bool

    def arguments(self) -> list[str]:
        """The same order for a command line."""
        given = ['reproduce', self.experiment, '--results', str(self.results)]
        given += [text for figure in self.figures for text in ('--figure', figure)]
        given += [text for number in self.tables for text in ('--table', str(number))]
        flags = {'--quick': self.quick, '--full': self.full, '--publish': self.publish}
        return [*given, *(name for name, wanted in flags.items() if wanted)]


def carry_out(order: Order, console: Console, plan: Named | None = None) -> int:
    """Reproduce, and say where the results are.

    Args:
        order: what to do.
        console: where to show it.
        plan: in place of that of the order.

    Returns:
        Exit code of the command.

    Raises:
        ConfigError: anything that cannot be used; the text names it and the remedy.
    """
    wanted = experiment(order.experiment)
    exhibits, plan = _exhibits(order, wanted), plan or _plan(order, wanted)
    folder = order.results / f'reproduce-{order.experiment}-{plan.name}'
    libraries = wanted.libraries if wanted.needs_libraries(exhibits, plan, folder) else ()
    if not has_libraries(libraries):
        go_on_there(libraries, ['-m', 'sec_nodes.cli.main', *order.arguments()])
    view = _View(console)
    try:
        with Live(view.shown, console=console, refresh_per_second=2, transient=True):
            written = reproduce(wanted, exhibits, plan, folder, cores(), view.update)
    except JobError as error:
        console.print(Text(f'error: {error}\nWhat is done is kept in {folder}.'))
        return FAILED
    except OSError as error:
        raise ConfigError(
            f'{folder} cannot be written ({error.strerror}); give another --results'
        ) from None
    except KeyboardInterrupt:
        console.print(Text(f'Interrupted. What is done is kept in {folder}: call again to go on.'))
        return INTERRUPTED
    console.print(Text(f'Written to {folder}: {", ".join(path.name for path in written)}'))
    if order.publish:
        for path in publish(wanted, folder, share_dir() / 'docs'):
            console.print(Text(f'Published in {path}'))
    return 0


def _exhibits(order: Order, wanted: AnyExperiment) -> list[Exhibit]:
    """Figures and tables that are asked for, in the order of the page; else all there is."""
    titles = {str(one): one for one in wanted.exhibits}
    tables = {name.removeprefix('table'): name for name in titles if name.startswith('table')}
    figures = [name for name in titles if name not in tables.values()]
    asked = [titles[_known('figure', name, figures)] for name in order.figures]
    asked += [tables[_known('table', str(number), list(tables))] for number in order.tables]
    return [exhibit for exhibit in wanted.exhibits if not asked or exhibit in asked]


def _known(option: str, asked: str, known: Sequence[str]) -> str:
    if asked not in known:
        raise ConfigError(f'--{option} {asked}: known are {", ".join(known) or "none"}')
    return asked


def _plan(order: Order, wanted: AnyExperiment) -> Named:
    if order.quick and order.full:
        raise ConfigError('--quick and --full exclude each other; give one of them')
    plan: Named = wanted.plans['full' if order.full else 'quick']
    return plan


class _View:
    """Jobs done and at work, and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._bar = Bar(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('{task.fields[left]}'),
            console=console,
        )
        self._task = self._bar.add_task('jobs', total=None, left='')
        self._at_work = Text()
        self.shown = Group(self._bar, self._at_work)

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        left = '' if progress.left_s is None else f'about {_minutes(progress.left_s)} left'
        self._bar.update(self._task, total=progress.total, completed=progress.done, left=left)
        self._at_work.plain = '\n'.join(progress.at_work)


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f'{minutes // 60} h {minutes % 60} min' if minutes >= 60 else f'{minutes} min'
