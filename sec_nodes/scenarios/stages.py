"""Stages of a task where single tasks are sent to servers, and what a decision on it can break."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

import numpy as np

from sec_nodes.slot import BoolArray, FloatArray, IntArray


class Violation(IntFlag):
    """Hard constraints that the decision on a task can break."""

    SERVER = 1
    """No such server."""
    DEAD = 2
    """The server has failed."""
    UNREACHABLE = 4
    """Out of the UAV's coverage, or no satellite in view for long enough."""
    SPLIT = 8
    """No such cut, or one that leaves nothing to the server."""
    POWER = 16
    """Transmit power outside the radio's range, or not a number."""
    SHARE = 32
    """Share of the server's computer outside [0, 1], not a number, or not to be had."""
    ACCURACY = 64
    """The executing model is less accurate than the task requires."""
    NO_COMPUTER = 128
    """The device cannot compute, so the task cannot stay there."""


@dataclass(frozen=True)
class Stage:
    """Time and energy that one stage takes, task by task."""

    time_s: FloatArray
    energy_j: FloatArray


@dataclass(frozen=True)
class Options:
    """Latency and energy of every way to serve each task alone.

    Axes: K tasks, S servers and at last the device itself, C cuts, P transmit powers. What
    breaks a constraint is not `feasible`; what misses its deadline is not `punctual`.
    """

    latency_s: FloatArray
    energy_j: FloatArray
    cost: FloatArray
    feasible: BoolArray
    punctual: BoolArray


class Way(NamedTuple):
    """What lies between devices and servers; arrays that broadcast."""

    delay_s: FloatArray
    """One-way propagation, inter-satellite links included [s]."""
    hops: IntArray
    """Inter-satellite links."""
    isl_m: FloatArray
    """Their length together [m]."""


class QueueRule(NamedTuple):
    """How tasks wait at a server, first come, first served."""

    enabled: bool = True
    """False: every task has a computer of its own."""
    longest_wait_s: float = np.inf
    """A task that would wait longer is refused [s]."""
