"""The device node as a process: it reports, runs front parts, and says what it cannot do."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import Stage, survey_file

from sec_nodes.inference.codec import decode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import FolderPictures, Picture, RenderedPictures
from sec_nodes.loop.devices import DeviceFleet
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_from, request_from
from sec_nodes.nodes.vector_messages import point
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import LOCAL, TASKS_PER_DEVICE
from sec_offload import msg

SEED = 4
SAYS = (names.SLOT_START, names.ASSIGNMENTS, names.TOKEN, names.RESULT, names.TASK_OUTCOME)
HEARS = (names.DEVICE_REPORT, names.PAYLOAD_TX, names.TASK_REPORT)


def device_stage(folder: Path, *parameters: str) -> tuple[Stage, Path]:
    # with so many arrivals every device asks in every slot
    scenario = survey_file(folder, devices__count=3, devices__rate_per_s=50.0)
    stage = Stage(SAYS, HEARS)
    stage.start('device', f'scenario:={scenario}', f'seed:={SEED}', 'ids:=0,2', *parameters)
    return stage, scenario


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Any]]:
    """A stage with devices 0 and 2 of three, and the settings of their scenario."""
    stage, scenario = device_stage(tmp_path_factory.mktemp('devices'))
    with stage:
        stage.connect()
        stage.next(names.DEVICE_REPORT, lambda report: report.slot == -1)
        yield stage, read_settings(str(scenario))
        stage.end()


@pytest.fixture(scope='module')
def models() -> dict[str, SplitModel]:
    return {name: SplitModel.load(name) for name in ('scene-s', 'scene-l')}


_slots = iter(range(10_000))


def next_slot(stage: Stage) -> msg.DeviceReport:
    slot = next(_slots)
    stage.open_slot(slot, slot)
    return stage.next(names.DEVICE_REPORT, lambda report: report.slot == slot)


def picture_of(task: msg.TaskRequest, slot: int) -> Picture:
    number = task.task_id % TASKS_PER_DEVICE
    return RenderedPictures().picture(SEED, task.device_id, slot, number)


def assign(stage: Stage, report: msg.DeviceReport, **fields: Any) -> msg.TaskRequest:
    """Order what shall become of the first task of a report."""
    task = report.tasks[0]
    order = msg.Assignment(
        task_id=task.task_id, device_id=task.device_id, server=LOCAL, model_id='scene-s',
        split=5, assigned_s=float(report.slot), created_s=task.created_s,
        answer_bit=task.answer_bit, power_w=0.5,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(order, name, value)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=report.slot, assignments=[order]))
    return task


def news_of(stage: Stage, task_id: int) -> msg.TaskReport:
    return stage.next(names.TASK_REPORT, lambda news: news.task_id == task_id)


def test_a_slot_gives_one_report_and_a_repeated_start_the_same(fleet: Any) -> None:
    stage, settings = fleet
    report = next_slot(stage)
    own = DeviceFleet(settings, [0, 2], SEED)
    tasks = own.open_slot(report.slot)
    assert list(report.device_id) == [0, 2]
    assert list(report.tasks) == [request_from(task) for task in tasks]
    assert len(tasks) == 2
    assert list(report.position) == [point(place) for place in own.position_m]
    assert list(report.flop_s) == own.flop_s.tolist()
    stage.open_slot(report.slot, report.slot)
    stage.until(lambda: len(stage.all(names.DEVICE_REPORT, slot=report.slot)) == 2, 'repetition')
    assert stage.all(names.DEVICE_REPORT, slot=report.slot)[1] == report
    following = next_slot(stage)
    assert {task.task_id for task in following.tasks}.isdisjoint(
        task.task_id for task in report.tasks
    )
    # the repetition moved nobody and drew nothing
    assert list(following.tasks) == [request_from(x) for x in own.open_slot(following.slot)]
    assert list(following.position) == [point(place) for place in own.position_m]


def test_a_local_task_is_answered_as_the_whole_model_would(fleet: Any, models: Any) -> None:
    stage, settings = fleet
    report = next_slot(stage)
    task = assign(stage, report)
    news = news_of(stage, task.task_id)
    picture = picture_of(task, report.slot)
    assert (news.kind, news.server) == (msg.TaskReport.ANSWERED, LOCAL)
    model = models['scene-s']
    assert (news.answer, news.confidence) == model.answer(model.run(picture.image))
    assert news.truth == picture.label
    flop = model.cuts[-1].front_flop
    assert news.timing.front_s == pytest.approx(flop / report.flop_s[0])
    assert news.answered_s == pytest.approx(report.slot + flop / report.flop_s[0])
    assert news.energy.front_j == pytest.approx(settings.devices.compute_j_per_flop * flop)
    assert news.front_inference_s > 0.0
    assert not stage.all(names.PAYLOAD_TX, task_id=task.task_id)


@pytest.mark.parametrize(
    ('model_id', 'cut', 'server'),
    [('scene-s', 0, 0), ('scene-s', 2, 1), ('scene-s', 4, 2), ('scene-l', 5, 3)],
)
def test_a_payload_leads_the_back_part_to_the_answer_of_the_whole_model(
    fleet: Any, models: Any, model_id: str, cut: int, server: int
) -> None:
    stage, _ = fleet
    report = next_slot(stage)
    model = models[model_id]
    task = assign(stage, report, model_id=model_id, split=cut, server=server, attempt=1)
    payload = stage.next(names.PAYLOAD_TX, lambda sent: sent.task_id == task.task_id)
    where = model.cuts[cut]
    tensor = decode(packet_from(payload), where.shape, where.dtype)
    whole = model.answer(model.run(picture_of(task, report.slot).image))
    assert model.answer(model.run_back(cut, tensor)) == whole
    assert (payload.server, payload.cut, payload.attempt) == (server, cut, 1)
    assert (payload.slot, payload.model_id) == (report.slot, model_id)
    front_s = report.backlog_s[0] + where.front_flop / report.flop_s[0]
    assert payload.ready_s == pytest.approx(report.slot + front_s)
    assert payload.timing.front_s == pytest.approx(front_s)

    result = msg.TaskResult(
        task_id=task.task_id, device_id=task.device_id, server=server, attempt=1,
        answer='ship', confidence=0.5, ready_s=report.slot + 0.75,
    )  # fmt: skip
    stage.say(names.RESULT, result)
    news = news_of(stage, task.task_id)
    assert (news.kind, news.answer, news.server, news.attempt) == (0, 'ship', server, 1)
    assert news.answered_s == news.observed_s == report.slot + 0.75


def sent(stage: Stage, task: msg.TaskRequest, attempt: int) -> msg.Payload:
    return stage.next(
        names.PAYLOAD_TX, lambda one: (one.task_id, one.attempt) == (task.task_id, attempt)
    )


def test_the_layers_before_the_cut_are_run_once_for_all_tries(fleet: Any, models: Any) -> None:
    stage, _ = fleet
    report = next_slot(stage)
    task = assign(stage, report, split=2, server=0)
    first = sent(stage, task, 0)
    front_s = models['scene-s'].cuts[2].front_flop / report.flop_s[0]
    assert first.ready_s == pytest.approx(report.slot + report.backlog_s[0] + front_s)
    # while the device computes, and long after it has done so
    half_s = 0.5 * (report.slot + first.ready_s)
    for attempt, assigned_s in ((1, half_s), (2, first.ready_s + 0.25)):
        assign(stage, report, split=2, server=1, attempt=attempt, assigned_s=assigned_s)
        again = sent(stage, task, attempt)
        assert (again.server, again.data) == (1, first.data)
        assert again.ready_s == max(first.ready_s, assigned_s)
        assert again.timing.front_s == pytest.approx(again.ready_s - assigned_s)
        assert again.energy.front_j == first.energy.front_j
    # another cut is another front
    later_s = first.ready_s + 1.0
    assign(stage, report, split=3, server=1, attempt=3, assigned_s=later_s)
    other_s = models['scene-s'].cuts[3].front_flop / report.flop_s[0]
    assert sent(stage, task, 3).ready_s == pytest.approx(later_s + other_s)


def test_a_device_whose_server_is_lost_goes_on_from_what_it_had_sent(
    fleet: Any, models: Any
) -> None:
    stage, settings = fleet
    report = next_slot(stage)
    model = models['scene-l']
    task = assign(stage, report, model_id='scene-l', split=3, server=0)
    first = sent(stage, task, 0)
    # a server that should pass the tensor on is no business of the device
    assign(stage, report, model_id='scene-l', split=3, server=1, holder=0, attempt=1)
    now_s = first.ready_s + 0.5
    assign(stage, report, model_id='scene-l', split=3, attempt=2, assigned_s=now_s)
    news = news_of(stage, task.task_id)
    assert (news.kind, news.server, news.attempt) == (msg.TaskReport.ANSWERED, LOCAL, 2)
    whole = model.run(picture_of(task, report.slot).image)
    assert (news.answer, news.confidence) == model.answer(whole)
    flop, front_flop = model.cuts[-1].front_flop, model.cuts[3].front_flop
    rest_s = (flop - front_flop) / report.flop_s[0]
    assert rest_s > 0.01
    assert news.answered_s == pytest.approx(now_s + rest_s)
    assert news.timing.front_s == pytest.approx(rest_s)
    assert news.energy.front_j == pytest.approx(settings.devices.compute_j_per_flop * flop)
    assert len(stage.all(names.PAYLOAD_TX, task_id=task.task_id)) == 1
    assert len(stage.all(names.TASK_REPORT, task_id=task.task_id)) == 1


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'split': 6}, "no cut 6 of 'scene-s'"),
        ({'split': 2**32 - 1, 'server': 1}, "no cut 4294967295 of 'scene-s'"),
        ({'model_id': 'scene-x', 'server': 0}, "no cut 5 of 'scene-x'"),
        ({'model_id': ''}, "no cut 5 of ''"),
    ],
)
def test_an_order_that_cannot_be_followed_is_an_error(
    fleet: Any, fields: dict[str, Any], reason: str
) -> None:
    stage, _ = fleet
    task = assign(stage, next_slot(stage), **fields)
    news = news_of(stage, task.task_id)
    assert (news.kind, news.reason) == (msg.TaskReport.ERROR, reason)
    assert news.server == fields.get('server', LOCAL)
    good = assign(stage, next_slot(stage))
    assert news_of(stage, good.task_id).kind == msg.TaskReport.ANSWERED
    assert len(stage.all(names.TASK_REPORT, task_id=task.task_id)) == 1


def test_an_unknown_task_is_an_error_and_other_devices_are_ignored(fleet: Any) -> None:
    stage, _ = fleet
    report = next_slot(stage)
    assign(stage, report, task_id=77, device_id=1)
    assign(stage, report, task_id=78)
    news = news_of(stage, 78)
    assert news.kind == msg.TaskReport.ERROR
    assert news.reason.startswith('unknown_task')
    assert not stage.all(names.TASK_REPORT, task_id=77)


def test_a_task_that_is_over_is_forgotten(fleet: Any) -> None:
    stage, _ = fleet
    report = next_slot(stage)
    task = report.tasks[1]
    stage.say(names.TASK_OUTCOME, msg.TaskOutcome(task_id=task.task_id))
    order = msg.Assignment(task_id=task.task_id, device_id=2, server=0, model_id='none')
    reason = ''
    while not reason.startswith('unknown_task'):
        # topics do not wait for each other: the outcome may come after the first order
        stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=0, assignments=[order]))
        since = len(stage.heard[names.TASK_REPORT.name])
        reason = stage.next(names.TASK_REPORT, since=since).reason
    for number, device in ((task.task_id, 2), (report.tasks[0].task_id, 0)):
        stage.say(names.RESULT, msg.TaskResult(task_id=number, device_id=device))
    assert news_of(stage, report.tasks[0].task_id).kind == msg.TaskReport.ANSWERED
    assert not stage.all(names.TASK_REPORT, task_id=task.task_id, kind=msg.TaskReport.ANSWERED)


def test_a_picture_that_cannot_be_read_is_skipped_and_one_that_vanished_an_error(
    tmp_path: Path, models: Any
) -> None:
    from PIL import Image

    folder = tmp_path / 'pictures' / 'ship'
    folder.mkdir(parents=True)
    image = RenderedPictures().picture(1, 0, 0, 0).image
    Image.fromarray(image).save(folder / 'b_good.png')
    (folder / 'a_broken.png').write_bytes(b'\x89PNG no picture' + bytes([zlib.MAX_WBITS]))
    (folder / 'c_empty.jpg').touch()
    own = FolderPictures(tmp_path / 'pictures', classes=models['scene-s'].classes)
    stage, _ = device_stage(tmp_path, f'images:={tmp_path / "pictures"}')
    with stage:
        stage.connect()
        stage.next(names.DEVICE_REPORT, lambda report: report.slot == -1)
        for slot in range(4):
            stage.open_slot(slot, slot)
            report = stage.next(names.DEVICE_REPORT, lambda x, slot=slot: x.slot == slot)
            task = assign(stage, report)
            news = news_of(stage, task.task_id)
            model = models['scene-s']
            seen = own.picture(SEED, task.device_id, slot, task.task_id % TASKS_PER_DEVICE)
            assert news.answer == model.answer(model.run(seen.image))[0]
            assert news.truth == 'ship'
        (folder / 'b_good.png').unlink()
        stage.open_slot(4, 4.0)
        report = stage.next(names.DEVICE_REPORT, lambda report: report.slot == 4)
        for fields in ({}, {'server': 0, 'split': 0}, {'split': 99}):
            report.tasks = report.tasks[-1:] if fields else report.tasks
            task = assign(stage, report, **fields)
            since = len(stage.heard[names.TASK_REPORT.name])
            news = stage.next(names.TASK_REPORT, since=since)
            assert (news.kind, news.task_id) == (msg.TaskReport.ERROR, task.task_id)
            assert news.reason.startswith(('no_picture: none of the 3', 'no cut 99'))
        stage.end()
