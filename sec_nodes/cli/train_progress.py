"""How training runs get on: a table that renews itself, or lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sec_nodes.learning.job import Job, Progress

FIGURES = ('cost', 'reward', 'violations')
_WINDOW = 30
"""Reports, about one a second, that rates are taken over."""
_LINE_EVERY_S = 15.0


class Course:
    """How one job gets on."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._reports: deque[tuple[float, Progress]] = deque(maxlen=_WINDOW)

    def take(self, progress: Progress, now_s: float) -> None:
        """Note a report that came at a time [s]."""
        self._reports.append((now_s, progress))

    @property
    def last(self) -> Progress | None:
        """The latest report."""
        return self._reports[-1][1] if self._reports else None

    @property
    def share(self) -> float:
        """Share of the budget that is used up."""
        if self.last is None:
            return 0.0
        steps, minutes = self.job.steps, self.job.minutes
        by_steps = self.last.steps / steps if steps else 0.0
        by_minutes = self.last.cpu_s / (60 * minutes) if minutes else 0.0
        return min(max(by_steps, by_minutes), 1.0)

    def rate(self, of: Callable[[Progress], float]) -> float | None:
        """Growth of a count a second of wall time; None if nothing is known."""
        if len(self._reports) < 2:
            return None
        (first_s, first), (last_s, last) = self._reports[0], self._reports[-1]
        return (of(last) - of(first)) / (last_s - first_s) if last_s > first_s else None

    @property
    def left_s(self) -> float | None:
        """Time until the budget is used up [s]; None if nothing is known."""
        if self.last is None:
            return None
        candidates = []
        for budget, of in (
            (self.job.steps, lambda progress: progress.steps),
            (self.job.minutes and 60 * self.job.minutes, lambda progress: progress.cpu_s),
        ):
            pace = self.rate(of)
            if budget and pace:
                candidates.append(max(budget - of(self.last), 0) / pace)
        return min(candidates, default=None)

    def cells(self) -> list[str]:
        """Steps, figures, updates a second and time left as text."""
        if self.last is None:
            return ['waiting', *[''] * (len(FIGURES) + 2)]
        updates = self.rate(lambda progress: progress.updates)
        return [
            f'{self.last.steps:,}',
            *(_number(self.last.figures.get(name)) for name in FIGURES),
            _number(updates),
            _clock(self.left_s) if self.share < 1 else 'done',
        ]


HEADINGS = ('steps', *FIGURES, 'updates/s', 'left')


@contextmanager
def watching(jobs: Sequence[Job], console: Console) -> Iterator[Callable[[int, Progress], None]]:
    """Show how jobs get on; yields what is to be told of their progress."""
    courses = [Course(job) for job in jobs]
    if console.is_terminal:
        with Live(_table(courses), console=console, auto_refresh=False) as live:

            def show(number: int, progress: Progress) -> None:
                courses[number].take(progress, time.monotonic())
                live.update(_table(courses), refresh=True)

            yield show
    else:
        told_s: dict[int, float] = {}

        def tell(number: int, progress: Progress) -> None:
            now_s, course = time.monotonic(), courses[number]
            course.take(progress, now_s)
            due_s = told_s.get(number, 0.0) + _LINE_EVERY_S
            if now_s >= due_s or (course.share >= 1 and due_s < math.inf):
                told_s[number] = math.inf if course.share >= 1 else now_s
                console.print(Text(_line(course)), soft_wrap=True)

        yield tell


def _line(course: Course) -> str:
    pairs = zip(HEADINGS, course.cells(), strict=True)
    return f'{course.job.name}: ' + ', '.join(f'{name} {text}' for name, text in pairs if text)


def _table(courses: Sequence[Course]) -> Table:
    table = Table(box=box.SIMPLE, caption='Ctrl-C stops in order and leaves checkpoints')
    table.add_column('run', no_wrap=True)
    table.add_column('')
    for name in HEADINGS:
        table.add_column(name, justify='right')
    for course in courses:
        bar = ProgressBar(total=1.0, completed=course.share, width=12)
        table.add_row(Text(course.job.name), bar, *course.cells())
    return table


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.4g}'


def _clock(time_s: float | None) -> str:
    """A duration as 1:02:03."""
    if time_s is None:
        return ''
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}'
