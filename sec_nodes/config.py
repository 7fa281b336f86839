"""YAML files checked against pydantic models, with errors that say where and how to mend them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sec_nodes.paths import config_dir


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names file, line, key, value and remedy."""


class Settings(BaseModel):
    """Base of all checked settings: frozen, no unknown keys, no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)


SettingsT = TypeVar('SettingsT', bound=BaseModel)


def load(
    path: Path,
    settings: type[SettingsT],
    overrides: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> SettingsT:
    """Read a YAML file into a settings class.

    The key `modes` of a file is no setting: it maps names to values that replace those of the
    file, by dotted key, when that mode is asked for.

    Args:
        path: the file.
        settings: pydantic model that the file must satisfy.
        overrides: values that replace those of the file and the mode, by dotted key
            (`devices.count`).
        mode: one of the file's modes; by default the file as it stands.

    Raises:
        ConfigError: file missing or no YAML, unknown key or mode, or value outside its range.
    """
    tree, root = _parse(path)
    modes = _modes(path, tree)
    if mode is not None and mode not in modes:
        raise ConfigError(f'{path}: unknown mode {mode!r}; {suggest(mode, list(modes))}')
    of_mode = modes[mode] if mode is not None else {}
    places = {key: _line(root, ('modes', mode, key)) for key in of_mode}
    for key, value in {**of_mode, **(overrides or {})}.items():
        _override(tree, key, value)
    try:
        return settings.model_validate(tree)
    except ValidationError as error:
        lines = [
            _explain(path, root, settings, detail, overrides or {}, places)
            for detail in error.errors(include_url=False)
        ]
        raise ConfigError('\n'.join(lines)) from None


def mode_names(path: Path) -> list[str]:
    """Names of the modes that a file offers, in its order.

    Raises:
        ConfigError: file missing or no YAML.
    """
    return list(_modes(path, _parse(path)[0]))


def value_of(path: Path, key: str) -> Any:
    """The value of a top-level key as the file has it, None if it does not have it.

    Raises:
        ConfigError: file missing or no YAML.
    """
    return _parse(path)[0].get(key)


def named_file(kind: str, name_or_path: str) -> Path:
    """The file of something that ships below config/, by its name, or a file of the user's own.

    Args:
        kind: what it is, in the singular: `scenario` is looked for in config/scenarios.
        name_or_path: its name, or a path that ends in .yaml or .yml.

    Raises:
        ConfigError: nothing has that name.
    """
    path = Path(name_or_path)
    if path.suffix in ('.yaml', '.yml'):
        return path
    known = known_names(kind)
    if name_or_path not in known:
        raise ConfigError(
            f'unknown {kind} {name_or_path!r}; {suggest(name_or_path, known)}; '
            'a file of your own must end in .yaml'
        )
    return config_dir() / f'{kind}s' / f'{name_or_path}.yaml'


def known_names(kind: str) -> list[str]:
    """Names of what ships below config/, `scenario` or `fleet`."""
    return sorted(path.stem for path in (config_dir() / f'{kind}s').glob('*.yaml'))


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """Turn `key=value` texts into overrides; values are read as YAML.

    Raises:
        ConfigError: a text without `=`.
    """
    overrides: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition('=')
        if not separator or not key.strip():
            raise ConfigError(f'override {text!r} is not of the form key=value')
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f'override {text!r}: {value!r} is not valid YAML') from None
    return overrides


def suggest(name: str, known: list[str]) -> str:
    """A sentence that lists what is known, with the closest match first where there is one."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean {close[0]!r}? ' if close else ''
    return f'{hint}known: {", ".join(sorted(known)) or "none"}'


def _parse(path: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    try:
        text = path.read_text(encoding='utf-8')
    except OSError as error:
        raise ConfigError(
            f'{path}: cannot be read ({error.strerror}); give an existing file'
        ) from None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        tree = loader.construct_document(root) if root is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = f'{path}:{mark.line + 1}' if mark else str(path)
        raise ConfigError(f'{where}: not valid YAML: {getattr(error, "problem", error)}') from None
    if not isinstance(tree, dict):
        raise ConfigError(f'{path}: must hold a mapping of keys to values')
    _require_unique_keys(path, root)
    return tree, root


def _require_unique_keys(path: Path, node: yaml.Node | None) -> None:
    """Raise ConfigError for a key that stands twice: YAML would silently take the last one."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(path, item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if key.value in seen:
            raise ConfigError(f'{path}:{key.start_mark.line + 1}: key {key.value!r} stands twice')
        seen.add(key.value)
        _require_unique_keys(path, value)


def _modes(path: Path, tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the modes out of a tree and check their shape."""
    modes = tree.pop('modes', {})
    for name, values in modes.items() if isinstance(modes, dict) else [('modes', None)]:
        if not (isinstance(values, dict) and all(isinstance(key, str) for key in values)):
            raise ConfigError(f'{path}: mode {name!r} must map dotted keys to values')
    return modes


def _override(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split('.')
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f'override {key!r}: {parent!r} holds no further keys')
    tree[last] = value


def _explain(
    path: Path,
    root: yaml.Node | None,
    settings: type[BaseModel],
    detail: Any,
    overrides: Mapping[str, Any],
    places: Mapping[str, int],
) -> str:
    loc = detail['loc']
    key = '.'.join(str(part) for part in loc)
    from_mode = _replaced(key, places)
    if _replaced(key, overrides):
        where = 'command line'
    elif not loc and overrides:
        where = f'{path} with {", ".join(overrides)} from the command line'
    else:
        where = f'{path}:{places[from_mode] if from_mode else _line(root, loc)}'
    if detail['type'] == 'extra_forbidden':
        parent = _fields(settings, loc[:-1])
        return f'{where}: unknown key {key!r}; {suggest(str(loc[-1]), parent)}'
    if detail['type'] == 'missing':
        return f'{where}: key {key!r} is missing; add it'
    message = detail['msg'].removeprefix('Value error, ')
    if isinstance(detail['input'], dict):  # a rule about several values, which the text names
        return f'{where}: {key}: {message}' if key else f'{where}: {message}'
    return f'{where}: {key} = {detail["input"]!r}: {message}'


def _replaced(key: str, given: Mapping[str, Any]) -> str | None:
    """The given key, if any, that replaced the value of `key`."""
    return next((name for name in given if key == name or key.startswith(f'{name}.')), None)


def _line(node: yaml.Node | None, loc: tuple[Any, ...]) -> int:
    """Line of the deepest part of `loc` that the file has."""
    line = node.start_mark.line if node else 0
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = {k.value: (k, v) for k, v in node.value}
            if str(part) not in pairs:
                break
            key, node = pairs[str(part)]
            line = key.start_mark.line
        elif (
            isinstance(node, yaml.SequenceNode)
            and isinstance(part, int)
            and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _fields(settings: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Keys that are known at `loc`, as far as nested settings classes tell."""
    here: Any = settings
    for part in loc:
        if not (isinstance(here, type) and issubclass(here, BaseModel)):
            return []
        field = here.model_fields.get(str(part))
        here = field.annotation if field else None
    is_settings = isinstance(here, type) and issubclass(here, BaseModel)
    return list(here.model_fields) if is_settings else []
