"""AlexNet, VGG, ResNet-18 and ViT answer the same wherever they are cut."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from sec_nodes.inference.codec import decode, encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.networks import NETWORKS, build_network
from sec_nodes.inference.splitting import split_graph

SMALL_IMAGE = {'alexnet': 96, 'vgg13': 64, 'vgg16': 64, 'resnet18': 64, 'vit-tiny': 64}
LAYERS = {'alexnet': 8, 'vgg13': 13, 'vgg16': 16, 'resnet18': 10, 'vit-tiny': 26}
"""Segments: the weighted layers of a chain; stem, eight blocks and the last layer of ResNet-18;
patches, two halves of twelve blocks and the last layer of ViT."""


@pytest.fixture(scope='module', params=NETWORKS)
def network(request):
    name = request.param
    model = build_network(name, width=0.125, image_size=SMALL_IMAGE[name], classes=10)
    return name, model, split_graph(model)


def picture(graph, seed=0):
    return np.random.default_rng(seed).integers(0, 256, graph.cuts[0].shape, np.uint8)


def session(model, level):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = level
    content = model.SerializeToString()
    return ort.InferenceSession(content, options, providers=['CPUExecutionProvider'])


def assert_every_cut_is_exact(split, image):
    expected = split.run(image)
    for cut in split.cuts:
        tensor = split.run_front(cut.index, image)
        assert (tensor.shape, tensor.dtype.name) == (cut.shape, cut.dtype)
        back = split.run_back(cut.index, decode(encode(tensor), cut.shape, cut.dtype))
        np.testing.assert_array_equal(back, expected)


def test_every_cut_of_the_chain_is_exact_and_close_to_one_session(network):
    """To 1e-5 of the largest score: ONNX Runtime adds in another order where a session ends."""
    name, model, graph = network
    split = SplitModel(name, graph)
    assert len(graph.cuts) == LAYERS[name] + 1
    whole = session(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    for seed in range(2):
        image = picture(graph, seed)
        assert_every_cut_is_exact(split, image)
        unsplit = whole.run(None, {'image': image})[0]
        error = np.abs(split.run(image) - unsplit).max()
        assert error <= 1e-5 * np.abs(unsplit).max()


def test_without_the_blocked_layout_the_chain_is_the_whole_bit_for_bit(network):
    _, model, graph = network
    level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    image = picture(graph)
    tensor = image
    for cut, piece in zip(graph.cuts, graph.segments, strict=False):
        tensor = session(piece, level).run(None, {cut.tensor: tensor})[0]
    np.testing.assert_array_equal(tensor, session(model, level).run(None, {'image': image})[0])


def test_weights_are_in_one_segment_each(network):
    _, model, graph = network
    names = [t.name for piece in graph.segments for t in piece.graph.initializer]
    assert sorted(names) == sorted(t.name for t in model.graph.initializer)


def test_cuts_lie_between_blocks():
    resnet = split_graph(build_network('resnet18', width=0.125, image_size=64, classes=10))
    # the last block is sent as the mean of its planes
    blocks = [f'layer{s}.{b}' for s in range(1, 5) for b in range(2)][:-1]
    assert [c.tensor for c in resnet.cuts] == ['image', 'maxpool', *blocks, 'flatten', 'scores']
    vit = split_graph(build_network('vit-tiny', width=0.125, image_size=64, classes=10))
    layer = 'vit.encoder.layer.'
    halves = [f'{layer}{k}{half}' for k in range(12) for half in ('.attended', '')][:-1]
    expected = ['image', 'patches', *halves, 'class_token', 'scores']
    assert [c.tensor for c in vit.cuts] == expected
    assert {c.shape for c in vit.cuts[2:-2]} == {(1, 17, 24)}


def test_work_of_a_vit_block_by_hand():
    """17 tokens of 24, three heads: projections, scores and sums, then the two MLP layers."""
    cuts = split_graph(build_network('vit-tiny', width=0.125, image_size=64, classes=10)).cuts
    steps = np.diff([cut.front_flop for cut in cuts])
    tokens, hidden = 17, 24
    attention = 2 * tokens * hidden * 4 * hidden + 2 * 2 * tokens * tokens * hidden
    mlp = 2 * 2 * tokens * hidden * 4 * hidden
    patches = 2 * 16 * hidden * 3 * 16 * 16
    assert steps.tolist() == [patches, *[attention, mlp] * 12, 2 * hidden * 10]


@pytest.mark.parametrize(
    ('name', 'published'),
    [
        # multiply-adds: torchvision's tables of 0.71, 15.47, 1.81 and timm's of 1.26 GMAC
        pytest.param('alexnet', 0.71e9, marks=pytest.mark.slow),
        ('resnet18', 1.81e9),
        ('vit-tiny', 1.26e9),
        pytest.param('vgg16', 15.47e9, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_published_work(name, published, monkeypatch):
    zeros = np.zeros(1, np.float32)
    monkeypatch.setattr(
        'sec_nodes.inference.networks.weights.RandomParameters.take',
        lambda self, key, shape, fill: np.broadcast_to(zeros, shape),
    )
    flop = split_graph(build_network(name)).cuts[-1].front_flop
    assert flop / 2 == pytest.approx(published, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['alexnet', 'vgg16'])
def test_every_cut_at_full_size(name):
    model = build_network(name)
    graph = split_graph(model)
    split = SplitModel(name, graph)
    image = picture(graph)
    assert_every_cut_is_exact(split, image)
    whole = session(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    unsplit = whole.run(None, {'image': image})[0]
    assert np.abs(split.run(image) - unsplit).max() <= 1e-5 * np.abs(unsplit).max()
