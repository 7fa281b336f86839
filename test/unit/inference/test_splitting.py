"""Cuts are complete, counted right, and a split model answers as the whole one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from toy_graphs import Builder, alexnet, residual, vgg

from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.splitting import split_graph


def test_residual_cuts_and_flop_by_hand():
    cuts = split_graph(residual()).cuts
    stem = 2 * 8 * 8 * 8 * 27  # 8 x 8 positions, 8 channels, 3 x 3 x 3 kernel
    block = 2 * (2 * 8 * 8 * 8 * 72)
    fc = 2 * 8 * 4
    total = stem + 2 * block + fc
    # normalisation, activations, mean and flattening are folded; none lies inside a block
    assert [(cut.shape, cut.front_flop) for cut in cuts] == [
        ((1, 16, 16, 3), 0),
        ((1, 8, 8, 8), stem),
        ((1, 8, 8, 8), stem + block),
        ((1, 8), stem + 2 * block),
        ((1, 4), total),
    ]
    assert [cut.tensor for cut in cuts] == ['image', 'r0', 'r1', 'flat', 'scores']
    assert [cut.size_bit for cut in cuts] == [6144, 16384, 16384, 256, 128]
    assert all(cut.front_flop + cut.back_flop == total for cut in cuts)


@pytest.mark.parametrize(
    ('model', 'layers'),
    [
        (alexnet(), 8),
        (vgg((2, 2, 2, 2, 2)), 13),
        (vgg((2, 2, 3, 3, 3)), 16),
    ],
    ids=['alexnet', 'vgg13', 'vgg16'],
)
def test_layer_counts_of_the_paper(model, layers):
    split = split_graph(model)
    assert len(split.segments) == layers
    assert len(split.cuts) == layers + 1


def test_alexnet_first_layer_matches_the_specification():
    """At full width: 2 x 55 x 55 outputs x 64 channels x (3 x 11 x 11) = 140 553 600 FLOP."""
    b = Builder((1, 3, 224, 224))
    b.conv('image', 'c', 3, 64, 11, 4, 2)
    assert split_graph(b.build('c', shape=(1, 64, 55, 55))).cuts[-1].front_flop == 140_553_600


def test_groups_and_matmul_flop():
    b = Builder((1, 4, 8, 8))
    b.node('Conv', ['image', b.weight('w', (4, 1, 3, 3))], 'c', pads=[1] * 4, group=4)
    b.node('MatMul', ['c', b.weight('m', (8, 5))], 'y')
    cuts = split_graph(b.build('y', shape=(1, 4, 8, 5))).cuts
    assert [cut.front_flop for cut in cuts] == [0, 2 * 256 * 9, 2 * 256 * 9 + 2 * 4 * 8 * 5 * 8]


@pytest.mark.parametrize('model', [residual(), alexnet()], ids=['residual', 'alexnet'])
def test_every_split_equals_the_whole(model):
    whole = ort.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    split = SplitModel('toy', split_graph(model))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, split.input_shape).astype(split.cuts[0].dtype)
    expected = whole.run(None, {'image': image})[0]
    for cut in split.cuts:
        tensor = split.run_front(cut.index, image)
        assert (tensor.shape, tensor.dtype.name) == (cut.shape, cut.dtype)
        np.testing.assert_array_equal(split.run_back(cut.index, tensor), expected)


def test_weights_are_loaded_once():
    model = residual()
    names = [t.name for piece in split_graph(model).segments for t in piece.graph.initializer]
    assert sorted(names) == sorted(t.name for t in model.graph.initializer)


def test_quantised_graph_is_cut_where_the_tensor_is_already_uint8():
    b = Builder((1, 2, 8, 8))
    for name, value in (('s', np.float32(0.05)), ('z', np.uint8(0))):
        b.weights.append(numpy_helper.from_array(np.asarray(value), name))
    x = b.node('Relu', [b.conv('image', 'c0', 2, 4)], 'r0')
    x = b.node('QuantizeLinear', [x, 's', 'z'], 'q0')
    x = b.node('DequantizeLinear', [x, 's', 'z'], 'd0')
    b.conv(x, 'c1', 4, 4)
    cut = split_graph(b.build('c1', shape=(1, 4, 8, 8))).cuts[1]
    assert (cut.tensor, cut.dtype, cut.size_bit) == ('q0', 'uint8', 4 * 64 * 8)


def test_constant_nodes_follow_their_readers():
    b = Builder((1, 2, 8, 8))
    x = b.conv('image', 'c0', 2, 2)
    value = numpy_helper.from_array(np.array([1, 2, 64], np.int64))
    b.nodes.insert(0, helper.make_node('Constant', [], ['target'], value=value))
    x = b.node('Reshape', [x, 'target'], 'flat')
    b.node('MatMul', [x, b.weight('m', (64, 3))], 'y')
    split = SplitModel('toy', split_graph(b.build('y', shape=(1, 2, 3))))
    image = np.ones((1, 2, 8, 8), np.float32)
    assert len(split.cuts) == 3
    np.testing.assert_array_equal(
        split.run_back(1, split.run_front(1, image)).shape, split.cuts[-1].shape
    )


def test_parallel_branches_cannot_be_cut_between():
    b = Builder((1, 2, 8, 8))
    b.conv('image', 'left', 2, 2)
    b.conv('image', 'right', 2, 2)
    b.node('Add', ['left', 'right'], 'y')
    assert len(split_graph(b.build('y', shape=(1, 2, 8, 8))).cuts) == 2


def test_dead_nodes_do_not_hide_cuts():
    b = Builder((1, 2, 8, 8))
    b.conv('image', 'c0', 2, 2)
    b.node('Relu', ['image'], 'unused')
    b.conv('c0', 'y', 2, 2)
    assert [c.tensor for c in split_graph(b.build('y', shape=(1, 2, 8, 8))).cuts] == [
        'image',
        'c0',
        'y',
    ]


def test_graphs_that_cannot_be_split_say_why():
    b = Builder((1, 2, 8, 8))
    b.conv('image', 'c0', 2, 2)
    b.conv('c0', 'c1', 2, 2)
    with pytest.raises(ModelError, match='exactly one of each'):
        split_graph(b.build('c0', 'c1', shape=(1, 2, 8, 8)))
    b.source = helper.make_tensor_value_info('image', TensorProto.FLOAT, ('N', 2, 8, 8))
    with pytest.raises(ModelError, match='no fixed shape'):
        split_graph(b.build('c1', shape=('N', 2, 8, 8)))
    free = Builder((1, 2))
    free.nodes.append(onnx.helper.make_node('Constant', [], ['y'], value_floats=[1.0]))
    with pytest.raises(ModelError, match='does not depend'):
        split_graph(free.build('y', shape=(1,)))
