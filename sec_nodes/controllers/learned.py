"""Trained policies that decide with numpy alone.

A policy is a file NAME.npz: arrays, and `description`, a JSON text that says what they are:
`kind` names the class that reads them, `algorithm` who learnt them, `scenario` (without its mode),
`mode` and `settings` (complete) what was played. `flat`, here, is fully connected networks:

=============== ============= ================================================================
array           shape         meaning
=============== ============= ================================================================
`obs_mean`      (n,)          taken from an observation, which is then divided by
`obs_std`       (n,)          this, at least 1e-3, and clipped to [-10, 10]
`n{i}_w{l}`     (in, out)     weights of layer l of network i; all but the last end in a ReLU
`n{i}_b{l}`     (out,)        what is added to them
=============== ============= ================================================================

The outputs of all networks, one after the other, are K S scores, of which the largest admissible
one of each device wins, then the D means of the continuous part before tanh, or, with `bins`, the
scores of each number's bins, evenly spaced in [-1, 1].
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sec_nodes.config import suggest
from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.networks import FewCalls, Layer, Layers, forward
from sec_nodes.scenarios.registry import read_settings, split_mode
from sec_nodes.slot import BoolArray, FloatArray, IntArray

KINDS = {
    'flat': 'sec_nodes.controllers.learned:FlatPolicy',
    'set': 'sec_nodes.controllers.mllm.set_policy:SetPolicy',
}
"""Where the class of each kind of policy is; imported when it is needed."""

PLAYERS = {
    'mllm': 'sec_nodes.controllers.mllm',
    'robust': 'sec_nodes.controllers.robust',
}
"""By scenario, the package whose modules `learned` and `learned_slot` play policies."""

MaskOf = Callable[[FloatArray], BoolArray]
"""Options (B, K, S) of devices if the continuous part (B, D) is carried out."""

_LEAST_STD, _LARGEST = 1e-3, 10.0


class Policy(Protocol):
    """What the class of a kind offers.

    It is made of the description, the arrays, the settings of the scenario and `moves_first`,
    whether UAVs have moved when devices transmit. They have in training; in ROS they transmit
    where they are seen.
    """

    any_fleet: ClassVar[bool]
    """Whether it decides for any number of devices and servers."""

    def answer(self, observation: FloatArray, mask_of: MaskOf) -> tuple[IntArray, FloatArray]:
        """Choices (B, K) and continuous parts (B, D) in [-1, 1] for observations (B, n)."""


@dataclass(frozen=True)
class PolicyFile:
    """A policy as it was read.

    Attributes:
        path: where from.
        description: what the arrays are, and what the policy was trained on.
        arrays: by name.
    """

    path: Path
    description: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def kind(self) -> type[Any]:
        """The class that plays it.

        Raises:
            ControllerError: nobody knows this kind.
        """
        name = self.description.get('kind')
        if name not in KINDS:
            raise self.error(f'kind = {name!r} of policy; {suggest(str(name), list(KINDS))}')
        module, _, attribute = KINDS[name].partition(':')
        found: type[Any] = getattr(import_module(module), attribute)
        return found

    def policy(self, settings: Any, moves_first: bool = True) -> Policy:
        """The policy, ready to decide.

        Args:
            settings: the scenario that it shall play.
            moves_first: whether UAVs have moved when devices transmit.

        Raises:
            ControllerError: the arrays are not those that the description promises.
        """
        kind = self.kind
        try:
            made: Policy = kind(self.description, self.arrays, settings, moves_first)
        except (ValueError, KeyError, TypeError) as error:
            why = f'{error} is missing' if isinstance(error, KeyError) else str(error)
            raise self.error(why) from None
        return made

    def error(self, why: str) -> ControllerError:
        """That this file cannot be used, and what helps."""
        return ControllerError(
            f'policy {self.path}: {why}; export it anew with `sec train`, or give another file'
        )


def read_policy(path: Path) -> PolicyFile:
    """Read NAME.npz.

    Raises:
        ControllerError: no such file, or none that holds a policy.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ControllerError(
            f'policy {path}: no such file; give one that `sec train` wrote'
        ) from None
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile,
            zlib.error, NotImplementedError) as error:  # fmt: skip
        raise ControllerError(
            f'policy {path}: damaged, or no .npz file ({error}); copy or export it again'
        ) from None
    text = arrays.pop('description', None)
    try:
        description = json.loads(str(text[()])) if text is not None else None
    except (json.JSONDecodeError, IndexError):
        description = None
    if not isinstance(description, dict):
        raise ControllerError(
            f'policy {path}: holds no description, so it is no policy of ours; give a file that '
            '`sec train` wrote'
        )
    return PolicyFile(Path(path), description, arrays)


