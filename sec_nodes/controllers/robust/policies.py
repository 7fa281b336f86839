"""Learnt policies of robust as files, and which of those that ship plays a scenario.

A training writes NAME.npz; what ships is its network, models/policies/robust/MODE/NAME.onnx, see
`graph`. Policies of kind `user` see the scenario through its own equations and may play any robust
scenario; one of kind `flat` knows its fleet by the order of its numbers, so that all settings but
those of `FREE` must be those of its training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
)

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.paths import models_dir
from sec_nodes.scenarios.robust.settings import RobustSettings

SCENARIO = 'robust'
LEARNED = {'sac_per': 'SAC-PER'}
"""Controllers that ship as policies, and what they are."""
DESCRIPTION = 'description'
ACTION = 'action'
SEEN = {
    'energy': 'BIJC', 'demand': 'BIJC', 'least': 'BIJC', 'possible': 'BIJC', 'centre': 'BIC',
    'exists': 'BIC', 'link': 'BJJ', 'user': 'BI2', 'uav': 'BJ3', 'velocity': 'BJ3', 'alive': 'BJ',
}  # fmt: skip
"""What policies of kind `user` are given of a `sight.Sight`, with the axes of each."""
FREE = ('failures', 'detection', 'horizon', 'objective', 'allocation')
"""Settings that a policy of kind `flat` need not have been trained with."""
_BROKEN = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile)


@dataclass(frozen=True)
class Network:
    """A policy, ready to be asked.

    Attributes:
        path: where from.
        description: what it is and was trained on.
        session: in ONNX Runtime, on one thread.
    """

    path: Path
    description: Mapping[str, Any]
    session: Any

    @property
    def sees(self) -> bool:
        """Whether it is given physical features, else observations."""
        return self.description['kind'] == 'user'

    def differences(self, settings: RobustSettings) -> list[str]:
        """Keys of settings that are not those of its training."""
        trained = dict(_flat(self.description['settings']))
        here = dict(_flat(settings.model_dump(mode='json')))
        return [key for key in here if here[key] != trained.get(key)]

    def require_fit(self, settings: RobustSettings) -> None:
        """Raise ControllerError unless the policy may play a scenario."""
        grave = [key for key in self.differences(settings) if key.split('.')[0] not in FREE]
        if grave and not self.sees:
            algorithm = self.description['algorithm']
            raise ControllerError(
                f'policy {self.path} was trained with other values of {", ".join(grave)}; train '
                f'one for this scenario with `sec train SCENARIO --algo {algorithm}`'
            )


def network_of(file: PolicyFile) -> Network:
    """The policy that a training wrote.

    Raises:
        ControllerError: the arrays are not those that the description promises.
    """
    from sec_nodes.controllers.robust.graph import model_of  # onnx takes a while to import

    try:
        content = model_of(file.description, file.arrays).SerializeToString()
        return Network(file.path, file.description, _session(content))
    except (ValueError, KeyError, *_BROKEN) as error:
        raise file.error(str(error)) from None


def read_network(path: Path) -> Network:
    """A policy that ships.

    Raises:
        ControllerError: no such file, or none that holds a policy.
    """
    try:
        session = _session(str(path))
        text = session.get_modelmeta().custom_metadata_map[DESCRIPTION]
        return Network(path, json.loads(text), session)
    except (KeyError, json.JSONDecodeError, *_BROKEN) as error:
        raise ControllerError(
            f'policy {path}: no network of a policy ({error}); get the file again, or give '
            'one that `sec train` wrote'
        ) from None


def shipped(name: str) -> list[Path]:
    """Files of a controller, mode by mode; none where no models are installed."""
    try:
        folder = models_dir() / 'policies' / SCENARIO
    except FileNotFoundError:
        return []
    return sorted(folder.glob(f'*/{name}.onnx'))


def best_fit(name: str, settings: RobustSettings) -> Network:
    """The shipped policy of a controller whose training is most like a scenario.

    Raises:
        ControllerError: none ships.
    """
    networks = [read_network(path) for path in shipped(name)]
    if not networks:
        raise ControllerError(
            f'no policy of {name} ships; train one with `sec train SCENARIO --algo {name}`'
        )
    nearest = min(networks, key=lambda network: len(network.differences(settings)))
    nearest.require_fit(settings)
    return nearest


def _session(model: str | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])


def _flat(tree: Mapping[str, Any], above: str = '') -> Iterator[tuple[str, Any]]:
    """Values of nested mappings by dotted key."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{above}{key}.')
        else:
            yield above + key, value
