"""The bench of splitting counts, compares and writes what it measured."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sec_nodes.inference.networks import build_network
from sec_nodes.paths import share_dir

FOLDER = share_dir() / 'bench' / 'inference'
if not FOLDER.is_dir():
    pytest.skip('an installed copy has no bench', allow_module_level=True)
sys.path.insert(0, str(FOLDER))
import split as bench  # noqa: E402
from split_report import markdown, plot  # noqa: E402


@pytest.fixture(scope='module')
def results():
    patch = pytest.MonkeyPatch()
    patch.setattr(bench, 'build_network', lambda name: build_network(name, width=0.02))
    patch.setitem(bench.CALIBRATION_PICTURES, 'alexnet', 2)
    yield {
        'pictures': 16,
        'codecs': bench.measure_codecs('scene-s', 16),
        'chain': bench.measure_chain('alexnet', 2),
        'int8': [bench.measure_int8('alexnet', 4, 2)],
    }
    patch.undo()


def test_codecs_keep_the_answers_and_save_bytes(results):
    rows = results['codecs']
    assert [row['cut'] for row in rows] == list(range(6))
    whole = rows[0]['accuracy']['raw']
    assert 0.5 < whole <= 1.0
    for row in rows:
        assert row['accuracy']['raw'] == whole
        assert abs(row['accuracy']['u8'] - whole) <= 2 / 16
        assert all(size <= row['bytes'][f'{pair.partition("+")[0]}+none']
                   for pair, size in row['bytes'].items())  # fmt: skip
    inside = rows[1]['bytes']
    assert inside['raw+none'] == 2 * inside['f16+none'] == 4 * inside['u8+none'] == 4 * 10 * 1024


def test_the_chain_is_compared_at_every_cut_and_over_all(results):
    rows = results['chain']
    assert [row['cut'] for row in rows] == [*range(9), 'all']
    pairs = [((2.0, 3.0), (4.0, 9.0)), ((1.0, 1.0), (3.0, 2.0)), ((3.0, 5.0), (8.0, 5.0))]
    assert bench.compared(pairs) == {
        'whole_s': 2.0, 'split_s': 4.0, 'ratio': 2.0, 'wall_ratio': 5.0 / 3.0
    }  # fmt: skip


def test_int8_copies_are_smaller_and_cut_alike(results):
    (row,) = results['int8']
    assert row['bytes'][1] < row['bytes'][0] / 2
    assert (row['uint8_cuts'], row['cuts']) == (7, 9)
    assert 0.0 <= row['agreement'] <= 1.0
    assert 'accuracy' not in row


def test_tables_and_plot_hold_the_numbers(results, tmp_path: Path):
    text = markdown(results)
    assert '## scene-s: accuracy on 16 held-out pictures, bytes sent' in text
    assert '| 1 | max_pool2d | 1 x 10 x 32 x 32 |' in text
    assert '40,960' in text
    assert f'{results["int8"][0]["agreement"]:.1%} of 4' in text
    for block in text.split('## ')[1:]:
        table = [line for line in block.splitlines() if line.startswith('|')]
        assert len({line.count(' | ') for line in table}) == 1
    plot(results, tmp_path / 'split.png')
    assert (tmp_path / 'split.png').stat().st_size > 10_000


def test_an_interval_by_hand():
    assert bench.interval_95(0.9, 900) == pytest.approx(1.96 * 0.01)
    assert np.isclose(bench.interval_95(1.0, 10), 0.0)
