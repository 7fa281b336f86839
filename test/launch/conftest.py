"""These tests need launch_pytest, which comes with ROS 2 from apt but not from PyPI.

It reads an attribute of fixtures that pytest 8.4 removed, so a newer pytest cannot collect them;
`colcon test` uses the distribution's own. The same behaviour is covered without launch by
test/unit/fleet and test/e2e.
"""

from importlib.util import find_spec

import pytest

usable = find_spec('launch_pytest') is not None and pytest.version_tuple < (8, 4)
collect_ignore_glob = [] if usable else ['test_*.py']
