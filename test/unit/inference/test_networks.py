"""The networks have the published sizes, take checkpoints, and compute what their layers say."""

from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.networks import NETWORKS, build_network
from sec_nodes.inference.networks.graph import GraphWriter
from sec_nodes.inference.networks.weights import RandomParameters, read_checkpoint

PUBLISHED_PARAMETERS = {
    'alexnet': 61_100_840,
    'vgg13': 133_047_848,
    'vgg16': 138_357_544,
    'resnet18': 11_689_512,
    'vit-tiny': 5_717_416,  # timm's vit_tiny_patch16_224
}
PARAMETER_ENDINGS = ('.weight', '.bias', 'cls_token', 'position_embeddings')
SMALL_IMAGE = {'alexnet': 96, 'vgg13': 64, 'vgg16': 64, 'resnet18': 64, 'vit-tiny': 32}


def small(name, **options):
    return build_network(name, width=0.125, image_size=SMALL_IMAGE[name], classes=7, **options)


def parameters(model):
    return {
        weight.name: onnx.numpy_helper.to_array(weight)
        for weight in model.graph.initializer
        if weight.name.endswith((*PARAMETER_ENDINGS, 'running_mean', 'running_var'))
    }


def scores(model, image):
    session = ort.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return session.run(['scores'], {'image': image})[0]


def checkpoint_of(model):
    """Its weights as a checkpoint has them: ViT's matrices lie transposed in the graph."""
    products = {node.input[1] for node in model.graph.node if node.op_type == 'MatMul'}
    found = parameters(model)
    return {name: value.T if name in products else value for name, value in found.items()}


def picture(name, seed=0):
    side = SMALL_IMAGE[name]
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3), np.uint8)


@pytest.mark.parametrize('name', NETWORKS)
def test_published_parameter_counts(name, monkeypatch):
    shapes = {}

    def note(self, key, shape, fill=None, transpose=False):
        shapes[key] = shape
        return key

    monkeypatch.setattr(GraphWriter, 'parameter', note)
    build_network(name)
    counted = [
        np.prod(s, dtype=int) for key, s in shapes.items() if key.endswith(PARAMETER_ENDINGS)
    ]
    assert sum(counted) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('alexnet', {'features.0.weight', 'features.10.bias', 'classifier.6.bias'}),
        ('vgg13', {'features.0.weight', 'features.22.bias', 'classifier.3.weight'}),
        ('vgg16', {'features.0.weight', 'features.28.bias', 'classifier.0.weight'}),
        ('resnet18', {'conv1.weight', 'layer1.0.conv1.weight', 'layer2.0.downsample.0.weight',
                      'layer4.1.bn2.running_var', 'fc.bias'}),
        ('vit-tiny', {'vit.embeddings.cls_token', 'vit.layernorm.weight', 'classifier.bias',
                      'vit.encoder.layer.11.attention.attention.query.weight'}),
    ],
)  # fmt: skip
def test_parameters_are_named_as_in_published_checkpoints(name, expected):
    assert expected <= set(parameters(small(name)))


@pytest.mark.parametrize('name', NETWORKS)
def test_a_valid_graph_from_picture_to_scores(name):
    model = small(name)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (10, 20)
    found = scores(model, picture(name))
    assert found.shape == (1, 7)
    assert np.isfinite(found).all()
    assert np.abs(found - scores(model, picture(name, 1))).max() > 1e-3


def test_seeds_choose_the_weights():
    first, again, other = (parameters(small('alexnet', seed=s)) for s in (0, 0, 1))
    name = 'features.3.weight'
    np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first[name], other[name])
    fan_in = first['classifier.1.weight'].shape[1]
    assert first['classifier.1.weight'].std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.01)
    assert (first['classifier.1.bias'] == 0.0).all()


def write_safetensors(path: Path, arrays):
    """The format by its specification: length, header, bytes."""
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    names = {np.dtype('f4'): 'F32', np.dtype('f2'): 'F16', np.dtype(ml_dtypes.bfloat16): 'BF16',
             np.dtype('i8'): 'I64'}  # fmt: skip
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {'dtype': names[array.dtype], 'shape': array.shape,
                        'data_offsets': [len(data), len(data) + len(raw)]}  # fmt: skip
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, 'little') + text + data)


@pytest.mark.parametrize('name', NETWORKS)
def test_weights_from_a_mapping_npz_and_safetensors(name, tmp_path):
    model = small(name, seed=3)
    weights = checkpoint_of(model)
    np.savez(tmp_path / 'w.npz', **weights)
    write_safetensors(tmp_path / 'w.safetensors', weights)
    image = picture(name)
    expected = scores(model, image)
    for source in (weights, tmp_path / 'w.npz', tmp_path / 'w.safetensors'):
        np.testing.assert_array_equal(scores(small(name, weights=source), image), expected)


