"""What a converted multimodal LLM says about itself: `model.yaml` as checked data.

The graphs beside it follow the layout of onnx-community and transformers.js
(https://huggingface.co/docs/transformers.js/guides/dtypes): `vision_encoder`, `embed_tokens` and
`decoder_model_merged`, with a suffix such as `_q4` for a quantisation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sec_nodes.inference.manifest import ModelError

SPEC_FILE = 'model.yaml'
TOKENIZER_FILE = 'tokenizer.json'
IMAGE_MARK = '{image}'
QUESTION_MARK = '{question}'

Count = Annotated[int, Field(gt=0)]
Triple = tuple[float, float, float]
Resample = Literal['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming']


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class ResizeStep(_Strict):
    """One step from a picture of any size to the size of the model [pixel].

    `fit` stretches to height x width; `longest_edge` and `shortest_edge` keep the aspect and bring
    that edge to `height`; `crop` takes the middle, with zeros where the picture is too small.
    """

    kind: Literal['fit', 'longest_edge', 'shortest_edge', 'crop']
    height: Count
    width: Count


class ImageSpec(_Strict):
    """How a picture becomes `pixel_values`: resized, times `rescale`, minus `mean`, over `std`."""

    steps: tuple[ResizeStep, ...] = Field(min_length=1)
    resample: Resample
    rescale: float
    mean: Triple
    std: Triple

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what the vision tower sees."""
        return self.steps[-1].height, self.steps[-1].width, 3


class PromptSpec(_Strict):
    """The text around a question.

    `with_image` holds {image} once, before the question (what is the same for all questions about
    a picture is computed once), where `image_tokens` times `image_token` go, and {question};
    `without_image` holds {question}, or is None if the model always wants a picture.
    `add_special_tokens`: whether the tokenizer puts its own (a BOS) around all this.
    """

    with_image: str
    without_image: str | None
    image_token: str
    image_token_id: int = Field(ge=0)
    image_tokens: Count
    add_special_tokens: bool

    @field_validator('with_image')
    @classmethod
    def _picture_first(cls, template: str) -> str:
        if template.count(IMAGE_MARK) != 1 or template.count(QUESTION_MARK) != 1:
            raise ValueError(
                f'with_image is {template!r}; it needs one {{image}}, one {{question}}'
            )
        if template.index(QUESTION_MARK) < template.index(IMAGE_MARK):
            raise ValueError(f'with_image is {template!r}; the picture has to come first')
        return template


class DecoderSpec(_Strict):
    """Sizes of the language model; `context` is the most tokens it can look at."""

    layers: Count
    kv_heads: Count
    head_dim: Count
    hidden: Count
    vocabulary: Count
    context: Count


class Level(_Strict):
    """File names of one quantisation level; levels share what is equal."""

    vision: str
    embed: str
    decoder: str


class LanguageSpec(_Strict):
    """All of `model.yaml`.

    `flop_prefix` is the work for a picture and the text before it (vision tower, projector and
    decoder), `flop_per_token` that for one generated token; both count 2 per multiply-add of
    matrix products, attention over a context as long as that prefix.
    """

    schema_version: Literal[1] = 1
    id: str
    source: str
    license: str | None = None
    parameters: Count
    prompt: PromptSpec
    stop_token_ids: tuple[int, ...] = Field(min_length=1)
    image: ImageSpec
    decoder: DecoderSpec
    flop_prefix: int = Field(ge=0)
    flop_per_token: int = Field(ge=0)
    levels: dict[str, Level] = Field(min_length=1)

    def level(self, quantisation: str | None) -> tuple[str, Level]:
        """The level of that name; None takes fp32, or the first. ModelError if it is not there."""
        name = quantisation or ('fp32' if 'fp32' in self.levels else next(iter(self.levels)))
        if name not in self.levels:
            raise ModelError(
                f'model {self.id!r} has no quantisation {name!r}; choose from '
                f'{", ".join(self.levels)}'
            )
        return name, self.levels[name]


def parse_spec(content: str, name: str) -> LanguageSpec:
    """A checked `model.yaml`; ModelError that names the file and the field."""
    try:
        return LanguageSpec.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise ModelError(f'{name} is not valid YAML: {error}') from error
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        raise ModelError(f'{name}: {where or "top level"}: {first["msg"]}') from error


def write_spec(spec: LanguageSpec, folder: Path) -> None:
    """Write `model.yaml` of a converted model."""
    content = yaml.safe_dump(
        spec.model_dump(mode='json'), sort_keys=False, allow_unicode=True, width=99
    )
    (folder / SPEC_FILE).write_text(content, encoding='utf-8')
