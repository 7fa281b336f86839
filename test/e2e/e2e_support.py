"""The folder of the project, and a fleet of stand-ins, for tests that start real processes."""

from pathlib import Path

from stand_in_language import LOADER

ROOT = Path(__file__).resolve().parents[2]


def stand_in_fleet(
    path: Path, scenario: str, seed: int, slots: int, respawn: bool = False
) -> Path:
    """Write a fleet in lockstep whose servers run stand-ins for language models.

    Args:
        path: the file.
        scenario: what it flies unless told otherwise.
        seed: of the run.
        slots: of the run.
        respawn: whether a controller that has died is started again.
    """
    served = f"params: {{loader: '{LOADER}'}}"
    controller = '{node: controller, respawn: true}' if respawn else '{node: controller}'
    path.write_text(
        f'name: test\nbackend: sim\nscenario: {scenario}\ncontroller: greedy\n'
        f'seed: {seed}\nslots: {slots}\nspeed: 0.0\n'
        'processes:\n'
        '  - {node: recorder}\n'
        '  - {node: channel}\n'
        f'  - {{node: satellite, {served}}}\n'
        f'  - {{node: uav, {served}}}\n'
        '  - {node: device}\n'
        f'  - {controller}\n'
        '  - {node: coordinator}\n'
    )
    return path
