"""Table rows from messages. Anything with the fields of the message will do, ROS or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sec_nodes.recording.tables import ENERGY, TABLES, TIMING
from sec_nodes.slot import Status

Row = dict[str, Any]

RUN_STATES = ('waiting', 'running', 'draining', 'finished', 'aborted')
"""Names of the states in sec_offload/msg/RunState."""

FAILURES = ('crash', 'link loss', 'recover', 'kill', 'hang', 'cut', 'battery')
"""Names of the kinds in sec_offload/msg/Failure."""

WAYS = ('relay', 'resend', 'local')
"""Names of the ways in sec_offload/msg/Migration."""


def seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time in seconds."""
    return float(stamp.sec) + stamp.nanosec * 1e-9


def name_of(names: tuple[str, ...], number: int) -> str:
    """Name of a constant; its number where a newer producer knows more of them than we do."""
    return names[number] if number < len(names) else str(number)


def motion(position: Any, velocity: Any) -> Row:
    """Position and velocity columns."""
    return {
        **{f'{axis}_m': getattr(position, axis) for axis in 'xyz'},
        **{f'v{axis}_m_s': getattr(velocity, axis) for axis in 'xyz'},
    }


def task(request: Any, slot: int) -> Row:
    """A row of `tasks` from a TaskRequest."""
    return {
        'task_id': request.task_id,
        'device_id': request.device_id,
        'slot': slot,
        'created_s': request.created_s,
        'deadline_s': request.deadline_s,
        'accuracy_required': request.accuracy,
        'input_bit': request.input_bit,
        'steps': request.steps,
        'answer_bit': request.answer_bit,
        'prompt': request.prompt,
    }


_RENAMED = {'status', 'ended_s'}
_PLAIN = [
    name
    for name in TABLES['outcomes']
    if name not in _RENAMED and not name.startswith(('timing_', 'energy_'))
]


def outcome(message: Any) -> Row:
    """A row of `outcomes` from a TaskOutcome."""
    statuses = tuple(status.name.lower() for status in Status)
    return {
        **{name: getattr(message, name) for name in _PLAIN},
        'status': name_of(statuses, message.status),
        **{f'timing_{name}': getattr(message.timing, name) for name in TIMING},
        **{f'energy_{name}': getattr(message.energy, name) for name in ENERGY},
        'ended_s': seconds(message.header.stamp),
    }


def slot(message: Any) -> Row:
    """A row of `slots` from a SlotOutcome."""
    return {
        **{name: getattr(message, name) for name in TABLES['slots'] if name != 'servers_lost'},
        'servers_lost': ' '.join(str(server) for server in message.servers_lost),
    }


def devices(message: Any) -> list[Row]:
    """Rows of `devices` from a DeviceReport."""
    return [
        {
            'slot': message.slot,
            'time_s': seconds(message.header.stamp),
            'device_id': device,
            **motion(position, velocity),
        }
        for device, position, velocity in zip(
            message.device_id, message.position, message.velocity, strict=True
        )
    ]


_OF_BATCH = ('slot', 'controller', 'fallback', 'repair')


def assignments(message: Any) -> list[Row]:
    """Rows of `assignments` from an AssignmentBatch."""
    own = [name for name in TABLES['assignments'] if name not in ('time_s', *_OF_BATCH)]
    return [
        {
            'time_s': seconds(message.header.stamp),
            **{name: getattr(message, name) for name in _OF_BATCH},
            **{name: getattr(item, name) for name in own},
        }
        for item in message.assignments
    ]


def passes(message: Any) -> list[Row]:
    """Rows of `passes` from VisibilityWindows."""
    own = [name for name in TABLES['passes'] if name != 'minimum_elevation_rad']
    return [
        {
            **{name: getattr(window, name) for name in own},
            'minimum_elevation_rad': message.minimum_elevation_rad,
        }
        for window in message.windows
    ]


def relay(message: Any) -> Row:
    """A row of `relays` from a RelayReport."""
    return {name: getattr(message, name) for name in TABLES['relays']}


