"""Who publishes, subscribes and serves what: docs/interfaces.md from the sources of the nodes.

    python -m sec_nodes.cli.topic_tables > docs/interfaces.md

Names, types and qualities of service are those of `nodes.names`. Publishers and subscribers are
found by reading the classes of the nodes, so that no node has to run for it.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from sec_nodes.cli.page_tables import markdown
from sec_nodes.cli.parameter_tables import NODES, markdown_tables, node_parameters
from sec_nodes.paths import share_dir
from sec_nodes.scenarios.registry import imported

PUBLISH = {'advertise', 'create_publisher'}
SUBSCRIBE = {'listen', 'create_subscription', '_record', '_record_flight'}
SERVE, CALL = {'create_service'}, {'create_client'}
ROLES = {
    name: role
    for role, names in (
        ('publishes', PUBLISH),
        ('subscribes', SUBSCRIBE),
        ('serves', SERVE),
        ('calls', CALL),
    )
    for name in names
}
LISTENS_TO_TABLES = {'_tables', '_flights', '_payloads'}
"""Methods of the recorder that list what it subscribes to."""
BESIDES = {
    'device': (
        'sec_nodes.nodes.data_source:DataSource',
        'sec_nodes.nodes.mission_device:MissionDeviceNode',
    ),
    'uav': (
        'sec_nodes.nodes.relay_uav:RelayUavNode',
        'sec_nodes.nodes.mission_uav:MissionUavNode',
    ),
    'satellite': ('sec_nodes.nodes.relay_satellite:RelaySatelliteNode',),
}
"""What nodes are, or have besides, where UAVs pass things on, and where missions are flown."""
MONITOR = '`sec up`'
"""How the part of `sec up` that watches a run is called here."""
VEHICLES = {
    'VEHICLE_PAYLOAD': '<server>', 'VEHICLE_RELAY': '<satellite>', 'VEHICLE_DATA': '<store>',
    **dict.fromkeys(
        (
            'VEHICLE_PROGRAM', 'VEHICLE_ODOMETRY', 'VEHICLE_SETPOINT', 'VEHICLE_TRACKING_ERROR',
            'VEHICLE_PATH',
        ),
        '<uav>',
    ),
}  # fmt: skip

INTRODUCTION = """\
# Interfaces

This page is generated, and a test compares it with the code: change the sources, then call
`python -m sec_nodes.cli.topic_tables > docs/interfaces.md`.

Names are relative, so that a namespace may stand before the whole fleet; `/clock` and
`/diagnostics` are absolute. `<uav>` stands for `uav_0`, `uav_1` ..., `<server>` for these and
`satellite_0`, `satellite_1` ..., `<satellite>` for the latter, `<store>` for all of them and
`ground_station`. Fields with unit, frame and range are described in
[msg/](../msg) and [srv/](../srv). Positions are in the frame `map`: metres east, north and up of
the south-west corner of the area. No transforms are published on `/tf`.

