"""Which trained policy plays a scenario: those that ship, and whether one fits.

A policy is for the problem that it was trained on. It may be played with other values of what it
is shown or what its mask takes care of (`SHOWN`): how many devices ask and for what, where UAVs
start, how accurate models are. Fully connected networks know the fleet by its order, so its
numbers, places and speeds must be those of the training (`FLEET`); structured ones are shown them.
Everything else must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from sec_nodes.controllers.base import POLICY_SUFFIX, ControllerError
from sec_nodes.controllers.learned import PolicyFile, read_policy
from sec_nodes.paths import models_dir
from sec_nodes.scenarios.mllm.settings import MllmSettings, Satellites, Uavs

SCENARIO = 'mllm'
LEARNED = {
    'ad_sac': 'AD-SAC with a structured network',
    'ad_sac_flat': 'AD-SAC with fully connected networks, as the paper has it',
    'ad_sac_d': 'AD-SAC with discretised powers and moves',
    'ad_sac_c': 'AD-SAC with relaxed choices',
    'ppo': 'PPO',
    'hybrid_ppo': 'Hybrid PPO',
    'd3qn': 'Branching D3QN',
    'ddpg': 'DDPG',
}
"""Controllers that are trained, and what they are."""

SHOWN = (
    'slots',
    'devices.requests_per_slot',
    'tasks',
    'uavs.start_m',
    'uavs.accuracy',
    'satellites.accuracy',
    'objective.reward_scale',
)
FLEET = (
    'devices.count',
    'uavs.count',
    'satellites.count',
    'uavs.altitude_m',
    'uavs.pace',
    'satellites.cross_track_deg',
    'satellites.pace',
)
_BEHIND_PACE = ('flop_per_word', 'flop_s', 'compute_power_w', 'paces', 'models', 'platform')


class Difference(NamedTuple):
    """A setting that a policy was trained with, and what the scenario has."""

    key: str
    trained: Any
    here: Any


def policies_dir() -> Path | None:
    """Folder of the policies that ship, one folder a mode; None where there are none."""
    try:
        path = models_dir() / 'policies' / SCENARIO
    except FileNotFoundError:
        return None
    return path if path.is_dir() else None


def shipped(name: str) -> list[Path]:
    """Files of a controller, mode by mode."""
    folder = policies_dir()
    return [] if folder is None else sorted(folder.glob(f'*/{name}{POLICY_SUFFIX}'))


def shipped_names() -> list[str]:
    """Names of `LEARNED` that have a policy."""
    return [name for name in LEARNED if shipped(name)]


def summary(name: str) -> str:
    """What a controller is, and the modes that it was trained on, in a line."""
    modes = ', '.join(path.parent.name for path in shipped(name))
    return f'{LEARNED[name]}; trained on {modes}.'


def best_fit(name: str, settings: MllmSettings) -> PolicyFile:
    """The shipped policy of a controller whose training is most like a scenario.

    Raises:
        ControllerError: none fits; the text says what the nearest was trained on.
    """
    files = [read_policy(path) for path in shipped(name)]
    if not files:
        raise ControllerError(
            f'no policy of {name} ships; train one with `sec train SCENARIO --algo {name}`'
        )

    def distance(file: PolicyFile) -> tuple[int, int]:
        found = differences(file, settings)
        return len(_grave(file, found)), len(found)

    nearest = min(files, key=distance)
    require_fit(nearest, settings, name)
    return nearest


def require_fit(file: PolicyFile, settings: MllmSettings, name: str) -> None:
    """Raise ControllerError unless a policy may play a scenario.

    Args:
        file: the policy.
        settings: the scenario, complete.
        name: of the controller.
    """
    grave = _grave(file, differences(file, settings))
    if not grave:
        return
    key, trained, here = grave[0]
    others = ', '.join(difference.key for difference in grave[1:])
    more = f'; {others} differ as well' if others else ''
    where, algorithm = _scenario(file), file.description.get('algorithm', 'NAME')
    remedy = f'train one for this scenario with `sec train SCENARIO --algo {algorithm}`'
    if not others and not isinstance(here, dict | list):
        value = 'null' if here is None else here
        remedy = (
            f'train one with `sec train {where} --algo {algorithm} --set-scenario {key}={value}`'
        )
    raise ControllerError(
        f'controller {name!r} was trained on {where} with {key} = {trained}, but the scenario has '
        f'{here}{more}; {remedy}'
    )


def differences(file: PolicyFile, settings: MllmSettings) -> list[Difference]:
    """Settings that are not those of a policy's training, numbers of the fleet first.

    Raises:
        ControllerError: the policy does not say what it was trained on.
    """
    scenario = file.description.get('scenario')
    if scenario != SCENARIO:
        raise file.error(f'scenario = {scenario!r}, but it is to play {SCENARIO}')
    try:
        trained = MllmSettings.model_validate(file.description.get('settings'))
        trained.require_complete()
    except (ValidationError, ValueError):
        raise file.error('its settings are not those of this version of the scenario') from None
    before, now = dict(_values(trained)), dict(_values(settings))
    return [Difference(key, before[key], now[key]) for key in now if before[key] != now[key]]


def _grave(file: PolicyFile, found: list[Difference]) -> list[Difference]:
    """Differences that forbid to play."""
    free = SHOWN + FLEET if file.kind.any_fleet else SHOWN
    return [difference for difference in found if difference.key not in free]


def _scenario(file: PolicyFile) -> str:
    """Scenario and mode of the training, as `sec train` is told them."""
    mode = file.description.get('mode')
    return f'{SCENARIO}:{mode}' if mode else SCENARIO


def _values(settings: MllmSettings) -> Iterator[tuple[str, Any]]:
    """Settings by key, one level deep; what a tier computes with is its pace."""
    tree = settings.model_dump(mode='json')
    tiers: dict[str, Uavs | Satellites]
    tiers = {'uavs': settings.uavs, 'satellites': settings.satellites}
    yield 'devices.count', settings.devices.count
    for tier, servers in tiers.items():
        yield f'{tier}.count', servers.count
    for name, value in tree.items():
        if name in ('compute', 'assumed_start_s'):
            continue
        if name == 'tasks' or not isinstance(value, Mapping):
            yield name, value
            continue
        for key, inner in value.items():
            if (name in tiers and key in _BEHIND_PACE) or (name, key) == ('devices', 'count'):
                continue
            yield f'{name}.{key}', inner
    for tier, servers in tiers.items():
        yield f'{tier}.pace', [pace.model_dump() for pace in servers.pace]
