from __future__ import annotations

import os
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sec_nodes.config import ConfigError
from sec_nodes.fleet.domain import (
    LOCAL_BY_DEFAULT,
    PROFILES,
    DomainBusyError,
    DomainLock,
    busy,
    complete,
    domain_id,
    keep_local,
)
from sec_nodes.paths import config_dir


@pytest.fixture(autouse=True)
def own_lock_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))


def test_domain_belongs_to_one_run():
    with DomainLock(7, Path('results/first')):
        with (
            pytest.raises(DomainBusyError, match=rf'domain 7 .*pid {os.getpid()}, results/first'),
            DomainLock(7, Path('results/second')),
        ):
            pass
        with DomainLock(8, Path('results/second')):
            pass
    with DomainLock(7, Path('results/third')):
        pass


def test_the_remedy_is_a_free_number():
    assert 'ROS_DOMAIN_ID=1' in str(busy(0, 'pid 1'))
    assert 'ROS_DOMAIN_ID=1' in str(busy(200, 'pid 1'))


def test_domain_id():
    assert domain_id({}) == 0
    assert domain_id({'ROS_DOMAIN_ID': '42'}) == 42
    for text in ('-1', '233', 'x'):
        with pytest.raises(ConfigError, match='ROS_DOMAIN_ID'):
            domain_id({'ROS_DOMAIN_ID': text})


def test_discovery_stays_on_this_machine():
    for distro, name in zip(('kilted', 'jazzy'), PROFILES, strict=True):
        environment = {'ROS_DISTRO': distro}
        keep_local(environment, [])
        assert environment.pop('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'SYSTEM_DEFAULT'
        assert environment.keys() == {'ROS_DISTRO', name}
        assert '127.0.0.1' in Path(environment[name]).read_text()
    for other in ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, {PROFILES[0]: 'mine.xml'}):
        environment = dict(other)
        keep_local(environment, [])
        assert environment == {**other, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    humble = {'ROS_DISTRO': 'humble'}
    keep_local(humble, [])
    assert humble['ROS_LOCALHOST_ONLY'] == '1'


def test_discovery_is_left_alone_for_other_hosts_and_by_wish():
    network = str(config_dir() / 'fastdds' / 'network.xml')
    environment: dict[str, str] = {}
    keep_local(environment, ['board'])
    assert environment == {PROFILES[0]: network}
    by_default = ['ROS_AUTOMATIC_DISCOVERY_RANGE', *PROFILES]
    environment = dict.fromkeys(by_default, 'set by env.sh')
    environment[LOCAL_BY_DEFAULT] = ' '.join(by_default)
    keep_local(environment, ['board'])
    assert environment == {PROFILES[0]: network}
    environment = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    keep_local(environment, [])
    assert environment == {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', PROFILES[0]: network}
    for other in (
        {'ROS_DISTRO': 'humble'},
        {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'},
        {PROFILES[0]: 'mine.xml'},
    ):
        environment = dict(other)
        keep_local(environment, ['board'])
        assert environment == other


@pytest.mark.parametrize('name', ['loopback', 'network'])
def test_no_endpoint_waits_for_a_type_to_be_looked_up(name: str):
    tree = ElementTree.parse(config_dir() / 'fastdds' / f'{name}.xml')
    space = {'dds': 'http://www.eprosima.com'}
    properties = {
        found.findtext('dds:name', '', space): found.findtext('dds:value', '', space)
        for found in tree.iterfind('.//dds:property', space)
    }
    assert properties == {'fastdds.type_propagation': 'disabled'}
    profile = tree.find('.//dds:participant', space)
    assert profile is not None
    assert profile.get('is_default_profile') == 'true'


def test_one_thread_and_no_shared_memory_unless_the_user_has_said():
    environment = {'OMP_NUM_THREADS': '4'}
    complete(environment)
    assert environment == {
        'OMP_NUM_THREADS': '4',
        'OPENBLAS_NUM_THREADS': '1',
        'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4',
    }