def stores(message: Any) -> list[Row]:
    """Rows of `stores` from a ServerReport: of servers that store data or see the station."""
    own = [name for name in TABLES['stores'] if name not in ('slot', 'time_s')]
    return [
        {
            'slot': message.slot,
            'time_s': seconds(message.header.stamp),
            **{name: getattr(state, name) for name in own},
        }
        for state in message.servers
        if state.storage_bit > 0 or state.stored_bit > 0 or state.ground_contact
    ]


def delivery(message: Any) -> Row:
    """A row of `deliveries` from a Delivery."""
    own = [name for name in TABLES['deliveries'] if name != 'time_s']
    return {
        'time_s': seconds(message.header.stamp),
        **{name: getattr(message, name) for name in own},
    }


def planned_tasks(plan: Any, number: int) -> list[Row]:
    """Rows of `plans` from a MissionPlan: what it promises for each task."""
    own = [name for name in TABLES['plans'] if name != 'plan']
    columns = (getattr(plan, name) for name in own)
    return [
        {'plan': number, **dict(zip(own, values, strict=True))}
        for values in zip(*columns, strict=True)
    ]


def sorties(plan: Any, number: int, names: Mapping[int, str]) -> list[Row]:
    """Rows of `sorties` from a MissionPlan: what it asks of each UAV."""
    shared = ('slot', 'start_s', 'slot_s', 'controller', 'reason', 'bound_j')
    return [
        {
            'plan': number,
            **{name: getattr(plan, name) for name in shared},
            'server_id': path.server_id,
            'name': names.get(path.server_id, str(path.server_id)),
            'energy_j': energy_j,
        }
        for path, energy_j in zip(plan.paths, plan.energy_j, strict=True)
    ]


def waypoints(plan: Any, number: int, names: Mapping[int, str]) -> list[Row]:
    """Rows of `waypoints` from a MissionPlan: where each UAV shall be when."""
    return [
        {
            'plan': number,
            'server_id': path.server_id,
            'name': names.get(path.server_id, str(path.server_id)),
            'slot': plan.slot + step,
            'time_s': plan.start_s + step * plan.slot_s,
            **{f'{axis}_m': getattr(point, axis) for axis in 'xyz'},
        }
        for path in plan.paths
        for step, point in enumerate(path.waypoints)
    ]


def failure(message: Any, name: str) -> Row:
    """A row of `failures` from a Failure."""
    return {
        'injected_s': seconds(message.header.stamp),
        'server_id': message.server_id,
        'name': name,
        'kind': name_of(FAILURES, message.kind),
    }


def failure_notice(message: Any) -> Row:
    """A row of `failures` from a FailureNotice."""
    own = [name for name in TABLES['failures'] if name not in ('injected_s', 'back_s', 'kind')]
    return {name: getattr(message, name) for name in own}


def server_back(state: Any, back_s: float) -> Row:
    """A row of `failures` from a ServerState, the first one after the server had failed."""
    return {'back_s': back_s, 'server_id': state.server_id, 'name': state.name}


def migration(message: Any, names: Mapping[int, str]) -> Row:
    """A row of `migrations` from a Migration."""
    own = [name for name in TABLES['migrations'] if name not in ('from_name', 'to_name', 'way')]
    return {
        **{name: getattr(message, name) for name in own},
        'from_name': names.get(message.from_server, str(message.from_server)),
        'to_name': 'local' if message.to_server < 0 else names.get(message.to_server, ''),
        'way': name_of(WAYS, message.way),
    }


_INSTANTS = ('program_s', 'arrived_s')


def uploads(message: Any) -> list[Row]:
    """Rows of `uploads` from a LinkTable."""
    own = [name for name in TABLES['uploads'] if name not in ('slot', 'time_s', *_INSTANTS)]
    return [
        {
            'slot': message.slot,
            'time_s': seconds(message.header.stamp),
            **{name: getattr(upload, name) for name in own},
            **{name: _instant(getattr(upload, name)) for name in _INSTANTS},
        }
        for upload in message.uploads
    ]


def _instant(time_s: float) -> float | str:
    """An instant that is negative as long as it has not come, as a cell."""
    return time_s if time_s >= 0 else ''
