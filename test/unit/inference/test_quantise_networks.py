"""Eight-bit networks are smaller, answer alike, and are cut where the tensor is uint8 already."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from sec_nodes.conversion.quantise_networks import quantise_network
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import ModelError, default_models_dir
from sec_nodes.inference.networks import build_network
from sec_nodes.inference.scenes import CLASSES, render


@pytest.fixture(scope='module')
def scene_s(tmp_path_factory):
    """The shipped model in eight bits."""
    path = tmp_path_factory.mktemp('quantised') / 'scene-s.onnx'
    pictures = (render(CLASSES[i % 8], 2**30 + i) for i in range(64))
    quantise_network(default_models_dir() / 'scene-s' / 'model.onnx', pictures, path)
    return path


def test_every_cut_inside_sends_uint8_and_is_exact(scene_s):
    split, plain = SplitModel.load(scene_s), SplitModel.load('scene-s')
    assert [c.front_flop for c in split.cuts] == [c.front_flop for c in plain.cuts]
    assert [c.shape for c in split.cuts] == [c.shape for c in plain.cuts]
    assert {c.dtype for c in split.cuts[:-1]} == {'uint8'}
    whole = ort.InferenceSession(str(scene_s), providers=['CPUExecutionProvider'])
    for seed, label in enumerate(CLASSES):
        image = render(label, seed)
        expected = whole.run(None, {'image': image[None]})[0]
        for cut in split.cuts:
            back = split.run_back(cut.index, split.run_front(cut.index, image))
            np.testing.assert_array_equal(back, expected)


def test_a_third_of_the_size_and_nearly_always_the_same_answer(scene_s):
    shipped = default_models_dir() / 'scene-s' / 'model.onnx'
    assert scene_s.stat().st_size < shipped.stat().st_size / 3
    split, plain = SplitModel.load(scene_s), SplitModel.load('scene-s')
    same = 0
    for i in range(96):
        image = render(CLASSES[i % 8], 2**31 + i)
        same += split.run(image).argmax() == plain.run(image).argmax()
    assert same >= 90


@pytest.mark.parametrize('name', ['resnet18', 'vit-tiny'])
def test_residual_and_attention_networks_are_cut_between_blocks_too(name, tmp_path):
    model = build_network(name, width=0.125, image_size=64, classes=10)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(3)]
    before = model.SerializeToString()
    quantise_network(model, iter(pictures), tmp_path / 'q.onnx')
    assert model.SerializeToString() == before
    split = SplitModel.load(tmp_path / 'q.onnx')
    onnx.save(model, tmp_path / 'plain.onnx')
    plain = SplitModel.load(tmp_path / 'plain.onnx')
    assert [c.front_flop for c in split.cuts] == [c.front_flop for c in plain.cuts]
    assert {c.dtype for c in split.cuts[:-1]} == {'uint8'}
    found, expected = split.run(pictures[0]), plain.run(pictures[0])
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    for cut in split.cuts:
        back = split.run_back(cut.index, split.run_front(cut.index, pictures[0]))
        np.testing.assert_array_equal(back, found)


def test_without_pictures_nothing_is_calibrated(tmp_path):
    source = default_models_dir() / 'scene-s' / 'model.onnx'
    with pytest.raises(ModelError, match=r'cannot be quantised: No data is collected'):
        quantise_network(source, iter(()), tmp_path / 'q.onnx')
    with pytest.raises(ModelError, match=r'nothing\.onnx'):
        quantise_network(tmp_path / 'nothing.onnx', iter(()), tmp_path / 'q.onnx')
