"""sec_nodes.paths finds the shared files in each layout that the package is installed in."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sec_nodes import paths

SOURCE = Path(paths.__file__).resolve()


def make_copy(prefix: Path, *, shared: Path | None, linked: bool = False) -> Path:
    """Install paths.py below a prefix as colcon does, and config/ where wanted."""
    site = prefix / 'lib/python3.11/site-packages/sec_nodes'
    site.mkdir(parents=True)
    (site / '__init__.py').touch()
    if linked:
        (site / 'paths.py').symlink_to(SOURCE)
    else:
        shutil.copy(SOURCE, site)
    if shared is not None:
        (shared / 'config').mkdir(parents=True)
        (shared / 'package.xml').touch()
    return site.parent


def ask(site: Path, ament_prefix_path: str = '') -> subprocess.CompletedProcess[str]:
    """Ask a copy of the module in a fresh Python that sees nothing else of the project."""
    code = 'from sec_nodes.paths import config_dir; import sys; print(config_dir())'
    return subprocess.run(
        [sys.executable, '-S', '-c', code],
        cwd=site,  # `python -c` looks there first
        env={'PYTHONPATH': str(site), 'AMENT_PREFIX_PATH': ament_prefix_path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_source_tree():
    assert paths.share_dir() == SOURCE.parents[1]
    assert paths.config_dir().is_dir()


def test_linked_copy_uses_the_source_tree(tmp_path):
    site = make_copy(tmp_path, shared=tmp_path / 'share/sec_offload', linked=True)
    assert ask(site).stdout.strip() == str(SOURCE.parents[1] / 'config')


def test_installed_copy_uses_its_own_prefix(tmp_path):
    shared = tmp_path / 'one/share/sec_offload'
    make_copy(tmp_path / 'two', shared=tmp_path / 'two/share/sec_offload')
    site = make_copy(tmp_path / 'one', shared=shared)
    result = ask(site, ament_prefix_path=str(tmp_path / 'two'))
    assert result.stdout.strip() == str(shared / 'config')


def test_ament_prefix_path_is_the_last_resort(tmp_path):
    site = make_copy(tmp_path / 'code', shared=None)
    shared = tmp_path / 'prefix/share/sec_offload'
    (shared / 'config').mkdir(parents=True)
    (shared / 'package.xml').touch()
    result = ask(site, ament_prefix_path=f'{tmp_path}/nowhere:{tmp_path}/prefix')
    assert result.stdout.strip() == str(shared / 'config')


def test_nothing_found_says_what_to_do(tmp_path):
    site = make_copy(tmp_path, shared=None)
    (tmp_path / 'lib/config').mkdir()  # somebody else's
    result = ask(site)
    assert result.returncode != 0
    assert 'FileNotFoundError: no share directory of sec_offload' in result.stderr
    assert 'pip install -e .' in result.stderr


def test_missing_models_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, 'share_dir', lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match='has no models'):
        paths.models_dir()
    (tmp_path / 'models').mkdir()
    assert paths.models_dir() == tmp_path / 'models'