The nodes take part as `device`, `uav` and `satellite`, whatever the names of their processes are;
`sec up` stands for the watcher in that command, which fills the live view."""


PARAMETERS = """\
All are read-only: what may change while running has a service. A value outside its range ends the
node with exit code 2 and one line that names it. `use_sim_time` is true for every node but the
coordinator where `backend` is `sim`. `sec up` and the launch files set `scenario`, `seed`, `run`,
`slots`, `speed`, `backend`, `await_nodes`, `images`, `controller`, `run_dir` and
`store_dir` from the fleet; the others may stand below `params` of a process there."""

PURPOSES = {
    'CLOCK': 'Simulated time, every 20 ms of wall time; in lockstep every 100 ms and at jumps.',
    'DIAGNOSTICS': 'State and counts of each node, once a second of wall time.',
    'READY': 'Name of a node that `await_nodes` asks for, once nothing can escape it.',
    'SCENE': 'Area, devices, servers and links of the slot as markers.',
    'VEHICLE_ODOMETRY': 'Pose in `map`, twist in `<uav>/base_link`; every control period, or at a '
    'speed above 1, in lockstep and in maritime, where UAVs hover, every fifth.',
    'VEHICLE_SETPOINT': 'Where the UAV shall be; every fifth control period.',
    'VEHICLE_TRACKING_ERROR': 'Set-point minus position; every fifth control period.',
    'VEHICLE_PATH': 'The last 300 positions, one each 50 control periods.',
}
"""What topics of standard types carry; ours say it in their definitions."""


class Links(NamedTuple):
    """Who uses a topic or service."""

    givers: list[str]
    """Publishers of a topic, servers of a service."""
    takers: list[str]
    """Subscribers of a topic, clients of a service."""


def page() -> str:
    """The whole of docs/interfaces.md.

    Raises:
        ConfigError: ROS 2 is not there.
    """
    parameters = node_parameters()
    names = import_module('sec_nodes.nodes.names')
    links = find_links(names)
    parts = [
        INTRODUCTION,
        '## Topics',
        _topic_table(names, links),
        '### Quality of service',
        'The recorder subscribes with the same reliability and durability and a depth of 2000.',
        _profile_table(names),
        '## Services',
        _service_table(names, links),
        'Every node has the parameter services of ROS 2 as well.',
        '## Parameters',
        PARAMETERS,
        markdown_tables(parameters).replace('#### ', '### '),
    ]
    return '\n\n'.join(parts) + '\n'


def find_links(names: ModuleType) -> dict[str, Links]:
    """Users of every topic and service, by its name in `nodes.names`."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for user, classes in _users():
        for kind in classes:
            for role, constant in _uses(kind):
                users = found[constant][role]
                if user not in users:
                    users.append(user)
    links = {}
    for constant, roles in found.items():
        if hasattr(names, constant):
            givers = roles['publishes'] + roles['serves']
            links[constant] = Links(givers, roles['subscribes'] + roles['calls'])
    return links


def _users() -> Iterator[tuple[str, list[type]]]:
    """Nodes with the classes that they are made of."""
    from rclpy.node import Node

    for node in NODES:
        module = import_module(f'sec_nodes.nodes.{node}')
        own = (item for item in vars(module).values() if isinstance(item, type))
        kind = next(
            item for item in own if item.__module__ == module.__name__ and issubclass(item, Node)
        )
        parts = _parts(kind)
        for place in BESIDES.get(node, ()):
            parts += [part for part in _parts(imported(place)) if part not in parts]
        yield node, parts
    yield MONITOR, [import_module('sec_nodes.fleet.monitor').Monitor]


def _parts(kind: type) -> list[type]:
    """A class with those that it inherits from, and the helpers of nodes/ that all these name."""
    parts = [base for base in kind.__mro__ if base.__module__.startswith('sec_nodes.')]
    for part in parts:  # grows while it is gone through
        scope = vars(sys.modules[part.__module__])
        for name in ast.walk(_tree(part)):
            item = scope.get(name.id) if isinstance(name, ast.Name) else None
            if not isinstance(item, type) or item in parts or _is_node(item):
                continue  # a helper may name its node as a type, which makes nothing of it
            if item.__module__.startswith('sec_nodes.nodes.'):
                parts.append(item)
    return parts


def _is_node(item: type) -> bool:
    return any(base.__module__ == 'rclpy.node' for base in item.__mro__)


def _tree(kind: type) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(kind)))


def _uses(kind: type) -> Iterator[tuple[str, str]]:
    """Roles that a class has, each with the constant in `names` that it has it for."""
    for function in ast.walk(_tree(kind)):
        if not isinstance(function, ast.FunctionDef):
            continue
        if function.name in LISTENS_TO_TABLES:
            for constant in _constants([function], {}):
                yield 'subscribes', constant
            continue
        known = _variables(function)
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                role = ROLES.get(call.func.attr)
                if role:
                    for constant in _constants(call.args, known):
                        yield role, constant


