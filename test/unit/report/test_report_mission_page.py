"""Missions as figures, as a page and in the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_rows import Writer, outcome, tasks
from rich.console import Console
from synthetic_mission import Sortie, write_mission

from sec_nodes.recording.tables import TABLES
from sec_nodes.report import build, summarise, summary_table
from sec_nodes.report.figures import MISSION, overview, plots_of
from sec_nodes.report.load import load_run
from sec_nodes.report.mission_page import mission_alerts


def terminal(folder: Path) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    return console.export_text()


def test_a_page_tells_planned_from_real(tmp_path: Path) -> None:
    folder = write_mission(tmp_path / 'run', Sortie(planned_anew=15))
    page = build(folder).read_text()
    titles = re.findall(r'<h2>([^<]+)</h2>', page)
    assert titles[0] == 'Mission'
    assert titles[1:7] == [plot.title for plot in MISSION]
    assert 'Map' not in titles
    assert 'Satellite passes' not in titles
    assert page.count('the links of device 3 are 3.0 dB worse than planned') == 1
    assert 'planned last' in page
    mission = summarise(folder)['mission']
    rows = re.findall(r'<tr><td>d\d+</td><td>uav \d</td>.*', page)
    assert len(rows) == mission['tasks']['count'] == 18
    assert sum('class="done"' in row for row in rows) == mission['tasks']['in_time']
    text = terminal(folder)
    assert 'slot 15: the links of device 3' in text
    assert f'{mission["tasks"]["in_time"]} of 18 tasks in time' in text
    assert f'{mission["largest_j"]["flown"] / 1e3:.3f} kJ, planned' in text
    assert max(map(len, text.splitlines())) <= 80


def test_who_has_a_single_plan_is_not_told_of_others(tmp_path: Path) -> None:
    folder = write_mission(tmp_path / 'run', Sortie(slots=4))
    page = build(folder).read_text()
    assert 'planned last' not in page
    assert 'No upload ended' in page
    promised = len(summarise(folder)['mission']['tasks']['broken_promises'])
    assert f'{promised} tasks were planned in time and missed their deadline' in page


def test_uavs_that_come_too_close_are_an_alert(tmp_path: Path) -> None:
    folder = write_mission(tmp_path / 'run', Sortie(slots=3, changes={'uavs.layer_m': 0.5}))
    alerts = mission_alerts(summarise(folder)['mission'])
    assert any(text.startswith('UAVs came too close: 0.5 m') for text in alerts)


@pytest.mark.parametrize('mode', ['bare', 'no way', 'lost', 'short'])
def test_odd_missions_have_every_figure(write_tables: Writer, tmp_path: Path, mode: str) -> None:
    if mode in ('bare', 'no way'):
        plain = {name: '' if kind is str else 0 for name, kind in TABLES['sorties'].items()}
        planned = dict.fromkeys(TABLES['plans'], 0) | {'task_id': 1}
        folder = write_tables(
            tasks=tasks(1),
            outcomes=[outcome(1)],
            sorties=[plain | {'name': 'uav_0'}],
            plans=[planned] if mode == 'no way' else [],
        )
    elif mode == 'lost':
        folder = write_mission(tmp_path / 'a', Sortie(slots=12, lost=1, planned_anew=9))
    else:
        folder = write_mission(tmp_path / 'a', Sortie(slots=1))
    run = load_run(folder)
    for plot in (*MISSION, *plots_of(run)):
        figure = Figure(dpi=30)
        FigureCanvasAgg(figure)
        assert plot.draw(figure.add_subplot(), run).endswith('.')
        figure.canvas.draw()
    overview(run)
    terminal(folder)


def test_a_run_without_missions_says_nothing_of_them(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    assert summarise(folder)['mission'] is None
    assert '<h2>Mission</h2>' not in build(folder).read_text()
