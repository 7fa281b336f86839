"""One version everywhere, pinned requirements, and the set-up script's messages."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

import sec_nodes
from sec_nodes.paths import share_dir

ROOT = share_dir()
if not (ROOT / 'setup.py').is_file():
    pytest.skip('an installed copy has no set-up files', allow_module_level=True)


def test_one_version():
    version = sec_nodes.__version__
    package = ET.parse(ROOT / 'package.xml').getroot()
    setup_config = ConfigParser()
    setup_config.read(ROOT / 'setup.cfg')
    changelog = (ROOT / 'CHANGELOG.rst').read_text()
    released = re.findall(r'^(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)\n-+$', changelog, re.MULTILINE)
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert package.findtext('version') == version
    assert setup_config['metadata']['version'] == 'attr: sec_nodes.__version__'
    assert 'version=' not in (ROOT / 'setup.py').read_text()
    assert released[0] == (version, citation['date-released'])
    assert citation['version'] == version


def test_every_requirement_is_pinned():
    for path in sorted((ROOT / 'requirements').glob('*.txt')):
        for line in path.read_text().splitlines():
            requirement = line.partition('#')[0].strip()
            if requirement and requirement != '-c constraints.txt':
                assert re.match(
                    r'[\w.-]+==[\w.]+(; python_version [<>=]+ "3\.\d+")?$', requirement
                ), f'{path.name}: {line}'


def test_what_runs_needs_no_training_libraries():
    for name in ('run', 'numpy', 'numpy-ros', 'ros', 'solvers', 'dev'):
        text = (ROOT / 'requirements' / f'{name}.txt').read_text()
        assert not re.search(r'^(torch|transformers|tensorflow)', text, re.MULTILINE)


def test_every_way_of_installing_names_the_solvers():
    for script in ('setup.sh', 'common.sh'):
        assert 'solvers' in (ROOT / 'scripts' / script).read_text()
    solvers = (ROOT / 'requirements/solvers.txt').read_text()
    extras = re.search(r"'solvers': \[(.*)\]", (ROOT / 'setup.py').read_text())
    assert extras is not None
    named = re.findall(r"'(\w+)>=", extras[1])
    assert named == ['cvxpy', 'pymoo']
    assert set(re.findall(r'^(\w+)==', solvers, re.MULTILINE)) == set(named)


def test_console_scripts_are_named_after_their_modules():
    config = ConfigParser()
    config.read(ROOT / 'setup.cfg')
    lines = config['options.entry_points']['console_scripts'].strip().splitlines()
    scripts = dict(line.split(' = ') for line in lines)
    assert scripts.pop('sec') == 'sec_nodes.cli.main:main'
    assert scripts == {name: f'sec_nodes.nodes.{name}:main' for name in scripts}


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the set-up scripts, with a directory of programs to use as PATH."""
    shutil.copytree(ROOT / 'scripts', tmp_path / 'scripts')
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    (tmp_path / 'bin').mkdir()
    for name in ('bash', 'sed', 'sort', 'head', 'uname', 'getconf', 'dirname'):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / 'bin' / name).symlink_to(program)
    return tmp_path


def put(checkout: Path, name: str, script: str) -> None:
    """Put a program of our own on the PATH."""
    path = checkout / 'bin' / name
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)


def check(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `setup.sh --check` with nothing but the programs of the checkout."""
    return subprocess.run(
        ['/bin/bash', str(checkout / 'scripts/setup.sh'), '--check'],
        env={'PATH': str(checkout / 'bin'), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


needs_pip_ros = pytest.mark.skipif(
    sys.platform != 'linux' or os.uname().machine != 'x86_64',
    reason='the messages of the PyPI way of set-up are for x86-64 Linux',
)


@needs_pip_ros
def test_everything_missing_is_named_at_once(checkout):
    result = check(checkout)
    assert result.returncode == 1
    for line in ('  - Python 3.10 to 3.14', '  - g++', '  - cmake', '  - make'):
        assert line in result.stderr.splitlines()
    install = 'apt-get install -y python3 python3-venv python3-dev g++ cmake make'
    assert install in result.stderr


@needs_pip_ros
def test_only_cmake_missing(checkout):
    for name in ('g++', 'make', 'python3'):
        put(checkout, name, 'exit 0')
    result = check(checkout)
    assert result.returncode == 1
    assert '  - cmake\n' in result.stderr
    assert result.stderr.rstrip().endswith('apt-get install -y cmake')


@needs_pip_ros
def test_an_old_cmake_and_a_bare_python(checkout):
    put(checkout, 'g++', 'exit 0')
    put(checkout, 'make', 'exit 0')
    put(checkout, 'cmake', 'echo cmake version 3.16.3')
    put(checkout, 'python3', 'echo venv >&2; exit 1')
    result = check(checkout)
    assert 'cmake 3.20 or newer (this is 3.16.3)' in result.stderr
    assert 'the venv and ensurepip modules of Python' in result.stderr
    assert 'python3-venv' in result.stderr


@needs_pip_ros
def test_the_newest_suitable_python_is_taken(checkout):
    for name in ('g++', 'make', 'python3', 'python3.10', 'python3.12'):
        put(checkout, name, 'exit 0')
    put(checkout, 'cmake', 'echo cmake version 3.25.1')
    put(checkout, 'python3.13', 'echo header >&2; exit 1')
    result = check(checkout)
    assert result.returncode == 0, result.stderr
    assert 'bin/python3.12' in result.stderr


@pytest.mark.parametrize(
    ('system', 'machine', 'sentence'),
    [
        ('Linux', 'aarch64', 'install ROS 2 from apt'),
        ('Linux', 'riscv64', 'x86-64 only, not riscv64'),
        ('Darwin', 'arm64', 'for Linux only, this is Darwin'),
    ],
)
def test_other_platforms_get_a_clear_sentence(checkout, system, machine, sentence):
    put(checkout, 'uname', f'if [ "$1" = -m ]; then echo {machine}; else echo {system}; fi')
    result = check(checkout)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_a_sourced_ros_needs_colcon_and_its_own_python(checkout):
    put(checkout, 'uname', 'echo aarch64')
    for name in ('g++', 'make'):
        put(checkout, name, 'exit 0')
    put(checkout, 'cmake', 'echo cmake version 3.22.1')
    put(checkout, 'python', 'case "$2" in *rclpy*) exit 1;; esac')
    result = check(checkout, ROS_DISTRO='humble', PYTHON='python')
    assert result.returncode == 1
    assert 'rclpy of ROS 2 humble' in result.stderr
    assert 'ros-humble-rclpy python3-colcon-common-extensions' in result.stderr


def load_patcher():
    """Return the module scripts/patch_ros_wheels.py."""
    sys.path.insert(0, str(ROOT / 'scripts'))
    try:
        import patch_ros_wheels
    finally:
        sys.path.pop(0)
    return patch_ros_wheels


def test_dead_paths_of_the_wheels_are_replaced():
    patcher = load_patcher()
    base = '/opt/python/cp311-cp311'
    dead = f'{base}/include/python3.11;{base}/lib/python3.11/site-packages/numpy/_core/include'
    alive = patcher.mend(f'INCLUDE "{dead};/usr/include"')
    assert '/opt/python' not in alive
    assert alive.endswith('/include;/usr/include"')
    assert alive.count(';') == 2
    assert patcher.mend(alive) == alive