def _variables(function: ast.FunctionDef) -> dict[str, list[str]]:
    """Local variables that stand for constants in `names`."""
    known: dict[str, list[str]] = {}
    for node in ast.walk(function):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.For, ast.comprehension)):
            pairs = [(node.target, node.iter)]
        for target, value in pairs:
            constants = list(_constants([value], known))
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and constants:
                    known[name.id] = constants
    return known


def _constants(nodes: Iterable[ast.AST], known: dict[str, list[str]]) -> Iterator[str]:
    """Constants in `names` that expressions refer to, themselves or through variables."""
    for part in (part for node in nodes for part in ast.walk(node)):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            if part.value.id == 'names' and part.attr.isupper():
                yield part.attr
        elif isinstance(part, ast.Name):
            yield from known.get(part.id, ())


def _topic_table(names: ModuleType, links: dict[str, Links]) -> str:
    rows = []
    for constant, topic in vars(names).items():
        if isinstance(topic, names.Topic):
            users = links.get(constant, Links([], []))
            name = f'{VEHICLES[constant]}/{topic.name}' if constant in VEHICLES else topic.name
            takers = users.takers
            if constant == 'CLOCK':
                takers = ['every node with `use_sim_time`']
            rows.append(
                (
                    f'`{name}`',
                    f'`{_type_name(topic.type, "msg")}`',
                    _profile_name(names, topic.qos),
                    _list(users.givers),
                    _list(takers),
                    PURPOSES.get(constant) or _purpose(topic.type, 'msg'),
                )
            )
    return markdown(('topic', 'type', 'QoS', 'publishers', 'subscribers', 'what'), rows).rstrip()


def _service_table(names: ModuleType, links: dict[str, Links]) -> str:
    rows = []
    for constant, service in vars(names).items():
        # a name and a type; topics are tuples as well
        if constant.isupper() and type(service) is tuple:
            name, kind = service
            users = links.get(constant, Links([], []))
            rows.append(
                (
                    f'`{name}`',
                    f'`{_type_name(kind, "srv")}`',
                    _list(users.givers),
                    _list(users.takers),
                    _purpose(kind, 'srv'),
                )
            )
    return markdown(('service', 'type', 'server', 'clients', 'what'), rows).rstrip()


def _profile_table(names: ModuleType) -> str:
    rows = [(f'`{name}`', *_profile_words(profile)) for name, profile in _profiles(names).items()]
    return markdown(('profile', 'reliability', 'durability', 'keep last'), rows).rstrip()


def _profiles(names: ModuleType) -> dict[str, Any]:
    from rclpy.qos import QoSProfile

    return {name: item for name, item in vars(names).items() if isinstance(item, QoSProfile)}


def _profile_name(names: ModuleType, qos: Any) -> str:
    named = next((name for name, item in _profiles(names).items() if item is qos), None)
    if named:
        return f'`{named}`'
    reliability, durability, depth = _profile_words(qos)
    return f'{reliability}, {durability}, keep last {depth}'


def _profile_words(qos: Any) -> tuple[str, str, str]:
    words = [item.name.lower().replace('_', ' ') for item in (qos.reliability, qos.durability)]
    return words[0], words[1], str(qos.depth)


def _type_name(kind: Any, folder: str) -> str:
    return f'{kind.__module__.partition(".")[0]}/{folder}/{kind.__name__}'


def _purpose(kind: Any, folder: str) -> str:
    """First sentence of the header comment of one of our own definitions."""
    text = (share_dir() / folder / f'{kind.__name__}.{folder}').read_text(encoding='utf-8')
    header = []
    for line in text.splitlines():
        if not line.startswith('#'):
            break
        header.append(line.removeprefix('#').strip())
    sentence, dot, _ = ' '.join(header).partition('. ')
    return sentence.removesuffix('.') + ('.' if dot or sentence.endswith('.') else '')


def _list(users: Iterable[str]) -> str:
    return ', '.join(users) or 'none here'


if __name__ == '__main__':
    print(page(), end='')
