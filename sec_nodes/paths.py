"""Where configuration, launch files and models lie, in a source tree and in an installed copy.

Three layouts are met: the source tree (an editable install, `colcon build --symlink-install`),
an ament prefix (plain `colcon build`: PREFIX/share/sec_offload beside PREFIX/lib/.../sec_nodes)
and a pip-installed copy, which has the same shape. No ROS is needed to tell them apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PACKAGE = 'sec_offload'


def _candidates(module: Path) -> Iterator[Path]:
    """Yield the directories that may be the share directory of this module, likeliest first."""
    # Links are followed first: a linked module belongs to the source tree that it points to.
    yield module.resolve().parents[1]
    for parent in module.parents:
        yield parent / 'share' / PACKAGE
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / PACKAGE


def share_dir() -> Path:
    """Return the directory that holds config/, and models/ and launch/ where they are installed.

    Raises:
        FileNotFoundError: no source tree and no installed copy is in reach.
    """
    module = Path(__file__).absolute()
    for candidate in _candidates(module):
        # Both files together: some other project's config/ must not be taken for ours.
        if (candidate / 'config').is_dir() and (candidate / 'package.xml').is_file():
            return candidate
    raise FileNotFoundError(
        f'no share directory of {PACKAGE} (config/ with package.xml beside it) around {module} '
        'nor in AMENT_PREFIX_PATH: build the package and source its set-up file, or install it '
        'with `pip install -e .` from a checkout'
    )


def config_dir() -> Path:
    """Return the directory of the YAML files: scenarios, fleets, controllers."""
    return share_dir() / 'config'


def models_dir() -> Path:
    """Return the directory of the ONNX models and their manifest.

    Raises:
        FileNotFoundError: this installation came without models.
    """
    path = share_dir() / 'models'
    if not path.is_dir():
        raise FileNotFoundError(f'{path} does not exist: this copy of {PACKAGE} has no models')
    return path
