"""Scenarios by name or by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sec_nodes.config import ConfigError, load, suggest
from sec_nodes.paths import config_dir
from sec_nodes.scenarios.survey_settings import SurveySettings


def scenario_names() -> list[str]:
    """Names of the scenarios that ship with the product."""
    return sorted(path.stem for path in (config_dir() / 'scenarios').glob('*.yaml'))


def read_settings(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> SurveySettings:
    """Settings of a scenario.

    Args:
        name_or_path: `survey`, or a YAML file of your own.
        overrides: values that replace those of the file, by dotted key.

    Raises:
        ConfigError: unknown name, or a file that is not a sound scenario.
    """
    path = Path(name_or_path)
    if path.suffix not in ('.yaml', '.yml'):
        if name_or_path not in scenario_names():
            raise ConfigError(
                f'unknown scenario {name_or_path!r}; {suggest(name_or_path, scenario_names())}; '
                'a file of your own must end in .yaml'
            )
        path = config_dir() / 'scenarios' / f'{name_or_path}.yaml'
    return load(path, SurveySettings, overrides)
