"""Several runs at once: progress, failures that stay alone, and how they are stopped."""

from __future__ import annotations

import multiprocessing
import time

import pytest

torch = pytest.importorskip('torch')

from sec_nodes.learning.job import Job  # noqa: E402
from sec_nodes.learning.jobs import run_jobs  # noqa: E402

SETTINGS = {'hidden': [8], 'batch': 8, 'warm_up': 20, 'merge.every': 0}
WORLD = {'slots': 5, 'devices.count': 3}
LONG = 10_000_000


def job(folder, seed=0, steps=100, **settings):
    return Job(
        'ad_sac_flat',
        'mllm:stress',
        seed,
        folder / f'seed_{seed}',
        steps=steps,
        settings={**SETTINGS, **settings},
        scenario_settings=WORLD,
    )


def test_jobs_that_fail_leave_the_others_alone(tmp_path):
    jobs = [job(tmp_path, 0), job(tmp_path, 1, gamma=2), job(tmp_path, 2, LONG), job(tmp_path, 3)]
    seen = {}

    def watch(number, progress):
        seen.setdefault(number, []).append(progress.steps)
        if number == 2 and progress.steps > 0:
            for child in multiprocessing.active_children():
                if child.name == 'ad_sac_flat seed 2':
                    child.kill()

    ended = run_jobs(jobs, 2, watch)
    assert [run.job for run in ended] == jobs
    assert [run.error is None for run in ended] == [True, False, False, True]
    assert 'gamma = 2: Input should be less than 1' in ended[1].error
    assert 'Traceback' not in ended[1].error
    assert 'exit code -9' in ended[2].error
    assert [run.summary['steps'] for run in (ended[0], ended[3])] == [100, 100]
    assert seen[0][0] == 0 and seen[0][-1] == 100
    assert 1 not in seen


def test_ctrl_c_ends_episodes_and_leaves_checkpoints(tmp_path):
    jobs = [job(tmp_path, seed, LONG) for seed in range(3)]

    def press(number, progress):
        if progress.steps > 0 and not pressed:
            pressed.append(number)
            raise KeyboardInterrupt

    pressed = []
    ended = run_jobs(jobs, 2, press)
    assert all(run.stopped for run in ended)
    assert (ended[pressed[0]].job.folder / 'checkpoint.pt').is_file()
    assert not ended[2].job.folder.exists()  # it had not begun


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    began_s = []

    def press(number, progress):
        began_s.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job(tmp_path, 0, LONG)], 1, press)
    assert time.monotonic() - began_s[0] < 30
    assert len(began_s) == 2
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ('seeds', 'workers', 'message'),
    [((0, 0), 1, 'several jobs write to'), ((0,), 0, 'workers = 0')],
)
def test_what_cannot_be_done_is_refused(tmp_path, seeds, workers, message):
    with pytest.raises(ValueError, match=message):
        run_jobs([job(tmp_path, seed) for seed in seeds], workers)
