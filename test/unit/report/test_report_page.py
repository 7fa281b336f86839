"""The report is built for whatever a run left behind."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_rows import Writer, outcome, tasks
from synthetic_run import Plan, write_run

from sec_nodes.report import ReportError, build
from sec_nodes.report.figures import PLOTS
from sec_nodes.report.figures.orbit import passes_of
from sec_nodes.report.load import load_run

PNG = b'\x89PNG\r\n\x1a\n'


class _Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or '' for name, value in attrs if name in ('src', 'href')]


def _check(folder: Path) -> str:
    page = build(folder)
    assert page == folder / 'report.html'
    assert (folder / 'report.png').read_bytes().startswith(PNG)
    return page.read_text(encoding='utf-8')


def test_the_page_stands_alone(tmp_path: Path) -> None:
    text = _check(write_run(tmp_path / 'run', Plan(slots=12)))
    links = _Links()
    links.feed(text)
    images = [link for link in links.found if link.startswith('data:image/png;base64,')]
    files = [link for link in links.found if link not in images]
    assert len(images) == 7
    assert files
    assert all((tmp_path / 'run' / name).is_file() for name in files)
    assert not re.search(r'https?://|@import|url\(', text)
    assert 'uavs.coverage_m' in text


@pytest.mark.parametrize(
    'plan',
    [
        Plan(slots=3, rate=0.0),
        Plan(slots=5, uavs=0, satellites=0),
        Plan(slots=5, all_failed=True),
        Plan(slots=5, uavs=9, rate=20.0),
    ],
    ids=['no tasks', 'no servers', 'all failed', 'crowded'],
)
def test_odd_runs_have_every_figure(tmp_path: Path, plan: Plan) -> None:
    run = load_run(write_run(tmp_path / 'run', plan))
    for plot in PLOTS:
        figure = Figure(dpi=30)
        caption = plot.draw(figure.add_subplot(), run)
        assert caption.endswith('.')
        FigureCanvasAgg(figure).draw()


def test_a_run_that_recorded_next_to_nothing_has_a_report(write_tables: Writer) -> None:
    folder = write_tables()
    for path in folder.glob('*.csv'):
        if path.stem not in ('tasks', 'outcomes'):
            path.unlink()
    text = _check(folder)
    assert 'uavs.csv is missing' in text
    assert 'no task was answered' not in text  # that is said in the figure; the caption is
    assert 'No task was answered' in text


def test_lost_tasks_are_announced_and_answers_escaped(write_tables: Writer) -> None:
    answered = outcome(1, answer='<script>', truth='<script>')
    text = _check(write_tables(tasks=tasks(1, 2), outcomes=[answered, answered]))
    assert '1 tasks have several outcomes: d0 #1' in text
    assert '1 tasks have no outcome: d0 #2' in text
    assert '<script>' not in text
    assert '&lt;script&gt; ✓' in text


def test_overlapping_announcements_are_one_pass(write_tables: Writer) -> None:
    row = {'name': 'P00S01', 'satellite': 1, 'minimum_elevation_rad': 0.17}
    folder = write_tables(
        passes=[
            {**row, 'rise_s': 0.0, 'set_s': 100.0, 'peak_elevation_rad': 0.5},
            {**row, 'rise_s': 50.0, 'set_s': 130.0, 'peak_elevation_rad': 0.7},
            {**row, 'rise_s': 5000.0, 'set_s': 5100.0, 'peak_elevation_rad': 0.2},
        ]
    )
    passes = passes_of(load_run(folder)['passes'])
    assert [(p.rise_s, p.set_s, p.peak_rad) for p in passes] == [
        (0.0, 130.0, 0.7), (5000.0, 5100.0, 0.2)
    ]  # fmt: skip


def test_a_folder_without_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r'outcomes\.csv|tasks\.csv'):
        build(tmp_path)
