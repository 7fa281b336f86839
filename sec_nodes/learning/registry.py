"""Learning algorithms by name, and their hyper-parameters from config/controllers. Needs no torch
until an algorithm is imported.

config/controllers/SCENARIO/NAME.yaml holds `profiles`. `default` has all values; the others have
those that differ from it. `modes` changes values of `default` in modes of the scenario. The key
`copies` is for whoever trains, all others are the algorithm's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sec_nodes.config import ConfigError, Settings, suggest, value_of
from sec_nodes.paths import config_dir

if TYPE_CHECKING:
    from sec_nodes.learning.learner import Learner

_ALGORITHMS = 'sec_nodes.learning.algorithms'
ALGORITHMS = {
    'ad_sac': f'{_ALGORITHMS}.ad_sac_set:AdSacSet',
    'ad_sac_flat': f'{_ALGORITHMS}.ad_sac:AdSac',
    'ad_sac_d': f'{_ALGORITHMS}.ad_sac_d:AdSacD',
    'ad_sac_c': f'{_ALGORITHMS}.ad_sac_c:AdSacC',
    'ppo': f'{_ALGORITHMS}.ppo:Ppo',
    'hybrid_ppo': f'{_ALGORITHMS}.hybrid_ppo:HybridPpo',
    'd3qn': f'{_ALGORITHMS}.d3qn:D3qn',
    'ddpg': f'{_ALGORITHMS}.ddpg:Ddpg',
    'sac': f'{_ALGORITHMS}.sac:Sac',
    'sac_per': f'{_ALGORITHMS}.sac_per:SacPer',
    'redq': f'{_ALGORITHMS}.redq:Redq',
    'redq_g1': f'{_ALGORITHMS}.redq:Redq',
}
"""Classes of learners, imported when they are needed."""

DEFAULT = 'default'
COPIES = 'copies'


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is trained."""

    copies: int
    """Copies B of the scenario that are played at once."""
    hyper: Settings
    """Hyper-parameters, of the learner's class `Hyper`."""


def learner_class(name: str) -> type[Learner]:
    """The class of an algorithm.

    Raises:
        ConfigError: no such algorithm.
    """
    check_algorithm(name)
    module, _, attribute = ALGORITHMS[name].partition(':')
    found: type[Learner] = getattr(import_module(module), attribute)
    return found


def check_algorithm(name: str) -> None:
    """Raise ConfigError unless there is such an algorithm."""
    if name not in ALGORITHMS:
        raise ConfigError(f'unknown algorithm {name!r}; {suggest(name, list(ALGORITHMS))}')


def values(
    name: str,
    scenario: str,
    profile: str = DEFAULT,
    mode: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Values that a profile comes to, by dotted key, not yet checked against the algorithm.

    Args:
        name: the algorithm.
        scenario: without its mode.
        profile: one of the file's.
        mode: of the scenario; `default` may differ from mode to mode.
        overrides: values that replace those of the profile, by dotted key.

    Raises:
        ConfigError: unknown algorithm, profile or key, or no file for this scenario.
    """
    path = _path(name, scenario)
    profiles = _mapping(path, 'profiles')
    if profile not in profiles or DEFAULT not in profiles:
        raise ConfigError(f'{path}: unknown profile {profile!r}; {suggest(profile, [*profiles])}')
    chosen = _flat(_mapping(path, 'profiles', DEFAULT))
    if profile == DEFAULT:
        modes = _mapping(path, 'modes')
        changes = _mapping(path, 'modes', mode) if mode in modes else {}
        where = f'{path}: mode {mode!r}'
    else:
        changes = _mapping(path, 'profiles', profile)
        where = f'{path}: profile {profile!r}'
    for place, given in ((where, _flat(changes)), ('command line', overrides or {})):
        for key, value in given.items():
            if key not in chosen:
                raise ConfigError(f'{place}: unknown key {key!r}; {suggest(key, [*chosen])}')
            chosen[key] = value
    return chosen


def recipe(
    name: str,
    scenario: str,
    profile: str = DEFAULT,
    mode: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Recipe:
    """How an algorithm is trained on a scenario; arguments as `values`.

    Raises:
        ConfigError: as `values`, and for values outside their range.
    """
    chosen = values(name, scenario, profile, mode, overrides)
    copies = chosen.pop(COPIES)
    if not isinstance(copies, int) or not 1 <= copies <= MOST_COPIES:
        raise ConfigError(f'{name}: copies = {copies!r}: must be a number from 1 to {MOST_COPIES}')
    kind = learner_class(name).Hyper
    try:
        return Recipe(copies, kind.model_validate(_nested(chosen)))
    except ValidationError as error:
        path = _path(name, scenario)
        lines = [
            _explain(path, kind, detail, overrides or {})
            for detail in error.errors(include_url=False)
        ]
        raise ConfigError('\n'.join(lines)) from None


def hyper_parameters(
    name: str,
    scenario: str,
    profile: str = DEFAULT,
    mode: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Hyper-parameters of an algorithm, of its class `Hyper`; arguments and errors as `recipe`."""
    return recipe(name, scenario, profile, mode, overrides).hyper


MOST_COPIES = 4096


def _path(name: str, scenario: str) -> Path:
    check_algorithm(name)
    folder = config_dir() / 'controllers' / scenario
    path = folder / f'{name}.yaml'
    if not path.is_file():
        known = sorted(found.stem for found in folder.glob('*.yaml'))
        raise ConfigError(
            f'{path} does not exist, so {name} has no hyper-parameters for {scenario}; '
            f'{suggest(name, known)}'
        )
    return path


def _mapping(path: Path, *keys: str | None) -> dict[str, Any]:
    """What a file has under keys; empty if it has nothing there."""
    found: Any = value_of(path, str(keys[0])) or {}
    for key in keys[1:]:
        found = found.get(key) or {} if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise ConfigError(
            f'{path}: {" of ".join(map(str, reversed(keys)))} must map keys to values'
        )
    return found


def _flat(tree: Mapping[str, Any], above: str = '') -> dict[str, Any]:
    """Values of nested mappings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f'{above}{key}.') if isinstance(value, dict) else {above + key: value}
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The nested mappings of `_flat`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split('.')
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return tree


def _explain(path: Path, kind: type[Settings], detail: Any, overrides: Mapping[str, Any]) -> str:
    """A line about a value that pydantic refused."""
    key = '.'.join(map(str, detail['loc']))
    where = 'command line' if key in overrides else str(path)
    if detail['type'] == 'extra_forbidden':
        return f'{where}: unknown key {key!r}; {suggest(key, list(kind.model_fields))}'
    message = detail['msg'].removeprefix('Value error, ')
    if isinstance(detail['input'], dict):  # a rule about several values, which the text names
        return f'{where}: {message}'
    return f'{where}: {key} = {detail["input"]!r}: {message}'
