"""What batching brings at one server: questions a second and latency, through the real worker.

    python bench/inference/batching.py --model FOLDER_OR_ID

First with always enough waiting, for batches of growing size, beside the same batches in this
process: what differs is the cost of a process of its own, and CPU times say it even on a busy
machine. `busy` is the share of time in which the model ran.

Then with questions that come at random (Poisson) at shares of the best throughput, one at a time
and batched, where latency counts from submission to the answer, and questions that find the queue
full are refused.

Pictures and questions are those of the sea set, each picture a new one. Without --model a
synthetic model stands in, which sleeps instead of computing.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sec_nodes.inference.language import Answer, Question, TokenEvent
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.sea.questions import ask
from sec_nodes.inference.worker import Done, InferenceWorker, Job, QueueFull
from sec_nodes.inference.worker_process import Setup, load_models

BATCHES = (1, 2, 4, 8)
LOADS = (0.3, 0.6, 0.9, 1.2)
"""Offered load as a share of the throughput at the largest batch."""
MAX_QUEUE = 32
MAX_TOKENS = 32
READY_S = 600.0
PICTURES = 256
"""Different pictures; more than any model remembers."""


class SyntheticModel:
    """Sleeps: 2 ms for a picture, 1 ms for a step and 0.1 ms for each row in it; eight tokens."""

    provider, needed_byte, accuracy, image_shape = 'none', 0, None, (96, 96, 3)

    def generate(self, questions, *, on_token=None, cancelled=None):  # noqa: D102 (see Model)
        time.sleep(2e-3 * len(questions))
        for step in range(8):
            time.sleep(1e-3 + 1e-4 * len(questions))
            for row in range(len(questions)):
                on_token(TokenEvent(row, 1, 'x', 0.0, last=step == 7))
        return [Answer('x' * 8, (1,) * 8, 3, 0.0, 0.0, 1.0) for _ in questions]


def synthetic(
    model_id: str, policy: DevicePolicy, memory_limit_byte: int | None, max_batch: int
) -> SyntheticModel:
    """A factory as `worker_process.Factory` describes it."""
    return SyntheticModel()


@dataclass(frozen=True)
class Figures:
    """What came out of one run.

    Latencies [s] and batches of answered questions in order of their ends; share of time in which
    the model ran; CPU time [s] of its process and of ours.
    """

    elapsed_s: float
    latency_s: np.ndarray
    batch: np.ndarray
    tokens: int
    refused: int
    busy: float
    model_cpu_s: float
    caller_cpu_s: float

    @property
    def per_s(self) -> float:
        """Questions answered a second."""
        return len(self.latency_s) / self.elapsed_s


class Server:
    """A worker with one lane, and a stopwatch for its answers."""

    def __init__(self, model: str, factory: str, max_batch: int, threads: int) -> None:
        """Load the model and warm up."""
        self.ended = threading.Condition()
        self.answers: list[tuple[float, Done]] = []
        self.began_cpu_s = (0.0, 0.0)
        self.submitted_s: dict[Hashable, float] = {}
        self.worker = InferenceWorker(
            {'server': model},
            on_token=lambda *_: None,
            on_done=self.on_done,
            on_failed=self.on_failed,
            max_batch=max_batch,
            max_queue=MAX_QUEUE,
            policy=DevicePolicy(threads=threads),
            factory=factory,
        )
        self.worker.start()
        self.worker.wait_ready(READY_S)

    def on_done(self, lane: str, job_id: Hashable, done: Done) -> None:
        """Note an answer."""
        with self.ended:
            self.answers.append((time.perf_counter() - self.submitted_s[job_id], done))
            self.ended.notify_all()

    def on_failed(self, lane: str, job_id: Hashable, reason: str) -> None:
        """Nothing may fail here."""
        raise SystemExit(f'question {job_id} failed: {reason}')

    def submit(self, job: Job) -> bool:
        """Ask; False if the queue is full."""
        self.submitted_s[job.job_id] = time.perf_counter()
        try:
            self.worker.submit('server', job)
        except QueueFull:
            return False
        return True

    def saturate(self, jobs: Iterator[Job], duration_s: float, waiting: int) -> Figures:
        """Keep `waiting` questions open until time is up."""
        sent, began_s = 0, self.begin()
        while time.perf_counter() - began_s < duration_s:
            while sent - len(self.answers) < waiting:
                self.submit(next(jobs))
                sent += 1
            self.wait_answers(sent - waiting + 1)
        return self.figures(began_s, sent, refused=0)

    def offer(self, jobs: Iterator[Job], duration_s: float, per_s: float, seed: int) -> Figures:
        """Ask at the times of a Poisson process."""
        sent, refused = 0, 0
        gaps_s = np.random.default_rng(seed).exponential(1.0 / per_s, int(2 * per_s * duration_s))
        times_s = np.cumsum(gaps_s)
        began_s = self.begin()
        for time_s in times_s[times_s < duration_s]:
            time.sleep(max(0.0, began_s + time_s - time.perf_counter()))
            if self.submit(next(jobs)):
                sent += 1
            else:
                refused += 1
        return self.figures(began_s, sent, refused)

    def begin(self) -> float:
        """Forget earlier answers and start the watches."""
        self.answers = []
        self.began_cpu_s = self.cpu_s()
        return time.perf_counter()

    def cpu_s(self) -> tuple[float, float]:
        """CPU time of the model's process and of ours so far."""
        (child,) = psutil.Process().children()
        return sum(child.cpu_times()[:2]), time.process_time()

    def wait_answers(self, count: int) -> None:
        """Wait until so many answers are there."""
        with self.ended:
            if not self.ended.wait_for(lambda: len(self.answers) >= count, READY_S):
                raise SystemExit(f'{count - len(self.answers)} questions were never answered')

    def figures(self, began_s: float, sent: int, refused: int) -> Figures:
        """Wait for what is open and sum up."""
        self.wait_answers(sent)
        elapsed_s = time.perf_counter() - began_s
        model_cpu_s, caller_cpu_s = np.subtract(self.cpu_s(), self.began_cpu_s)
        return Figures(
            elapsed_s,
            np.array([latency_s for latency_s, _ in self.answers]),
            np.array([done.batch for _, done in self.answers]),
            sum(len(done.answer.token_ids) for _, done in self.answers),
            refused,
            sum(done.inference_s / done.batch for _, done in self.answers) / elapsed_s,
            model_cpu_s,
            caller_cpu_s,
        )


