"""From a fleet to `launch_ros` actions: what the files in launch/ have in common.

Decisions are taken in Python once the arguments are known (OpaqueFunction), and only actions and
arguments that exist from Humble to Lyrical are used. An empty argument leaves a value to the
fleet's file, so that no default is written twice.
"""

# mypy: disable-error-code="import-not-found, import-untyped, attr-defined"
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from sec_nodes.config import ConfigError
from sec_nodes.fleet.domain import PROCESS_DEFAULTS
from sec_nodes.fleet.expand import COORDINATOR, RECORDER, ProcessSpec
from sec_nodes.fleet.plan import Plan, Request, make_plan, write_plan
from sec_nodes.fleet.runner import RECORDER_GRACE_S
from sec_nodes.fleet.supervisor import RETRY_DELAY_S
from sec_nodes.paths import config_dir

PACKAGE = 'sec_offload'
FLAGS = ('false', 'true')

ARGUMENTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ('fleet', 'laptop', 'fleet by name, or its YAML file', ()),
    ('controller', '', 'who decides, see `sec controllers`; empty = as the fleet says', ()),
    ('scenario', '', 'scenario by name, or its YAML file; empty = as the fleet says', ()),
    ('slots', '', 'length of the run [slots]; empty = as the fleet says', ()),
    ('seed', '', 'seed of everything random; empty = as the fleet says', ()),
    ('speed', '', 'simulated seconds per wall second; 0 = lockstep, empty = of the fleet', ()),
    ('backend', '', 'emulated or real radio and motion; empty = as the fleet says',
     ('', 'sim', 'hardware')),
    ('per_vehicle', '', 'one process a vehicle instead of one a tier; empty = as the fleet says',
     ('', *FLAGS)),
    ('namespace', '', 'put before the name of every topic, service and node', ()),
    ('use_sim_time', '', 'whether nodes follow /clock; empty = true with backend sim',
     ('', *FLAGS)),
    ('images', '', 'folder of your own pictures; empty = as the fleet says', ()),
    ('results', '', 'folder that gets one folder a run; empty = as the fleet says', ()),
    ('host', '', 'this machine, as the fleet names it; empty = the one without a name', ()),
    ('run', '', 'name of the run; empty = made from the time', ()),
    ('log_level', 'info', 'severity from which nodes log',
     ('debug', 'info', 'warn', 'error', 'fatal')),
)  # fmt: skip
"""Name, default, description and choices of the arguments that all launch files share."""

VIEWERS = (
    ('rviz', 'false', 'show the scene in RViz', FLAGS),
    ('foxglove', 'false', 'start foxglove_bridge on 127.0.0.1:8765', FLAGS),
)
IDS = (('ids', '', 'vehicles to start, as in 0-4,7; empty = all of the fleet', ()),)


def describe(nodes: Sequence[str] | None = None) -> LaunchDescription:
    """A launch description for a whole fleet, or for some of its nodes.

    Args:
        nodes: kinds of nodes to start, as in the fleet's file; None = all, viewers included.
    """
    extra = VIEWERS if nodes is None else IDS if nodes != ['controller'] else ()
    arguments = [_argument(*entry) for entry in (*ARGUMENTS, *extra)]
    defaults = [
        SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=value))
        for name, value in PROCESS_DEFAULTS.items()
    ]
    return LaunchDescription(
        [*arguments, *defaults, OpaqueFunction(function=_start, kwargs={'nodes': nodes})]
    )


def _argument(
    name: str, default: str, description: str, choices: Sequence[str]
) -> DeclareLaunchArgument:
    # Humble takes choices=None for "any", but not an empty list.
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=list(choices) or None
    )


