import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from fake_language import FakeModel

from sec_nodes.inference import worker as worker_module
from sec_nodes.inference.language import Question
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.worker import InferenceWorker, Job, LoadedModel, QueueFull
from sec_nodes.inference.worker_process import Batch, Cancel, Ended, answer_batch
from sec_nodes.inference.worker_queue import Lanes

PATIENCE_S = 240.0
"""Far more than anything here takes; passing it means that something never came."""


class Listener:
    """What a worker said, in order; waits for what is expected."""

    def __init__(self):
        self.changed = threading.Condition()
        self.tokens, self.done, self.failed, self.threads = [], {}, {}, set()
        self.ends = []

    def on_token(self, lane, job_id, event):
        with self.changed:
            self.tokens.append((lane, job_id, event))
            self.threads.add(threading.current_thread().name)
            self.changed.notify_all()

    def on_done(self, lane, job_id, done):
        self._end(self.done, lane, job_id, done)

    def on_failed(self, lane, job_id, reason):
        self._end(self.failed, lane, job_id, reason)

    def _end(self, ends, lane, job_id, value):
        with self.changed:
            ends[job_id] = value
            self.ends.append(job_id)
            self.changed.notify_all()

    def wait_end(self, *job_ids):
        with self.changed:
            assert self.changed.wait_for(lambda: set(job_ids) <= set(self.ends), PATIENCE_S), (
                f'{job_ids} never ended; ended: {self.ends}, failed: {self.failed}'
            )

    def wait_token(self, job_id):
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(said[1] == job_id for said in self.tokens), PATIENCE_S
            ), f'no token of {job_id}; failed: {self.failed}'