def write_policy(
    path: Path, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write NAME.npz; the same policy makes the same bytes."""
    with Path(path).open('wb') as file:
        put_policy(file, description, arrays)


def put_policy(
    file: IO[bytes], description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """As `write_policy`, into a file that is open."""
    text = json.dumps(description, sort_keys=True)
    named: dict[str, Any] = {'description': np.array(text), **dict(sorted(arrays.items()))}
    np.savez_compressed(file, **named)


def player(path: str, module: str) -> tuple[type[Any], str]:
    """The class of a controller that plays a file, and the scenario that the file is for.

    Args:
        path: NAME.npz, which becomes the controller's name.
        module: `learned` for many copies, `learned_slot` for single slots.

    Raises:
        ControllerError: no such file, no policy, or one for a scenario that has no learners.
    """
    file = read_policy(Path(path))
    scenario = file.description.get('scenario')
    if scenario not in PLAYERS:
        raise file.error(f'scenario = {scenario!r}; {suggest(str(scenario), list(PLAYERS))}')
    made: type[Any] = import_module(f'{PLAYERS[scenario]}.{module}').from_file(path, file)
    return made, scenario


def trained_on(scenario: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the description of a policy must say about its training.

    Args:
        scenario: with its mode, `mllm:stress`.
        overrides: settings that replaced those of the scenario.
    """
    name, mode = split_mode(scenario)
    settings = read_settings(scenario, overrides)
    return {'scenario': name, 'mode': mode, 'settings': settings.model_dump(mode='json')}


class FlatPolicy:
    """Fully connected networks, for a fleet of one size.

    Args:
        description: `shape` with `observation`, `devices`, `options` and `continuous`; number of
            `networks`; `bins` of each continuous number, or null.
        arrays: see the module.
        settings: of no use here, the observation says it all.
        moves_first: likewise; who may be served is for the mask to say.

    Raises:
        ValueError: sizes that do not fit together, or numbers that are none.
        KeyError: something is missing.
    """

    any_fleet: ClassVar[bool] = False

    def __init__(
        self,
        description: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        settings: Any = None,
        moves_first: bool = True,
    ) -> None:
        shape = description['shape']
        self.observation = int(shape['observation'])
        self.devices, self.options = int(shape['devices']), int(shape['options'])
        self.continuous = int(shape['continuous'])
        self._scores = self.devices * self.options
        bins = description['bins']
        self._bins = None if bins is None else _Bins([int(count) for count in bins])
        if self._bins is not None and self._bins.axes != self.continuous:
            raise ValueError(
                f'bins has {self._bins.axes} entries, but shape.continuous is {self.continuous}'
            )
        networks = [_layers(arrays, number) for number in range(int(description['networks']))]
        self._check(networks)
        self._mean = _numbers(arrays, 'obs_mean', (self.observation,))
        std = _numbers(arrays, 'obs_std', (self.observation,))
        self._scale = np.float32(1) / np.maximum(std, np.float32(_LEAST_STD))
        self._largest = np.full(self.observation, _LARGEST, dtype=np.float32)
        self._least = -self._largest
        self._networks, self._few_calls = networks, FewCalls(networks)

    def answer(self, observation: FloatArray, mask_of: MaskOf) -> tuple[IntArray, FloatArray]:
        """Choices (B, K) and continuous parts (B, D) in [-1, 1] for observations (B, n).

        Raises:
            ValueError: observations of another length.
        """
        if observation.shape[1] != self.observation:
            raise ValueError(
                f'observations have {observation.shape[1]} numbers, but the policy was trained '
                f'on {self.observation}'
            )
        outputs = self.outputs(observation)
        scores, rest = outputs[:, : self._scores], outputs[:, self._scores :]
        continuous = np.tanh(rest) if self._bins is None else self._bins.best(rest)
        if not self.devices:
            return np.zeros((len(observation), 0), dtype=np.int64), continuous
        scores = scores.reshape(-1, self.devices, self.options)
        allowed = np.where(mask_of(continuous), scores, -np.inf)
        return allowed.argmax(axis=-1), continuous

    def outputs(self, observation: FloatArray) -> FloatArray:
        """What the networks say to observations (B, n), float32."""
        seen: NDArray[np.float32] = observation.astype(np.float32, copy=False) - self._mean
        seen *= self._scale
        np.minimum(seen, self._largest, out=seen)
        np.maximum(seen, self._least, out=seen)
        if len(seen) == 1:
            return self._few_calls(seen[0])[None]
        return np.concatenate([forward(layers, seen) for layers in self._networks], axis=1)

    def _check(self, networks: Sequence[Layers]) -> None:
        """Raise ValueError unless the networks read observations and say all that is needed."""
        if not networks:
            raise ValueError('networks = 0; a policy has at least one')
        for number, layers in enumerate(networks):
            width = len(layers[0].weight)
            if width != self.observation:
                raise ValueError(
                    f'n{number}_w0 reads {width} numbers, but shape.observation is '
                    f'{self.observation}'
                )
        said = sum(layers[-1].weight.shape[1] for layers in networks)
        last = self.continuous if self._bins is None else self._bins.total
        if said != self._scores + last:
            raise ValueError(
                f'the networks say {said} numbers, but {self.devices} devices with '
                f'{self.options} options and {last} for the continuous part need '
                f'{self._scores + last}'
            )


class _Bins:
    """Continuous numbers that take one of a few values each.

    Args:
        counts: how many values each of them takes, evenly spaced in [-1, 1].
    """

    def __init__(self, counts: Sequence[int]) -> None:
        if any(count < 2 for count in counts):
            raise ValueError(f'bins = {list(counts)}: every number needs at least two')
        self.axes, self.total = len(counts), sum(counts)
        most = max(counts, default=0)
        # Rows of a table (axis, bin); bins that an axis does not have point past the end.
        starts = np.cumsum([0, *counts[:-1]]) if counts else np.zeros(0, dtype=np.int64)
        numbers = np.arange(most)
        self._at = np.where(
            numbers < np.array(counts, dtype=np.int64)[:, None],
            starts[:, None] + numbers,
            self.total,
        )
        self._values = np.zeros((self.axes, most), dtype=np.float32)
        for row, count in enumerate(counts):
            self._values[row, :count] = np.linspace(-1, 1, count)

    def best(self, scores: FloatArray) -> FloatArray:
        """Values (B, D) of the bins with the largest scores (B, sum of the counts)."""
        nothing = np.full((len(scores), 1), -np.inf, dtype=scores.dtype)
        table = np.concatenate([scores, nothing], axis=1)[:, self._at]
        return self._values[np.arange(self.axes), table.argmax(axis=-1)]


def _layers(arrays: Mapping[str, NDArray[Any]], number: int) -> Layers:
    """The layers of a network, which must fit each other."""
    layers: list[Layer] = []
    while not layers or f'n{number}_w{len(layers)}' in arrays:
        name = f'n{number}_w{len(layers)}'
        weight = _numbers(arrays, name, (None, None))
        if layers and len(weight) != layers[-1].weight.shape[1]:
            raise ValueError(
                f'{name} reads {len(weight)} numbers, but the layer before says '
                f'{layers[-1].weight.shape[1]}'
            )
        bias = _numbers(arrays, f'n{number}_b{len(layers)}', (weight.shape[1],))
        layers.append(Layer(weight, bias))
    return layers


def _numbers(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.float32]:
    """As `require_numbers`, as float32."""
    return np.ascontiguousarray(require_numbers(arrays, name, shape), dtype=np.float32)


def require_numbers(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...]
) -> NDArray[Any]:
    """An array as it is, if it fits; `None` in its shape stands for any length.

    Raises:
        KeyError: there is none.
        ValueError: another shape, or NaN and the like.
    """
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind != 'f':
        wanted = ', '.join('any' if length is None else str(length) for length in shape)
        raise ValueError(
            f'{name} is {array.dtype} of shape {array.shape}, but must be floats of ({wanted})'
        )
    if not np.isfinite(array).all():
        raise ValueError(f'{name} holds NaN or infinity')
    return array
