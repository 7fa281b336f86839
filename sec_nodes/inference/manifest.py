"""What models there are: models/manifest.yaml as checked data, and files as promised by it."""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MODELS_DIR_VARIABLE = 'SEC_MODELS_DIR'


class ModelError(Exception):
    """A model cannot be used; the text names the file or id, what is wrong and the remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class ModelFile(_Strict):
    """A file of a model: path relative to the manifest, SHA-256 in lower hex, size [byte]."""

    path: str
    sha256: str = Field(pattern=r'^[0-9a-f]{64}$')
    bytes: int = Field(gt=0)


class TensorInfo(_Strict):
    """Name, shape (batch first) and NumPy dtype of a graph's input or output."""

    name: str
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    dtype: str


class CutInfo(_Strict):
    """A place where the graph can be cut: the tensor there, and the work on either side [FLOP].

    The same as `splitting.Cut`, for those who plan with a model but never run it. `head_byte` is
    the size of what is behind the cut as a program to send (see programs) [byte]; manifests of
    older versions lack it.
    """

    tensor: str
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    dtype: str
    front_flop: int = Field(ge=0)
    back_flop: int = Field(ge=0)
    head_byte: int | None = Field(default=None, ge=0)


class Accuracy(_Strict):
    """Share of held-out pictures answered rightly.

    `set` names the pictures and with them the scale. `interval_95` is Wilson's binomial interval;
    `heldout_first_seed` names the pictures: seeds from there on, labels in turn.
    """

    set: str = 'scene'
    value: float = Field(ge=0.0, le=1.0)
    interval_95: tuple[float, float]
    n_heldout: int = Field(gt=0)
    heldout_first_seed: int = Field(ge=0)
    per_class: dict[str, float]


class _Described(_Strict):
    """What every entry has."""

    id: str = Field(pattern=r'^[a-z0-9][a-z0-9_.-]*$')
    task: str


class _Cuttable(_Described):
    """A graph with one input and one output; the first of its files is that graph.

    `flop` counts 2 per multiply-add of convolutions and matrix products.
    """

    source_command: str
    files: tuple[ModelFile, ...] = Field(min_length=1)
    input: TensorInfo
    output: TensorInfo
    flop: int = Field(gt=0)
    cuts: tuple[CutInfo, ...] = Field(min_length=2)
    parameters: int = Field(gt=0)
    opset: int
    ir_version: int


class ClassifierEntry(_Cuttable):
    """A classifier that was trained and measured."""

    kind: Literal['classifier']
    classes: tuple[str, ...] = Field(min_length=2)
    accuracy: Accuracy


class NetworkEntry(_Cuttable):
    """A network with random weights or a user's: it can be cut and timed, not trusted."""

    kind: Literal['network']
    classes: tuple[str, ...] | None = None
    accuracy: Accuracy | None = None


Role = Literal['vision', 'embed', 'decoder', 'tokenizer', 'config']


class MllmFile(ModelFile):
    """A file of a multimodal LLM and what it is; several entries may share one."""

    role: Role


class MllmAccuracy(_Strict):
    """Share of held-out questions answered rightly, overall and per kind of question.

    `set` names the questions and with them the scale: accuracies on two sets do not compare.
    `majority_baseline` is what always giving the commonest answer of a kind would reach.
    `heldout_first_seed` names the scenes of the built-in set.
    """

    set: str = 'sea'
    value: float = Field(ge=0.0, le=1.0)
    interval_95: tuple[float, float]
    n_heldout: int = Field(gt=0)
    heldout_first_seed: int | None = Field(default=None, ge=0)
    per_kind: dict[str, float]
    majority_baseline: dict[str, float]


class Generation(_Strict):
    """How fast a multimodal LLM was on a platform, one question at a time."""

    platform: str
    tokens_per_s: float = Field(gt=0.0)
    first_token_s: float = Field(gt=0.0)
    peak_byte: int = Field(gt=0)


