"""Scenarios that can be learnt, by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sec_nodes.config import ConfigError, known_names, suggest
from sec_nodes.scenarios.registry import read_settings, scenario_modes, split_mode

if TYPE_CHECKING:
    from sec_nodes.learning.problem import Problem

PROBLEMS = {
    'mllm': 'sec_nodes.learning.mllm:MllmProblem',
    'robust': 'sec_nodes.learning.robust:RobustProblem',
}
"""Classes `(mode, copies, overrides)`, imported when they are needed."""


def learnable(scenario: str, overrides: Mapping[str, Any] | None = None) -> tuple[str, str | None]:
    """Part `mllm:stress` into name and mode of a scenario that can be learnt. Needs no torch.

    Raises:
        ConfigError: no such scenario, one that nothing learns, no such mode, or overrides that
            are no settings of it.
    """
    name, mode = split_mode(scenario)
    if name not in PROBLEMS:
        known = list(PROBLEMS)
        if name in known_names('scenario'):
            raise ConfigError(
                f'scenario {name!r} cannot be learnt yet; {suggest(name, known)}; '
                f'`sec simulate {name}` plays it with controllers that need no training'
            )
        raise ConfigError(f'unknown scenario {name!r} for training; {suggest(name, known)}')
    if mode is not None and mode not in scenario_modes(name):
        raise ConfigError(f'{name}: unknown mode {mode!r}; {suggest(mode, scenario_modes(name))}')
    read_settings(scenario, overrides)
    return name, mode


def make_problem(
    scenario: str, copies: int, overrides: Mapping[str, Any] | None = None
) -> Problem:
    """The problem that a scenario is, in so many copies; errors as `learnable`."""
    name, mode = learnable(scenario, overrides)
    module, _, attribute = PROBLEMS[name].partition(':')
    problem: Problem = getattr(import_module(module), attribute)(mode, copies, overrides)
    return problem
