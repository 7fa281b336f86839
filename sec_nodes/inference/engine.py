"""Run a network as a whole or split between two machines, on ONNX Runtime.

The graph is split with `onnx` when it is loaded, not ahead of time into segment files: a model
stays one file with one checksum, a user's own .onnx works as it is, segments cannot go stale, and
it costs less than a second. The weights of each segment are loaded once; cut l then means
segments[:l] here and segments[l:] there, so re-splitting costs nothing.

One session a segment is also fast enough not to need anything cleverer: on one core the chain
takes 5 to 7 % longer than one session of the whole of AlexNet or VGG16, wherever it is cut (CPU
times of bench/inference/split.py). Sessions for just the front and the back of a cut
would save some of that, at the price of building them, or of holding weights twice, whenever the
cut changes. Eight-bit graphs lose more, 30 to 45 %: their convolutions keep channels last, and
every border turns that around; fewer segments (`max_segments`) win some of it back.
TensorRT is another matter: every session is an engine of its own that takes minutes to build, and
layers are fused within an engine only, so there at most eight segments are made.

The whole model is the same chain run in one place, so a split answers bit for bit as the whole
does. A single session of the unsplit graph agrees to rounding (about 1e-6 relative): on the CPU,
ONNX Runtime's fastest level stores tensors in blocks and then adds in another order where a
session boundary lies. Without the blocked layout they agree exactly too, at 1.4 times the time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.manifest import (
    MllmEntry,
    ModelError,
    default_models_dir,
    load_manifest,
    read_checked,
)
from sec_nodes.inference.power import PowerMeter
from sec_nodes.inference.providers import (
    DevicePolicy,
    open_session,
    provider_of,
    tensorrt_is_wished,
    without_tensorrt,
)
from sec_nodes.inference.splitting import Cut, SplitGraph, split_graph

Tensor = NDArray[Any]

_log = logging.getLogger(__name__)

_TENSORRT_SEGMENTS = 8
_BEST_HERE = DevicePolicy()


@dataclass(frozen=True)
class SplitProfile:
    """What a network takes on this machine.

    `segment_p50_s`, `segment_p95_s`: median and 95th percentile of each segment's time [s].
    `energy_j`: of one run of all segments [J], None if no meter was given or it measured nothing.
    """

    provider: str
    segment_p50_s: tuple[float, ...]
    segment_p95_s: tuple[float, ...]
    energy_j: float | None


class SplitModel:
    """A model ready to run from or up to any of its cuts.

    Calls may come from any one thread at a time. Attributes: `id`; `classes` in the order of the
    scores; `accuracy` on held-out pictures or None if nobody measured it; `input_shape` with its
    batch axis; `cuts`; `provider`, which really runs: 'tensorrt', 'cuda' or 'cpu', with '+'
    between them where segments differ.
    """

    def __init__(
        self,
        model_id: str,
        graph: SplitGraph,
        *,
        classes: Sequence[str] | None = None,
        accuracy: float | None = None,
        policy: DevicePolicy = _BEST_HERE,
        max_segments: int | None = None,
    ) -> None:
        """Create one session a segment; `SplitModel.load` is the usual way here.

        `policy` says where to run. `max_segments` bounds how many sessions there are, and with
        them cuts (`SplitGraph.coarser`); TensorRT never gets more than eight.
        """
        if max_segments is not None:
            graph = graph.coarser(max_segments)
        graph, self._sessions = _open_segments(graph, policy)
        self.id = model_id
        self.cuts: tuple[Cut, ...] = graph.cuts
        self.input_shape = graph.cuts[0].shape
        self.accuracy = accuracy
        self.provider: str = '+'.join(sorted({provider_of(s) for s in self._sessions}))
        _log.info('%s runs on %s in %d segments', model_id, self.provider, len(self._sessions))
        count = math.prod(graph.cuts[-1].shape)
        self.classes = tuple(classes or (f'class_{k}' for k in range(count)))
        if len(self.classes) != count:
            raise ModelError(f'model {model_id!r} has {count} scores, {len(self.classes)} classes')
        self._softmax_inside = graph.ends_in_softmax

    @classmethod
    def load(
        cls,
        model_id_or_path: str | Path,
        *,
        models_dir: str | Path | None = None,
        policy: DevicePolicy = _BEST_HERE,
        max_segments: int | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> SplitModel:
        """Load a model of the manifest by id (checksum verified), or any .onnx file by path.

        `sizes` fixes open sizes of the input, see `split_graph`.

        ModelError for an unknown id, a missing or altered file, a graph that cannot be split, or
        a preferred provider that does not work here.
        """
        if str(model_id_or_path).endswith('.onnx'):
            path = Path(model_id_or_path)
            graph = split_graph(_load_file(path), sizes=sizes)
            return cls(path.stem, graph, policy=policy, max_segments=max_segments)
        folder = Path(models_dir or default_models_dir())
        entry = load_manifest(folder).entry(str(model_id_or_path))
        if isinstance(entry, MllmEntry):
            raise ModelError(f'model {entry.id!r} is a language model; load it as LanguageModel')
        model = _parse(read_checked(folder, entry.files[0]), entry.id)
        return cls(
            entry.id,
            split_graph(model, sizes=sizes),
            classes=entry.classes,
            accuracy=entry.accuracy.value if entry.accuracy else None,
            policy=policy,
            max_segments=max_segments,
        )

    def run_front(self, cut: int, image: Tensor) -> Tensor:
        """Tensor at `cut` for a picture; cut 0 gives the picture itself with its batch axis.

        The picture has `input_shape`, with or without the leading batch axis of 1.
        """
        self._check_cut(cut)
        picture = np.asarray(image)
        if picture.shape == self.input_shape[1:]:
            picture = picture[None]
        self._check(picture, 0)
        return self._chain(picture, 0, cut)

    def run_back(self, cut: int, tensor: Tensor) -> Tensor:
        """Scores from the tensor at `cut`; the last cut's tensor is the scores already."""
        self._check_cut(cut)
        arrived = np.asarray(tensor)
        self._check(arrived, cut)
        return self._chain(arrived, cut, len(self._sessions))

    def run_span(self, cut: int, until: int, tensor: Tensor) -> Tensor:
        """Tensor at cut `until` from the tensor at `cut`.

        Raises:
            ValueError: there are no such cuts, or they are in the wrong order.
            PayloadError: that is no tensor at `cut`.
        """
        self._check_cut(cut)
        self._check_cut(until)
        if until < cut:
            raise ValueError(f'cut {until} of model {self.id!r} lies before cut {cut}')
        before = np.asarray(tensor)
        self._check(before, cut)
        return self._chain(before, cut, until)

    def run(self, image: Tensor) -> Tensor:
        """Scores of a picture, all segments here."""
        return self.run_front(len(self._sessions), image)

    def answer(self, scores: Tensor) -> tuple[str, float]:
        """The best class and its probability; softmax is applied unless the graph ends in it."""
        flat = np.asarray(scores, np.float64).ravel()
        if flat.size != len(self.classes) or not np.isfinite(flat).all():
            raise PayloadError(
                f'scores are {flat.size} numbers, finite: {bool(np.isfinite(flat).all())}; '
                f'expected {len(self.classes)} finite numbers'
            )
        if not self._softmax_inside:
            flat = np.exp(flat - flat.max())
            flat /= flat.sum()
        best = int(flat.argmax())
        return self.classes[best], float(flat[best])

    def profile(self, reps: int = 20, meter: PowerMeter | None = None) -> SplitProfile:
        """Time of each segment on this machine, after one run to warm up, and energy of a run.

        Energy is measured over `reps` runs of the whole; a meter that looks at rails ten times a
        second needs enough of them to last a few seconds.
        """
        if reps < 1:
            raise ValueError(f'reps is {reps}; give at least 1')
        cut = self.cuts[0]
        picture = np.random.default_rng(0).integers(0, 255, cut.shape).astype(cut.dtype)
        spent_s = []
        tensor = picture
        for index in range(len(self._sessions)):
            following = self._chain(tensor, index, index + 1)
            spent_s.append([self._timed(tensor, index) for _ in range(reps)])
            tensor = following
        energy_j = None
        if meter is not None:
            with meter.measure() as reading:
                for _ in range(reps):
                    self._chain(picture, 0, len(self._sessions))
            energy_j = None if reading.energy_j is None else reading.energy_j / reps
        p50_s, p95_s = np.percentile(spent_s, (50, 95), axis=1).tolist()
        return SplitProfile(self.provider, tuple(p50_s), tuple(p95_s), energy_j)

    def _timed(self, tensor: Tensor, index: int) -> float:
        began_s = time.perf_counter()
        self._chain(tensor, index, index + 1)
        return time.perf_counter() - began_s

    def _chain(self, tensor: Tensor, first: int, last: int) -> Tensor:
        for index in range(first, last):
            feed = {self.cuts[index].tensor: tensor}
            tensor = self._sessions[index].run(None, feed)[0]
        return tensor

    def _check_cut(self, cut: int) -> None:
        if not 0 <= cut < len(self.cuts):
            raise ValueError(
                f'cut {cut} of model {self.id!r} does not exist; 0 to {len(self.cuts) - 1} do'
            )

    def _check(self, tensor: Tensor, cut: int) -> None:
        expected = self.cuts[cut]
        if tensor.shape != expected.shape or tensor.dtype.name != expected.dtype:
            raise PayloadError(
                f'model {self.id!r} cut {cut} expects {expected.dtype} {expected.shape}, '
                f'got {tensor.dtype.name} {tensor.shape}'
            )


