"""Install the ROS-free part with pip: the `sec` command, physics, scenarios, controllers.

`colcon build` does not read this file: it builds through CMakeLists.txt. Both take names and
console scripts from setup.cfg. Without ROS 2 only `sec` is of use; the node scripts are left out.
"""

from collections import defaultdict
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
SHARE = 'share/sec_offload'


def data_files() -> list[tuple[str, list[str]]]:
    """Return configuration and models with the place that `sec_nodes.paths` finds them in."""
    by_directory = defaultdict(list, {SHARE: ['package.xml']})
    for top in ('config', 'models'):
        for path in sorted((ROOT / top).rglob('*')):
            if path.is_file():
                relative = path.relative_to(ROOT)
                by_directory[f'{SHARE}/{relative.parent}'].append(str(relative))
    return sorted(by_directory.items())


def sec_command() -> list[str]:
    """Return the `sec` line of setup.cfg: the nodes need rclpy, which pip cannot promise."""
    config = ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    scripts = config['options.entry_points']['console_scripts'].split('\n')
    return [line.strip() for line in scripts if line.strip().startswith('sec =')]


setup(
    packages=find_packages(include=('sec_nodes', 'sec_nodes.*')),
    package_data={'sec_nodes': ['py.typed']},
    data_files=data_files(),
    entry_points={'console_scripts': sec_command()},
    install_requires=[
        'clarabel>=0.11',
        'gymnasium>=1.0',
        'Jinja2>=3.1',
        'matplotlib>=3.8',
        'mcap>=1.2',
        'numpy>=1.26',
        'onnx>=1.16',
        'onnxruntime>=1.17',
        'pillow>=10',
        'psutil>=5.9',
        'pydantic>=2.6',
        'pyproj>=3.6',
        'PyYAML>=6.0',
        'rich>=13',
        'scipy>=1.11',
        'sgp4>=2.22',
        'tokenizers>=0.20',
        'typer>=0.12',
        'zstandard>=0.22',
    ],
    extras_require={
        'solvers': ['cvxpy>=1.5', 'pymoo>=0.6.1'],
        'train': ['torch==2.13.0', 'onnxscript', 'transformers>=5.20'],
    },
)
