"""Which part of the package may import which: the rules of docs/architecture.md as a test."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sec_nodes

PACKAGE = Path(sec_nodes.__file__).resolve().parent

# Inner rings first. A module imports its own ring and inner ones, never an outer one. What is not
# named here counts as outermost, so that nothing inner can come to lean on it unnoticed.
RINGS = (
    {'slot', 'config', 'paths'},
    {'physics'},
    {'scenarios', 'inference'},
    {'controllers', 'environments', 'learning'},
    {'world', 'loop'},
)
OUTERMOST = len(RINGS)
# Beside each other, not on top of each other.
APART = ({'scenarios', 'inference'},)

ROS_FREE = set().union(*RINGS)
ROS = {'rclpy', 'rclpy_message_converter', 'sec_offload', 'launch', 'launch_ros', 'tf2_ros'}
TRAINING = {'torch', 'transformers', 'torchvision', 'onnxscript'}
MAY_TRAIN = {'learning', 'conversion'}


def ring(part: str) -> int:
    """Return how far out a part of the package lies."""
    for number, parts in enumerate(RINGS):
        if part in parts:
            return number
    return OUTERMOST


def imports_of(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full module name of every import of a file, also inside functions."""
    here = ('sec_nodes', *path.relative_to(package).with_suffix('').parts)
    if path.name == '__init__.py':
        here = (*here[:-1], '')
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(here[: -node.level]) if node.level else ''
            module = '.'.join(filter(None, (base, node.module)))
            yield node.lineno, module
            # `from sec_nodes import learning` names the part only after the `import`.
            if module == 'sec_nodes':
                for alias in node.names:
                    yield node.lineno, f'{module}.{alias.name}'


def violations(package: Path) -> list[str]:
    """Return every import below a package directory that breaks a rule, with file and line."""
    found = []
    for path in sorted(package.rglob('*.py')):
        relative = path.relative_to(package)
        part = relative.parts[0].removesuffix('.py')
        if part == '__init__':
            part = 'slot'  # imported by everything, hence bound by the strictest rule
        for line, module in imports_of(path, package):
            where = f'{relative}:{line} imports {module}'
            top, _, rest = module.partition('.')
            target = rest.partition('.')[0]
            if top == 'sec_nodes' and target and (package / target).with_suffix('').name != part:
                is_part = (package / target).is_dir() or (package / f'{target}.py').is_file()
                if is_part and ring(target) > ring(part):
                    found.append(f'{where}: {part} is further in than {target}')
                if any({part, target} <= pair for pair in APART):
                    found.append(f'{where}: {part} and {target} stand beside each other')
            if top in TRAINING and part not in MAY_TRAIN:
                found.append(f'{where}: only {sorted(MAY_TRAIN)} and tools/ may')
            if part in ROS_FREE and (top in ROS or top.endswith(('_msgs', '_interfaces'))):
                found.append(f'{where}: {part} is free of ROS')
    return found


def test_imports_follow_the_rules():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ('path', 'source', 'complaint'),
    [
        ('physics/channel.py', 'import rclpy\n', 'physics is free of ROS'),
        ('scenarios/mllm.py', 'from sec_offload.msg import SlotState\n', 'free of ROS'),
        ('controllers/greedy.py', 'def f():\n    import rclpy.node\n', 'free of ROS'),
        ('inference/engine.py', 'from geometry_msgs.msg import Point\n', 'free of ROS'),
        ('inference/engine.py', 'import torch\n', "['conversion', 'learning'] and tools/ may"),
        ('nodes/uav.py', 'def f():\n    from transformers import AutoModel\n', 'tools/ may'),
        ('controllers/greedy.py', 'import torch.nn as nn\n', 'tools/ may'),
        (
            'physics/orbit.py',
            'from sec_nodes.scenarios import mllm\n',
            'further in than scenarios',
        ),
        ('physics/orbit.py', 'from sec_nodes import learning\n', 'further in than learning'),
        ('scenarios/mllm.py', 'from ..controllers import greedy\n', 'further in than controllers'),
        ('scenarios/mllm.py', 'from sec_nodes.inference import engine\n', 'beside each other'),
        ('inference/engine.py', 'import sec_nodes.scenarios.mllm\n', 'beside each other'),
        ('slot.py', 'from .physics import channel\n', 'further in than physics'),
        ('controllers/greedy.py', 'import sec_nodes.anything_new\n', 'further in than anything'),
        ('__init__.py', 'from .nodes import uav\n', 'further in than nodes'),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, path, source, complaint):
    parts = ('physics', 'scenarios', 'controllers', 'inference', 'learning', 'nodes')
    for part in (*parts, 'anything_new'):
        (tmp_path / part).mkdir()
        (tmp_path / part / '__init__.py').touch()
    (tmp_path / 'nodes' / 'good.py').write_text(
        'import rclpy\nfrom sec_nodes.controllers import greedy\nfrom ..physics import orbit\n'
    )
    (tmp_path / 'learning' / 'good.py').write_text('import torch\nimport sec_nodes.scenarios\n')
    assert violations(tmp_path) == []
    (tmp_path / path).write_text(source)
    found = violations(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f'{path}:')
    assert complaint in found[0]


# Imports what it is told to, and reports each attempt to import a training library, installed or
# not: an attempt in a `try` costs seconds of start-up wherever torch happens to be there.
WATCHER = """
import importlib, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in {training!r}:
            print('imported', name, file=sys.stderr)
            sys.exit(3)
sys.meta_path.insert(0, Watch())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def watch(*modules: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Import modules in a process of their own that ends at the first training library."""
    environment = dict(os.environ)
    for entry in (PACKAGE.parent, path):
        if entry is not None:
            old = environment.get('PYTHONPATH')
            environment['PYTHONPATH'] = f'{entry}{os.pathsep}{old}' if old else str(entry)
    return subprocess.run(
        [sys.executable, '-c', WATCHER.format(training=TRAINING), *modules],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def node_modules() -> list[str]:
    """Return the modules of running nodes that exist."""
    files = sorted((PACKAGE / 'nodes').glob('*.py'))
    return [f'sec_nodes.nodes.{path.stem}' for path in files if path.stem != '__init__']


def test_nodes_start_without_training_libraries():
    if not all(importlib.util.find_spec(name) for name in ('rclpy', 'sec_offload')):
        pytest.skip('no ROS 2 in this environment')
    result = watch(*node_modules())
    assert result.returncode == 0, result.stderr


def test_the_watcher_sees_a_training_library(tmp_path):
    (tmp_path / 'leans_on_torch.py').write_text('try:\n    import torch\nexcept Exception: pass\n')
    result = watch('leans_on_torch', path=tmp_path)
    assert (result.returncode, result.stderr) == (3, 'imported torch\n')