class Gate:
    """Holds a model that was asked `prompt`, until it is opened."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.prompt = path, f'gate {path}'

    def open(self):
        self.path.write_text('go')


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / 'gate')


@pytest.fixture
def make(listener):
    """Make a worker of fake models; it is closed at the end and must leave no process."""
    workers = []

    def make_worker(models=None, *, start=True, **options):
        options = {
            'on_token': listener.on_token,
            'on_done': listener.on_done,
            'on_failed': listener.on_failed,
            'factory': 'fake_language:load',
            **options,
        }
        worker = InferenceWorker(models or {'uav_0': 'small'}, **options)
        workers.append(worker)
        if start:
            worker.start()
        return worker

    before = {child.pid for child in psutil.Process().children()}
    yield make_worker
    for worker in workers:
        worker.close()
    assert {child.pid for child in psutil.Process().children()} <= before
    assert len(listener.ends) == len(set(listener.ends)), 'a job ended twice'


def process_of():
    """The process of the only worker there is."""
    (child,) = [
        child
        for child in psutil.Process().children()
        if any('worker_process' in word for word in child.cmdline())
    ]
    return child


def report(listener, job_id):
    return json.loads(listener.done[job_id].answer.text)


def test_a_job_streams_its_tokens_and_ends_with_its_answer(make, listener):
    worker = make({'uav_0': 'small', 'uav_1': 'large'})
    worker.submit('uav_1', Job((3, 14), 'how many ships?'))
    listener.wait_end((3, 14))
    assert [(lane, job, event.text) for lane, job, event in listener.tokens] == [
        ('uav_1', (3, 14), 'how many ships? '),
        ('uav_1', (3, 14), ''),
    ]
    assert listener.threads == {'inference worker'}
    done = listener.done[3, 14]
    assert done.answer.text == 'large heard how many ships?'
    assert done.batch == 1
    assert 0.0 < done.inference_s < PATIENCE_S
    assert 0.0 <= done.queued_s < PATIENCE_S
    assert listener.failed == {}


def test_models_are_described_when_they_are_loaded_and_shared_ones_count_once(make):
    lanes = {'uav_0': 'small', 'uav_1': 'large', 'uav_2': 'small'}
    worker = make(lanes, start=False, memory_limit_byte=11 * 2**20)
    assert (worker.ready(), worker.info(), worker.needed_byte) == (False, {}, 0)
    worker.start()
    worker.wait_ready(PATIENCE_S)
    assert worker.ready()
    small = LoadedModel('cpu', 1 * 2**20, 0.5, (96, 96, 3))
    large = LoadedModel('cpu', 10 * 2**20, 0.5, (96, 96, 3))
    assert worker.info() == {'uav_0': small, 'uav_1': large, 'uav_2': small}
    assert worker.needed_byte == 11 * 2**20


def test_the_process_gets_the_job_as_it_was_and_nothing_of_its_parent(make, listener):
    worker = make({'uav_0': 'small', 'uav_1': 'large', 'uav_2': 'small'})
    image = np.arange(90 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 100, 3)
    features = np.linspace(0.0, 1.0, 36 * 128, dtype=np.float32).reshape(36, 128)
    worker.wait_ready(PATIENCE_S)
    process_of().send_signal(signal.SIGINT)  # Ctrl-C is the parent's to obey
    worker.submit('uav_0', Job('image', 'report', image, max_tokens=7))
    worker.submit('uav_0', Job('features', 'report', features=features))
    listener.wait_end('image', 'features')
    told = report(listener, 'image')
    assert told['pid'] == process_of().pid != os.getpid()
    assert told['image_sum'] == int(image.sum())
    assert told['max_tokens'] == 7
    assert told['loads'] == ['small', 'large']
    assert told['ros'] == []
    assert report(listener, 'features')['features_sum'] == pytest.approx(36 * 128 / 2, rel=1e-4)
    assert report(listener, 'features')['image_sum'] is None


def test_what_waits_runs_together_in_order_up_to_the_limit(make, listener, gate):
    worker = make(max_batch=3)
    worker.submit('uav_0', Job('first', gate.prompt))
    listener.wait_token('first')  # the token came while its batch runs
    for number in range(5):
        worker.submit('uav_0', Job(number, f'question {number}'))
    assert listener.ends == []
    gate.open()
    listener.wait_end('first', *range(5))
    assert listener.ends == ['first', 0, 1, 2, 3, 4]
    assert [listener.done[number].batch for number in listener.ends] == [1, 3, 3, 3, 2, 2]
    assert listener.done[4].answer.text == 'small heard question 4'
    assert listener.done[4].queued_s >= listener.done[0].queued_s > 0.0


def test_the_lane_with_the_oldest_job_goes_first_and_lanes_never_mix(make, listener, gate):
    worker = make({'a': 'small', 'b': 'small', 'c': 'large'})
    worker.submit('b', Job('gate', gate.prompt))
    listener.wait_token('gate')
    for lane, job_id in [('c', 'c1'), ('a', 'a1'), ('b', 'b1'), ('a', 'a2'), ('c', 'c2')]:
        worker.submit(lane, Job(job_id, job_id))
    gate.open()
    listener.wait_end('c1', 'a1', 'b1', 'a2', 'c2')
    assert listener.ends == ['gate', 'c1', 'c2', 'a1', 'a2', 'b1']
    assert [listener.done[job_id].batch for job_id in listener.ends] == [1, 2, 2, 2, 2, 1]
    assert listener.done['c2'].answer.text == 'large heard c2'
    assert listener.done['b1'].answer.text == 'small heard b1'


def test_a_full_lane_refuses_with_the_numbers_and_others_do_not(make, listener, gate):
    worker = make({'a': 'small', 'b': 'small'}, max_queue=2)
    worker.submit('a', Job('gate', gate.prompt))
    listener.wait_token('gate')
    worker.submit('a', Job(1, 'one'))
    worker.submit('a', Job(2, 'two'))
    with pytest.raises(QueueFull, match="2 jobs wait at 'a', max_queue is 2"):
        worker.submit('a', Job(3, 'three'))
    worker.submit('b', Job(4, 'four'))
    gate.open()
    listener.wait_end('gate', 1, 2, 4)
    worker.submit('a', Job(3, 'three'))
    listener.wait_end(3)
    assert listener.failed == {}


def test_a_job_cancelled_while_it_waits_frees_its_place_and_never_runs(make, listener, gate):
    worker = make(max_queue=1)
    worker.submit('uav_0', Job('gate', gate.prompt))
    listener.wait_token('gate')
    worker.submit('uav_0', Job('late', 'never to be asked'))
    worker.cancel('uav_0', 'late')
    worker.cancel('uav_0', 'late')
    worker.cancel('uav_0', 'nobody')
    worker.submit('uav_0', Job('next', 'next'))
    listener.wait_end('late')
    gate.open()
    listener.wait_end('next')
    assert listener.failed == {'late': 'cancelled'}
    assert {said[1] for said in listener.tokens} == {'gate', 'next'}
    worker.cancel('uav_0', 'next')  # too late, and no harm
    worker.submit('uav_0', Job('last', 'last'))
    listener.wait_end('last')
    assert set(listener.done) == {'gate', 'next', 'last'}


def test_a_job_cancelled_while_it_runs_ends_at_once_and_is_not_heard_of_again(
    make, listener, gate
):
    worker = make()
    worker.submit('uav_0', Job('gate', gate.prompt))
    listener.wait_token('gate')
    worker.cancel('uav_0', 'gate')
    listener.wait_end('gate')
    said = len(listener.tokens)
    gate.open()
    worker.submit('uav_0', Job('next', 'next'))
    listener.wait_end('next')
    assert listener.failed == {'gate': 'cancelled'}
    assert {job_id for _, job_id, _ in listener.tokens[said:]} == {'next'}


def test_a_batch_whose_jobs_are_all_cancelled_stops_and_makes_room(make, listener):
    worker = make()
    worker.submit('uav_0', Job('cancelled', 'forever'))
    listener.wait_token('cancelled')
    worker.cancel('uav_0', 'cancelled')
    worker.submit('uav_0', Job('next', 'next'))
    listener.wait_end('next')
    assert listener.failed == {'cancelled': 'cancelled'}


@pytest.mark.parametrize(('rows', 'finish'), [([], 'stop'), ([0], 'stop'), ([0, 1], 'cancelled')])
def test_a_batch_goes_on_as_long_as_anybody_wants_it(rows, finish):
    sent = []
    batch = Batch(5, 'small', (Question('a'), Question('b')))
    cancelled = {Cancel(5, row) for row in rows} | {Cancel(4, 0), Cancel(4, 1)}
    answer_batch(FakeModel('small'), batch, cancelled, sent.append)
    ends = [message for message in sent if isinstance(message, Ended)]
    assert [(end.row, end.answer.finish, end.batch) for end in ends] == [
        (0, finish, 2),
        (1, finish, 2),
    ]


def test_a_question_the_model_cannot_take_fails_alone(make, listener, gate):
    worker = make()
    worker.submit('uav_0', Job('gate', gate.prompt))
    listener.wait_token('gate')
    for job_id, prompt in [(1, 'one'), (2, 'raise'), (3, 'three')]:
        worker.submit('uav_0', Job(job_id, prompt))
    gate.open()
    listener.wait_end(1, 2, 3)
    assert listener.failed == {2: 'model_failed: ValueError: a question I cannot take'}
    assert [listener.done[job_id].batch for job_id in (1, 3)] == [1, 1]
    assert listener.done[3].answer.text == 'small heard three'
    assert [event.row for _, job_id, event in listener.tokens if job_id == 3] == [2, 2]


def test_a_batch_that_raises_after_a_token_fails_as_a_whole(make, listener, gate):
    worker = make()
    worker.submit('uav_0', Job('gate', gate.prompt))
    listener.wait_token('gate')
    worker.submit('uav_0', Job(1, 'one'))
    worker.submit('uav_0', Job(2, 'late'))
    gate.open()
    listener.wait_end(1, 2)
    reason = 'model_failed: ValueError: too late to try again'
    assert listener.failed == {1: reason, 2: reason}


@pytest.mark.parametrize(
    ('prompt', 'reason'),
    [
        ('exit', 'model_crashed: exit code 3'),
        ('segv', 'model_crashed: killed by SIGSEGV'),
        ('hang', 'model_hung: no progress for 1 s'),
        ('stop', 'model_hung: no progress for 1 s'),
    ],
)
def test_a_dead_or_stuck_process_fails_what_ran_and_answers_what_waited(
    make, listener, prompt, reason
):
    worker = make({'a': 'small', 'b': 'small'}, hang_s=1.0)
    worker.submit('a', Job('before', 'report'))
    listener.wait_end('before')
    worker.submit('a', Job('guilty', prompt))
    worker.submit('b', Job('after', 'report'))
    listener.wait_end('guilty', 'after')
    assert listener.failed == {'guilty': reason}
    assert report(listener, 'after')['pid'] != report(listener, 'before')['pid']
    assert worker.ready()


def test_a_process_killed_at_rest_is_started_again(make, listener):
    worker = make()
    worker.submit('uav_0', Job(1, 'report'))
    listener.wait_end(1)
    process_of().kill()
    worker.submit('uav_0', Job(2, 'x'))  # on its way before or after the death was noticed
    listener.wait_end(2)
    worker.submit('uav_0', Job(3, 'report'))
    listener.wait_end(3)
    assert report(listener, 3)['pid'] != report(listener, 1)['pid']
    assert listener.failed.get(2) in (None, 'model_crashed: killed by SIGKILL (out of memory?)')


def test_a_process_that_takes_no_messages_counts_as_stuck(make, listener):
    worker = make(hang_s=1.0)
    worker.wait_ready(PATIENCE_S)
    process_of().suspend()
    image = np.zeros((1500, 2000, 3), np.uint8)  # 9 MB, far more than the kernel buffers
    worker.submit('uav_0', Job('big', 'big', image))
    listener.wait_end('big')
    worker.submit('uav_0', Job('next', 'report', image + np.uint8(1)))
    listener.wait_end('next')
    assert listener.failed == {'big': 'model_hung: takes no messages'}
    assert report(listener, 'next')['image_sum'] == image.size


def test_a_slow_callback_is_no_hang_of_the_model(make, listener):
    def slow(lane, job_id, event):
        time.sleep(1.0)
        listener.on_token(lane, job_id, event)

    worker = make(hang_s=0.5, on_token=slow)
    worker.submit('uav_0', Job(1, 'one'))
    listener.wait_end(1)
    assert listener.failed == {}


def test_the_worker_gives_up_on_a_model_that_keeps_crashing(make, listener, monkeypatch):
    monkeypatch.setattr(worker_module, 'MAX_RESTARTS', 1)
    worker = make(max_batch=1)
    for number in range(3):
        worker.submit('uav_0', Job(number, 'exit'))
    listener.wait_end(0, 1, 2)
    given_up = 'model_crashed: exit code 3, after 1 restarts within 300 s'
    crashed = 'model_crashed: exit code 3'
    assert listener.failed == {0: crashed, 1: crashed, 2: given_up}
    with pytest.raises(ModelError, match='after 1 restarts'):
        worker.submit('uav_0', Job(3, 'hello'))
    with pytest.raises(ModelError, match='after 1 restarts'):
        worker.wait_ready(PATIENCE_S)
    assert not worker.ready()


@pytest.mark.parametrize(
    ('models', 'limit_mib', 'complaint'),
    [
        (['missing'], None, "model 'missing' is unknown"),
        (['broken'], None, 'cannot load broken: RuntimeError: no such operator'),
        (['fatal'], None, 'model_crashed: exit code 7, while loading fatal'),
        (
            ['large'],
            9,
            r"'large' needs 10\.0 MiB, the limit is 9\.0 MiB; "
            r'take a smaller model, fewer lanes or a lower max_batch',
        ),
        (
            ['small', 'large'],
            10.5,
            r"'large' needs 10\.0 MiB, the limit is 9\.5 MiB; take a smaller model, .* "
            r'\(of 10\.5 MiB in all, 1\.0 MiB are taken by small\)',
        ),
    ],
)
def test_models_that_cannot_be_used_are_refused(make, listener, models, limit_mib, complaint):
    lanes = {f'uav_{number}': model for number, model in enumerate(models)}
    limit_byte = None if limit_mib is None else int(limit_mib * 2**20)
    worker = make(lanes, start=False, memory_limit_byte=limit_byte)
    worker.submit('uav_0', Job('early', 'hello'))
    worker.start()
    with pytest.raises(ModelError, match=complaint) as refused:
        worker.wait_ready(PATIENCE_S)
    listener.wait_end('early')
    assert listener.failed == {'early': str(refused.value)}
    with pytest.raises(ModelError, match=complaint):
        worker.submit('uav_0', Job('later', 'hello'))


def test_waiting_for_a_model_that_never_loads_times_out_and_jobs_can_be_cancelled(make, listener):
    worker = make({'uav_0': 'endless'})
    worker.submit('uav_0', Job(1, 'one'))
    with pytest.raises(TimeoutError, match=r'endless not loaded after 0\.1 s'):
        worker.wait_ready(0.1)
    worker.cancel('uav_0', 1)
    listener.wait_end(1)
    worker.submit('uav_0', Job(2, 'two'))
    worker.close()
    assert listener.failed == {1: 'cancelled', 2: 'worker_closed'}


def test_closing_fails_what_is_open_and_leaves_no_process(make, listener, gate):
    worker = make()
    worker.submit('uav_0', Job('runs', gate.prompt))
    listener.wait_token('runs')
    worker.submit('uav_0', Job('waits', 'waits'))
    process = process_of()
    worker.close()
    assert not psutil.pid_exists(process.pid)
    assert listener.failed == {'runs': 'worker_closed', 'waits': 'worker_closed'}
    worker.close()
    worker.cancel('uav_0', 'waits')
    assert not worker.ready()
    with pytest.raises(ModelError, match='worker_closed'):
        worker.submit('uav_0', Job('more', 'more'))
    with pytest.raises(ModelError, match='worker_closed'):
        worker.wait_ready(PATIENCE_S)


def test_closing_is_quick_although_the_process_takes_no_messages(make, listener):
    worker = make(hang_s=PATIENCE_S)
    worker.wait_ready(PATIENCE_S)
    process_of().suspend()
    worker.submit('uav_0', Job('big', 'big', np.zeros((1500, 2000, 3), np.uint8)))
    began_s = time.monotonic()
    worker.close()
    assert time.monotonic() - began_s < PATIENCE_S / 2  # it did not wait for the hang to show
    assert listener.failed == {'big': 'worker_closed'}


def test_a_worker_that_never_started_can_be_closed_and_not_started_any_more(make, listener):
    worker = make(start=False)
    worker.submit('uav_0', Job(1, 'one'))
    worker.close()
    worker.close()
    assert listener.failed == {1: 'worker_closed'}
    with pytest.raises(ModelError, match='worker_closed'):
        worker.start()


def test_callbacks_may_raise_and_may_call_the_worker(make, listener, caplog):
    def on_done(lane, job_id, done):
        listener.on_done(lane, job_id, done)
        if job_id == 'first':
            worker.submit(lane, Job('second', 'second'))
            raise RuntimeError('my own fault')
        worker.close()

    worker = make(on_done=on_done)
    worker.submit('uav_0', Job('first', 'first'))
    listener.wait_end('second')
    worker.close()
    assert listener.ends == ['first', 'second']
    assert 'my own fault' in caplog.text


def test_wrong_use_is_refused_by_name_and_value(make, gate, listener):
    for option in ({'max_batch': 0}, {'max_queue': 0}, {'hang_s': 0.0}, {'hang_s': float('inf')}):
        ((name, value),) = option.items()
        with pytest.raises(ValueError, match=f'{name} is {value}'):
            make(**option)
    worker = make()
    with pytest.raises(ValueError, match="lane 'uav_9' is unknown; known: uav_0"):
        worker.submit('uav_9', Job(1, 'one'))
    worker.submit('uav_0', Job(1, gate.prompt))
    with pytest.raises(ValueError, match="job 1 of lane 'uav_0' is still open"):
        worker.submit('uav_0', Job(1, 'again'))
    gate.open()
    listener.wait_end(1)
    worker.submit('uav_0', Job(1, 'now its name is free'))
    with listener.changed:
        assert listener.changed.wait_for(lambda: listener.ends == [1, 1], PATIENCE_S)
    listener.ends.clear()  # the same name twice, as intended


# A program as a careless user writes it: nothing guards it against being imported.
CARELESS = """
import sys
from sec_nodes.inference.worker import InferenceWorker, Job
def on_token(lane, job_id, event):
    print(worker._process._popen.pid, flush=True)
