"""Programs are run for the work that they came for, and refused once if they cannot be."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.inference.programs import fingerprint, program_of
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.nodes import answering
from sec_nodes.nodes.answering import Work
from sec_nodes.nodes.program_answering import Program, ProgramAnswering

PATIENCE_S = 240.0
MODEL, CUT = 'scene-s', 3
KEY = (7, 0, 0)


class Listener(answering.Teller):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.something = threading.Semaphore(0)

    def note(self, *what: Any) -> None:
        self.told.append(what)
        self.something.release()

    def tell_token(self, work: Work, index: int, text: str, last: bool) -> None:
        raise AssertionError('networks do not speak')

    def tell_answer(self, work: Work, inferred: answering.Inferred) -> None:
        self.note(work.key, inferred.answer, inferred.confidence)

    def tell_failure(self, work: Work, reason: str) -> None:
        self.note(work.key, reason)

    def wait(self) -> tuple[Any, ...]:
        """What was told next."""
        assert self.something.acquire(timeout=PATIENCE_S)
        return self.told.pop(0)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def programs(listener):
    networks = {name: load_manifest().classifier(name) for name in ('scene-s', 'scene-l')}
    found = ProgramAnswering(networks, DevicePolicy(), 4, listener)
    yield found
    found.close()


@pytest.fixture(scope='module')
def model() -> SplitModel:
    return SplitModel.load(MODEL)


@pytest.fixture(scope='module')
def image() -> Any:
    return RenderedPictures().picture(1, 0, 0, 0).image


def program(**fields: Any) -> Program:
    data = fields.get('data', program_of(MODEL, CUT))
    given = {'model_id': MODEL, 'cut': CUT, 'sha256': fingerprint(data), 'data': data}
    return Program(**(given | fields))


def work(tensor: Any, key: Any = KEY, lane: str = 'uav_0') -> Work:
    return Work(lane, key, MODEL, CUT, tensor, '', 1.0)


def keep(programs, listener, what: Program, key: Any = KEY, lane: str = 'uav_0') -> None:
    programs.keep(lane, key, what, lambda reason: listener.note('refused', reason))


def test_front_and_program_answer_as_the_whole_model(programs, listener, model, image):
    keep(programs, listener, program())
    programs.submit(work(model.run_front(CUT, image)))
    assert listener.wait() == (KEY, *model.answer(model.run(image)))
    assert programs.providers() == {MODEL: 'cpu'}
    assert programs.expected(MODEL, CUT) == (model.cuts[CUT].shape, model.cuts[CUT].dtype)


def test_work_without_a_program_of_its_own_is_refused(programs, listener, model, image):
    keep(programs, listener, program())
    tensor = model.run_front(CUT, image)
    for other in (work(tensor, (7, 1, 0)), work(tensor, lane='uav_1')):
        with pytest.raises(PayloadError, match='no program for it has arrived'):
            programs.submit(other)
    assert programs.holds('uav_0', KEY)
    assert not programs.holds('uav_1', KEY)


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'sha256': 'f' * 64}, 'the sender said ffffffffffff'),
        ({'data': b'no network'}, 'no ONNX file'),
        ({'data': program_of(MODEL, 4)}, "cut 3 of 'scene-s' gives float32"),
        ({'data': program_of('scene-l', 3)}, "cut 3 of 'scene-s' gives float32"),
    ],
)
def test_what_cannot_be_run_is_refused_and_forgotten(
    programs, listener, model, image, fields, reason
):
    keep(programs, listener, program(**fields))
    what, said = listener.wait()
    assert what == 'refused'
    assert reason in said
    assert not programs.holds('uav_0', KEY)
    # the same place takes a sound one
    keep(programs, listener, program())
    programs.submit(work(model.run_front(CUT, image)))
    assert listener.wait()[1] == model.answer(model.run(image))[0]


def test_a_tensor_that_does_not_fit_fails_at_its_run(programs, listener):
    keep(programs, listener, program())
    programs.submit(work(np.zeros((1, 2), np.float32)))
    key, reason = listener.wait()
    assert key == KEY
    assert reason.startswith('inference_error: ')
    assert 'got float32 (1, 2)' in reason


def test_programs_are_dropped_one_by_one_and_lane_by_lane(programs, listener):
    for lane, task in (('uav_0', 1), ('uav_0', 2), ('uav_1', 1), ('uav_1', 3)):
        keep(programs, listener, program(), (task, 0, 0), lane)
    programs.drop(lambda _, key: key[0] == 1)
    assert [programs.holds(*name) for name in (('uav_0', (1, 0, 0)), ('uav_1', (1, 0, 0)))] == [
        False,
        False,
    ]
    assert len(programs) == 2
    programs.forget('uav_1')
    assert len(programs) == 1
    assert programs.holds('uav_0', (2, 0, 0))


def test_a_program_that_is_gone_when_its_work_comes_up_is_told(
    programs, listener, model, image, monkeypatch
):
    build, may_build = programs._build_head, threading.Event()

    def slowly(*args: Any, **fields: Any) -> Any:
        assert may_build.wait(PATIENCE_S)
        return build(*args, **fields)

    monkeypatch.setattr(programs, '_build_head', slowly)
    keep(programs, listener, program())
    programs.submit(work(model.run_front(CUT, image)))
    programs.forget('uav_0')
    may_build.set()
    assert listener.wait() == (KEY, 'inference_error: its program is gone')
    assert len(programs) == 0
    assert programs.providers() == {}
