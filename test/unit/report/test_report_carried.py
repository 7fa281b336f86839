"""What UAVs passed on to a satellite: numbers worked out by hand, and a played run as a page."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from report_rows import Writer, delivery, describe, outcome, relay, store, tasks
from synthetic_maritime import Voyage, write_voyage

from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.handover import initial_files
from sec_nodes.loop.recorded import contents
from sec_nodes.report import summarise
from sec_nodes.report.carried import checksum_states
from sec_nodes.report.carried_page import carried_alerts
from sec_nodes.report.load import load_run
from sec_nodes.report.page import _alerts, _tasks
from sec_nodes.report.questions import judge
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.registry import read_settings


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
            relay(1, collected_bit=1e6, uploaded_bit=0.0, stored_bit=3e6),
            relay(0, 1, stored_bit=1.5e6),
            relay(1, 1, stored_bit=1.5e6),
        ],
    )
    carried = summarise(describe(folder))['carried']
    (broken,) = carried['conservation']['breaks']
    assert (broken['name'], broken['slot']) == ('uav_1', 0)
    assert broken['missing_bit'] == pytest.approx(5e5)
    assert carried['conservation']['holds'] is False
    (alert,) = carried_alerts(carried)
    assert alert.startswith('uav_1: 0.5 Mbit vanished in slot 0; ')
    assert alert in _alerts(load_run(folder), summarise(folder))


def test_losses_do_not_make_up_for_what_came_from_nowhere(write_tables: Writer) -> None:
    rows = [
        relay(0, stored_bit=4e6),
        relay(1, stored_bit=3e6),
        relay(2, stored_bit=4e6),
        relay(3, stored_bit=4e6),
    ]
    folder = write_tables(stores=[store('uav_0', 4e6)], relays=rows)
    carried = summarise(describe(folder))['carried']
    found = [(one['slot'], one['missing_bit']) for one in carried['conservation']['breaks']]
    assert found == [(1, 1e6), (2, -1e6)]
    (alert,) = carried_alerts(carried)
    assert alert.endswith(', nor in 1 more slot')


def test_a_slot_without_report_begins_the_balance_anew(write_tables: Writer) -> None:
    # killed in slot 1 after 2 Mbit were collected; in slot 2 a remainder of 0.5 Mbit is reported
    rows = [
        relay(0, stored_bit=5e6, collected_bit=1e6),
        relay(2, stored_bit=7e6, uploaded_bit=5e5),
        relay(3, stored_bit=6e6),
    ]
    stores = [store('uav_0', 4e6), *(store('uav_0', 5e6, slot) for slot in (1, 2, 3))]
    folder = write_tables(
        stores=stores, relays=[*rows[:2], relay(3, stored_bit=6e6, uploaded_bit=1e6)]
    )
    balance = summarise(describe(folder))['carried']['conservation']
    assert (balance['holds'], balance['balanced_slots'], balance['skipped_slots']) == (True, 2, 1)
    balance = summarise(describe(write_tables(stores=stores, relays=rows)))['carried']
    assert [one['slot'] for one in balance['conservation']['breaks']] == [3]


def test_a_uav_without_its_first_slots_is_balanced_from_its_first_report(
    write_tables: Writer,
) -> None:
    rows = [relay(0, stored_bit=4e6), relay(1, stored_bit=4e6), relay(1, 1, stored_bit=3e6)]
    folder = write_tables(stores=[store('uav_0', 4e6), store('uav_1', 8e6)], relays=rows)
    balance = summarise(describe(folder))['carried']['conservation']
    assert (balance['holds'], balance['balanced_slots'], balance['skipped_slots']) == (True, 2, 1)


def test_slots_that_overlap_are_balanced_as_they_were_reported(write_tables: Writer) -> None:
    # slot 2 is done before slot 1, and slots 1 and 2 begin while the one before is under way
    rows = [
        relay(0, stored_bit=3e6, uploaded_bit=1e6),
        relay(2, stored_bit=1e6, uploaded_bit=2e6),
        relay(1, stored_bit=2e6, collected_bit=1e6),
        relay(3, stored_bit=0.0, uploaded_bit=2e6),
    ]
    stores = [store('uav_0', bit, slot) for slot, bit in enumerate((4e6, 35e5, 2e6, 2e6))]
    folder = write_tables(stores=stores, relays=rows)
    balance = summarise(describe(folder))['carried']['conservation']
    assert (balance['holds'], balance['balanced_slots'], balance['skipped_slots']) == (True, 4, 0)


def test_the_balance_holds_to_a_byte(write_tables: Writer) -> None:
    # a byte counts as 80 bit, and 100 Mbit are recorded to 0.1 bit
    scenario = {'flown': {'byte_share': 0.1}}
    for missing_bit, holds in ((39.0, True), (-39.0, True), (80.0, False), (-80.0, False)):
        folder = write_tables(
            stores=[store('uav_0', 1e8)], relays=[relay(0, stored_bit=1e8 - missing_bit)]
        )
        balance = summarise(describe(folder, **scenario))['carried']['conservation']
        assert balance['tolerance_bit'] == pytest.approx(40.1)
        assert balance['holds'] is holds


def test_without_a_record_of_the_start_nothing_is_said_of_losses(write_tables: Writer) -> None:
    carried = summarise(describe(write_tables(relays=[relay(0)])))['carried']
    assert carried['conservation']['holds'] is None
    assert carried['utility_mbit'] is None


def test_files_are_compared_with_what_the_device_recorded(write_tables: Writer) -> None:
    right = hashlib.sha256(contents(7, 3, 1, 10)).hexdigest()
    settings = read_settings('maritime', {'uavs.count': 2, 'flown.byte_share': 1e-6})
    *_, initial = initial_files(settings, 7, 1)
    folder = write_tables(
        relays=[relay(0)],
        deliveries=[
            delivery('3-1', right),
            delivery('3-2', right, created_slot=2),
            delivery(initial.file_id, initial.sha256, initial.size_byte, created_slot=0),
            delivery('3-1', ''),
        ],
    )
    (folder / 'fleet.yaml').write_text('backend: sim\nseed: 7\n')
    run = load_run(describe(folder))
    assert checksum_states(run) == ['as recorded', 'altered', 'as recorded', 'unverified']
    files = summarise(folder)['carried']['files']
    assert (files['delivered'], files['verified'], files['as_recorded']) == (3, 3, 2)
    assert files['altered'] == ['3-2']
    assert files['delivered_twice'] == ['3-1']
    texts = carried_alerts(summarise(folder)['carried'])
    assert '1 files were delivered more than once: 3-1' in texts
    assert '1 files differ from what the device recorded: 3-2' in texts
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
    assert 'ship ship ✗ 1 of 2' in _tasks(load_run(folder))


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
