"""Mend the CMake files that the ROS 2 wheels from PyPI bring into this environment.

Their exported targets name include directories of the machine that built the wheels:
`/opt/python/cp3XX-cp3XX/include/python3.X` and `/opt/python/.../numpy/_core/include`. CMake
refuses a target with an include directory that is not there, so put in this environment's own.
Run it with the Python of the environment; running it again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

DEAD = {
    re.compile(r'/opt/python/[^/;"]+/lib/[^;"]*?/numpy/(?:_core|core)/include'): np.get_include(),
    re.compile(r'/opt/python/[^/;"]+/include/python3\.\d+'): sysconfig.get_path('include'),
}


def mend(text: str) -> str:
    """Return the text with the dead paths replaced."""
    for pattern, alive in DEAD.items():
        text = pattern.sub(lambda _, alive=alive: alive, text)
    return text


def main() -> int:
    """Mend every CMake file of the environment; fail where a dead path is left."""
    left = []
    for path in Path(sys.prefix, 'share').glob('*/cmake/*.cmake'):
        old = path.read_text(encoding='utf-8')
        new = mend(old)
        if new != old:
            path.write_text(new, encoding='utf-8')
        if '/opt/python/' in new:
            left.append(path)
    for path in left:
        print(f'{path}: still names /opt/python, which does not exist here', file=sys.stderr)
    return 1 if left else 0


if __name__ == '__main__':
    sys.exit(main())
