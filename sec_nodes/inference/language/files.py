"""Where a model's files are: in the manifest, in a folder, or on the Hugging Face hub."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sec_nodes.inference.language.memory import needed_byte
from sec_nodes.inference.language.spec import (
    SPEC_FILE,
    TOKENIZER_FILE,
    LanguageSpec,
    parse_spec,
)
from sec_nodes.inference.manifest import (
    MllmEntry,
    ModelError,
    ModelFile,
    default_models_dir,
    load_manifest,
    read_checked,
)

CONTRIB_DOMAIN = b'com.microsoft'
"""Operators that only ONNX Runtime has, such as MatMulNBits."""

UNPADDED_OPERATOR = b'GroupQueryAttention'
"""Counts a row's length from its end, and so cannot leave out what stands before its beginning."""


@dataclass(frozen=True)
class Part:
    """One file of a model; `promised` is what the manifest says about it."""

    path: Path
    promised: ModelFile | None = None

    def read(self) -> bytes:
        """Its bytes; ModelError if it is missing or not what was promised."""
        if self.promised is not None:
            return read_checked(Path(), self.promised.model_copy(update={'path': str(self.path)}))
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ModelError(
                f'model file {self.path} cannot be read ({error.strerror})'
            ) from error

    def content(self) -> bytes | Path:
        """What a session is made of: checked bytes, or the path of a file that may be large."""
        return self.path if self.promised is None else self.read()

    def mentions(self, word: bytes) -> bool:
        """Whether the file holds that word: a cheap look at which operators a graph has."""
        if not self.path.stat().st_size:
            return False
        with (
            self.path.open('rb') as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return content.find(word) >= 0

    @property
    def size_byte(self) -> int:
        """Size with the side files that hold large weights."""
        sides = self.path.parent.glob(f'{self.path.name}_data*')
        return sum(path.stat().st_size for path in (self.path, *sides))


@dataclass(frozen=True)
class ModelFiles:
    """A model that is found but not loaded."""

    id: str
    spec: LanguageSpec
    quantisation: str
    accuracy: float | None
    tokenizer: Part
    vision: Part
    embed: Part
    decoder: Part

    @property
    def weights_byte(self) -> int:
        """Size of the graphs with their weights."""
        return sum(part.size_byte for part in (self.vision, self.embed, self.decoder))

    def needed_byte(self, max_batch: int, context: int) -> int:
        """Memory for batches and contexts of at most that many rows and tokens [byte]."""
        return needed_byte(self.spec, self.weights_byte, self.quantisation, max_batch, context)


def find_model(
    id_or_folder: str | Path, quantisation: str | None, models_dir: str | Path | None
) -> ModelFiles:
    """The files of a model; see `LanguageModel.load` for what names one."""
    name = str(id_or_folder)
    if quantisation is None and ':' in name and not Path(name).is_dir():
        name, _, quantisation = name.rpartition(':')
    if Path(name).is_dir():
        return _in_folder(Path(name), quantisation)
    if '/' in name and not name.startswith(('.', '/', '~')):
        from sec_nodes.inference.language.hub import download

        return _in_folder(download(name, quantisation), quantisation)
    folder = Path(models_dir or default_models_dir())
    wanted = name if quantisation is None else f'{name}-{quantisation}'
    return _in_manifest(folder, load_manifest(folder).mllm(wanted))


def _in_manifest(folder: Path, entry: MllmEntry) -> ModelFiles:
    parts = {file.role: Part(folder / file.path, file) for file in entry.files}
    config = parts['config']
    spec = parse_spec(config.read().decode('utf-8', 'replace'), str(config.path))
    accuracy = entry.accuracy.value if entry.accuracy else None
    return ModelFiles(
        entry.id, spec, entry.quantisation, accuracy,
        parts['tokenizer'], parts['vision'], parts['embed'], parts['decoder'],
    )  # fmt: skip


def _in_folder(folder: Path, quantisation: str | None) -> ModelFiles:
    if (folder / SPEC_FILE).is_file():
        path = folder / SPEC_FILE
        spec = parse_spec(path.read_text(encoding='utf-8', errors='replace'), str(path))
        graphs = folder
    else:
        from sec_nodes.inference.language.hub import derive_spec, graphs_folder

        spec, graphs = derive_spec(folder), graphs_folder(folder)
    name, level = spec.level(quantisation)
    parts = [Part(graphs / file) for file in (level.vision, level.embed, level.decoder)]
    tokenizer = Part(folder / TOKENIZER_FILE)
    _require([tokenizer, *parts])
    return ModelFiles(f'{spec.id}-{name}', spec, name, None, tokenizer, *parts)


def _require(parts: Sequence[Part]) -> None:
    missing = [part.path for part in parts if not part.path.is_file()]
    if missing:
        raise ModelError(f'model file {missing[0]} is missing; convert or download the model anew')
