"""The same jobs through Ray; needs requirements/cluster.txt besides."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch')

from test_jobs import LONG, job  # noqa: E402

from sec_nodes.config import ConfigError  # noqa: E402
from sec_nodes.learning.cluster import HERE, run_jobs_on_cluster  # noqa: E402
from sec_nodes.learning.jobs import run_jobs  # noqa: E402


def test_without_ray_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ConfigError, match=r'pip install -r requirements/cluster\.txt'):
        run_jobs_on_cluster([job(tmp_path)], HERE)


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
        monkeypatch.setitem(sys.modules, 'ray', SimpleNamespace())
        with pytest.raises(ConfigError, match=f'--ray 127.0.0.1:{port}: no cluster answers there'):
            run_jobs_on_cluster([job(tmp_path)], f'127.0.0.1:{port}')


@pytest.mark.slow
def test_a_cluster_trains_what_processes_train(tmp_path):
    pytest.importorskip('ray')
    here = [job(tmp_path / 'here')]
    there = [job(tmp_path / 'there'), job(tmp_path / 'there', 1, gamma=2)]
    run_jobs(here)
    steps = []
    ended = run_jobs_on_cluster(there, HERE, lambda number, progress: steps.append(progress.steps))
    assert ended[0].error is None and ended[0].summary['steps'] == 100 == steps[-1]
    assert 'gamma = 2: Input should be less than 1' in ended[1].error
    one, other = (tmp_path / place / 'seed_0' / 'policy.npz' for place in ('here', 'there'))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_a_cluster_stops_in_order_and_goes_on(tmp_path):
    pytest.importorskip('ray')

    def press(number, progress):
        if progress.steps > 0 and not pressed:
            pressed.append(progress.steps)
            raise KeyboardInterrupt

    pressed = []
    (ended,) = run_jobs_on_cluster([job(tmp_path, 0, LONG)], HERE, press)
    assert ended.stopped
    assert (ended.job.folder / 'checkpoint.pt').is_file()
    (again,) = run_jobs_on_cluster([job(tmp_path, 0, 1)], HERE)
    assert again.summary['steps'] >= pressed[0] > 1
