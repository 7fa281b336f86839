from __future__ import annotations

from pathlib import Path

import pytest

from sec_nodes.fleet.expand import RunFiles
from sec_nodes.fleet.settings import FleetSettings, read_fleet
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.survey_settings import SurveySettings


@pytest.fixture
def survey() -> SurveySettings:
    return read_settings('survey')


@pytest.fixture
def laptop() -> FleetSettings:
    return read_fleet('laptop')


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles('try', tmp_path / 'try')
