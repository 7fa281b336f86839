"""Heads travel as bytes, answer as the whole model does, and foreign bytes are examined first."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from toy_graphs import Builder, alexnet, residual

from sec_nodes.inference import foreign, programs
from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import ModelError, default_models_dir, load_manifest
from sec_nodes.inference.programs import (
    Head,
    fingerprint,
    head_of,
    program_bytes,
    program_of,
    sizes_of,
)
from sec_nodes.inference.scenes import CLASSES, render
from sec_nodes.inference.splitting import split_graph
from sec_nodes.inference.zoo import save_entry

CHAINS = ('chain-s', 'chain-m', 'chain-l')
SHIPPED = (*CHAINS, 'scene-s', 'scene-l')


def shipped_graph(model_id):
    return split_graph(onnx.load(default_models_dir() / model_id / 'model.onnx'))


@pytest.mark.parametrize('model_id', SHIPPED)
def test_front_and_received_head_are_the_whole_bit_for_bit(model_id):
    graph = shipped_graph(model_id)
    whole = SplitModel(model_id, graph)
    for cut in whole.cuts[:-1]:
        head = Head.from_bytes(head_of(graph, cut.index))
        assert (head.input_shape, head.input_dtype) == (cut.shape, cut.dtype)
        assert head.flop == cut.back_flop
        for seed in range(2):
            image = render(CLASSES[(cut.index + seed) % 8], seed)
            scores = head.run(whole.run_front(cut.index, image))
            np.testing.assert_array_equal(scores, whole.run(image))


@pytest.mark.parametrize('model_id', SHIPPED)
def test_the_manifest_knows_the_sizes(model_id):
    graph = shipped_graph(model_id)
    sizes = [len(head_of(graph, cut.index)) for cut in graph.cuts]
    assert [cut.head_byte for cut in load_manifest().network(model_id).cuts] == sizes
    assert program_bytes(model_id) == sizes
    assert sizes[-1] == 0
    assert len(program_of(model_id, 1)) == sizes[1]


@pytest.mark.parametrize(('model_id', 'width'), [*zip(CHAINS, (16, 24, 30), strict=True)])
def test_chains_lose_a_twentieth_of_their_program_a_layer(model_id, width):
    """Weights by hand: stem 7 x 7 x 3, 18 times 3 x 3 x width, scores; a bias each."""
    entry = load_manifest().network(model_id)
    layers = [148 * width, *[(9 * width + 1) * width] * 18, 8 * (width + 1)]
    assert entry.parameters == sum(layers)
    assert len(entry.cuts) == 21
    sizes = np.array(program_bytes(model_id))
    weights_byte = 4 * (sum(layers) - np.cumsum([0, *layers]))
    # names and attributes of operators come on top: at most 700 bytes a layer
    around = sizes - weights_byte
    assert (around >= 0).all()
    assert (around <= 700 * (20 - np.arange(21)) + 300).all()
    share = sizes / sizes[0]
    np.testing.assert_allclose(share, 1.0 - np.arange(21) / 20.0, atol=0.05)
    assert all(np.prod(cut.shape) * 32 <= 256 * width * 32 for cut in entry.cuts[2:])


def test_a_program_is_the_same_every_time_and_stands_alone():
    program = program_of('scene-s', 2)
    assert program == program_of('scene-s', 2)
    assert fingerprint(program) == hashlib.sha256(program).hexdigest()
    model = onnx.load_model_from_string(program)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ['relu_1']
    assert [value.name for value in model.graph.output] == ['scores']


def test_the_last_cut_leaves_no_program_and_there_are_no_others():
    assert program_of('scene-s', 5) == b''
    for cut in (-1, 6):
        with pytest.raises(
            ValueError, match=r"cut -?\d of model 'scene-s' does not exist; 0 to 5"
        ):
            program_of('scene-s', cut)
    with pytest.raises(ModelError, match='cannot be cut at layers'):
        program_of('sea-s-q4', 1)


@pytest.mark.parametrize('model', [residual(), alexnet()], ids=['residual', 'alexnet'])
def test_sizes_are_counted_without_writing(model):
    graph = split_graph(model)
    last = len(graph.cuts) - 1
    written = [len(graph.segment(cut, last).SerializeToString()) for cut in range(last)]
    assert sizes_of(graph) == [*written, 0]


def test_a_manifest_without_sizes_is_made_up_for(tmp_path, monkeypatch):
    entry = load_manifest().network('scene-s')
    bare = tuple(cut.model_copy(update={'head_byte': None}) for cut in entry.cuts)
    save_entry(tmp_path, entry.model_copy(update={'cuts': bare}))
    assert 'head_byte' not in (tmp_path / 'manifest.yaml').read_text()
    monkeypatch.setattr(programs, 'read_checked', lambda _, file: read_shipped(file))
    assert program_bytes('scene-s', models_dir=tmp_path) == program_bytes('scene-s')


def read_shipped(file):
    return (default_models_dir() / file.path).read_bytes()


# what may arrive instead of a program


@pytest.fixture(scope='module')
def program():
    return program_of('chain-s', 17)


def test_truncated_at_any_place(program):
    for size in range(0, len(program), len(program) // 97):
        with pytest.raises((PayloadError, ModelError), match='program'):
            Head.from_bytes(program[:size])
    with pytest.raises(PayloadError, match='cut short or damaged'):
        Head.from_bytes(program[: len(program) // 2])


def test_flipped_bytes_never_surprise(program):
    """Each gives a clear error or, where only a weight or a name changed, a head that differs."""
    rng = np.random.default_rng(4)
    outcomes = {'refused': 0, 'built': 0}
    for _ in range(80):
        damaged = bytearray(program)
        # half of them among the operators, where the structure is
        end = len(damaged) if rng.integers(2) else 800
        damaged[rng.integers(end)] ^= 1 << rng.integers(8)
        try:
            head = Head.from_bytes(bytes(damaged))
            outcomes['built'] += 1
            head.run(np.zeros(head.input_shape, head.input_dtype))
        except (PayloadError, ModelError):
            outcomes['refused'] += 1
        with pytest.raises(PayloadError, match='the sender said'):
            Head.from_bytes(bytes(damaged), sha256=fingerprint(program))
    assert min(outcomes.values()) > 10


def test_another_models_head_of_the_same_shape_is_told_by_its_checksum(program):
    other = program_of('chain-s', 16)
    assert Head.from_bytes(other).input_shape == Head.from_bytes(program).input_shape
    with pytest.raises(PayloadError, match=f'the sender said {fingerprint(program)[:12]}'):
        Head.from_bytes(other, sha256=fingerprint(program))
    assert Head.from_bytes(program, sha256=fingerprint(program)).sha256 == fingerprint(program)


@pytest.mark.parametrize(
    ('tensor', 'complaint'),
    [
        (np.zeros((1, 24, 8, 8), np.float32), r'expects float32 \(1, 16, 8, 8\), got float32'),
        (np.zeros((16, 8, 8), np.float32), r'got float32 \(16, 8, 8\)'),
        (np.zeros((1, 16, 8, 8), np.float64), 'got float64'),
        (np.zeros((1, 16, 8, 8), np.uint8), 'got uint8'),
    ],
)
def test_a_tensor_of_another_network(program, tensor, complaint):
    with pytest.raises(PayloadError, match=complaint):
        Head.from_bytes(program).run(tensor)


def test_a_head_names_its_scores_as_the_whole_does(program):
    whole = SplitModel.load('chain-s')
    head = Head.from_bytes(program, classes=CLASSES)
    image = render('coast', 3)
    scores = head.run(whole.run_front(17, image))
    assert head.answer(scores) == whole.answer(whole.run(image)) == ('coast', scores.max())
    with pytest.raises(ModelError, match='8 scores, 2 classes'):
        Head.from_bytes(program, classes=('yes', 'no'))


def test_oversized_bytes_are_not_even_parsed():
    with pytest.raises(PayloadError, match=r'has 16777217 bytes; at most 16777216 are run'):
        Head.from_bytes(b'\0' * (foreign.MAX_PROGRAM_BYTE + 1))


@pytest.mark.parametrize('content', [b'', b'no graph', b'\x80\x04N.', b'\x08\x0a\x12\x01'])
def test_other_bytes(content):
    with pytest.raises((PayloadError, ModelError), match='program'):
        Head.from_bytes(content)


def toy() -> Builder:
    """image (1, 4) -> fc (1, 3)"""
    b = Builder((1, 4))
    b.fc('image', 'fc', 4, 3)
    return b


def built(b: Builder, *outputs: str) -> ModelProto:
    return b.build(*(outputs or ('fc',)), shape=(1, 3))


def with_external_weight() -> ModelProto:
    model = built(toy())
    weight = model.graph.initializer[0]
    weight.ClearField('raw_data')
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key='location', value='/etc/passwd')
    return model


def with_external_constant() -> ModelProto:
    b = toy()
    value = numpy_helper.from_array(np.zeros((1, 3), np.float32), 'secret')
    value.external_data.add(key='location', value='/etc/passwd')
    b.nodes.append(helper.make_node('Constant', [], ['c'], value=value))
    b.node('Add', ['fc', 'c'], 'sum')
    # shapes are not inferred here: that would open the file itself
    ends = [helper.make_tensor_value_info('sum', TensorProto.FLOAT, (1, 3))]
    return helper.make_model(helper.make_graph(b.nodes, 'toy', [b.source], ends, b.weights))


def with_loop() -> ModelProto:
    """As long as an int64 counts."""
    b = toy()
    passed = [helper.make_tensor_value_info('y', TensorProto.FLOAT, (1, 3))]
    go = helper.make_tensor_value_info('go', TensorProto.BOOL, ())
    count = helper.make_tensor_value_info('k', TensorProto.INT64, ())
    out = [helper.make_tensor_value_info('go2', TensorProto.BOOL, ()),
           helper.make_tensor_value_info('z', TensorProto.FLOAT, (1, 3))]  # fmt: skip
    steps = [helper.make_node('Identity', ['go'], ['go2']),
             helper.make_node('Relu', ['y'], ['z'])]  # fmt: skip
    body = helper.make_graph(steps, 'body', [count, go, *passed], out)
    b.weights.append(numpy_helper.from_array(np.array(2**62), 'trips'))
    b.node('Loop', ['trips', '', 'fc'], 'looped', body=body)
    return built(b, 'looped')


def with_foreign_operator() -> ModelProto:
    model = with_unknown_operator()
    model.graph.node[0].domain = 'com.microsoft'
    model.opset_import.append(helper.make_opsetid('com.microsoft', 1))
    return model


def with_function() -> ModelProto:
    model = built(toy())
    steps = [helper.make_node('Relu', ['x'], ['y'])]
    opsets = [helper.make_opsetid('', 18)]
    model.functions.append(helper.make_function('mine', 'F', ['x'], ['y'], steps, opsets))
    return model


def with_two_inputs() -> ModelProto:
    model = built(toy())
    model.graph.input.append(helper.make_tensor_value_info('more', TensorProto.FLOAT, (1, 3)))
    return model


def with_two_outputs() -> ModelProto:
    b = toy()
    b.node('Relu', ['fc'], 'r')
    return built(b, 'fc', 'r')


def with_open_size() -> ModelProto:
    model = built(toy())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = 'batch'
    return model


def with_size_from_data() -> ModelProto:
    b = toy()
    b.node('NonZero', ['fc'], 'where')
    b.node('Cast', ['where'], 'x', to=TensorProto.FLOAT)
    b.node('ReduceSum', ['x'], 'total', keepdims=0)
    return b.build('total', shape=())


def with_memory_bomb() -> ModelProto:
    """A few bytes that ask for 4 GiB."""
    b = toy()
    b.weights.append(numpy_helper.from_array(np.array([2**30, 1]), 'repeats'))
    b.node('Tile', ['image', 'repeats'], 'huge')
    b.node('ReduceSum', ['huge'], 'total', keepdims=1)
    return b.build('total', shape=(1, 1))


def with_endless_work() -> ModelProto:
    """2 x 4096^3 FLOP of constants of 64 MiB that are made on the spot."""
    b = Builder((1, 4096))
    b.weights.append(numpy_helper.from_array(np.array([4096, 4096]), 'shape'))
    b.node('Expand', ['image', 'shape'], 'square')
    b.node('MatMul', ['square', 'square'], 'product')
    b.node('ReduceSum', ['product'], 'total', keepdims=1)
    return b.build('total', shape=(1, 1))


def with_many_nodes() -> ModelProto:
    b = toy()
    name = 'fc'
    for k in range(foreign.MAX_NODES):
        name = b.node('Relu', [name], f'r{k}')
    return built(b, name)


def with_unknown_operator() -> ModelProto:
    model = built(toy())
    model.graph.node[0].op_type = 'Guess'
    return model


def with_name_that_is_no_text() -> bytes:
    content = built(toy()).SerializeToString()
    assert content.count(b'toy') == 1
    return content.replace(b'toy', b't\xffy')


def with_text() -> ModelProto:
    model = built(toy())
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    return model


@pytest.mark.parametrize(
    ('model', 'complaint'),
    [
        (with_external_weight, r"tensor 'fc\.w' is in another file"),
        (with_external_constant, "tensor 'secret' is in another file"),
        (with_loop, 'operator Loop has a graph'),
        (with_foreign_operator, "operators of domain 'com.microsoft'"),
        (with_function, 'functions or training steps'),
        (with_two_inputs, '2 inputs and 1 outputs'),
        (with_two_outputs, '1 inputs and 2 outputs'),
        (with_open_size, "size of tensor 'image' is not fixed"),
        (with_size_from_data, "size of tensor 'where' is not fixed"),
        (with_memory_bomb, r'tensors take 17179869\d+ bytes'),
        (with_endless_work, r'1\.37e\+11 FLOP; at most 1e\+11'),
        (with_many_nodes, '1001 operators; at most 1000'),
        (with_unknown_operator, 'breaks the rules of ONNX: No Op registered for Guess'),
        (with_name_that_is_no_text, "breaks the rules of ONNX: 'utf-8' codec can't decode"),
        (with_text, r'image|inferred'),
    ],
)
def test_graphs_that_are_refused(model, complaint, monkeypatch):
    """Before any session is made."""
    monkeypatch.setattr(
        'sec_nodes.inference.providers.make_session', lambda *_: pytest.fail('it was run')
    )
    made = model()
    content = made if isinstance(made, bytes) else made.SerializeToString()
    with pytest.raises(ModelError, match=complaint):
        Head.from_bytes(content)


def test_the_toy_without_anything_wrong_is_run():
    """Otherwise the test above would prove nothing."""
    b = toy()
    head = Head.from_bytes(built(b).SerializeToString())
    image = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
    weight = numpy_helper.to_array(b.weights[0])
    np.testing.assert_allclose(head.run(image), image @ weight.T, rtol=1e-5)


def test_a_graph_that_fails_when_it_runs():
    """A group that the weights do not have passes every check of shapes, but not a run."""
    b = Builder((1, 4, 5, 5))
    b.conv('image', 'c', 4, 8)
    b.nodes[-1].attribute.append(helper.make_attribute('group', 3))
    head = Head.from_bytes(b.build('c', shape=(1, 8, 5, 5)).SerializeToString())
    with pytest.raises(ModelError, match=r'fails: .*Input channels C is not equal'):
        head.run(np.zeros((1, 4, 5, 5), np.float32))
