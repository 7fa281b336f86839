"""On what a network runs here: TensorRT, CUDA or the CPU, by wish or by what works.

What an ONNX Runtime was built with says little about what works: without a driver or a library
it falls back to the CPU with no more than a warning. So a session is asked what it took, and
what it took is logged.

TensorRT compiles an engine for every part of a graph when it is first run, which takes minutes on
a Jetson. It is therefore taken only if the engines of this very graph are in the cache already,
or if `build_engines` allows to make them. Options and file names: "TensorRT Execution Provider",
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from sec_nodes.inference.manifest import ModelError

_log = logging.getLogger(__name__)

_FULL_NAME = {
    'tensorrt': 'TensorrtExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'cpu': 'CPUExecutionProvider',
}
PROVIDERS: tuple[str, ...] = tuple(_FULL_NAME)
"""What a policy may name, fastest first."""

_HASH_CHUNK_BYTE = 2**20
_BUILD_COMMAND = 'sec models profile MODEL --providers tensorrt --build-engines'


@dataclass(frozen=True)
class DevicePolicy:
    """Where sessions run.

    `prefer`: providers in order of wish, the first that works is taken and nothing else; empty
    for the best that works here. `threads`: of each session. `cache_dir`: where TensorRT's
    engines persist. `build_engines`: whether TensorRT may build engines, which takes minutes, if
    the cache has none. ValueError for values that fit no machine.
    """

    prefer: tuple[str, ...] = ()
    threads: int = 1
    cache_dir: Path | None = None
    build_engines: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.prefer if name not in PROVIDERS]
        if unknown:
            raise ValueError(
                f'prefer names provider {unknown[0]!r}; choose from {", ".join(PROVIDERS)}'
            )
        if self.threads < 1:
            raise ValueError(f'threads is {self.threads}; give at least 1')
        if self.build_engines and self.cache_dir is None:
            raise ValueError('build_engines is set without cache_dir; name a folder for engines')


def policy_from(names: str, threads: int = 1, build_engines: bool = False) -> DevicePolicy:
    """The policy that settings mean, with TensorRT's engines in the user's cache folder.

    Args:
        names: providers in order of wish with commas between them, such as `tensorrt,cuda`;
            empty for the best that works here.
        threads: of each session.
        build_engines: whether TensorRT may build engines, which takes minutes a model.

    Raises:
        ValueError: no such provider, or threads < 1.
    """
    prefer = tuple(name.strip() for name in names.split(',') if name.strip())
    return DevicePolicy(prefer, threads, _user_cache() / 'tensorrt', build_engines)


def open_session(
    model: bytes | Path, policy: DevicePolicy, *, contrib_ops: bool = False
) -> ort.InferenceSession:
    """A session of `model` on the first provider of the policy that works.

    Args:
        model: a serialised graph, or its file.
        policy: where to run.
        contrib_ops: the graph has operators of ONNX Runtime's own (MatMulNBits, ...), which
            TensorRT does not know: it is passed over.

    Raises:
        ModelError: the graph is refused, or no provider that `policy.prefer` names works.
    """
    failures = []
    for name in policy.prefer or PROVIDERS:
        reason = _why_not(name, model, policy, contrib_ops)
        if reason is None:
            try:
                session = make_session(model, *_settings(name, model, policy))
            except Exception as error:  # ONNX Runtime's errors have no common base
                reason = next(iter(str(error).splitlines()), type(error).__name__)
            else:
                if provider_of(session) == name:
                    # bytes are one of many parts, of which their owner says where they run
                    level = logging.DEBUG if isinstance(model, bytes) else logging.INFO
                    _log.log(level, '%s runs on %s', _title(model), name)
                    return session
                reason = f'ONNX Runtime took {provider_of(session)} instead'
            if name != 'cpu':
                _log.warning('%s does not work here: %s', name, reason)
        failures.append(f'{name}: {reason}')
    if not policy.prefer or policy.prefer == ('cpu',):
        reason = failures[-1].removeprefix('cpu: ')
        raise ModelError(f'ONNX Runtime refuses {_title(model)}: {reason}')
    raise ModelError(
        f'no preferred execution provider works: {"; ".join(failures)}. '
        f'This ONNX Runtime has {", ".join(ort.get_available_providers())}'
    )


def provider_of(session: ort.InferenceSession) -> str:
    """Which provider a session really took: 'tensorrt', 'cuda' or 'cpu'."""
    full_name = session.get_providers()[0]
    return next((short for short, full in _FULL_NAME.items() if full == full_name), full_name)


def tensorrt_is_wished(policy: DevicePolicy) -> bool:
    """Whether a policy leads to TensorRT if engines are there or may be built."""
    return (
        'tensorrt' in (policy.prefer or PROVIDERS)
        and policy.cache_dir is not None
        and _FULL_NAME['tensorrt'] in ort.get_available_providers()
    )


def without_tensorrt(policy: DevicePolicy) -> DevicePolicy:
    """The policy for what TensorRT did not take."""
    left = tuple(name for name in policy.prefer or PROVIDERS if name != 'tensorrt')
    return replace(policy, prefer=left)


def make_session(
    model: bytes | Path, options: ort.SessionOptions, providers: list[Any]
) -> ort.InferenceSession:
    """The one place where sessions are born, for tests to replace."""
    content = model if isinstance(model, bytes) else str(model)
    # without enable_fallback=0 a failing provider is replaced with a line on standard output
    session = ort.InferenceSession(content, options, providers=providers, enable_fallback=0)
    # kept for that replacement alone, it would hold all weights a second time
    session._model_bytes = None
    return session


def _user_cache() -> Path:
    """This program's folder for what can be made again (XDG Base Directory Specification 0.8)."""
    base = Path(os.environ.get('XDG_CACHE_HOME', ''))
    # the specification: unset, empty and relative paths all mean ~/.cache
    return (base if base.is_absolute() else Path.home() / '.cache') / 'sec_offload'