def jobs_of(questions: list[Question]) -> Iterator[Job]:
    """The questions over and over, as jobs."""
    number = 0
    while True:
        asked = questions[number % len(questions)]
        yield Job(number, asked.prompt, asked.image, max_tokens=asked.max_tokens)
        number += 1


def direct(
    model: str,
    factory: str,
    batch: int,
    threads: int,
    questions: list[Question],
    duration_s: float,
) -> tuple[float, float]:
    """Questions a second, and CPU time of one [s], of the model in this very process."""
    setup = Setup((model,), DevicePolicy(threads=threads), None, batch, factory)
    loaded = load_models(setup)[model]
    loaded.generate(questions[:batch], on_token=lambda _: None, cancelled=lambda: False)
    began_s, began_cpu_s, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began_s < duration_s:
        some = [questions[(count + row) % len(questions)] for row in range(batch)]
        loaded.generate(some, on_token=lambda _: None, cancelled=lambda: False)
        count += batch
    return count / (time.perf_counter() - began_s), (time.process_time() - began_cpu_s) / count


def measure_batches(chosen: argparse.Namespace, questions: list[Question]) -> tuple[Table, float]:
    """Throughput against batch size; also that of the largest [questions/s]."""
    table = Table('batch', 'per s', 'tokens/s', 'p50', 'p95', 'busy', 'CPU model', 'CPU caller')
    table.add_column('here per s')
    table.add_column('CPU here')
    table.title = f'{chosen.model or "synthetic model"}: two batches open (ms; CPU: ms a question)'
    figures = None
    for batch in track(BATCHES, 'batches', console=Console(stderr=True)):
        server = Server(chosen.model, chosen.factory, batch, chosen.threads)
        jobs = jobs_of(questions)
        server.saturate(jobs, 0.1 * chosen.duration_s, batch)
        figures = server.saturate(jobs, chosen.duration_s, 2 * batch)
        server.worker.close()
        here_per_s, here_cpu_s = direct(
            chosen.model, chosen.factory, batch, chosen.threads, questions, chosen.duration_s
        )
        table.add_row(
            str(batch),
            f'{figures.per_s:.1f}',
            f'{figures.tokens / figures.elapsed_s:.0f}',
            *latencies(figures, 50, 95),
            f'{100 * figures.busy:.0f} %',
            f'{1e3 * figures.model_cpu_s / len(figures.batch):.2f}',
            f'{1e3 * figures.caller_cpu_s / len(figures.batch):.2f}',
            f'{here_per_s:.1f}',
            f'{1e3 * here_cpu_s:.2f}',
        )
    assert figures is not None
    return table, figures.per_s


def measure_loads(
    chosen: argparse.Namespace, questions: list[Question], best_per_s: float
) -> Table:
    """Latency against offered load, one at a time and batched."""
    table = Table('load', 'offered', 'limit', 'answered', 'refused', 'batch', 'p50', 'p95', 'p99')
    table.title = (
        f'questions at random (per s, ms); load 1 is {best_per_s:.1f}/s; limit: max_batch'
    )
    for max_batch in (1, BATCHES[-1]):
        server = Server(chosen.model, chosen.factory, max_batch, chosen.threads)
        jobs = jobs_of(questions)
        server.saturate(jobs, 0.1 * chosen.duration_s, max_batch)
        for load in track(LOADS, f'loads, batch {max_batch}', console=Console(stderr=True)):
            figures = server.offer(jobs, chosen.duration_s, load * best_per_s, seed=1)
            asked = len(figures.latency_s) + figures.refused
            table.add_row(
                f'{load:.1f}',
                f'{load * best_per_s:.1f}',
                str(max_batch),
                f'{figures.per_s:.1f}',
                f'{100 * figures.refused / max(asked, 1):.1f} %',
                f'{len(figures.batch) / np.sum(1.0 / figures.batch):.2f}',
                *latencies(figures, 50, 95, 99),
            )
        server.worker.close()
    return table


def latencies(figures: Figures, *percentiles: float) -> list[str]:
    """Percentiles as text [ms]."""
    values_ms = 1e3 * np.percentile(figures.latency_s, percentiles)
    return [f'{value_ms:.1f}' for value_ms in values_ms]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', default='', help='model id or folder; default: synthetic')
    parser.add_argument('--threads', type=int, default=1, help='threads of the model')
    parser.add_argument('--duration-s', type=float, default=10.0, help='time of each row')
    chosen = parser.parse_args()
    chosen.factory = (
        'sec_nodes.inference.worker_process:load_language_model'
        if chosen.model
        else 'batching:synthetic'
    )
    scenes = (ask(seed) for seed in track(range(PICTURES), 'scenes', console=Console(stderr=True)))
    questions = [Question(s.prompt, s.image, max_tokens=MAX_TOKENS) for s in scenes]
    console = Console()
    table, best_per_s = measure_batches(chosen, questions)
    console.print(table)
    console.print(measure_loads(chosen, questions, best_per_s))


if __name__ == '__main__':
    main()