def _start(context: LaunchContext, nodes: Sequence[str] | None) -> list[Any]:
    """The actions, now that the arguments are known."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name, default='').perform(context))

    plan = _plan(value, ids=value('ids'), nodes=nodes)
    write_plan(plan)
    running = {spec.name: _node(spec, plan, value) for spec in plan.processes}
    actions: list[Any] = [*running.values()]
    if nodes is None:
        actions += _end_with_the_run(plan, running) + _viewers(value)
    return actions


def _plan(value: Any, ids: str, nodes: Sequence[str] | None) -> Plan:
    plan = make_plan(
        Request(
            fleet=value('fleet'),
            controller=value('controller') or None,
            scenario=value('scenario') or None,
            slots=_number(value('slots'), int),
            seed=_number(value('seed'), int),
            speed=_number(value('speed'), float),
            backend=value('backend') or None,
            images=Path(value('images')) if value('images') else None,
            results=Path(value('results')) if value('results') else None,
            per_vehicle=_flag(value('per_vehicle')),
            run=value('run') or None,
            host=value('host') or None,
        )
    )
    processes = [spec for spec in plan.processes if nodes is None or spec.node in nodes]
    if not processes:
        kinds = ' or '.join(nodes or ())
        raise ConfigError(f'the fleet has no {kinds} for this machine; give host:=NAME')
    if ids:
        processes = [_with_ids(processes[0], ids)]
    simulated = _flag(value('use_sim_time'))
    if simulated is not None:
        processes = [_with(spec, use_sim_time=simulated) for spec in processes]
    return Plan(plan.fleet, plan.scenario, plan.files, processes)


def _with_ids(spec: ProcessSpec, ids: str) -> ProcessSpec:
    """The same node for other vehicles, under a name that tells them apart."""
    suffix = ids.replace(' ', '').replace('-', '_to_').replace(',', '_')
    changed = _with(spec, ids=ids)
    return ProcessSpec(f'{spec.node}_{suffix}', spec.node, None, spec.respawn, changed.params)


def _with(spec: ProcessSpec, **params: Any) -> ProcessSpec:
    if spec.node == COORDINATOR:
        params.pop('use_sim_time', None)  # it owns the clock
    return ProcessSpec(spec.name, spec.node, spec.host, spec.respawn, {**spec.params, **params})


def _node(spec: ProcessSpec, plan: Plan, value: Any) -> Node:
    return Node(
        package=PACKAGE,
        executable=spec.node,
        name=spec.name,
        namespace=value('namespace') or None,
        parameters=[str(plan.files.params(spec.name))],
        arguments=['--ros-args', '--log-level', value('log_level')],
        respawn=spec.respawn,
        respawn_delay=RETRY_DELAY_S,
        output='screen',
    )


def _end_with_the_run(plan: Plan, running: dict[str, Node]) -> list[RegisterEventHandler]:
    """Shut down when the recorder has written its files, or some time after the coordinator."""
    kinds = {spec.node: running[spec.name] for spec in plan.processes}
    over = EmitEvent(event=Shutdown(reason='the run is over'))
    has_recorder = RECORDER in kinds
    later = [TimerAction(period=RECORDER_GRACE_S, actions=[over])] if has_recorder else [over]
    handlers = [OnProcessExit(target_action=kinds[COORDINATOR], on_exit=later)]
    if has_recorder:
        handlers.append(OnProcessExit(target_action=kinds[RECORDER], on_exit=[over]))
    return [RegisterEventHandler(handler) for handler in handlers]


def _viewers(value: Any) -> list[Node]:
    nodes = []
    if _flag(value('rviz')):
        config = config_dir() / 'rviz' / 'sec_offload.rviz'
        nodes.append(Node(package='rviz2', executable='rviz2', arguments=['-d', str(config)]))
    if _flag(value('foxglove')):
        nodes.append(
            Node(
                package='foxglove_bridge',
                executable='foxglove_bridge',
                parameters=[{'address': '127.0.0.1', 'port': 8765}],
            )
        )
    return nodes


def _flag(text: str) -> bool | None:
    return None if text == '' else text == 'true'


def _number(text: str, kind: type) -> Any:
    """The text as a number; what is none is left to the settings, which say what is wrong."""
    try:
        return kind(text) if text else None
    except ValueError:
        return text
