"""Where torch is: `sec` lives in .venv without it, and goes on in .venv-train if it needs it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sec_nodes.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def has_libraries(names: Sequence[str]) -> bool:
    """Whether libraries are installed here; none of them is imported."""
    return all(importlib.util.find_spec(name) for name in names)


def training_python() -> Path:
    """The interpreter that `make setup-train` makes."""
    return ROOT / '.venv-train' / 'bin' / 'python'


def go_on_there(libraries: Sequence[str], order: Sequence[str]) -> NoReturn:
    """Replace this process by Python where libraries are: here if it has them, or .venv-train.

    Signals and exit code are then those of the process that works.

    Args:
        libraries: what is needed.
        order: arguments of Python.

    Raises:
        ConfigError: there is no such Python, or what is said to be it lacks the libraries.
    """
    if has_libraries(libraries):
        python = Path(sys.executable)
    else:
        python = training_python()
        if not python.is_file() or python.parent == Path(sys.executable).parent:
            raise ConfigError(
                f'{" and ".join(libraries)} are needed for this and are not installed; make an '
                'environment that has them with: make setup-train (on a robot, without the '
                'sources: pip install -r requirements/train.txt)'
            )
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    sys.stdout.flush()
    os.execve(python, [str(python), *order], os.environ | {'PYTHONPATH': path})
