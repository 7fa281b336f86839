"""Run a classifier as a whole or split between two machines, on ONNX Runtime.

The graph is split with `onnx` when it is loaded, not ahead of time into segment files: a model
stays one file with one checksum, a user's own .onnx works as it is, segments cannot go stale, and
it costs milliseconds. The weights of each segment are loaded once; cut l then means segments[:l]
here and segments[l:] there, so re-splitting costs nothing.

The whole model is the same chain run in one place, so a split answers bit for bit as the whole
does. A single session of the unsplit graph agrees to rounding (about 1e-6 relative): on the CPU,
ONNX Runtime's fastest level stores tensors in blocks and then adds in another order where a
session boundary lies. Without the blocked layout they agree exactly too, at 1.4 times the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.manifest import (
    ModelEntry,
    ModelError,
    default_models_dir,
    load_manifest,
    read_checked,
)
from sec_nodes.inference.splitting import Cut, SplitGraph, split_graph

Tensor = NDArray[Any]


class SplitModel:
    """A model ready to run from or up to any of its cuts.

    Calls may come from any one thread at a time. Attributes: `id`; `classes` in the order of the
    scores; `accuracy` on held-out pictures or None if nobody measured it; `input_shape` with its
    batch axis; `cuts`; `provider`, the execution provider that really runs.
    """

    def __init__(
        self,
        model_id: str,
        graph: SplitGraph,
        *,
        classes: Sequence[str] | None = None,
        accuracy: float | None = None,
        providers: Sequence[str] | None = None,
        threads: int = 1,
    ) -> None:
        """Create one session a segment; `SplitModel.load` is the usual way here.

        `providers` in order of preference (default: the CPU); `threads` of each session.
        """
        if threads < 1:
            raise ValueError(f'threads is {threads}; give at least 1')
        self.id = model_id
        self.cuts: tuple[Cut, ...] = graph.cuts
        self.input_shape = graph.cuts[0].shape
        self.accuracy = accuracy
        count = math.prod(graph.cuts[-1].shape)
        self.classes = tuple(classes or (f'class_{k}' for k in range(count)))
        if len(self.classes) != count:
            raise ModelError(f'model {model_id!r} has {count} scores, {len(self.classes)} classes')
        self._softmax_inside = graph.ends_in_softmax
        wanted = list(providers or ['CPUExecutionProvider'])
        self._sessions = [
            _session(segment.SerializeToString(), wanted, threads) for segment in graph.segments
        ]
        used = {session.get_providers()[0] for session in self._sessions}
        self.provider: str = '+'.join(sorted(used))

    @classmethod
    def load(
        cls,
        model_id_or_path: str | Path,
        *,
        models_dir: str | Path | None = None,
        providers: Sequence[str] | None = None,
        threads: int = 1,
    ) -> SplitModel:
        """Load a model of the manifest by id (checksum verified), or any .onnx file by path.

        ModelError for an unknown id, a missing or altered file, a graph that cannot be split, or
        a provider this ONNX Runtime does not have.
        """
        entry: ModelEntry | None = None
        if str(model_id_or_path).endswith('.onnx'):
            path = Path(model_id_or_path)
            model_id, model = path.stem, _load_file(path)
        else:
            folder = Path(models_dir or default_models_dir())
            entry = load_manifest(folder).entry(str(model_id_or_path))
            model_id, model = entry.id, _parse(read_checked(folder, entry.files[0]), entry.id)
        return cls(
            model_id,
            split_graph(model),
            classes=entry.classes if entry else None,
            accuracy=entry.accuracy.value if entry else None,
            providers=providers,
            threads=threads,
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

    def profile(self, reps: int = 20) -> tuple[float, ...]:
        """Median time of each segment on this machine [s], after one run to warm up."""
        if reps < 1:
            raise ValueError(f'reps is {reps}; give at least 1')
        cut = self.cuts[0]
        tensor = np.random.default_rng(0).integers(0, 255, cut.shape).astype(cut.dtype)
        medians = []
        for index in range(len(self._sessions)):
            following = self._chain(tensor, index, index + 1)
            spent = []
            for _ in range(reps):
                began = time.perf_counter()
                self._chain(tensor, index, index + 1)
                spent.append(time.perf_counter() - began)
            medians.append(float(np.median(spent)))
            tensor = following
        return tuple(medians)

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


def _session(content: bytes, providers: list[str], threads: int) -> ort.InferenceSession:
    """One ONNX Runtime session; refuses providers that are not there instead of falling back."""
    missing = [name for name in providers if name not in ort.get_available_providers()]
    if missing:
        have = ', '.join(ort.get_available_providers())
        raise ModelError(f'execution provider {missing[0]!r} is not installed; available: {have}')
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(content, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a family of its own without a common base
        raise ModelError(
            f'ONNX Runtime refuses the model: {str(error).splitlines()[0]}'
        ) from error
