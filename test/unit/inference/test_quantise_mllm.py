"""Blocks of a few bits, half precision and int8 tables, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from toy_language import reference, toy_folder, weights

from sec_nodes.conversion.blocks import BLOCK, quantise_blocks, quantise_products
from sec_nodes.conversion.half import to_half
from sec_nodes.conversion.quantise_mllm import LEVELS, quantise_mllm, store_halves
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.manifest import ModelError


def graph_of(nodes, inputs, outputs, constants) -> onnx.ModelProto:
    def info(names):
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in names.items()
        ]

    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, 'test', info(inputs), info(outputs), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)


def run(model: onnx.ModelProto, **feed: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return session.run(None, feed)[0]


def product(weight: np.ndarray) -> onnx.ModelProto:
    rows, columns = weight.shape
    node = helper.make_node('MatMul', ['x', 'w'], ['y'])
    return graph_of([node], {'x': ['n', rows]}, {'y': ['n', columns]}, {'w': weight})


def test_a_block_by_hand():
    """Extreme -6 at 4 bits: scale 6 / 8 with -6 as integer 0; 3 becomes 3 / 0.75 + 8 = 12."""
    weight = np.zeros((BLOCK, 1), np.float32)
    weight[:4, 0] = [-6.0, 3.0, 0.75, 5.9]
    packed, scales = quantise_blocks(weight, 4)
    assert scales == pytest.approx(np.array([[0.75]]))
    assert packed.shape == (1, 1, BLOCK // 2)
    assert packed[0, 0, 0] == 0 | 12 << 4
    assert packed[0, 0, 1] == 9 | 15 << 4, '5.9 / 0.75 + 8 = 15.9 stays within four bits'
    assert (packed[0, 0, 2:] == 0x88).all()
    packed, scales = quantise_blocks(-weight, 2)
    assert scales == pytest.approx(np.array([[-3.0]])), 'the extreme is the lowest integer'
    assert packed[0, 0, 0] == 0 | 3 << 2 | 2 << 4 | 3 << 6, 'half as far on the other side'


@pytest.mark.parametrize('bits', [2, 4, 8])
@pytest.mark.parametrize('rows', [BLOCK, 80])
def test_products_are_those_of_the_rounded_weights(bits, rows):
    """ONNX Runtime reads the layout as meant; int8 activations cost a little on top."""
    random = np.random.default_rng(bits)
    weight = random.standard_normal((rows, 5)).astype(np.float32)
    packed, scales = quantise_blocks(weight, bits)
    rounded = np.zeros_like(weight)
    for row in range(rows):
        for column in range(5):
            block, place = divmod(row, BLOCK)
            byte = int(packed[column, block, place * bits // 8])
            integer = byte >> (place * bits % 8) & (2**bits - 1)
            rounded[row, column] = (integer - 2 ** (bits - 1)) * scales[column, block]
    step = abs(np.repeat(scales.T, BLOCK, axis=0)[:rows])
    # the side with one integer less may be clipped by a whole step
    assert (abs(rounded - weight) <= step * 1.0001).all()
    model = product(weight)
    quantise_products(model, bits)
    expansion = ['Cast', 'Gather', 'Reshape'] if bits == 2 else []
    assert [node.op_type for node in model.graph.node] == [*expansion, 'MatMulNBits']
    x = random.standard_normal((7, rows)).astype(np.float32)
    np.testing.assert_allclose(run(model, x=x), x @ rounded, atol=0.02 * np.sqrt(rows))


def test_halves_are_stored_and_floats_computed():
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model = product(weight)
    before = model.ByteSize()
    store_halves(model)
    assert model.ByteSize() < 0.55 * before
    x = np.eye(64, dtype=np.float32)
    np.testing.assert_array_equal(run(model, x=x), weight.astype(np.float16).astype(np.float32))


def test_constants_out_of_the_range_of_halves_stay():
    for factor in (1e6, 1e-7):
        model = product(factor * np.ones((16, 16), np.float32))
        store_halves(model)
        assert [t.data_type for t in model.graph.initializer] == [TensorProto.FLOAT]


def root_mean_square() -> onnx.ModelProto:
    """y = x / sqrt(mean(x ** 2) + 1), then a product; past goes through as a cache would."""
    node = helper.make_node
    nodes = [
        node('Pow', ['x', 'two'], ['square']),
        node('ReduceMean', ['square', 'axis'], ['mean']),
        node('Add', ['mean', 'epsilon'], ['sum']),
        node('Sqrt', ['sum'], ['root']),
        node('Div', ['x', 'root'], ['normal']),
        node('MatMul', ['normal', 'w'], ['y']),
        node('Mul', ['past', 'two'], ['present']),
    ]
    constants = {
        'two': np.float32(2), 'axis': np.array([1]), 'epsilon': np.float32(1),
        'w': np.eye(4, dtype=np.float32),
    }  # fmt: skip
    return graph_of(nodes, {'x': [1, 4], 'past': [3]}, {'y': [1, 4], 'present': [3]}, constants)


def test_half_precision_does_not_overflow_where_squares_do():
    """1000 ** 2 is no float16 number, yet the norm is 1."""
    model = to_half(root_mean_square(), 'past present')
    onnx.checker.check_model(model, full_check=True)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    assert types == {'x': TensorProto.FLOAT, 'past': TensorProto.FLOAT16}
    weight = next(t for t in model.graph.initializer if t.name.startswith('w'))
    assert weight.data_type == TensorProto.FLOAT16
    # on a CPU the runtime computes in float32 anyway: the graph itself has to say so
    assert [node.input[0] for node in model.graph.node if node.op_type == 'Add'] == ['mean']
    y = run(model, x=np.full((1, 4), 1000, np.float32), past=np.ones(3, np.float16))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, 1.0, rtol=1e-3)


def test_half_precision_keeps_angles_of_far_places():
    node = helper.make_node
    nodes = [
        node('Mul', ['place', 'frequency'], ['angle']),
        node('Cos', ['angle'], ['cosine']),
        node('Mul', ['cosine', 'x'], ['y']),
    ]
    model = graph_of(
        nodes, {'place': [1], 'x': [1]}, {'y': [1]}, {'frequency': np.float32([0.7391])}
    )
    place = np.float32([4001.0])
    y = run(to_half(model, 'past'), place=place, x=np.float32([1.0]))
    np.testing.assert_allclose(y, np.cos(0.7391 * 4001.0), atol=2e-3)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    made = toy_folder(tmp_path_factory.mktemp('levels'))
    for level in LEVELS:
        quantise_mllm(made, level)
    return made


@pytest.mark.parametrize('level', LEVELS)
def test_every_level_runs_and_the_finer_ones_agree(folder, level):
    from toy_language import tokenizer

    model = LanguageModel.load(folder, quantisation=level)
    assert model.id == f'toy-{level}'
    questions = [Question(word, max_tokens=2) for word in ('abc', 'x', 'how?', 'oil', 'ship')]
    answers = model.generate(questions)
    wanted = [reference(tokenizer().encode(f'<s>Q: {q.prompt}\n').ids, None, 2) for q in questions]
    right = sum(list(a.token_ids) == w for a, w in zip(answers, wanted, strict=True))
    assert right >= {'fp16': 4, 'int8': 3, 'q8': 3}.get(level, 0)


def test_levels_share_files(folder):
    names = {path.name for path in folder.iterdir()}
    assert {'vision_encoder_q2.onnx', 'decoder_model_merged_q2.onnx'} <= names
    assert len([name for name in names if name.startswith('embed_tokens')]) == 3


def test_the_int8_table_is_within_half_a_step(folder):
    session = ort.InferenceSession(folder / 'embed_tokens_int8.onnx')
    table = weights()['table']
    found = session.run(None, {'input_ids': np.arange(len(table))[None]})[0][0]
    step = abs(table).max(axis=1, keepdims=True) / 127
    assert (abs(found - table) <= 0.5001 * step).all()


def test_what_cannot_be_quantised_is_named(tmp_path, folder):
    with pytest.raises(ModelError, match=r"quantisation 'q3' is unknown; choose from fp16"):
        quantise_mllm(folder, 'q3')
    with pytest.raises(ModelError, match='convert first'):
        quantise_mllm(tmp_path, 'q4')
    made = toy_folder(tmp_path / 'toy')
    (made / 'vision_encoder.onnx').unlink()
    with pytest.raises(ModelError, match='begins with the float32 graphs'):
        quantise_mllm(made, 'q4')
