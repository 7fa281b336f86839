"""First-come-first-served compute queues of many servers at once.

The queue of the `extended` preset of Yan et al. (Drones 2025, 9, 500): tasks are served by arrival
time, ties by their order, and a server's backlog is carried from slot to slot.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.physics.checks import (
    BoolArray,
    FloatArray,
    IntArray,
    require_finite,
    require_nonnegative,
)


def fcfs_start_s(
    arrival_s: FloatArray,
    service_s: FloatArray,
    server: IntArray,
    free_s: FloatArray,
    order: IntArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return the start times (..., K) [s] and the times (..., S) [s] at which servers are free.

    `arrival_s`, `service_s` and `server` are (..., K), `free_s` (..., S) is when each server has
    finished its backlog.  Tasks that arrive together are served by ascending `order` (..., K),
    by default their index.  A task with server -1, or that never arrives (arrival inf), joins no
    queue: its start is inf and the server does not notice it.

    start_i = max(arrival_i, start_(i-1) + service_(i-1)) is solved in closed form, with C_i the
    work served before i: start_i = C_i + max over j <= i of (arrival_j - C_j).  Raises ValueError
    for a NaN, a negative or infinite service time or backlog, or a server outside [-1, S).
    """
    queue = _sort_into_queues(arrival_s, service_s, server, free_s, order)
    work = np.cumsum(queue.service, axis=-1)
    before = work - queue.service
    earliest = np.maximum(queue.arrival, queue.free[:, None])
    start = before + np.maximum.accumulate(earliest - before, axis=-1)
    # Rounding of the sums must not start a task before it is there.
    start = np.maximum(start, earliest)
    return queue.give_back(start, start + queue.service)


def fcfs_admission_s(
    arrival_s: FloatArray,
    service_s: FloatArray,
    server: IntArray,
    free_s: FloatArray,
    longest_wait_s: float,
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Return waits (B, K) [s], who is dropped (B, K), and when servers are free (B, S) [s].

    As `fcfs_start_s`, but a task that would wait longer than `longest_wait_s` is dropped: it adds
    no work and learns the wait it would have had (w_max of mllm's `extended`).  Whether a task
    is dropped depends on those before it, so this takes one step a task, for all copies and
    servers at once.  Arguments are not checked; a task with server -1 joins no queue and waits 0.
    """
    rows = np.arange(len(arrival_s))
    free = free_s.copy()
    wait = np.zeros_like(arrival_s)
    dropped = np.zeros(arrival_s.shape, dtype=np.bool_)
    # Stable: of tasks that arrive together the one of lower number goes first.
    for task in arrival_s.argsort(axis=-1, kind='stable').T:
        at = server[rows, task]
        joins = at >= 0
        arrival, busy = arrival_s[rows, task], free[rows, at]
        start = np.maximum(arrival, busy)
        wait[rows, task] = np.where(joins, start - arrival, 0)
        turned_away = joins & (start - arrival > longest_wait_s)
        dropped[rows, task] = turned_away
        served = joins & ~turned_away
        free[rows, at] = np.where(served, start + service_s[rows, task], busy)
    return wait, dropped, free


class _Queues:
    """Tasks laid out as one padded row (places,) for each server of each batch entry."""

    def __init__(
        self,
        arrival_s: FloatArray,
        service_s: FloatArray,
        server: IntArray,
        free_s: FloatArray,
        order: IntArray,
    ) -> None:
        servers = free_s.shape[-1]
        self.shape, self.free_shape = arrival_s.shape, free_s.shape
        self.free = free_s.reshape(-1)
        batch = np.repeat(np.arange(self.free.size // max(servers, 1)), self.shape[-1])
        target, arrival = server.reshape(-1), arrival_s.reshape(-1)
        joins = np.flatnonzero((target >= 0) & np.isfinite(arrival))
        row = batch[joins] * servers + target[joins]
        ranked = np.lexsort((order.reshape(-1)[joins], arrival[joins], row))
        self.task, self.row = joins[ranked], row[ranked]
        length = np.bincount(self.row, minlength=self.free.size)
        first = np.cumsum(length) - length
        self.place = np.arange(len(self.row)) - first[self.row]
        padded = (self.free.size, int(length.max(initial=0)))
        # An empty place is a task that never comes and takes no time.
        self.arrival = np.full(padded, np.inf, dtype=arrival_s.dtype)
        self.service = np.zeros(padded, dtype=service_s.dtype)
        self.arrival[self.row, self.place] = arrival[self.task]
        self.service[self.row, self.place] = service_s.reshape(-1)[self.task]

    def give_back(self, start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return starts in the order of the tasks, and when each server is free."""
        starts = np.full(int(np.prod(self.shape)), np.inf, dtype=start.dtype)
        starts[self.task] = start[self.row, self.place]
        served_end = np.where(np.isfinite(end), end, -np.inf)
        free = np.maximum(self.free, served_end.max(axis=-1, initial=-np.inf))
        return starts.reshape(self.shape), free.reshape(self.free_shape)


def _sort_into_queues(
    arrival_s: FloatArray,
    service_s: FloatArray,
    server: IntArray,
    free_s: FloatArray,
    order: IntArray | None,
) -> _Queues:
    """Check the input of a queue and sort it by server, arrival and order."""
    if np.isnan(arrival_s).any():
        raise ValueError(
            'arrival_s holds NaN. A task that never arrives has arrival inf; one that joins no '
            'queue has server -1.'
        )
    require_nonnegative('service_s', service_s, 'Pass the computing time of each task.')
    require_finite('service_s', service_s, 'Give a task that cannot be computed server -1.')
    require_finite('free_s', free_s, 'Pass 0 for a server without backlog.')
    servers = free_s.shape[-1]
    if server.size and not (server.min() >= -1 and server.max() < servers):
        raise ValueError(
            f'server holds {server.min()} to {server.max()}, but must lie in [-1, {servers}). '
            'Use -1 for a task that joins no queue.'
        )
    if not arrival_s.shape == service_s.shape == server.shape or (
        arrival_s.shape[:-1] != free_s.shape[:-1]
    ):
        raise ValueError(
            f'arrival_s, service_s, server and free_s have shapes {arrival_s.shape}, '
            f'{service_s.shape}, {server.shape} and {free_s.shape}. '
            'The first three must agree, and the fourth in all axes but the last.'
        )
    first_come = np.arange(arrival_s.shape[-1]) if order is None else order
    ranks = np.broadcast_to(first_come, arrival_s.shape)
    return _Queues(arrival_s, service_s, server, free_s, ranks)
