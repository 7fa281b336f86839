"""Stand-ins for ROS messages: the scoreboard only reads attributes."""

from __future__ import annotations

from types import SimpleNamespace as Message


def point(x: float, y: float, z: float = 0.0) -> Message:
    return Message(x=x, y=y, z=z)


def run_state(state: int = 1, **changes) -> Message:
    values = {
        'state': state, 'detail': '', 'run': 'try', 'scenario': 'survey', 'slot': 0, 'slots': 20,
        'speed': 1.0, 'tasks_created': 0, 'tasks_ended': 0,
    }  # fmt: skip
    return Message(**{**values, **changes})


def slot_start(slot: int) -> Message:
    return Message(slot=slot, start_s=float(slot), slot_s=1.0)


def device_report(slot: int, tasks: int = 0) -> Message:
    return Message(
        slot=slot, device_id=[0, 1], position=[point(100, 100), point(400, 300)],
        tasks=[Message(task_id=1000 * slot + number) for number in range(tasks)],
    )  # fmt: skip


def server(name: str, uav: bool, position: Message, **changes) -> Message:
    values = {
        'name': name, 'kind': 0 if uav else 1, 'position': position, 'tracking_error_m': 0.05,
        'has_battery': uav, 'energy_left_j': 400e3, 'backlog_s': 0.0, 'alive': True,
        'stored_bit': 0.0, 'storage_bit': 0.0, 'ground_contact': False,
    }  # fmt: skip
    return Message(**{**values, **changes})


def server_report() -> Message:
    return Message(
        servers=[
            server('uav_0', True, point(250, 250, 50)),
            server('satellite_0', False, point(1e5, 2e5, 5e5)),
        ]
    )


def assignments(*servers: int, repair: bool = False) -> Message:
    given = [Message(device_id=device, server=number) for device, number in enumerate(servers)]
    return Message(assignments=given, repair=repair, mission=[])


def slot_outcome(slot: int, **changes) -> Message:
    values = {
        'slot': slot, 'start_s': float(slot), 'controller': 'greedy', 'fallback': False,
        'decide_s': 0.004, 'decisions_repaired': 0, 'decisions_rejected': 0, 'servers_lost': [],
        'real_time_factor': 0.99,
    }  # fmt: skip
    return Message(**{**values, **changes})


def task_outcome(status: int = 0, server: str = 'uav_0', **changes) -> Message:
    values = {
        'task_id': 0, 'status': status, 'server_name': server, 'latency_s': 0.5, 'deadline_s': 0.8,
        'answer': 'raft', 'truth': 'raft', 'reason': '', 'question_kind': '',
        'energy': Message(front_j=1.0, upload_j=2.0, back_j=3.0, download_j=4.0),
    }  # fmt: skip
    return Message(**{**values, **changes})


def visibility(*windows: tuple[str, float, float]) -> Message:
    return Message(
        windows=[
            Message(name=name, rise_s=rise_s, set_s=set_s, peak_elevation_rad=0.5)
            for name, rise_s, set_s in windows
        ]
    )


def relay_report(slot: int, uav: int = 0, **changes) -> Message:
    values = {
        'slot': slot, 'server_id': uav, 'name': f'uav_{uav}', 'satellite': 2, 'ratio': 0.25,
        'upload_start_s': 1.25, 'late': False, 'uploaded_bit': 5e8, 'stored_bit': 3e9,
        'storage_bit': 12e9,
    }  # fmt: skip
    return Message(**{**values, **changes})


def delivery(file_id: str, size_bit: float = 2e8) -> Message:
    return Message(file_id=file_id, size_bit=size_bit)


def mission_plan(*servers: int, slot: int = 0, **changes) -> Message:
    """A plan for two UAVs that fly east and north, and a task for each of the servers."""
    paths = [
        Message(server_id=0, waypoints=[point(250 + 40 * step, 250) for step in range(5)]),
        Message(server_id=1, waypoints=[point(250, 250 + 40 * step) for step in range(5)]),
    ]
    values = {
        'slot': slot, 'controller': 'sca_bcd', 'reason': 'mission start', 'paths': paths,
        'task_id': list(range(len(servers))), 'server': list(servers),
        'energy_j': [9675.0, 9500.0], 'bound_j': 9587.0,
    }  # fmt: skip
    return Message(**{**values, **changes})


def mission_batch(plan: Message, repair: bool = False) -> Message:
    return Message(assignments=[], repair=repair, mission=[plan])


def link_table(*uploads: Message) -> Message:
    return Message(uploads=list(uploads))


def mission_upload(task_id: int, server: int = 0, **changes) -> Message:
    values = {
        'task_id': task_id, 'device_id': task_id, 'server': server, 'program_bit': 0.0,
        'intermediate_bit': 0.0, 'program_s': -1.0, 'arrived_s': -1.0,
    }  # fmt: skip
    return Message(**{**values, **changes})


def failure_notice(uav: int, tasks: int = 4, reason: str = 'silent') -> Message:
    return Message(server_id=uav, name=f'uav_{uav}', reason=reason, tasks=tasks, silence_s=0.3)


def migration(source: int, target: int, way: int) -> Message:
    return Message(from_server=source, to_server=target, way=way)
