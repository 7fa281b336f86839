"""Device and server nodes of mllm as processes: questions, pictures, words and full queues."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import TIMEOUT_S, Stage
from stand_in_language import LOADER, PID_FILE, SLOW_S, models_folder, words_of

from sec_nodes.inference.codec import decode, encode
from sec_nodes.inference.sea.questions import picture_named
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_fields, packet_from
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import LOCAL
from sec_offload import msg

STAND_IN = Path(__file__).resolve().parents[1] / 'stand_in'
SEED = 3
WORD_S = 5e10 / 1.88e12
DEVICE_SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.TOKEN, names.RESULT, names.TASK_OUTCOME,
)  # fmt: skip
DEVICE_HEARS = (names.DEVICE_REPORT, names.PAYLOAD_TX, names.TASK_REPORT)
UAV_SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE, names.VEHICLE_PAYLOAD.of('uav_1'),
)  # fmt: skip
UAV_HEARS = (names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT)


@pytest.fixture(scope='module')
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('stand_in')
    return {
        'SEC_MODELS_DIR': str(models_folder(folder)),
        'PYTHONPATH': f'{STAND_IN}:{os.environ.get("PYTHONPATH", "")}',
        PID_FILE: str(tmp_path_factory.mktemp('running')),
        SLOW_S: '0.3',
    }


@pytest.fixture(scope='module')
def devices(environment: dict[str, str]) -> Iterator[Stage]:
    with Stage(DEVICE_SAYS, DEVICE_HEARS) as stage:
        stage.start('device', 'scenario:=mllm', f'seed:={SEED}', 'ids:=2,5', **environment)
        stage.connect()
        stage.next(names.DEVICE_REPORT, lambda report: report.slot == -1)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def uav(environment: dict[str, str]) -> Iterator[Stage]:
    """UAV 1, whose model takes 0.3 s for a batch."""
    with Stage(UAV_SAYS, UAV_HEARS) as stage:
        stage.start(
            'uav', 'scenario:=mllm', 'ids:=1-1', f'loader:={LOADER}', 'heartbeat_s:=0.05',
            'max_batch:=2', 'max_queue:=3', **environment,
        )  # fmt: skip
        stage.connect()
        stage.next(names.SERVER_REPORT)
        stage.open_slot(0, 0.0)
        stage.next(names.SERVER_REPORT, lambda report: report.slot == 0)
        yield stage
        stage.end()


def requests(slot: int) -> Any:
    """What the scenario draws for a slot of the run."""
    scenario = Mllm(read_settings('mllm:extended'))
    state = scenario.reset(np.array([SEED]))
    return scenario._world.requests(state.seed, np.array([slot]))


def test_devices_ask_what_the_scenario_draws(devices: Stage) -> None:
    devices.open_slot(4, 12.0)
    report = devices.next(names.DEVICE_REPORT, lambda report: report.slot == 4)
    drawn = requests(4)
    assert [task.device_id for task in report.tasks] == [2, 5]
    for task in report.tasks:
        assert task.input_bit == drawn.size_bit[0, task.device_id]
        assert task.steps == drawn.words[0, task.device_id]
        assert task.deadline_s == drawn.deadline_s[0, task.device_id]
        assert task.answer_bit == 48 * task.steps
        assert task.prompt
    assert list(report.flop_s) == [0.0, 0.0]
    task = report.tasks[0]
    order = msg.Assignment(
        task_id=task.task_id, device_id=2, server=1, model_id='sea-s-q4', power_w=0.5,
        assigned_s=12.25, prompt=task.prompt, steps=task.steps, input_bit=task.input_bit,
        answer_bit=task.answer_bit,
    )  # fmt: skip
    devices.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=4, assignments=[order]))
    payload = devices.next(names.PAYLOAD_TX, lambda sent: sent.task_id == task.task_id)
    picture = decode(packet_from(payload))
    assert (picture.shape, picture.dtype) == ((96, 96, 3), np.uint8)
    assert (payload.prompt, payload.steps, payload.ready_s) == (task.prompt, task.steps, 12.25)
    devices.say(
        names.RESULT,
        msg.TaskResult(
            task_id=task.task_id,
            device_id=2,
            server=1,
            slot=4,
            answer='two',
            tokens=2,
            batch=4,
            ready_s=14.0,
            first_token_s=13.0,
        ),
    )
    news = devices.next(names.TASK_REPORT, lambda news: news.task_id == task.task_id)
    np.testing.assert_array_equal(picture_named(news.picture), picture)
    assert (news.prompt, news.tokens, news.batch) == (task.prompt, 2, 4)
    assert (news.first_token_s, news.answered_s) == (13.0, 14.0)
    assert news.question_kind
    assert news.truth


def test_a_device_that_cannot_compute_says_so(devices: Stage) -> None:
    devices.open_slot(6, 18.0)
    report = devices.next(names.DEVICE_REPORT, lambda report: report.slot == 6)
    task = report.tasks[1]
    order = msg.Assignment(task_id=task.task_id, device_id=5, server=LOCAL, model_id='sea-s-q4')
    devices.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=6, assignments=[order]))
    news = devices.next(names.TASK_REPORT, lambda news: news.task_id == task.task_id)
    assert (news.kind, news.reason) == (msg.TaskReport.ERROR, "no cut 0 of 'sea-s-q4'")


_tasks = iter(range(1, 10_000))


def payload(**fields: Any) -> msg.Payload:
    """A sound payload of a new task, announced by its assignment."""
    task_id = next(_tasks)
    picture = np.full((96, 96, 3), task_id % 250, np.uint8)
    message = msg.Payload(
        task_id=task_id, server=1, model_id='sea-s-q4', prompt='How many ships are there?',
        answer_bit=768.0, ready_s=0.5, steps=16.0, **packet_fields(encode(picture)),
    )  # fmt: skip
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def send(stage: Stage, *payloads: msg.Payload) -> None:
    orders = [msg.Assignment(task_id=sent.task_id, server=1) for sent in payloads]
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=0, assignments=orders))
    for sent in payloads:
        stage.say(names.VEHICLE_PAYLOAD.of('uav_1'), sent)


def restart(stage: Stage) -> None:
    """Empty the queue."""
    for kind, lives in ((msg.Failure.CRASH, False), (msg.Failure.RECOVER, True)):
        stage.say(names.FAILURE, msg.Failure(server_id=1, kind=kind))
        stage.next(
            names.SERVER_REPORT,
            lambda report, lives=lives: bool(report.servers) == lives,
            since=len(stage.heard[names.SERVER_REPORT.name]),
        )


def test_words_come_a_step_apart_and_then_the_answer(uav: Stage) -> None:
    restart(uav)
    sent = payload()
    send(uav, sent)
    result = uav.next(names.RESULT_TX, lambda result: result.task_id == sent.task_id)
    words = words_of('sea-s-q4', sent.prompt, decode(packet_from(sent)))
    assert (result.answer, result.tokens, result.batch) == (' '.join(words), len(words), 1)
    assert result.timing.back_s == pytest.approx(16 * WORD_S)
    assert result.energy.back_j == pytest.approx(16 * WORD_S * 25.0)
    assert result.first_token_s == pytest.approx(0.5 + WORD_S)
    assert result.ready_s == pytest.approx(0.5 + 16 * WORD_S)
    assert result.inference_s >= 0.3
    uav.next(names.TOKEN_TX, lambda chunk: chunk.last and chunk.task_id == sent.task_id)
    chunks = uav.all(names.TOKEN_TX, task_id=sent.task_id)
    assert ''.join(chunk.text for chunk in chunks) == result.answer
    np.testing.assert_allclose(
        [chunk.ready_s for chunk in chunks], 0.5 + WORD_S * np.arange(1, len(words) + 1)
    )
    assert {chunk.token_bit for chunk in chunks} == {48.0}


def test_what_would_wait_too_long_is_turned_away(uav: Stage) -> None:
    restart(uav)
    # 96 words take 2.55 s each, and 6 s is the longest wait
    crowd = [payload(steps=96.0, answer_bit=4608.0) for _ in range(4)]
    send(uav, *crowd)
    news = uav.next(names.TASK_REPORT, lambda news: news.task_id == crowd[3].task_id)
    assert news.kind == msg.TaskReport.ERROR
    assert news.reason == 'queue_full: would wait 7.66 s, 6 s at most'
    results = [
        uav.next(names.RESULT_TX, lambda result, sent=sent: result.task_id == sent.task_id)
        for sent in crowd[:3]
    ]
    waits_s = [result.timing.wait_s for result in results]
    np.testing.assert_allclose(waits_s, [0.0, 96 * WORD_S, 2 * 96 * WORD_S], atol=1e-9)
    # three for batches of two: some had to wait, and were computed together
    assert sorted(result.batch for result in results) == [1, 2, 2]


def test_more_than_may_wait_are_sent_elsewhere(uav: Stage) -> None:
    restart(uav)
    crowd = [payload(steps=1.0) for _ in range(9)]
    send(uav, *crowd)
    news = uav.next(names.TASK_REPORT, lambda news: news.task_id == crowd[8].task_id)
    assert news.kind == msg.TaskReport.LOST
    assert news.reason.startswith('payload_refused: queue_full: 3 jobs wait')


def empty_prompt(message: msg.Payload) -> None:
    message.prompt = ''


def flood(message: msg.Payload) -> None:
    message.prompt = 'why? ' * 1000


def no_picture(message: msg.Payload) -> None:
    for name, value in packet_fields(encode(np.zeros((5, 7), np.uint8))).items():
        setattr(message, name, value)


def floats(message: msg.Payload) -> None:
    for name, value in packet_fields(encode(np.zeros((9, 9, 3), np.float32))).items():
        setattr(message, name, value)


def no_steps(message: msg.Payload) -> None:
    message.steps = 0.0


@pytest.mark.parametrize(
    ('spoil', 'says'),
    [
        (empty_prompt, 'the question has 0 characters'),
        (flood, 'the question has 5000 characters'),
        (no_picture, 'shape (5, 7) is no picture'),
        (floats, "dtype is 'float32', expected 'uint8'"),
        (no_steps, 'steps = 0.0'),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    uav: Stage, spoil: Callable[[msg.Payload], None], says: str
) -> None:
    restart(uav)
    bad = payload()
    spoil(bad)
    send(uav, bad)
    news = uav.next(names.TASK_REPORT, lambda news: news.task_id == bad.task_id)
    assert news.kind == msg.TaskReport.LOST
    assert says in news.reason, news.reason


def test_killed_models_come_back_and_heartbeats_go_on(
    uav: Stage, environment: dict[str, str]
) -> None:
    restart(uav)
    running = Path(environment[PID_FILE])
    first = payload()
    send(uav, first)
    uav.next(names.RESULT_TX, lambda result: result.task_id == first.task_id)
    (before,) = [int(path.name) for path in running.iterdir()]
    doomed = payload()
    since = len(uav.heard[names.SERVER_REPORT.name])
    send(uav, doomed)
    uav.next(names.SERVER_REPORT, lambda report: report.servers[0].queue_length == 1, since=since)
    os.kill(before, signal.SIGKILL)
    news = uav.next(names.TASK_REPORT, lambda news: news.task_id == doomed.task_id)
    assert news.kind == msg.TaskReport.LOST
    assert news.reason.startswith('payload_refused: model_crashed: killed by SIGKILL')
    again = payload()
    send(uav, again)
    uav.next(names.RESULT_TX, lambda result: result.task_id == again.task_id)
    reports = uav.heard[names.SERVER_REPORT.name][since:]
    assert all(report.servers for report in reports)
    stamps_s = [report.header.stamp.sec + report.header.stamp.nanosec * 1e-9 for report in reports]
    assert len(stamps_s) > 3


def test_models_that_do_not_fit_end_the_node_with_the_numbers(environment: dict[str, str]) -> None:
    with Stage(UAV_SAYS, UAV_HEARS) as stage:
        stage.start(
            'uav', 'scenario:=mllm', 'ids:=1-2', f'loader:={LOADER}', 'memory_limit_mb:=50',
            **environment,
        )  # fmt: skip
        with pytest.raises(AssertionError, match='the node died before message on server_report'):
            stage.next(names.SERVER_REPORT)
        assert stage.process.wait(TIMEOUT_S) == 2
        # two models of 40 MB, of which one fits into 50 MB
        assert "'sea-s-q8' needs 40000000 byte, the limit is 10000000" in stage.output()
        assert 'of 47.7 MiB in all, 38.1 MiB are taken by sea-s-q4' in stage.output()
