"""Packages that only some controllers need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from sec_nodes.controllers.base import ControllerError


def optional_package(package: str, controller: str) -> ModuleType:
    """Import a package when a controller is made, not before.

    Raises:
        ControllerError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ControllerError(
            f'controller {controller} needs {package}, which is not installed: '
            f'pip install {package} (tested versions: requirements/solvers.txt)'
        ) from error
