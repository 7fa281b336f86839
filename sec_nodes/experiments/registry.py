"""Experiments by name."""

from __future__ import annotations

from sec_nodes.config import ConfigError, suggest
from sec_nodes.experiments.reproduction import AnyExperiment
from sec_nodes.scenarios.registry import imported

EXPERIMENTS = {
    'mllm': 'sec_nodes.experiments.mllm.reproduce:MllmExperiment',
    'maritime': 'sec_nodes.experiments.maritime.reproduce:MaritimeExperiment',
    'partial': 'sec_nodes.experiments.partial.reproduce:PartialExperiment',
    'robust': 'sec_nodes.experiments.robust.reproduce:RobustExperiment',
}
"""Where each is, as `module:Class`; imported when it is needed."""


def experiment(name: str) -> AnyExperiment:
    """The experiments of a paper.

    Raises:
        ConfigError: unknown name.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f'unknown experiment {name!r}; {suggest(name, [*EXPERIMENTS])}')
    made: AnyExperiment = imported(EXPERIMENTS[name])()
    return made