def _parse(content: bytes, name: str) -> onnx.ModelProto:
    """A checked model from its bytes."""
    try:
        onnx.checker.check_model(content)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise _invalid(name, error) from error
    return onnx.load_model_from_string(content)


def _load_file(path: Path) -> onnx.ModelProto:
    """A user's own model; weights in side files are read too, but no checksum is known."""
    if path.is_dir():
        raise ModelError(f'model file {path} cannot be read (it is a folder; name a file in it)')
    try:
        onnx.checker.check_model(str(path))
        return onnx.load(path)
    except OSError as error:
        raise ModelError(f'model file {path} cannot be read ({error.strerror})') from error
    except (ValueError, onnx.checker.ValidationError) as error:
        if not path.is_file():
            raise ModelError(f'model file {path} cannot be read (no such file)') from error
        raise _invalid(str(path), error) from error


def _invalid(name: str, error: Exception) -> ModelError:
    first_line = next(iter(str(error).strip().splitlines()), 'empty')
    return ModelError(f'model {name!r} is not a valid ONNX file: {first_line}')


def _open_segments(
    graph: SplitGraph, policy: DevicePolicy
) -> tuple[SplitGraph, list[ort.InferenceSession]]:
    """A session of each segment, and the graph that they are segments of."""
    if tensorrt_is_wished(policy):
        coarse = graph.coarser(_TENSORRT_SEGMENTS)
        sessions = _open_all(coarse, policy)
        if all(provider_of(session) == 'tensorrt' for session in sessions):
            return coarse, sessions
        policy = without_tensorrt(policy)
    return graph, _open_all(graph, policy)


def _open_all(graph: SplitGraph, policy: DevicePolicy) -> list[ort.InferenceSession]:
    """Sessions of the segments, made one by one: only one segment is in memory a second time."""
    sessions = []
    for k in range(len(graph.cuts) - 1):
        segment = graph.segment(k, k + 1)
        contrib_ops = any(node.domain == 'com.microsoft' for node in segment.graph.node)
        content = segment.SerializeToString()
        del segment
        sessions.append(open_session(content, policy, contrib_ops=contrib_ops))
    return sessions
