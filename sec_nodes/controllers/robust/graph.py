"""Learnt policies of robust as ONNX networks, made of their arrays.

A policy is a network from what is seen to an action vector in [-1, 1]^D, which
`scenarios.robust.vector.decode` reads. Two kinds are known:

======== ============================================== ========================================
kind     inputs                                         what it is
======== ============================================== ========================================
`flat`   `observation` (B, n)                           fully connected, for a fleet of one size
`user`   arrays of `sight.Sight`, see `policies.SEEN`   shared by users and by UAVs, any fleet
======== ============================================== ========================================

What the policy was trained on is in the model's metadata, a JSON text under `description`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sec_nodes.controllers.robust.policies import ACTION, DESCRIPTION, SEEN
from sec_nodes.controllers.robust.sight import NEAR_M, ROUNDS, SCORE_LIMIT, STANDING

_OPSET, _IR_VERSION = 17, 8
_FORBIDDEN = -1e9

Arrays = Mapping[str, NDArray[Any]]


def model_of(description: Mapping[str, Any], arrays: Arrays) -> onnx.ModelProto:
    """The network of a policy that `sec train` wrote.

    Raises:
        ValueError: a kind that is not known here.
        KeyError: an array is missing.
    """
    kind = description.get('kind')
    if kind not in _KINDS:
        raise ValueError(f'kind = {kind!r} of policy; robust has {", ".join(_KINDS)}')
    graph = _KINDS[kind](arrays)
    made = graph.model(description)
    onnx.checker.check_model(made)
    return made


class _Graph:
    """A network that grows node by node; values are known by their names."""

    def __init__(self, inputs: Mapping[str, Sequence[str | int]]) -> None:
        self._inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(axes))
            for name, axes in inputs.items()
        ]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The result of an operator."""
        name = f'v{len(self._nodes)}'
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A number or an array."""
        name = f'c{len(self._constants)}'
        array = np.asarray(value, dtype=dtype)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def axes(self, *numbers: int) -> str:
        """Numbers of axes, or a shape."""
        return self.constant(numbers, np.int64)

    def sum(self, value: str, *axes: int, keep: bool = False) -> str:
        """Sum over axes."""
        return self('ReduceSum', value, self.axes(*axes), keepdims=int(keep))

    def stack(self, *values: str) -> str:
        """Values of one shape, side by side in a new last axis."""
        last = self.axes(-1)
        return self('Concat', *(self('Unsqueeze', value, last) for value in values), axis=-1)

    def layers(self, arrays: Arrays, prefix: str, value: str) -> str:
        """Fully connected layers with ReLU between them."""
        number = 0
        while f'{prefix}_w{number}' in arrays:
            if number:
                value = self('Relu', value)
            value = self('MatMul', value, self.constant(arrays[f'{prefix}_w{number}']))
            value = self('Add', value, self.constant(arrays[f'{prefix}_b{number}']))
            number += 1
        return value

    def times(self, value: str, factor: Any) -> str:
        """A value times a constant."""
        return self('Mul', value, self.constant(factor))

    def plus(self, value: str, term: Any) -> str:
        """A value plus a constant."""
        return self('Add', value, self.constant(term))

    def flat(self, vectors: str) -> str:
        """East and north (..., 2) of vectors (..., 3)."""
        return self('Gather', vectors, self.axes(0, 1), axis=-1)

    def up(self, vectors: str) -> str:
        """Up (..., 1) of vectors (..., 3)."""
        return self('Gather', vectors, self.axes(2), axis=-1)

    def rows(self, value: str) -> str:
        """(B, ...) as (B, X)."""
        return self('Reshape', value, self.axes(0, -1))

    def model(self, description: Mapping[str, Any]) -> onnx.ModelProto:
        """The model, whose last value is the action."""
        self._nodes[-1].output[0] = ACTION
        output = helper.make_tensor_value_info(ACTION, TensorProto.FLOAT, ['B', 'D'])
        graph = helper.make_graph(
            self._nodes, 'policy', self._inputs, [output], initializer=self._constants
        )
        opset = helper.make_opsetid('', _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name='sec_offload')
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, {DESCRIPTION: json.dumps(description, sort_keys=True)})
        return model


def _flat(arrays: Arrays) -> _Graph:
    """Normalised observations through fully connected layers."""
    graph = _Graph({'observation': ('B', len(arrays['obs_mean']))})
    centred = graph('Sub', 'observation', graph.constant(arrays['obs_mean']))
    seen = graph('Div', centred, graph.constant(arrays['obs_std']))
    seen = graph('Clip', seen, graph.constant(-10.0), graph.constant(10.0))
    graph('Tanh', graph.layers(arrays, 'n0', seen))
    return graph


def _user(arrays: Arrays) -> _Graph:
    """As `learning.user_networks.UserActor` computes its means."""
    graph = _Graph({name: _dimensions(axes) for name, axes in SEEN.items()})
    shares, load = _settled(graph, arrays)
    at, cuts = graph.sum(shares, 3), graph.sum(shares, 2)
    split, chosen = _best(graph, shares)
    link = graph('MatMul', at, 'link')
    nothing = graph.times(link, 0.0)
    there = graph.sum(graph('Mul', graph('Unsqueeze', cuts, graph.axes(2)), 'least'), 3)
    first = graph.axes(1)
    features = graph.stack(
        link,
        graph('Add', nothing, graph('Unsqueeze', load, first)),
        there,
        graph('Add', nothing, graph('Unsqueeze', 'alive', first)),
    )
    wish = graph('Squeeze', graph.layers(arrays, 'move', features), graph.axes(-1))
    wish = graph.times(graph('Tanh', wish), SCORE_LIMIT)
    ahead = _heading(graph)
    said = graph.layers(arrays, 'fly', _uav_features(graph, arrays, at, ahead))
    back = _turned(graph, graph.flat(said), graph.times(ahead, [1.0, -1.0]))
    flight = graph('Concat', back, graph.up(said), axis=-1)
    parts = [graph.rows(part) for part in (chosen, wish, flight)]
    graph('Concat', split, graph('Tanh', graph('Concat', *parts, axis=1)), axis=1)
    return graph


def _settled(graph: _Graph, arrays: Arrays) -> tuple[str, str]:
    """Probabilities of pairs (B, I, J, C) after some rounds, and loads (B, J)."""
    exists = graph('Greater', graph('Unsqueeze', 'exists', graph.axes(2)), graph.constant(0.0))
    shape, flat = graph('Shape', 'energy'), graph.axes(0, 0, -1)
    taken = graph.sum(graph.times('least', 0.0), 3)
    for _ in range(ROUNDS):
        others = graph('Sub', graph.sum(taken, 1, keep=True), taken)
        load = graph('Add', graph('Unsqueeze', others, graph.axes(-1)), 'least')
        features = graph.stack('energy', 'demand', 'least', 'possible', load)
        learnt = graph('Squeeze', graph.layers(arrays, 'pair', features), graph.axes(-1))
        crowd = graph.times(graph('Relu', graph.plus(load, -1.0)), arrays['crowding'])
        cost = graph.times(graph('Add', 'energy', crowd), arrays['sharpness'])
        scores = graph('Where', exists, graph('Sub', learnt, cost), graph.constant(_FORBIDDEN))
        soft = graph('Softmax', graph('Reshape', scores, flat), axis=-1)
        shares = graph('Reshape', soft, shape)
        taken = graph.sum(graph('Mul', shares, 'least'), 3)
    return shares, graph.sum(taken, 1)


def _best(graph: _Graph, shares: str) -> tuple[str, str]:
    """Numbers (B, I) of the best splits, and scores (B, I, J) of UAVs, before tanh."""
    pair = graph('Reshape', shares, graph.axes(0, 0, -1))
    index = graph('ArgMax', pair, axis=-1, keepdims=1)
    shape = graph('Shape', 'energy')
    columns = graph('Gather', shape, graph.axes(3))
    uav = graph('Div', index, columns)
    column = graph('Sub', index, graph('Mul', uav, columns))
    centre = graph('GatherElements', 'centre', column, axis=2)
    split = graph('Squeeze', centre, graph.axes(-1))
    split = graph('Clip', split, graph.constant(-0.999), graph.constant(0.999))
    uavs = graph('Gather', shape, graph.constant(2, np.int64))
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    mine = graph('Equal', uav, graph('Range', zero, uavs, one))
    scores = graph.plus(graph.times(graph('Cast', mine, to=TensorProto.FLOAT), 2.0), -1.0)
    return split, scores


def _uav_features(graph: _Graph, arrays: Arrays, at: str, ahead: str) -> str:
    """As `learning.user_networks.uav_features`, (B, J, F)."""
    last, third, second = graph.axes(-1), graph.axes(2), graph.axes(1)
    user = graph('Unsqueeze', 'user', third)
    towards = graph('Sub', user, graph('Unsqueeze', graph.flat('uav'), second))
    least = graph('ReduceMin', 'energy', axes=[-1], keepdims=0)
    work = graph('Unsqueeze', graph('Mul', at, least), last)
    asked = graph.sum(work, 1)
    pulled = graph.sum(graph('Mul', work, towards), 1)
    pull = graph('Div', pulled, graph.plus(asked, 1e-3))
    apart = graph('Sub', graph('Unsqueeze', 'uav', third), graph('Unsqueeze', 'uav', second))
    apart_m = graph.times(apart, arrays['half_m'])
    square = graph.sum(graph('Mul', apart_m, apart_m), -1, keep=True)
    distance_m = graph('Sqrt', graph.plus(square, 1e-3))
    near = graph('Exp', graph.times(distance_m, -1.0 / NEAR_M))
    lives = graph('Unsqueeze', graph('Unsqueeze', 'alive', second), last)
    near = graph('Mul', near, lives)
    push = graph.sum(graph('Mul', near, graph('Div', apart_m, distance_m)), 2)
    square = graph.sum(graph('Mul', 'velocity', 'velocity'), -1, keep=True)
    speed = graph('Sqrt', graph.plus(square, 1e-6))
    braking = graph.times(graph('Abs', 'velocity'), arrays['braking'])
    stop = graph('Add', 'uav', graph('Mul', 'velocity', braking))
    above = graph('Relu', graph.plus(stop, -1.0))
    below = graph('Relu', graph.plus(graph('Neg', stop), -1.0))
    overrun = graph('Sub', above, below)
    flat = [_turned(graph, graph.flat(vector), ahead) for vector in ('uav', overrun, pull, push)]
    up = [graph.up(vector) for vector in ('velocity', 'uav', overrun, push)]
    alive = graph('Unsqueeze', 'alive', last)
    return graph('Concat', *flat, *up, speed, graph.times(asked, 0.1), alive, axis=-1)


def _heading(graph: _Graph) -> str:
    """As `learning.user_networks.heading`, (B, J, 2)."""
    flat = graph.plus(graph.flat('velocity'), [STANDING[0], 0.0])
    square = graph.sum(graph('Mul', flat, flat), -1, keep=True)
    return graph('Div', flat, graph('Sqrt', graph.plus(square, STANDING[1])))


def _turned(graph: _Graph, vectors: str, ahead: str) -> str:
    """As `learning.user_networks.turned`, (B, J, 2)."""
    along = graph.sum(graph('Mul', vectors, ahead), -1, keep=True)
    swapped = graph('Gather', vectors, graph.axes(1, 0), axis=-1)
    across = graph.sum(graph('Mul', swapped, graph.times(ahead, [1.0, -1.0])), -1, keep=True)
    return graph('Concat', along, across, axis=-1)


def _dimensions(axes: str) -> list[str | int]:
    """Dimensions by letters; digits are fixed."""
    return [int(axis) if axis.isdigit() else axis for axis in axes]


_KINDS = {'flat': _flat, 'user': _user}
