"""The part of a network behind a cut as bytes to send, and to run where they arrive.

In partial program offloading (Liu et al., Sensors 2026, 26(11), 3540) a device runs the layers
before the cut and uploads meanwhile the task's program, D_off, which the UAV does not have: here
that is the head, the layers behind the cut with their weights, as one ONNX file. Then follows the
tensor at the cut, S. Whoever receives both needs nothing else, not even the model's name.

The head is run as the same chain of segments as the whole model (see engine), so that front and
head together answer bit for bit as the whole does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import onnx

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.engine import SplitModel, Tensor
from sec_nodes.inference.foreign import read_foreign
from sec_nodes.inference.manifest import (
    ModelError,
    default_models_dir,
    load_manifest,
    read_checked,
)
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.splitting import SplitGraph, split_graph

_BEST_HERE = DevicePolicy()


def program_of(model_id: str, cut: int, *, models_dir: str | Path | None = None) -> bytes:
    """The head of a model of the manifest behind `cut`, as a self-contained ONNX file.

    The same model and cut give the same bytes. The last cut leaves nothing to run: no bytes.

    Raises:
        ModelError: unknown model, or its file is missing or altered.
        ValueError: no such cut.
    """
    graph = graph_of(model_id, models_dir)
    last = len(graph.cuts) - 1
    if not 0 <= cut <= last:
        raise ValueError(f'cut {cut} of model {model_id!r} does not exist; 0 to {last} do')
    return head_of(graph, cut)


def head_of(graph: SplitGraph, cut: int) -> bytes:
    """The same of a graph that is at hand."""
    last = len(graph.cuts) - 1
    return b'' if cut == last else graph.segment(cut, last).SerializeToString(deterministic=True)


def program_bytes(model_id: str, *, models_dir: str | Path | None = None) -> list[int]:
    """Size of the program of each cut [byte], from the manifest if it has them.

    Raises:
        ModelError: unknown model, or its file is missing or altered.
    """
    noted = [cut.head_byte for cut in load_manifest(models_dir).network(model_id).cuts]
    sizes = [size for size in noted if size is not None]
    return sizes if len(sizes) == len(noted) else sizes_of(graph_of(model_id, models_dir))


def sizes_of(graph: SplitGraph) -> list[int]:
    """Size of the program of each cut of a graph [byte]."""
    last = len(graph.cuts) - 1
    return [*(graph.segment_byte(cut, last) for cut in range(last)), 0]


def fingerprint(program: bytes) -> str:
    """SHA-256 in lower hex: tells a program from another, and from a damaged one."""
    return hashlib.sha256(program).hexdigest()


class Head:
    """A program that arrived, ready to run.

    Attributes: `input_shape` and `input_dtype` of the tensor at the cut; `flop`, work of a run
    [FLOP]; `provider` that really runs; `sha256` of the program.
    """

    def __init__(self, chain: SplitModel, sha256: str) -> None:
        """Wrap a chain; `Head.from_bytes` is the way here."""
        self._chain = chain
        self.input_shape = chain.input_shape
        self.input_dtype = chain.cuts[0].dtype
        self.flop = chain.cuts[-1].front_flop
        self.provider = chain.provider
        self.sha256 = sha256

    @classmethod
    def from_bytes(
        cls,
        program: bytes,
        policy: DevicePolicy = _BEST_HERE,
        *,
        sha256: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> Head:
        """Build the head from what was received; nothing of it is run before it was examined.

        `sha256` is what the sender said, if it said so: heads of two models may well take
        tensors of the same shape. `classes` name its scores in their order.

        Raises:
            PayloadError: too large, damaged, or not what the sender meant.
            ModelError: no plain graph of moderate size, one that does not run here, or one with
                another number of scores.
        """
        found = fingerprint(program)
        if sha256 not in (None, found):
            raise PayloadError(
                f'program of {len(program)} bytes has SHA-256 {found[:12]}..., the sender said '
                f'{str(sha256)[:12]}...; it is damaged or another one: send it again'
            )
        graph = split_graph(read_foreign(program))
        name = f'program {found[:12]}'
        return cls(SplitModel(name, graph, policy=policy, classes=classes), found)

    def run(self, tensor: Tensor) -> Tensor:
        """Scores from the tensor at the cut.

        Raises:
            PayloadError: the tensor has another shape or dtype.
            ModelError: ONNX Runtime gives up, on weights that do not fit for example.
        """
        try:
            return self._chain.run_back(0, tensor)
        except PayloadError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelError(f'program {self.sha256[:12]}... fails: {reason}') from error

    def answer(self, scores: Tensor) -> tuple[str, float]:
        """The best class and its probability, as the whole model would answer.

        Raises:
            PayloadError: the scores are not finite.
        """
        return self._chain.answer(scores)


def graph_of(model_id: str, models_dir: str | Path | None = None) -> SplitGraph:
    """The graph of a model of the manifest, for those who cut it more than once.

    Raises:
        ModelError: unknown model, or its file is missing or altered.
    """
    folder = Path(models_dir or default_models_dir())
    entry = load_manifest(folder).network(model_id)
    return split_graph(onnx.load_model_from_string(read_checked(folder, entry.files[0])))
