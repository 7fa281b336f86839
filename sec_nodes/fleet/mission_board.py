"""Keeps the score of a mission from its messages: the plan in force, and what tasks are at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from sec_nodes.fleet.snapshot import MissionView


class MissionBoard:
    """What is known of a mission; the scoreboard feeds it and guards it.

    Args:
        name_of: name of a server by its number.
    """

    def __init__(self, name_of: Callable[[int], str]) -> None:
        self._name_of = name_of
        self._plan: Any = None
        self._plans = 0
        self._server: dict[int, str] = {}
        self._stage: dict[int, str] = {}
        self._ended: set[int] = set()

    def on_plan(self, plan: Any) -> bool:
        """sec_offload/msg/MissionPlan, in force; whether it is a new one."""
        key = (plan.slot, plan.controller, plan.reason)
        if self._plan is not None and key == (
            self._plan.slot,
            self._plan.controller,
            self._plan.reason,
        ):
            return False
        self._plan, self._plans = plan, self._plans + 1
        for task, server in zip(plan.task_id, plan.server, strict=True):
            if task not in self._ended:
                self._server[task] = self._name_of(server) if server >= 0 else '-'
                self._stage.setdefault(task, 'program')
        return True

    def on_upload(self, upload: Any) -> None:
        """sec_offload/msg/MissionUpload."""
        if upload.task_id not in self._ended:
            self._server[upload.task_id] = self._name_of(upload.server)
            self._stage[upload.task_id] = _stage(upload)

    def on_outcome(self, outcome: Any, status: str) -> None:
        """sec_offload/msg/TaskOutcome; `status` is its name."""
        self._ended.add(outcome.task_id)
        self._server[outcome.task_id] = outcome.server_name or '-'
        self._stage[outcome.task_id] = 'done' if status == 'done' else 'missed'

    def view(self) -> MissionView | None:
        """The mission now; None before the first plan."""
        if self._plan is None:
            return None
        stages: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for task, stage in self._stage.items():
            stages[self._server[task]][stage] += 1
        plan = self._plan
        paths = {self._name_of(path.server_id): path.waypoints for path in plan.paths}
        return MissionView(
            plans=self._plans,
            slot=plan.slot,
            controller=plan.controller,
            largest_j=max(plan.energy_j, default=0.0),
            bound_j=plan.bound_j,
            stages={name: dict(counts) for name, counts in stages.items()},
            ways={
                name: tuple((point.x, point.y) for point in points)
                for name, points in paths.items()
            },
        )


def _stage(upload: Any) -> str:
    """What a task is at: programs go up while devices compute."""
    if upload.arrived_s >= 0:
        return 'uav'
    if upload.program_s < 0:
        return 'program'
    return 'intermediate' if upload.intermediate_bit > 0 else 'device'
