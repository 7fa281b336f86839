"""One UAV's slot as the nodes play it, against `Maritime.evaluate` of the same slot."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.loop.handover import bits_of, bytes_of, whole_bytes
from sec_nodes.loop.relay import (
    FrameAnswer,
    Order,
    RelayFigures,
    RelaySlot,
    SatelliteShare,
    offloaded_frames,
)
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.scenarios.registry import read_settings

SATELLITE = 10
FRAMES = 4
ONE = FrameAnswer('boat', 0.5, 0.01)


def settings_of(name: str = 'maritime'):
    return read_settings(name)


def order_of(**fields) -> Order:
    given = {
        'ratio': 0.25, 'power_w': 0.5, 'cpu_hz': 1e9, 'start_s': 2.0, 'satellite': SATELLITE,
        'upload_rate_bit_s': 2e8,
    }  # fmt: skip
    return Order(**(given | fields))


def gathered(slot: RelaySlot, *uploads_s: float, frames: int = FRAMES) -> RelaySlot:
    """All tasks of the slot arrive."""
    for key, upload_s in zip(slot.size_bit, uploads_s, strict=True):
        assert slot.awaits(key)
        slot.arrived(key, upload_s, frames)
    assert slot.is_gathered
    slot.begin()
    return slot


def played(
    scenario: Maritime, state: MaritimeState, decision: MaritimeDecision, copy: int, m: int
) -> RelayFigures:
    """A slot of UAV m with what channel and satellite would say."""
    settings = scenario.settings
    columns = np.flatnonzero(state.devices.size_bit[copy, m] > 0)
    tasks = {(int(k), 0): float(state.devices.size_bit[copy, m, k]) for k in columns}
    rates = state.devices.rate_bit_s[copy, m]
    streams = {
        int(k): float(rates[k]) for k in np.flatnonzero(~state.devices.sensitive & (rates > 0))
    }
    in_view = state.leo_gain[copy, m] > 0
    order = Order(
        ratio=float(decision.ratio[copy, m]) * in_view,
        power_w=float(decision.power_w[copy, m]) * in_view,
        cpu_hz=float(decision.cpu_hz[copy, m]) * in_view,
        start_s=float(decision.start_s[copy, m]),
        satellite=SATELLITE if in_view else -1,
        upload_rate_bit_s=float(
            scenario.leo_rate_bit_s(state, settings.uavs.upload_power_w)[copy, m]
        ),
        streams=streams,
    )
    slot = RelaySlot(settings, order, tasks)
    for key in reversed(list(tasks)):  # the order of arrival must not matter
        slot.arrived(key, tasks[key] / rates[key[0]], FRAMES)
    slot.begin()
    for frame in slot.own_frames:
        slot.answered(frame, ONE)
    if slot.awaits_satellite:
        rate_bit_s = scenario.leo_rate_bit_s(state, decision.power_w)[copy, m]
        transmit_s = float(slot.sent_bit / rate_bit_s)
        cycles = settings.devices.cycles_per_bit * slot.sent_bit
        execute_s = cycles / order.cpu_hz
        share = SatelliteShare(
            transmit_s=transmit_s,
            execute_s=execute_s,
            energy_j=settings.satellite.capacitance_j_s2 * order.cpu_hz**2 * cycles,
            finish_s=slot.upload_s + transmit_s + execute_s + scenario.round_trip_s,
            inference_s=0.1,
        )
        slot.satellite_answered(share, [ONE] * len(slot.sent_frames))
    assert slot.is_computed
    stored_byte = whole_bytes(settings, state.stored_bit[copy, m])
    collected_byte = sum(slot.grants(stored_byte).values())
    uploaded_byte = slot.upload_byte(stored_byte + collected_byte)
    left_byte = stored_byte + collected_byte - uploaded_byte
    return slot.figures(collected_byte, uploaded_byte, left_byte, 3)


@pytest.mark.parametrize(
    'name',
    ['maritime', 'maritime:storage_limited', 'maritime:large_tasks', 'maritime:setting',
     'maritime:half_storage'],
)  # fmt: skip
def test_a_slot_is_the_one_that_the_scenario_computes(name: str) -> None:
    settings = settings_of(name)
    scenario = Maritime(settings)
    draws = np.random.default_rng(7)
    state = scenario.reset(np.arange(3))
    seen = {'late': 0, 'in time': 0, 'full': 0, 'drained': 0}
    byte = bits_of(settings, 1)
    for _ in range(6):
        shape = state.batch_bit.shape
        ratio = draws.uniform(0, 1, shape) * (draws.uniform(size=shape) > 0.2)
        decision = MaritimeDecision(
            power_w=draws.uniform(0.05, settings.uavs.largest_power_w, shape),
            cpu_hz=draws.uniform(0.05, 1.0, shape) * settings.satellite.cpu_hz / shape[1],
            ratio=np.where(state.leo_gain > 0, ratio, 0.0),
            start_s=draws.uniform(0, settings.slot_s, shape),
        )
        following, outcome = scenario.step(state, decision)
        for copy, m in np.ndindex(*shape):
            figures = played(scenario, state, decision, copy, m)
            expected = {
                key: float(getattr(outcome, key)[copy, m])
                for key in ('local_s', 'finish_s', 'uav_compute_j', 'satellite_compute_j',
                            'sensitive_radio_j')
            }  # fmt: skip
            for key, value in expected.items():
                assert getattr(figures, key) == pytest.approx(value, rel=1e-9, abs=1e-12), key
            assert figures.late == outcome.late[copy, m]
            assert figures.upload_start_s == outcome.start_s[copy, m]
            assert figures.upload_s == pytest.approx(state.upload_s[copy, m], rel=1e-12)
            for key in ('collected_bit', 'overflow_bit', 'uploaded_bit'):
                value = float(getattr(outcome, key)[copy, m])
                # the stored data of the state are rounded to bytes as well
                assert getattr(figures, key) == pytest.approx(value, abs=2.01 * byte), key
            rate = scenario.leo_rate_bit_s(state, settings.uavs.upload_power_w)[copy, m]
            slack_j = 2.01 * byte / rate if rate > 0 else 0.0
            assert figures.tolerant_radio_j == pytest.approx(
                float(outcome.tolerant_radio_j[copy, m]), abs=slack_j + 1e-12
            )
            seen['late' if figures.late else 'in time'] += 1
            seen['full'] += figures.overflow_bit > byte
            seen['drained'] += figures.stored_bit < byte
        state = following
    assert seen['in time'] > 0
    if name == 'maritime:large_tasks':
        assert seen['late'] > 0
    if name == 'maritime:storage_limited':
        assert seen['drained'] > 0


def test_frames_that_stand_for_a_share() -> None:
    assert [offloaded_frames(0.3, n) for n in (0, 1, 2, 3, 10)] == [0, 1, 1, 1, 3]
    assert offloaded_frames(0.0, 10) == 0
    assert offloaded_frames(1.0, 10) == 10
    assert offloaded_frames(1e-9, 4) == 1


def test_first_frames_stay_and_tasks_get_answers_from_both_places() -> None:
    slot = RelaySlot(settings_of(), order_of(ratio=0.5), {(7, 0): 1e6, (3, 1): 2e6})
    gathered(slot, 0.4, 0.3)
    assert slot.frames_of == {(7, 0): range(4), (3, 1): range(4, 8)}
    assert (slot.own_frames, slot.sent_frames) == (range(4), range(4, 8))
    assert slot.upload_s == 0.4
    assert slot.sent_bit == 1.5e6
    assert not slot.is_computed
    for frame in slot.own_frames:
        slot.answered(frame, FrameAnswer(f'own_{frame}', 0.1 * frame, 0.01))
    assert not slot.is_computed
    assert slot.awaits_satellite
    share = SatelliteShare(0.1, 0.2, 0.3, 0.9, 0.04)
    answers = [FrameAnswer(f'sent_{k}', 0.5, 0.01) for k in range(4)]
    slot.satellite_answered(share, answers)
    assert slot.is_computed
    first, second = slot.answer_of((7, 0)), slot.answer_of((3, 1))
    assert first.answer == 'own_0 own_1 own_2 own_3'
    assert first.confidence == pytest.approx(0.15)
    assert first.inference_s == pytest.approx(0.04)
    assert (second.answer, second.frames) == ('sent_0 sent_1 sent_2 sent_3', 4)
    # 400 cycles a bit of 1.5 Mbit at 2 GHz take 0.3 s, so that the satellite is last
    assert slot.finish_s == 0.9


def test_after_a_loss_the_uav_computes_everything() -> None:
    slot = gathered(RelaySlot(settings_of(), order_of(ratio=0.5), {(7, 0): 2e6}), 0.5)
    for frame in slot.own_frames:
        slot.answered(frame, ONE)
    assert list(slot.satellite_lost(transmit_s=0.25)) == [2, 3]
    assert not slot.is_computed
    for frame in (2, 3):
        slot.answered(frame, ONE)
    assert slot.is_computed
    figures = slot.figures(0, 0, 0, 0)
    assert figures.finish_s == pytest.approx(0.5 + 400 * 2e6 / 2e9)
    assert figures.local_s == pytest.approx(0.4)
    # 1e-28 (2e9)^2 400 2e6
    assert figures.uav_compute_j == pytest.approx(0.32)
    assert figures.sensitive_radio_j == pytest.approx(0.5 * 0.25)
    assert (figures.satellite_compute_j, figures.frames_offloaded) == (0.0, 0)
    assert figures.ratio == 0.5


@pytest.mark.parametrize('fields', [{'power_w': 0.0}, {'cpu_hz': 0.0}, {'satellite': -1}])
def test_what_nobody_can_send_is_not_offloaded(fields) -> None:
    slot = gathered(RelaySlot(settings_of(), order_of(**fields), {(7, 0): 2e6}), 0.5)
    assert len(slot.own_frames) == FRAMES
    assert not slot.awaits_satellite


def test_a_lost_task_counts_for_nothing() -> None:
    slot = RelaySlot(settings_of(), order_of(ratio=0.0), {(1, 0): 1e6, (2, 0): 2e6})
    slot.arrived((1, 0), 0.2, FRAMES)
    assert not slot.is_gathered
    slot.gone((2, 0))
    assert slot.is_gathered
    slot.begin()
    assert (slot.batch_bit, slot.frames, slot.upload_s) == (1e6, FRAMES, 0.2)
    assert not slot.awaits((2, 0))


def test_a_slot_without_tasks_is_computed_at_once() -> None:
    slot = RelaySlot(settings_of(), order_of(ratio=0.5), {})
    assert slot.is_gathered
    slot.begin()
    assert slot.is_computed
    assert (slot.finish_s, slot.is_late, slot.upload_start_s) == (0.0, False, 2.0)


def test_a_frame_without_answer_fails_its_task_only() -> None:
    tasks = {(1, 0): 1e6, (2, 0): 1e6}
    slot = gathered(RelaySlot(settings_of(), Order(), tasks), 0.1, 0.1, frames=1)
    slot.failed(0, 'inference_error: no')
    slot.answered(1, ONE)
    assert slot.is_computed
    assert slot.answer_of((1, 0)).failure == 'inference_error: no'
    assert slot.answer_of((2, 0)).answer == 'boat'


def test_measured_time_counts_in_place_of_the_model() -> None:
    slot = RelaySlot(settings_of(), Order(), {(1, 0): 2e6}, measured=True)
    gathered(slot, 0.5)
    for frame in range(FRAMES):
        slot.answered(frame, FrameAnswer('boat', 1.0, 0.2))
    figures = slot.figures(0, 0, 0, 0)
    assert figures.local_s == pytest.approx(0.8)
    assert figures.finish_s == pytest.approx(1.3)
    # 0.8 W for twice the modelled 0.4 s
    assert figures.uav_compute_j == pytest.approx(0.64)


def test_a_late_slot_collects_until_its_end_and_uploads_nothing() -> None:
    settings = settings_of()
    slot = RelaySlot(settings, order_of(ratio=0.0, streams={4: 1e6}), {(1, 0): 14e6})
    gathered(slot, 0.5)
    for frame in range(FRAMES):
        slot.answered(frame, ONE)
    assert slot.finish_s == pytest.approx(3.3)
    assert slot.is_late
    assert slot.upload_start_s == settings.slot_s
    assert slot.grants(0) == {4: round(bytes_of(settings, 3e6))}
    assert slot.upload_byte(10**6) == 0


def test_grants_share_what_is_free_in_proportion_to_rates() -> None:
    settings = settings_of()
    streams = {4: 1e7, 9: 3e7}
    slot = gathered(RelaySlot(settings, order_of(start_s=2.0, streams=streams), {}))
    # 80 Mbit, of which a thousandth is moved as real bytes
    assert slot.grants(0) == {4: 2500, 9: 7500}
    assert slot.overflow_bit == 0.0
    capacity_byte = whole_bytes(settings, settings.uavs.storage_bit)
    grants = slot.grants(capacity_byte - 1001)
    assert sum(grants.values()) == 1001
    assert grants[4] == 250
    assert slot.overflow_bit == pytest.approx(8e7 - bits_of(settings, 1001))
    assert slot.grants(capacity_byte) == {}


def test_without_satellite_nothing_goes_up() -> None:
    slot = gathered(RelaySlot(settings_of(), order_of(start_s=1.0), {}))
    assert slot.upload_byte(10**5) == round(bytes_of(settings_of(), 2.0 * 2e8))
    slot.without_satellite()
    assert slot.upload_byte(10**5) == 0
    assert slot.figures(0, 0, 10, 1).satellite == -1
