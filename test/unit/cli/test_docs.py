"""The documentation agrees with the code where a program can tell."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from typer.main import get_command

from sec_nodes.cli import main as cli
from sec_nodes.controllers.base import controller_names

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / 'docs'
PAGES = sorted(DOCS.glob('*.md'))

needs_ros = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ('rclpy', 'sec_offload')),
    reason='no ROS 2 in this environment',
)


@needs_ros
def test_interfaces_are_those_of_the_nodes():
    from sec_nodes.cli.topic_tables import page

    assert (DOCS / 'interfaces.md').read_text(encoding='utf-8') == page(), (
        'call `python -m sec_nodes.cli.topic_tables > docs/interfaces.md`'
    )


@needs_ros
def test_who_publishes_and_subscribes_is_read_from_the_nodes():
    from sec_nodes.cli.topic_tables import MONITOR, find_links
    from sec_nodes.nodes import names

    links = find_links(names)
    # written out in a helper, through a variable, in a loop, in a base class, in a table
    ends_known_to = ['device', 'uav', 'channel', 'recorder', MONITOR]
    assert links['TASK_OUTCOME'] == (['coordinator'], ends_known_to)
    assert links['VEHICLE_PAYLOAD'] == (['channel'], ['uav', 'satellite', 'recorder'])
    assert links['VEHICLE_PATH'] == (['uav'], ['recorder'])
    assert links['SERVER_REPORT'].givers == ['uav', 'satellite']
    assert links['INJECT_FAILURE'] == (['coordinator'], [MONITOR])
    unused = {name for name, item in vars(names).items() if isinstance(item, names.Topic)}
    assert unused - links.keys() == set()
    # rclpy itself listens to /clock
    assert [name for name, item in links.items() if not all(item)] == ['CLOCK', 'SET_CONTROLLER']


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = re.sub(r'```.*?```', '', page.read_text(encoding='utf-8'), flags=re.DOTALL)
    for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text):
        if '://' not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_options_of_sec_exist(page):
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    for line in re.findall(r'^.*\bsec [a-z]+.*$', page.read_text(encoding='utf-8'), re.MULTILINE):
        for name, rest in re.findall(r'\bsec (up|report|params|controllers)\b([^`#|]*)', line):
            known = {'--help'}.union(
                *((*p.opts, *p.secondary_opts) for p in commands[name].params)
            )
            assert set(re.findall(r'(?<!\S)--[a-z-]+', rest)) <= known, line


def test_reasons_are_those_of_the_code():
    table = (DOCS / 'architecture.md').read_text(encoding='utf-8')
    table = table.partition('## How a task ends')[2].partition('\n## ')[0]
    reasons = re.findall(r'^\| [a-z, ]+ \| `([a-z_]+)', table, re.MULTILINE)
    assert len(reasons) > 10
    sources = '\n'.join(
        path.read_text(encoding='utf-8')
        for folder in ('nodes', 'loop')
        for path in (ROOT / 'sec_nodes' / folder).glob('*.py')
    )
    assert [reason for reason in reasons if f"'{reason}" not in sources] == []


def test_every_controller_is_listed():
    text = (DOCS / 'controllers.md').read_text(encoding='utf-8')
    assert [name for name in controller_names() if f'`{name}`' not in text] == []
