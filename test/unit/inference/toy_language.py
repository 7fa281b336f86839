"""A multimodal LLM small enough to compute by hand, in the layout of real ones.

The state after tokens t_0..t_n is the sum of (place + 1) times their embeddings, and the scores of
the next token are a fixed random matrix times that state: every token and every place matters.
The cache holds the terms of the sum. A picture's features are its mean brightness, spread out by
fixed random weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from sec_nodes.inference.language.spec import LanguageSpec, write_spec

SPECIAL = ('<pad>', '<s>', '</s>', '<image>')
STOPS, IMAGE = (2, 140, 67), 3
SIDE, IMAGE_TOKENS, HIDDEN, CONTEXT = 8, 4, 6, 96
PREFIX = '<s>{image}'


def tokenizer() -> Tokenizer:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: index for index, word in enumerate((*SPECIAL, *alphabet))}
    made = Tokenizer(models.BPE(words, []))
    made.add_special_tokens(list(SPECIAL))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


VOCABULARY = tokenizer().get_vocab_size()


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {
        'table': random.standard_normal((VOCABULARY, HIDDEN)).astype(np.float32),
        'head': random.standard_normal((HIDDEN, VOCABULARY)).astype(np.float32),
        'spread': random.standard_normal((1, IMAGE_TOKENS * HIDDEN)).astype(np.float32),
    }


def reference(tokens: list[int], features: np.ndarray | None, new_tokens: int) -> list[int]:
    """What the toy answers, by its definition, one row at a time."""
    w = weights()
    terms = [w['table'][token] for token in tokens]
    if features is not None:
        places = [index for index, token in enumerate(tokens) if token == IMAGE]
        for place, feature in zip(places, features, strict=True):
            terms[place] = feature
    state = sum((place + 1) * term.astype(np.float64) for place, term in enumerate(terms))
    made: list[int] = []
    while len(made) < new_tokens and (not made or made[-1] not in STOPS):
        made.append(int((state @ w['head']).argmax()))
        state = state + (len(tokens) + len(made)) * w['table'][made[-1]]
    return made


def features_of(picture: np.ndarray) -> np.ndarray:
    """Features of a picture that has the toy's size already: no resizing, mean 0.5, std 0.25."""
    brightness = ((picture / 255 - 0.5) / 0.25).mean()
    return (brightness * weights()['spread']).reshape(IMAGE_TOKENS, HIDDEN).astype(np.float32)


