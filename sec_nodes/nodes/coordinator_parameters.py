"""Parameters of the node `coordinator`."""

from __future__ import annotations

from dataclasses import dataclass

from sec_nodes.nodes.base import CommonParameters
from sec_nodes.nodes.parameters import parameter


@dataclass(frozen=True)
class Parameters(CommonParameters):
    """Parameters of the node `coordinator`."""

    run: str = parameter('run', 'name of the run')
    backend: str = parameter(
        'sim',
        'sim: this node owns /clock; hardware: everybody lives on wall time',
        choices=('sim', 'hardware'),
    )
    slots: int = parameter(60, 'slots in the run', low=1)
    speed: float = parameter(
        1.0, 'simulated seconds per wall second, at most; 0 = lockstep', low=0.0, high=1000.0
    )
    fallback: str = parameter(
        '', 'controller that decides when nobody else does; empty = that of the scenario'
    )
    decision_timeout_s: float = parameter(
        0.5,
        'wall time that the controller has for a slot [s]; ten times as much in lockstep, '
        'where waiting changes nothing',
        low=0.001,
        high=60.0,
    )
    heartbeat_timeout_s: float = parameter(
        1.0,
        'silence after which a server is lost, and a device, but that not before 1 s [s; wall '
        'time]; ten times as much in lockstep, where waiting changes nothing',
        low=0.1,
        high=60.0,
    )
    attempt_timeout_s: float = parameter(
        15.0,
        'time without news after which a try is given up [s]; in lockstep wall time without news '
        'of any',
        low=0.1,
        high=3600.0,
    )
    report_timeout_s: float = parameter(
        5.0, 'wall time to wait for the reports of a slot [s]', low=0.1, high=60.0
    )
    await_timeout_s: float = parameter(
        60.0, 'wall time to wait for all nodes before the first slot [s]', low=1.0, high=3600.0
    )
    await_nodes: str = parameter(
        '',
        'nodes that must say that they are ready as well, such as recorder; separated by commas',
    )
    max_attempts: int = parameter(3, 'how often a task may be sent out', low=1, high=100)
    drain_slots: int = parameter(5, 'slots after the last, to finish open tasks', low=0, high=1000)
