"""Scenarios by name or by file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sec_nodes.config import known_names, load, named_file
from sec_nodes.scenarios.survey_settings import SurveySettings


def scenario_names() -> list[str]:
    """Names of the scenarios that ship with the product."""
    return known_names('scenario')


def read_settings(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> SurveySettings:
    """Settings of a scenario.

    Args:
        name_or_path: `survey`, or a YAML file of your own.
        overrides: values that replace those of the file, by dotted key.

    Raises:
        ConfigError: unknown name, or a file that is not a sound scenario.
    """
    return load(named_file('scenario', name_or_path), SurveySettings, overrides)
