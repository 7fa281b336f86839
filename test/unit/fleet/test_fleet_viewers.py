from __future__ import annotations

import json
import re

import yaml

from sec_nodes.paths import config_dir

RVIZ = config_dir() / 'rviz' / 'sec_offload.rviz'
FOXGLOVE = config_dir() / 'foxglove' / 'sec_offload.json'


def topics_of_the_graph() -> set[str]:
    """Names in sec_nodes/nodes/names.py, read without ROS."""
    source = (config_dir().parent / 'sec_nodes' / 'nodes' / 'names.py').read_text()
    return {name.lstrip('/') for name in re.findall(r"Topic\(\s*'([^']+)'", source)}


def known(topic: str) -> bool:
    return re.sub(r'^uav_\d+/', '', topic.lstrip('/')) in topics_of_the_graph()


def test_rviz_shows_topics_that_exist():
    manager = yaml.safe_load(RVIZ.read_text())['Visualization Manager']
    topics = [display['Topic']['Value'] for display in manager['Displays'] if 'Topic' in display]
    assert {'scene', 'uav_0/path', 'uav_2/odom'} <= set(topics)
    assert all(known(topic) for topic in topics), topics
    assert manager['Global Options']['Fixed Frame'] == 'map'


def test_foxglove_shows_topics_that_exist():
    layout = json.loads(FOXGLOVE.read_text())
    panels = layout['configById']
    topics = [topic for panel in panels.values() for topic in panel.get('topics', ())]
    topics += [panel['topicPath'] for panel in panels.values() if 'topicPath' in panel]
    paths = [path['value'] for panel in panels.values() for path in panel.get('paths', ())]
    topics += [path.partition('.')[0] for path in paths]
    assert '/scene' in topics
    assert all(known(topic) for topic in topics), topics


def test_foxglove_places_every_panel_once():
    layout = json.loads(FOXGLOVE.read_text())

    def leaves(node: dict | str) -> list[str]:
        if isinstance(node, str):
            return [node]
        return leaves(node['first']) + leaves(node['second'])

    assert sorted(leaves(layout['layout'])) == sorted(layout['configById'])
