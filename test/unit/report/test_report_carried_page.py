"""What UAVs passed on, as figures and as a page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_rows import Writer, delivery, describe, outcome, relay, store, tasks
from rich.console import Console
from synthetic_maritime import Voyage, write_voyage

from sec_nodes.report import build, summarise, summary_table
from sec_nodes.report.carried_page import _files
from sec_nodes.report.figures import CARRIED, PLOTS, overview
from sec_nodes.report.figures.carried import contact_spans
from sec_nodes.report.load import load_run
from sec_nodes.report.units import NONE


def test_contacts_are_joined_to_spans(write_tables: Writer) -> None:
    seen = [store('satellite_0', 0.0, slot, slot in (1, 2, 5)) for slot in range(7)]
    folder = write_tables(stores=seen, relays=[relay(6)])
    assert contact_spans(load_run(describe(folder))) == [(3.0, 9.0), (15.0, 18.0)]
    assert contact_spans(load_run(describe(write_tables(relays=[relay(6)])))) == []


def test_a_file_from_before_the_run_has_no_age(write_tables: Writer) -> None:
    sha256 = 'ab' * 32
    rows = [
        delivery('uav_0-initial-03', sha256, created_slot=0),
        delivery('3-1', sha256, created_slot=1, time_s=9.0),
    ]
    table = _files(load_run(describe(write_tables(relays=[relay(0)], deliveries=rows))))
    _, first, second = (re.findall(r'<td>(.*?)</td>', line) for line in table.splitlines())
    assert first[:5] == ['uav_0-initial-03', NONE, 'before the run', 'slot 2', NONE]
    assert second[:5] == ['3-1', '3', 'slot 1', 'slot 2', '6 s']


def test_a_page_on_data_stands_beside_that_on_tasks(tmp_path: Path) -> None:
    folder = write_voyage(tmp_path / 'run', Voyage(slots=12, uavs=3, rises_s=0.0))
    page = build(folder).read_text()
    titles = re.findall(r'<h2>([^<]+)</h2>', page)
    assert titles.index('Data carried') < titles.index('Storage of the UAVs')
    assert {'Where the slots went', 'Files on the ground', 'Map', 'Latency by server'} <= {*titles}
    assert page.count('as recorded</b>') == summarise(folder)['carried']['files']['delivered'] > 0
    assert 'No data were lost or made up' in page
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    text = console.export_text()
    assert 'balance of data  kept on every UAV' in text
    assert max(map(len, text.splitlines())) <= 80


def without(folder: Path, uav: str, slot: int) -> list[str]:
    """Take a report out of the table of a run, and return it in cells."""
    path = folder / 'relays.csv'
    lines = path.read_text().splitlines()
    (report,) = (one for one in lines if one.startswith(f'{slot},') and f',{uav},' in one)
    lines.remove(report)
    path.write_text('\n'.join([*lines, '']))
    return report.split(',')


def told(folder: Path) -> tuple[dict[str, Any], str, str]:
    """The balance of data in the summary, the page and the terminal."""
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    balance = summarise(folder)['carried']['conservation']
    return balance, build(folder).read_text(), console.export_text()


def test_a_kill_is_no_loss(tmp_path: Path) -> None:
    folder = write_voyage(tmp_path / 'run', Voyage(slots=12, uavs=3, rises_s=0.0))
    balance, page, text = told(folder)
    assert (balance['holds'], balance['balanced_slots'], balance['skipped_slots']) == (True, 36, 0)
    assert 'passed over' not in page + text
    cells = without(folder, 'uav_1', 5)
    head = (folder / 'relays.csv').read_text().split('\n')[0].split(',')
    assert float(cells[head.index('uploaded_bit')]) > 0
    balance, page, text = told(folder)
    assert (balance['holds'], balance['balanced_slots'], balance['skipped_slots']) == (True, 34, 1)
    assert 'No data were lost' in page
    assert '1 slot without report passed over, as after a kill of a UAV' in page
    assert 'kept on every UAV; 1 slot without report passed over' in text


def test_a_loss_is_one_in_spite_of_a_kill(tmp_path: Path) -> None:
    folder = write_voyage(tmp_path / 'run', Voyage(slots=12, uavs=3, rises_s=0.0))
    without(folder, 'uav_1', 5)
    cells = without(folder, 'uav_1', 11)
    column = (folder / 'relays.csv').read_text().split('\n')[0].split(',').index('stored_bit')
    cells[column] = str(float(cells[column]) - 3e6)
    with (folder / 'relays.csv').open('a') as table:
        table.write(','.join(cells) + '\n')
    balance, page, text = told(folder)
    assert not balance['holds']
    assert [(one['name'], one['slot']) for one in balance['breaks']] == [('uav_1', 11)]
    assert page.count('uav_1: 3 Mbit vanished in slot 11; ') == 1
    assert 'Data were lost or made up' in page
    assert 'broken; 1 slot without report passed over' in text


def test_a_run_without_relays_says_nothing_of_data(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    assert summarise(folder)['carried'] is None
    page = build(folder).read_text()
    assert 'Data carried' not in page
    for name in ('relays', 'stores', 'deliveries'):
        (folder / f'{name}.csv').unlink()
    assert summarise(folder)['notes'] == ['run.json is missing: the parameters of the run are not '
                                          'known']  # fmt: skip


@pytest.mark.parametrize('mode', ['bare', 'no pass', 'late', 'crowded'])
def test_odd_runs_have_every_figure(write_tables: Writer, tmp_path: Path, mode: str) -> None:
    if mode == 'bare':
        folder = write_tables(relays=[relay(3)])
    elif mode == 'no pass':
        folder = write_voyage(tmp_path / 'a', Voyage(slots=2, uavs=1, rises_s=900.0))
    elif mode == 'late':
        large = {'devices.size_bit': [9e6, 9e6]}
        folder = write_voyage(tmp_path / 'a', Voyage(3, 2, 0.0, 'no_offloading', large))
    else:
        folder = write_voyage(tmp_path / 'a', Voyage(slots=2, uavs=17))
    run = load_run(folder)
    for plot in (*PLOTS, *CARRIED):
        figure = Figure(dpi=30)
        FigureCanvasAgg(figure)
        assert plot.draw(figure.add_subplot(), run).endswith('.')
        figure.canvas.draw()
    overview(run)
    if mode == 'late':
        assert summarise(folder)['carried']['late_batches'] > 0
