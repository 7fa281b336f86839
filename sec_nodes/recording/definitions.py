"""Message definitions as MCAP wants them: a type with all the types that it contains."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

Lookup = Callable[[str], str]
"""Gives the text of `package/msg/Name`'s definition."""

_RULE = '=' * 80
# type, perhaps bounded (string<=9), perhaps an array (float64[3]), then the name of the field
_FIELD = re.compile(r'^\s*([A-Za-z]\w*(?:/\w+)*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[a-z]')
_PRIMITIVE = re.compile(r'bool|byte|char|w?string|float(32|64)|u?int(8|16|32|64)')


class DefinitionError(LookupError):
    """A message type without a definition; the text says where it was looked for."""


def full_definition(type_name: str, lookup: Lookup | None = None) -> str:
    """The definition of a type, followed by those of every type inside it.

    Args:
        type_name: `package/msg/Name`.
        lookup: gives single definitions; none = the ament index.

    Raises:
        DefinitionError: a type has no definition.
    """
    lookup = lookup or installed_definition
    texts = {type_name: lookup(type_name)}
    waiting = [type_name]
    while waiting:
        outer = waiting.pop(0)
        for inner in inner_types(texts[outer], package=outer.split('/')[0]):
            if inner not in texts:
                texts[inner] = lookup(inner)
                waiting.append(inner)
    main, *others = texts.items()
    parts = [main[1].rstrip('\n')]
    for name, text in others:
        package, _, short = name.split('/')
        parts.append(f'{_RULE}\nMSG: {package}/{short}\n{text.rstrip()}')
    return '\n'.join(parts) + '\n'


def inner_types(text: str, package: str) -> list[str]:
    """Types other than primitive ones that a definition names, as `package/msg/Name`.

    Args:
        text: the definition.
        package: the package that it belongs to; types without a package are looked for there.
    """
    found: dict[str, None] = {}
    for line in text.splitlines():
        match = _FIELD.match(line)
        if match and not _PRIMITIVE.fullmatch(match[1]):
            *owner, name = match[1].split('/')
            found[f'{owner[0] if owner else package}/msg/{name}'] = None
    return list(found)


def installed_definition(type_name: str) -> str:
    """Text of a type's definition from the installed packages (`AMENT_PREFIX_PATH`).

    Raises:
        DefinitionError: no installed package has it.
    """
    package, kind, name = type_name.split('/')
    prefixes = [item for item in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if item]
    for prefix in prefixes:
        path = Path(prefix, 'share', package, kind, f'{name}.msg')
        if path.is_file():
            return path.read_text(encoding='utf-8')
    raise DefinitionError(
        f'no definition of {type_name} in AMENT_PREFIX_PATH ({":".join(prefixes) or "empty"}); '
        f'source the set-up file of the workspace that has {package}'
    )
