"""What UAVs passed on to a satellite: numbers worked out by hand, and a played run as a page."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_rows import Writer, outcome, tasks
from rich.console import Console
from synthetic_maritime import Voyage, write_voyage

from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.recorded import contents
from sec_nodes.recording.tables import TABLES
from sec_nodes.report import build, summarise, summary_table
from sec_nodes.report.carried import checksum_states
from sec_nodes.report.carried_page import carried_alerts
from sec_nodes.report.figures import CARRIED, overview, plots_of
from sec_nodes.report.figures.carried import contact_spans
from sec_nodes.report.load import load_run
from sec_nodes.report.questions import judge
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.registry import read_settings


def relay(slot: int, uav: int = 0, **values: Any) -> dict[str, Any]:
    """A row of relays: nothing happened unless told otherwise."""
    row: dict[str, Any] = dict.fromkeys(TABLES['relays'], 0)
    row |= {'slot': slot, 'server_id': uav, 'name': f'uav_{uav}', 'storage_bit': 9e6}
    return row | values


def store(name: str, stored_bit: float, slot: int = 0, contact: bool = False) -> dict[str, Any]:
    return {
        'slot': slot, 'time_s': 3.0 * slot, 'name': name, 'stored_bit': stored_bit,
        'storage_bit': 9e6, 'ground_contact': contact,
    }  # fmt: skip


def delivery(file_id: str, sha256: str, size_byte: int = 10, **values: Any) -> dict[str, Any]:
    row = {
        'time_s': 9.0, 'file_id': file_id, 'device_id': 3, 'created_slot': 1, 'slot': 2,
        'satellite': 'satellite_0', 'size_byte': size_byte, 'size_bit': 8e4, 'sha256': sha256,
    }  # fmt: skip
    return row | values


def describe(folder: Path, **scenario: Any) -> Path:
    """Add run.json, with a byte that counts as eight bit unless told otherwise."""
    (folder / 'run.json').write_text(json.dumps({'scenario': {'slot_s': 3.0, **scenario}}))
    return folder


def test_numbers_are_sums_over_uavs_and_slots(write_tables: Writer) -> None:
    folder = write_tables(
        relays=[
            relay(
                0, ratio=0.25, batch_bit=4e6, frames=16, frames_offloaded=4, finish_s=1.0,
                satellite=2, collected_bit=1e6, uploaded_bit=5e6, sensitive_radio_j=0.5,
                tolerant_radio_j=1.0, uav_compute_j=1.5, satellite_compute_j=2.0,
            ),
            relay(0, 1, ratio=0.5, batch_bit=12e6, frames=48, frames_offloaded=24, late=True,
                  finish_s=4.0, satellite=2),
            relay(1, satellite=-1, ratio=0.9, collected_bit=2e6, overflow_bit=3e6),
            relay(1, 1, satellite=-1, uploaded_bit=1e6, uav_compute_j=1.0),
        ],
        deliveries=[delivery('d3-1', 'a' * 64), delivery('d4-1', 'b' * 64, size_bit=2e4)],
    )  # fmt: skip
    carried = summarise(describe(folder, energy_weight_mbit_j=0.5))['carried']
    assert carried['uploaded_mbit'] == pytest.approx(6.0)
    assert carried['energy_j']['total'] == pytest.approx(6.0)
    assert carried['utility_mbit'] == pytest.approx(6.0 - 0.5 * 6.0)
    # a quarter of 4 Mbit and half of 12; the ratio of a UAV without urgent data counts nothing
    assert carried['offloaded_share'] == pytest.approx(7 / 16)
    assert (carried['frames'], carried['frames_offloaded']) == (64, 28)
    assert (carried['batches'], carried['late_batches']) == (2, 1)
    assert carried['finish_s']['mean'] == pytest.approx(2.5)
    assert carried['with_satellite'] == pytest.approx(0.5)
    assert carried['collected_mbit'] == pytest.approx(3.0)
    assert carried['overflow_mbit'] == pytest.approx(3.0)
    assert carried['delivered_mbit'] == pytest.approx(0.1)
    assert carried['files']['delivered'] == carried['files']['verified'] == 2


def test_data_that_vanish_are_named_with_their_uav(write_tables: Writer) -> None:
    folder = write_tables(
        stores=[store('uav_0', 4e6), store('uav_1', 2e6)],
        relays=[
            relay(0, collected_bit=1e6, uploaded_bit=3e6, stored_bit=2e6),
            relay(1, collected_bit=1e6, uploaded_bit=0.0, stored_bit=3e6 - 8),
            relay(0, 1, stored_bit=1.5e6),
            relay(1, 1, stored_bit=1.5e6),
        ],
    )
    carried = summarise(describe(folder))['carried']
    assert carried['conservation']['missing_bit'] == pytest.approx({'uav_0': 8.0, 'uav_1': 5e5})
    assert not carried['conservation']['holds']
    (alert,) = carried_alerts(carried)
    assert alert.startswith('uav_1: 0.5 Mbit vanished')
    assert alert in build(folder).read_text()


def test_the_balance_holds_to_a_byte_a_file(write_tables: Writer) -> None:
    # a byte counts as 80 bit; two streams and one upload a slot
    scenario = {'flown': {'byte_share': 0.1}, 'devices': {'tolerant_count': [1, 2]}}
    for missing_bit, holds in ((239.0, True), (-239.0, True), (242.0, False)):
        folder = write_tables(
            stores=[store('uav_0', 1e6)], relays=[relay(0, stored_bit=1e6 - missing_bit)]
        )
        balance = summarise(describe(folder, **scenario))['carried']['conservation']
        assert balance['tolerance_bit'] == 240.0
        assert balance['holds'] is holds


def test_without_a_record_of_the_start_nothing_is_said_of_losses(write_tables: Writer) -> None:
    carried = summarise(describe(write_tables(relays=[relay(0)])))['carried']
    assert carried['conservation']['holds'] is None
    assert carried['utility_mbit'] is None


def test_files_are_compared_with_what_the_device_recorded(write_tables: Writer) -> None:
    right = hashlib.sha256(contents(7, 3, 1, 10)).hexdigest()
    folder = write_tables(
        relays=[relay(0)],
        deliveries=[
            delivery('d3-1', right),
            delivery('d3-2', right),
            delivery('uav_0-initial-00', right),
            delivery('d3-1', ''),
        ],
    )
    (folder / 'fleet.yaml').write_text('backend: sim\nseed: 7\n')
    run = load_run(describe(folder))
    assert checksum_states(run) == ['as recorded', 'altered', 'verified', 'unverified']
    files = summarise(folder)['carried']['files']
    assert (files['delivered'], files['verified'], files['as_recorded']) == (3, 3, 1)
    assert files['altered'] == ['d3-2']
    assert files['delivered_twice'] == ['d3-1']
    texts = carried_alerts(summarise(folder)['carried'])
    assert '1 files were delivered more than once: d3-1' in texts
    assert '1 files differ from what the device recorded: d3-2' in texts
    # on real hardware nobody knows what was recorded
    (folder / 'fleet.yaml').write_text('backend: hardware\nseed: 7\n')
    assert checksum_states(load_run(folder))[:2] == ['verified', 'verified']


@pytest.mark.parametrize(
    ('answer', 'expected'),
    [
        ('ship coast ship', (3, 3)),
        ('ship ship ship', (2, 3)),
        ('coast ship ship', (1, 3)),
        ('ship coast', (2, 3)),
        ('', (0, 3)),
    ],
)
def test_frames_are_judged_one_by_one(answer: str, expected: tuple[int, int]) -> None:
    assert judge('frames', answer, 'ship coast ship') == expected


def test_accuracy_counts_frames(write_tables: Writer) -> None:
    folder = write_tables(
        tasks=tasks(1, 2, 3),
        outcomes=[
            outcome(1, question_kind='frames', answer='ship coast', truth='ship coast'),
            outcome(2, question_kind='frames', answer='ship ship', truth='ship coast'),
            outcome(3, question_kind='frames', answer='ship', truth=''),
        ],
    )
    assert summarise(folder)['accuracy']['uav'] == {
        'known': 4, 'correct': 3, 'accuracy': pytest.approx(0.75)
    }  # fmt: skip
    assert 'ship ship ✗ 1 of 2' in build(folder).read_text()


def test_contacts_are_joined_to_spans(write_tables: Writer) -> None:
    seen = [store('satellite_0', 0.0, slot, slot in (1, 2, 5)) for slot in range(7)]
    folder = write_tables(stores=seen, relays=[relay(6)])
    assert contact_spans(load_run(describe(folder))) == [(3.0, 9.0), (15.0, 18.0)]
    assert contact_spans(load_run(describe(write_tables(relays=[relay(6)])))) == []


def test_a_played_run_gives_the_utility_of_the_scenario(tmp_path: Path) -> None:
    voyage = Voyage(slots=6, uavs=3, rises_s=4.0)
    summary = summarise(write_voyage(tmp_path / 'run', voyage))
    scenario = Maritime(
        read_settings('maritime', {'uavs.count': 3, 'satellite.rises_s': voyage.rises_s})
    )
    state, controller = scenario.reset(np.array([3])), create_batch('jcorm', scenario)
    utility_mbit = 0.0
    for _ in range(voyage.slots):
        state, out = scenario.step(state, controller.decide(state))
        utility_mbit += out.utility_mbit.item()
    carried = summary['carried']
    assert carried['utility_mbit'] == pytest.approx(utility_mbit, rel=1e-8)
    assert carried['conservation']['holds']
    assert carried['with_satellite'] == pytest.approx(4 / 6)
    assert summary['exactly_once']['holds']
    json.dumps(summary, allow_nan=False)


def test_a_page_on_data_stands_beside_that_on_tasks(tmp_path: Path) -> None:
    folder = write_voyage(tmp_path / 'run', Voyage(slots=12, uavs=3, rises_s=0.0))
    page = build(folder).read_text()
    titles = re.findall(r'<h2>([^<]+)</h2>', page)
    assert titles.index('Data carried') < titles.index('Storage of the UAVs')
    assert {'Where the slots went', 'Files on the ground', 'Map', 'Latency by server'} <= {*titles}
    assert 'Energy of a task' not in titles
    assert page.count('as recorded</b>') == summarise(folder)['carried']['files']['delivered'] > 0
    assert 'No data were lost or made up' in page
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    text = console.export_text()
    assert 'balance of data  kept on every UAV' in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_without_relays_says_nothing_of_data(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    assert summarise(folder)['carried'] is None
    page = build(folder).read_text()
    assert 'Data carried' not in page
    assert 'Energy of a task' in page
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
        folder = write_voyage(tmp_path / 'a', Voyage(slots=2, uavs=20))
    run = load_run(folder)
    for plot in (*plots_of(run), *CARRIED):
        figure = Figure(dpi=30)
        FigureCanvasAgg(figure)
        assert plot.draw(figure.add_subplot(), run).endswith('.')
        figure.canvas.draw()
    overview(run)
    if mode == 'late':
        assert summarise(folder)['carried']['late_batches'] > 0
