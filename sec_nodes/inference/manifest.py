"""What models there are: models/manifest.yaml as checked data, and files as promised by it."""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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

    The same as `splitting.Cut`, for those who plan with a model but never run it.
    """

    tensor: str
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    dtype: str
    front_flop: int = Field(ge=0)
    back_flop: int = Field(ge=0)


class Accuracy(_Strict):
    """Share of held-out pictures answered rightly.

    `interval_95` is Wilson's binomial interval; `heldout_first_seed` names the pictures: seeds
    from there on, labels in turn.
    """

    value: float = Field(ge=0.0, le=1.0)
    interval_95: tuple[float, float]
    n_heldout: int = Field(gt=0)
    heldout_first_seed: int = Field(ge=0)
    per_class: dict[str, float]


class ModelEntry(_Strict):
    """One model; the first of its files is the graph.

    `flop` counts 2 per multiply-add of convolutions and matrix products.
    """

    id: str = Field(pattern=r'^[a-z0-9][a-z0-9_.-]*$')
    kind: Literal['classifier']
    task: str
    source_command: str
    files: tuple[ModelFile, ...] = Field(min_length=1)
    input: TensorInfo
    output: TensorInfo
    classes: tuple[str, ...] = Field(min_length=2)
    flop: int = Field(gt=0)
    cuts: tuple[CutInfo, ...] = Field(min_length=2)
    parameters: int = Field(gt=0)
    accuracy: Accuracy
    opset: int
    ir_version: int


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