def ignore(*_): pass
worker = InferenceWorker({'uav_0': 'small'}, on_token=on_token, on_done=ignore, on_failed=ignore,
                         factory='fake_language:load')
worker.start()
worker.submit('uav_0', Job(1, sys.argv[1]))
sys.stdin.read()
"""


@pytest.mark.parametrize('prompt', ['hang', 'stop'])
def test_the_process_dies_with_its_parent(tmp_path, prompt):
    program = tmp_path / 'careless.py'
    program.write_text(CARELESS)
    parent = subprocess.Popen(
        [sys.executable, str(program), prompt],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(map(os.path.abspath, sys.path))},
        text=True,
    )
    with parent:
        process = psutil.Process(int(parent.stdout.readline()))
        assert Path(f'/proc/{process.pid}/fd/0').readlink() == Path('/dev/null')
        parent.kill()
    process.wait(PATIENCE_S)


def test_lanes_keep_order_and_forget_nothing():
    lanes = Lanes(['a', 'b'], max_queue=3)
    for lane, job_id in [('b', 1), ('a', 2), ('b', 3), ('a', 4), ('b', 5)]:
        lanes.add(lane, Job(job_id, 'x'))
    with pytest.raises(QueueFull):
        lanes.add('b', Job(6, 'x'))
    assert lanes.withdraw('b', 3).key == ('b', 3)
    assert lanes.withdraw('b', 6) is None
    first, second, third = lanes.take(1), lanes.take(8), lanes.take(8)
    assert [[entry.job.job_id for entry in taken] for taken in (first, second, third)] == [
        [1],
        [2, 4],
        [5],
    ]
    assert lanes.take(8) == []
    assert [lanes.end(first[0]), lanes.end(first[0])] == [True, False]
    assert {entry.key for entry in lanes.close('over')} == {
        ('a', 2),
        ('a', 4),
        ('b', 3),
        ('b', 5),
    }
    with pytest.raises(ModelError, match='over'):
        lanes.add('a', Job(7, 'x'))