def _info(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def _save(path: Path, nodes, inputs, outputs, constants: dict[str, np.ndarray]) -> None:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def toy_decoder(
    path: Path, cache: int = TensorProto.FLOAT, extra: str | None = None, first: str = 'first'
) -> None:
    """The decoder; `cache`: type of keys and values, `extra`: one more input, `first`: a node."""
    node = helper.make_node
    nodes = [
        node('Cast', ['position_ids'], ['place'], name=first, to=TensorProto.FLOAT),
        node('Add', ['place', 'one'], ['factor']),
        node('Unsqueeze', ['factor', 'last'], ['factors']),
        node('Mul', ['inputs_embeds', 'factors'], ['terms']),
        node('Unsqueeze', ['terms', 'head_axis'], ['new_terms']),
        node('Cast', ['new_terms'], ['new_cache'], to=cache),
        node('Concat', ['past_key_values.0.key', 'new_cache'], ['present.0.key'], axis=2),
        node('Concat', ['past_key_values.0.value', 'new_cache'], ['present.0.value'], axis=2),
        node('Cast', ['attention_mask'], ['mask'], to=TensorProto.FLOAT),
        node('Unsqueeze', ['mask', 'mask_axes'], ['mask4']),
        node('Cast', ['present.0.value'], ['values'], to=TensorProto.FLOAT),
        node('Mul', ['values', 'mask4'], ['visible']),
        node('ReduceSum', ['visible', 'length_axis'], ['state'], keepdims=0),
        node('MatMul', ['state', 'head'], ['logits']),
    ]
    integer = TensorProto.INT64
    past = ['rows', 1, 'past', HIDDEN]
    inputs = [
        _info('inputs_embeds', ['rows', 'new', HIDDEN]),
        _info('attention_mask', ['rows', 'all'], integer),
        _info('position_ids', ['rows', 'new'], integer),
        _info('past_key_values.0.key', past, cache),
        _info('past_key_values.0.value', past, cache),
    ]
    if extra:
        inputs.append(_info(extra, [1]))
        nodes.append(node('Identity', [extra], ['unused']))
    outputs = [_info('logits', ['rows', 1, VOCABULARY])]
    total = ['rows', 1, 'all', HIDDEN]
    outputs += [_info(f'present.0.{part}', total, cache) for part in ('key', 'value')]
    constants = {
        'one': np.float32(1),
        'last': np.array([2]),
        'head_axis': np.array([1]),
        'mask_axes': np.array([1, 3]),
        'length_axis': np.array([2]),
        'head': weights()['head'],
    }
    _save(path, nodes, inputs, outputs, constants)


def toy_vision(path: Path) -> None:
    nodes = [
        helper.make_node('ReduceMean', ['pixel_values', 'axes'], ['mean'], keepdims=0),
        helper.make_node('Unsqueeze', ['mean', 'last'], ['column']),
        helper.make_node('MatMul', ['column', 'spread'], ['flat']),
        helper.make_node('Reshape', ['flat', 'shape'], ['image_features']),
    ]
    constants = {
        'axes': np.array([1, 2, 3]),
        'last': np.array([1]),
        'spread': weights()['spread'],
        'shape': np.array([-1, IMAGE_TOKENS, HIDDEN]),
    }
    _save(
        path,
        nodes,
        [_info('pixel_values', ['rows', 3, SIDE, SIDE])],
        [_info('image_features', ['rows', IMAGE_TOKENS, HIDDEN])],
        constants,
    )


def toy_embedding(path: Path) -> None:
    _save(
        path,
        [helper.make_node('Gather', ['table', 'input_ids'], ['inputs_embeds'])],
        [_info('input_ids', ['rows', 'new'], TensorProto.INT64)],
        [_info('inputs_embeds', ['rows', 'new', HIDDEN])],
        {'table': weights()['table']},
    )


def toy_spec(**changes: object) -> LanguageSpec:
    level = {
        'vision': 'vision_encoder.onnx',
        'embed': 'embed_tokens.onnx',
        'decoder': 'decoder_model_merged.onnx',
    }
    content = {
        'id': 'toy',
        'source': 'test',
        'parameters': 2 * VOCABULARY * HIDDEN,
        'prompt': {
            'with_image': f'{PREFIX}Q: {{question}}\n',
            'without_image': '<s>Q: {question}\n',
            'image_token': '<image>',
            'image_token_id': IMAGE,
            'image_tokens': IMAGE_TOKENS,
            'add_special_tokens': False,
        },
        'stop_token_ids': STOPS,
        'image': {
            'steps': [{'kind': 'fit', 'height': SIDE, 'width': SIDE}],
            'resample': 'bicubic',
            'rescale': 1 / 255,
            'mean': [0.5, 0.5, 0.5],
            'std': [0.25, 0.25, 0.25],
        },
        'decoder': {
            'layers': 1,
            'kv_heads': 1,
            'head_dim': HIDDEN,
            'hidden': HIDDEN,
            'vocabulary': VOCABULARY,
            'context': CONTEXT,
        },
        'flop_prefix': 100,
        'flop_per_token': 10,
        'levels': {'fp32': level},
    }
    return LanguageSpec.model_validate({**content, **changes})


def toy_folder(folder: Path, cache: int = TensorProto.FLOAT) -> Path:
    """A whole converted model."""
    folder.mkdir(parents=True, exist_ok=True)
    toy_vision(folder / 'vision_encoder.onnx')
    toy_embedding(folder / 'embed_tokens.onnx')
    toy_decoder(folder / 'decoder_model_merged.onnx', cache)
    tokenizer().save(str(folder / 'tokenizer.json'))
    write_spec(toy_spec(), folder)
    return folder