def _why_not(
    name: str, model: bytes | Path, policy: DevicePolicy, contrib_ops: bool
) -> str | None:
    """Why a provider is not even tried; None if it is."""
    if _FULL_NAME[name] not in ort.get_available_providers():
        return 'not in this ONNX Runtime'
    if name != 'tensorrt':
        return None
    if contrib_ops:
        return "does not know ONNX Runtime's own operators"
    if policy.cache_dir is None:
        return 'needs cache_dir, a folder for its engines'
    if not policy.build_engines and not any(_engine_dir(model, policy.cache_dir).glob('*.engine')):
        reason = (
            f'no engine of this model in {policy.cache_dir}, and build_engines is off; build one '
            f'with: {_BUILD_COMMAND}'
        )
        _warn_once(f'tensorrt is passed over: {reason}')
        return reason
    return None


@cache
def _warn_once(text: str) -> None:
    """A warning that the parts of a model would repeat."""
    _log.warning('%s', text)


def _settings(
    name: str, model: bytes | Path, policy: DevicePolicy
) -> tuple[ort.SessionOptions, list[Any]]:
    """Session options and providers, with those below `name` for nodes that it does not know."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = policy.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers: list[Any] = [
        _FULL_NAME[below]
        for below in PROVIDERS[PROVIDERS.index(name) :]
        if _FULL_NAME[below] in ort.get_available_providers()
    ]
    if name == 'tensorrt' and policy.cache_dir is not None:
        engines = _engine_dir(model, policy.cache_dir)
        engines.mkdir(parents=True, exist_ok=True)
        providers[0] = (
            _FULL_NAME[name],
            {
                'trt_fp16_enable': 'True',
                'trt_engine_cache_enable': 'True',
                'trt_engine_cache_path': str(engines),
                'trt_timing_cache_enable': 'True',
                'trt_timing_cache_path': str(policy.cache_dir),
            },
        )
    return options, providers


def _engine_dir(model: bytes | Path, cache_dir: Path) -> Path:
    """A folder of engines for one graph with its weights.

    ONNX Runtime names engines by the structure of a graph alone, so that new weights would run on
    old engines; and it rebuilds engines of another version of its own.
    """
    digest = hashlib.sha256()
    for piece in _content(model):
        digest.update(piece)
    return cache_dir / f'onnxruntime-{ort.__version__}' / digest.hexdigest()[:16]


def _content(model: bytes | Path) -> Iterator[bytes]:
    """All bytes that make up a model, those in side files included."""
    if isinstance(model, bytes):
        yield model
        return
    weights = onnx.load(model, load_external_data=False).graph.initializer
    sides = {item.value for t in weights for item in t.external_data if item.key == 'location'}
    for path in (model, *(model.parent / side for side in sorted(sides))):
        with path.open('rb') as file:
            while piece := file.read(_HASH_CHUNK_BYTE):
                yield piece


def _title(model: bytes | Path) -> str:
    return 'the graph' if isinstance(model, bytes) else f'model {model}'