class MllmEntry(_Described):
    """A multimodal LLM at one level of quantisation.

    `base` names the model that the levels have in common. `image` is (height, width, 3), `hidden`
    the width of its features, `context` its longest prompt with answer [token]. `flop_prefix` is
    the work for a picture, `flop_per_token` that for each generated token; `weights_byte` is the
    size of the three graphs.
    """

    kind: Literal['mllm']
    source: str
    license: str
    base: str
    quantisation: str
    files: tuple[MllmFile, ...]
    parameters: int = Field(gt=0)
    image: tuple[int, int, int]
    image_tokens: int = Field(gt=0)
    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    context: int = Field(gt=0)
    flop_prefix: int = Field(gt=0)
    flop_per_token: int = Field(gt=0)
    weights_byte: int = Field(gt=0)
    accuracy: MllmAccuracy | None = None
    measured: tuple[Generation, ...] = ()

    @model_validator(mode='after')
    def _every_role_once(self) -> MllmEntry:
        roles = sorted(file.role for file in self.files)
        if roles != sorted(get_args(Role)):
            raise ValueError(f'files have roles {roles}, expected each of {get_args(Role)} once')
        return self


ModelEntry = Annotated[ClassifierEntry | NetworkEntry | MllmEntry, Field(discriminator='kind')]
"""Any entry; its `kind` says which."""


class Manifest(_Strict):
    """The whole of models/manifest.yaml."""

    models: tuple[ModelEntry, ...]

    def entry(self, model_id: str) -> ModelEntry:
        """The entry of that id; ModelError that suggests the nearest id."""
        for entry in self.models:
            if entry.id == model_id:
                return entry
        ids = [entry.id for entry in self.models]
        near = get_close_matches(model_id, ids, 1)
        hint = f'did you mean {near[0]!r}?' if near else f'known ids: {", ".join(ids) or "none"}'
        raise ModelError(f'model {model_id!r} is not in the manifest; {hint}')

    def network(self, model_id: str) -> ClassifierEntry | NetworkEntry:
        """The entry of that id if it is one graph that can be cut; ModelError otherwise."""
        entry = self.entry(model_id)
        if isinstance(entry, MllmEntry):
            raise ModelError(f'model {model_id!r} is an mllm, which cannot be cut at layers')
        return entry

    def classifier(self, model_id: str) -> ClassifierEntry:
        """The entry of that id if it is a measured classifier; ModelError otherwise."""
        entry = self.entry(model_id)
        if not isinstance(entry, ClassifierEntry):
            raise ModelError(f'model {model_id!r} is of kind {entry.kind}, not a classifier')
        return entry

    def mllm(self, model_id: str) -> MllmEntry:
        """The entry of that id if it is a multimodal LLM; ModelError otherwise."""
        entry = self.entry(model_id)
        if not isinstance(entry, MllmEntry):
            raise ModelError(
                f'model {model_id!r} is of kind {entry.kind}; it answers no questions'
            )
        return entry


def default_models_dir() -> Path:
    """Where models are: $SEC_MODELS_DIR, else the checkout, else the installed share folder."""
    named = os.environ.get(MODELS_DIR_VARIABLE)
    if named:
        return Path(named)
    parents = Path(__file__).resolve().parents
    candidates = [parents[2] / 'models']
    candidates += [parent / 'share' / 'sec_offload' / 'models' for parent in parents]
    for candidate in candidates:
        if (candidate / 'manifest.yaml').is_file():
            return candidate
    raise ModelError(
        f'no models folder beside {parents[2]} or under share/sec_offload; set '
        f'{MODELS_DIR_VARIABLE} to the folder that holds manifest.yaml'
    )


def load_manifest(models_dir: str | Path | None = None) -> Manifest:
    """Read and check manifest.yaml of `models_dir` (default: `default_models_dir`)."""
    path = Path(models_dir or default_models_dir()) / 'manifest.yaml'
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ModelError(
            f'cannot read {path} ({error.strerror}); give models_dir or set {MODELS_DIR_VARIABLE}'
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f'{path} is not valid YAML: {error}') from error
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        raise ModelError(
            f'{path}: {where or "top level"}: {first["msg"]} '
            f'({error.error_count()} problem(s) in all)'
        ) from error


def read_checked(models_dir: str | Path, file: ModelFile) -> bytes:
    """The bytes of `file`; ModelError if it is missing or not what the manifest promises."""
    path = Path(models_dir) / file.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f'model file {path} cannot be read ({error.strerror}); restore it from the repository'
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ModelError(
            f'model file {path} has SHA-256 {found[:12]}... ({len(content)} bytes), the manifest '
            f'says {file.sha256[:12]}... ({file.bytes} bytes); restore the file or retrain it'
        )
    return content
