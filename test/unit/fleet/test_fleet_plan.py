from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from random_policies import mllm_policy

from sec_nodes.config import ConfigError
from sec_nodes.fleet import plan as planning
from sec_nodes.fleet.plan import Request, make_plan, write_plan
from sec_nodes.fleet.settings import read_fleet
from sec_nodes.scenarios.registry import read_flown, read_settings

really_check = planning.check_models_and_controller


@pytest.fixture(autouse=True)
def without_models(monkeypatch):
    monkeypatch.setattr(planning, 'check_models_and_controller', lambda fleet, scenario: None)


def plan_of(tmp_path: Path, **changes) -> planning.Plan:
    return make_plan(Request('laptop', results=tmp_path, **changes))


def test_request_overrides_fleet_and_scenario(tmp_path):
    plan = plan_of(tmp_path, slots=7, speed=0.0, settings=['devices.count=4', 'codec=u8'], run='x')
    assert (plan.fleet.slots, plan.fleet.speed, plan.fleet.seed) == (7, 0.0, 1)
    assert (plan.scenario.devices.count, plan.scenario.codec) == (4, 'u8')
    assert plan.files.folder == tmp_path / 'x'
    assert not plan.files.folder.exists()


def test_what_is_written_is_what_nodes_read(tmp_path):
    plan = plan_of(tmp_path, settings=['devices.count=4'], run='x')
    write_plan(plan)
    assert read_settings(str(plan.files.scenario)) == plan.scenario
    params = yaml.safe_load(plan.files.params('coordinator').read_text())
    assert params['/**']['ros__parameters']['scenario'] == str(plan.files.scenario)


def test_runs_do_not_overwrite_each_other(tmp_path):
    first, second = plan_of(tmp_path), plan_of(tmp_path, run='x')
    assert first.files.run.startswith('survey-greedy-')
    write_plan(second)
    with pytest.raises(ConfigError, match=r"run = 'x': .* exists already; choose another"):
        plan_of(tmp_path, run='x')


def test_results_must_be_writable(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match=r'results = .* cannot be written'):
        plan_of(tmp_path / 'file')


def test_images_must_hold_pictures(tmp_path):
    with pytest.raises(ConfigError, match=r'images = .*does not exist'):
        plan_of(tmp_path, images=tmp_path / 'none')
    with pytest.raises(ConfigError, match=r'images = .*holds no .jpg'):
        plan_of(tmp_path, images=tmp_path)
    (tmp_path / 'a.PNG').write_bytes(b'')
    with pytest.raises(ConfigError, match=r'images = .*can be decoded'):
        plan_of(tmp_path, images=tmp_path)
    Image.new('RGB', (160, 160)).save(tmp_path / 'a.PNG')
    plan = plan_of(tmp_path, images=tmp_path)
    (device,) = [spec for spec in plan.processes if spec.node == 'device']
    assert device.params['images'] == str(tmp_path)


def test_tle_file_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r'satellites.tle_file = x.tle: no such file'):
        plan_of(tmp_path, settings=['satellites.tle_file=x.tle'])
    Path('x.tle').write_text('')
    plan = plan_of(tmp_path, settings=['satellites.tle_file=x.tle'])
    assert plan.scenario.satellites.tle_file == tmp_path / 'x.tle'


def test_a_trained_policy_chooses_its_scenario(tmp_path):
    path = mllm_policy(tmp_path / 'trained.npz', 'mllm:measured')
    plan = plan_of(tmp_path, controller=str(path))
    assert plan.scenario.name == 'mllm'
    assert plan.scenario.uavs.models is not None, 'the mode that is flown'
    assert plan.notes == (f'{path} plays scenario mllm only, which takes the place of survey',)
    assert plan.files.run.startswith('mllm-trained-')
    asked = plan_of(tmp_path, controller=str(path), scenario='mllm')
    assert asked.notes == ()
    assert plan_of(tmp_path, controller='greedy').notes == ()


def test_a_trained_policy_is_named_by_its_whole_path(tmp_path, monkeypatch):
    mllm_policy(tmp_path / 'trained.npz', 'mllm:measured')
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tmp_path, controller='trained.npz')
    assert plan.fleet.controller == str(tmp_path / 'trained.npz')
    controller = next(spec for spec in plan.processes if spec.node == 'controller')
    assert controller.params['controller'] == str(tmp_path / 'trained.npz')
    with pytest.raises(ConfigError, match=r'controller = none.npz: no such file'):
        plan_of(tmp_path, controller='none.npz')


def test_a_trained_policy_plays_no_other_scenario(tmp_path):
    path = str(mllm_policy(tmp_path / 'trained.npz', 'mllm:measured'))
    for scenario, settings, complaint in (
        ('survey', {}, r'made for scenario mllm, not for survey; choose that scenario'),
        ('mllm', {'devices.count': 12}, r'devices.count = 10, but the scenario has 12'),
    ):
        fleet = read_fleet('laptop', {'scenario': scenario, 'controller': path})
        with pytest.raises(ConfigError, match=complaint):
            really_check(fleet, read_flown(scenario, settings))
    really_check(fleet, read_flown('mllm'))
    with pytest.raises(ConfigError, match=r"unknown controller 'gready'; did you mean 'greedy'"):
        really_check(fleet.model_copy(update={'controller': 'gready'}), read_flown('mllm'))
