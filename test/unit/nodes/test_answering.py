"""Whoever runs models tells of every work once, whatever the models and other threads do."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from sec_nodes.inference import engine
from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.nodes import answering
from sec_nodes.nodes.answering import LanguageAnswering, SplitAnswering, Work, WorkerLimits

PATIENCE_S = 240.0
PICTURE = np.zeros((4, 4, 3), np.uint8)


class Listener(answering.Teller):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.something = threading.Semaphore(0)

    def tell_token(self, work: Work, index: int, text: str, last: bool) -> None:
        self.told.append((work.key, index, text))

    def tell_answer(self, work: Work, inferred: answering.Inferred) -> None:
        self.told.append((work.key, inferred.answer))
        self.something.release()

    def tell_failure(self, work: Work, reason: str) -> None:
        self.told.append((work.key, reason))
        self.something.release()

    def wait(self, count: int) -> list[tuple[Any, ...]]:
        """All that was told once `count` works have ended."""
        for _ in range(count):
            assert self.something.acquire(timeout=PATIENCE_S), self.told
        return self.told


@pytest.fixture
def listener() -> Listener:
    return Listener()


def work(key: int, lane: str = 'uav_0', tensor: Any = PICTURE) -> Work:
    return Work(lane, key, 'net', 0, tensor, 'what is it?', 1.0)


class Network:
    """A network that raises what it is given, and that may be held up."""

    provider = 'cpu'

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.may_run.set()
        self.began = threading.Semaphore(0)

    def run_back(self, cut: int, tensor: Any) -> Any:
        self.began.release()
        assert self.may_run.wait(PATIENCE_S)
        if isinstance(tensor, Exception):
            raise tensor
        return tensor

    def answer(self, scores: Any) -> tuple[str, float]:
        return 'a ship', 0.9


@pytest.fixture
def network(monkeypatch) -> Network:
    found = Network()
    monkeypatch.setattr(engine.SplitModel, 'load', lambda name, policy: found)
    return found


@pytest.fixture
def split(network, listener):
    found = SplitAnswering({'net'}, DevicePolicy(), 2, listener)
    yield found
    network.may_run.set()
    found.close()


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (Fail('no kernel'), 'inference_error: no kernel'),
        (RuntimeException('CUDA is gone'), 'inference_error: CUDA is gone'),
        (RuntimeError('odd'), 'inference_error: odd'),
        (MemoryError(), 'inference_error: MemoryError'),
        (PayloadError('wrong shape'), 'inference_error: wrong shape'),
    ],
)
def test_whatever_a_network_raises_is_told_once(split, listener, error, reason):
    split.submit(work(1, tensor=error))
    split.submit(work(2))
    assert listener.wait(2) == [(1, reason), (2, 'a ship')]


def test_more_than_may_wait_for_a_network_are_refused(split, network, listener):
    network.may_run.clear()
    split.submit(work(0))
    assert network.began.acquire(timeout=PATIENCE_S)
    split.submit(work(1))
    split.submit(work(2))
    with pytest.raises(PayloadError, match="queue_full: 2 tasks wait at 'uav_0', max_queue is 2"):
        split.submit(work(3))
    split.submit(work(4, 'uav_1'))  # each lane has a queue of its own
    network.may_run.set()
    assert listener.wait(4) == [(key, 'a ship') for key in (0, 1, 2, 4)]
    split.submit(work(5))
    assert listener.wait(1)[-1] == (5, 'a ship')


def test_what_waits_at_a_forgotten_lane_is_not_begun(split, network, listener):
    network.may_run.clear()
    split.submit(work(0))
    assert network.began.acquire(timeout=PATIENCE_S)
    split.submit(work(1))
    split.submit(work(2, 'uav_1'))
    split.forget('uav_0')
    split.submit(work(3))  # of a server that has recovered
    network.may_run.set()
    assert listener.wait(3) == [(key, 'a ship') for key in (0, 2, 3)]


def test_layers_between_cuts_run_on_the_same_thread(split, network):
    threads = set()

    def run_span(cut, until, tensor):
        threads.add(threading.current_thread().name)
        return cut, until, tensor.shape

    network.run_span = run_span
    assert split.span(work(1), 4).result(PATIENCE_S) == (0, 4, PICTURE.shape)
    assert next(iter(threads)).startswith('inference')


class Worker:
    """In place of the process: jobs end when the test says so."""

    def __init__(self, lanes: Any, **options: Any) -> None:
        self.on_done, self.on_failed = options['on_done'], options['on_failed']
        self.cancelled: list[tuple[str, int]] = []

    def start(self) -> None:
        pass

    def submit(self, lane: str, job: Any) -> None:
        pass

    def cancel(self, lane: str, key: int) -> None:
        self.cancelled.append((str(lane), key))
        self.on_failed(lane, key, 'cancelled')

    def end(self, lane: str, key: int) -> None:
        """The job is done."""
        answer = SimpleNamespace(text='yes', confidence=1.0, token_ids=(1,), first_token_s=0.1)
        self.on_done(lane, key, SimpleNamespace(answer=answer, inference_s=0.1, batch=1))


@pytest.fixture
def language(monkeypatch, listener) -> LanguageAnswering:
    monkeypatch.setattr(answering, 'InferenceWorker', Worker)
    limits = WorkerLimits(max_batch=1, max_queue=9, memory_limit_byte=None, loader='none:none')
    return LanguageAnswering({'uav_0': 'net', 'uav_1': 'net'}, DevicePolicy(), limits, listener)


class Meddling(str):
    """A lane whose comparison gives another thread the time to end a job."""

    __hash__ = str.__hash__

    def __new__(cls, text: str, thread: threading.Thread) -> Meddling:
        lane = super().__new__(cls, text)
        lane.thread = thread
        return lane

    def __eq__(self, other: object) -> bool:
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(0.3)
        return str(self) == other


def test_jobs_may_end_while_a_lane_is_forgotten(language, listener):
    for key in range(4):
        language.submit(work(key, 'uav_0' if key else 'uav_1'))
    ends = threading.Thread(target=language._worker.end, args=('uav_1', 0))
    language.forget(Meddling('uav_0', ends))
    ends.join(PATIENCE_S)
    assert language._worker.cancelled == [('uav_0', key) for key in (1, 2, 3)]
    expected = [(0, 'yes'), *((key, 'cancelled') for key in (1, 2, 3))]
    assert sorted(listener.wait(4)) == expected


def test_a_copy_of_open_work_does_not_take_its_place(language, listener):
    language.submit(work(1))
    with pytest.raises(PayloadError, match='1 is still open'):
        language.submit(work(1))
    language._worker.end('uav_0', 1)
    assert listener.wait(1) == [(1, 'yes')]