def test_half_precision_and_counters_of_checkpoints(tmp_path):
    weights = checkpoint_of(small('resnet18'))
    weights['fc.weight'] = weights['fc.weight'].astype(np.float16)
    weights['conv1.weight'] = weights['conv1.weight'].astype(ml_dtypes.bfloat16)
    weights['bn1.num_batches_tracked'] = np.array(12)
    write_safetensors(tmp_path / 'w.safetensors', weights)
    found = parameters(small('resnet18', weights=tmp_path / 'w.safetensors'))
    for key in ('fc.weight', 'conv1.weight'):
        np.testing.assert_array_equal(found[key], weights[key].astype(np.float32))


def test_checkpoints_that_do_not_fit_are_named(tmp_path):
    weights = checkpoint_of(small('vgg16'))
    with pytest.raises(ModelError, match=r"vgg13 does not have, 'features\.24\.bias' among them"):
        lacking = {k: v for k, v in weights.items() if not k.startswith('features')}
        thirteen = checkpoint_of(small('vgg13'))
        small('vgg13', weights={**lacking, **thirteen, 'features.24.bias': np.zeros(1)})
    without = {k: v for k, v in weights.items() if k != 'features.2.bias'}
    with pytest.raises(ModelError, match=r"lack 'features.2.bias' of shape \(8,\)"):
        small('vgg16', weights=without)
    with pytest.raises(ModelError, match=r"'features.0.weight' has shape \(8, 3, 3, 3\), vgg16 "):
        build_network('vgg16', image_size=64, classes=7, weights=weights)
    with pytest.raises(ModelError, match=r'w\.pth are neither \.npz nor \.safetensors'):
        small('vgg16', weights=tmp_path / 'w.pth')
    with pytest.raises(ModelError, match=r'w\.npz cannot be read \(No such file'):
        small('vgg16', weights=tmp_path / 'w.npz')


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'\xff' * 8,
        (2).to_bytes(8, 'little') + b'[]',
        (4).to_bytes(8, 'little') + b'{"a"',
        b'\x43\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}               '
        + b'\0' * 4,
        b'\x43\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}               '
        + b'\0' * 8,
        b'\x43\0\0\0\0\0\0\0{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}               '
        + b'\0' * 8,
    ],
)
def test_damaged_safetensors_are_refused(tmp_path, content):
    path = tmp_path / 'bad.safetensors'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'bad\.safetensors are not a valid'):
        read_checkpoint(path)
    path.with_suffix('.npz').write_bytes(content)
    with pytest.raises(ModelError, match=r'bad\.npz are not a valid'):
        read_checkpoint(path.with_suffix('.npz'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'name': 'vgg19'}, "network 'vgg19' is unknown; choose from alexnet, vgg13"),
        ({'name': 'vgg16', 'image_size': 31}, 'image_size is 31; vgg16 takes .* from 32 on'),
        ({'name': 'vit-tiny', 'image_size': 40}, 'image_size is 40; vit-tiny takes .* of 16'),
        ({'name': 'alexnet', 'width': 0.0}, 'width is 0.0'),
        ({'name': 'alexnet', 'width': float('nan')}, 'width is nan'),
        ({'name': 'alexnet', 'classes': 0}, 'classes is 0'),
    ],
)  # fmt: skip
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build_network(**options)


@pytest.mark.parametrize(('rows', 'windows'), [(5, 3), (2, 7), (12, 6), (7, 7), (1, 6)])
def test_adaptive_average_is_the_mean_of_its_windows(rows, windows):
    g = GraphWriter('pool', RandomParameters(0), 1)
    g.adaptive_average('x', 'pool', rows, windows)
    source = helper.make_tensor_value_info('x', TensorProto.FLOAT, (1, 2, rows, rows))
    out = g._nodes[-1].output[0] if g._nodes else 'x'
    sink = helper.make_tensor_value_info('y', TensorProto.FLOAT, (1, 2, windows, windows))
    nodes = [*g._nodes, helper.make_node('Identity', [out], ['y'])]
    graph = helper.make_graph(nodes, 'pool', [source], [sink], g._weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
    x = np.random.default_rng(0).normal(size=(1, 2, rows, rows)).astype(np.float32)
    found = ort.InferenceSession(model.SerializeToString()).run(None, {'x': x})[0]
    for i in range(windows):
        for j in range(windows):
            # the rows whose span [r, r + 1) / rows overlaps window i of [i, i + 1) / windows
            down = [
                r
                for r in range(rows)
                if r * windows < (i + 1) * rows and (r + 1) * windows > i * rows
            ]
            over = [
                r
                for r in range(rows)
                if r * windows < (j + 1) * rows and (r + 1) * windows > j * rows
            ]
            np.testing.assert_allclose(
                found[0, :, i, j], x[0][:, down][:, :, over].mean((1, 2)), rtol=1e-5, atol=1e-6
            )
