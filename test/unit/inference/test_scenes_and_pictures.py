"""Pictures: the same for the same seed, different for others, and clear words for bad folders."""

from __future__ import annotations

import ast
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sec_nodes.inference
from sec_nodes.inference.pictures import (
    FolderPictures,
    PictureError,
    RenderedPictures,
    picture_seed,
)
from sec_nodes.inference.scenes import CLASSES, PICTURE_SHAPE, draw_label, render

GOLDEN_MEANS = [33.92, 100.21, 55.63, 55.25, 86.67, 99.81, 80.64, 115.62]


@pytest.mark.parametrize('label', CLASSES)
def test_render_is_a_function_of_label_and_seed(label):
    first, again, other = render(label, 3), render(label, 3), render(label, 4)
    assert (first.shape, first.dtype) == (PICTURE_SHAPE, np.uint8)
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    assert first.std() > 3.0


def test_render_gives_the_pictures_the_models_were_trained_on():
    """Mean grey of a fixed picture a class; a changed renderer needs retrained models."""
    means = [float(render(label, 2**31).mean()) for label in CLASSES]
    np.testing.assert_allclose(means, GOLDEN_MEANS, atol=0.5)


def test_render_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="did you mean 'life_raft'"):
        render('liferaft', 0)
    with pytest.raises(ValueError, match='choose one of open_water'):
        render('xyz', 0)
    with pytest.raises(ValueError, match='seed -1 is negative'):
        render('ship', -1)


def test_labels_are_equally_likely():
    counts = Counter(draw_label(seed) for seed in range(1600))
    assert set(counts) == set(CLASSES)
    assert all(140 < count < 260 for count in counts.values())


def test_rendered_source_repeats_itself_and_tells_tasks_apart():
    source = RenderedPictures()
    one, again = source.picture(1, 2, 3, 4), source.picture(1, 2, 3, 4)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.label == again.label
    names = {
        source.picture(*task).name
        for task in [(1, 2, 3, 4), (2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)]
    }
    assert len(names) == 5


def test_task_seeds_lie_apart_from_training_and_heldout():
    assert 2**62 <= picture_seed(0, 0, 0, 0) < 2**63
    with pytest.raises(ValueError, match='slot is -1'):
        picture_seed(0, 0, -1, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (('ship/a.jpg', (200, 100)), ('b.PNG', (40, 90)), ('coast/c.jpeg', (9, 9))):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        kind = 'PNG' if name.endswith('PNG') else 'JPEG'
        Image.new('RGB', size, (10, 120, 200)).save(path, kind)
    (tmp_path / 'notes.txt').write_text('not a picture')
    return tmp_path


def test_folder_source(folder):
    source = FolderPictures(folder)
    seen = {}
    for index in range(40):
        picture = source.picture(0, 0, 0, index)
        assert (picture.image.shape, picture.image.dtype) == (PICTURE_SHAPE, np.uint8)
        np.testing.assert_allclose(picture.image[64, 64], (10, 120, 200), atol=3)
        assert picture == picture and source.picture(0, 0, 0, index).name == picture.name
        seen[picture.name] = picture.label
    assert seen == {'ship/a.jpg': 'ship', 'b.PNG': None, 'coast/c.jpeg': 'coast'}
    assert not source.unreadable


def test_unreadable_files_are_skipped_counted_and_reported_once(folder, caplog):
    (folder / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n nothing')
    whole = (folder / 'ship' / 'a.jpg').read_bytes()
    (folder / 'short.jpg').write_bytes(whole[: len(whole) // 2])
    source = FolderPictures(folder)
    with caplog.at_level(logging.WARNING):
        names = {source.picture(0, 0, 0, index).name for index in range(60)}
    assert names == {'ship/a.jpg', 'b.PNG', 'coast/c.jpeg'}
    assert {path.name for path in source.unreadable} == {'broken.png', 'short.jpg'}
    assert len([r for r in caplog.records if 'skipped' in r.message]) <= 2


def test_useless_folders_are_refused(tmp_path):
    with pytest.raises(PictureError, match='does not exist'):
        FolderPictures(tmp_path / 'nowhere')
    with pytest.raises(PictureError, match=r'holds no \.jpg'):
        FolderPictures(tmp_path)
    (tmp_path / 'x.jpg').write_bytes(b'')
    with pytest.raises(PictureError, match='none of the 1 pictures'):
        FolderPictures(tmp_path)


def test_inference_imports_no_ros_no_torch_and_no_other_part():
    allowed = {'sec_nodes.config', 'sec_nodes.inference', 'sec_nodes.paths'}
    for path in Path(sec_nodes.inference.__file__).parent.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or '']
            for name in names:
                assert name.split('.')[0] not in ('rclpy', 'torch', 'onnxscript'), path
                if name.startswith('sec_nodes'):
                    assert '.'.join(name.split('.')[:2]) in allowed, (path, name)
