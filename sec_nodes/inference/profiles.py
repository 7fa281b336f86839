"""What models do on platforms: time, energy, memory and accuracy, each number with its source.

A profile is a file of config/profiles, one a platform. What was measured, quoted or estimated
stands beside every number, so that nothing estimated passes for measured. docs/profiles.md shows
what ships and how to write one for a board of your own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from sec_nodes.config import ConfigError, Settings, load, named_file, suggest

Source = Literal['measured', 'quoted', 'estimated']
Scale = Annotated[str, Field(min_length=1)]
"""Name of the set that accuracies are a share of: `sea`, the questions of inference/sea; `scene`,
the held-out pictures of inference/scenes; `mmmu_val`; or questions of a user's own."""

_HEADER = '# Read by sec_nodes.inference.profiles; docs/profiles.md says what the keys mean.\n'


class Number(Settings):
    """A number and where it is from.

    `origin`: of a quoted number its place, beginning with a key of `citations`; of an estimated
    one how it was estimated; of a measured one by what, empty if the profile says it already.
    """

    value: Annotated[float, Field(ge=0)]
    source: Source
    origin: str = ''

    @model_validator(mode='after')
    def _quoted_and_estimated_say_how(self) -> Number:
        if self.source != 'measured' and not self.origin:
            raise ValueError(f'a number that is {self.source} needs an origin: where, or how')
        return self


class Positive(Number):
    """A number above 0."""

    value: Annotated[float, Field(gt=0)]


class Accuracy(Number):
    """A share of right answers; numbers of two scales cannot be compared."""

    value: Annotated[float, Field(ge=0, le=1)]
    scale: Scale


class GenerationEntry(Settings):
    """A model that writes answers, one question at a time.

    `prefix_s`: the picture and the text before it, once a picture; `first_token_s`: from picture
    and prompt to the first token, prefix included; `token_s`: every further token; `power_w`:
    drawn meanwhile, the platform's `compute_power_w` if absent; `token_j`: energy of each token,
    prompt shared out; `batch_tokens_per_s`: all rows together, by batch size; `peak_byte`: memory.
    """

    model: str
    quantisation: str
    provider: str
    token_s: Positive
    prefix_s: Number | None = None
    first_token_s: Positive | None = None
    power_w: Positive | None = None
    token_j: Positive | None = None
    batch_tokens_per_s: dict[int, Positive] = Field(default_factory=dict)
    peak_byte: Positive | None = None
    accuracy: Accuracy | None = None


class CutTiming(Settings):
    """One cut of a network: time [s] and energy [J] on either side of it, if all runs here."""

    tensor: str
    front_flop: Annotated[int, Field(ge=0)]
    back_flop: Annotated[int, Field(ge=0)]
    front_p50_s: Annotated[float, Field(gt=0)]
    front_p95_s: Annotated[float, Field(gt=0)]
    back_p50_s: Annotated[float, Field(gt=0)]
    back_p95_s: Annotated[float, Field(gt=0)]
    front_j: Annotated[float, Field(ge=0)] | None = None
    back_j: Annotated[float, Field(ge=0)] | None = None


class SplitEntry(Settings):
    """A network that can be cut; all numbers from the same run, hence one source."""

    model: str
    quantisation: str
    provider: str
    source: Source
    origin: str
    cuts: Annotated[tuple[CutTiming, ...], Field(min_length=2)]

    @property
    def flop_s(self) -> float:
        """Effective speed of the whole network, behind cut 0 [FLOP/s]."""
        return self.cuts[0].back_flop / self.cuts[0].back_p50_s


class PlatformProfile(Settings):
    """A platform and what models do on it, by model id.

    `source`: of most numbers; `power_mode`: as `nvpmodel -q` says it, null if not known;
    `compute_power_w`: drawn while a model runs; `citations`: addresses that origins refer to.
    """

    id: str
    description: str
    source: Source
    date: datetime.date
    power_mode: str | None
    processor: str
    provider: str
    memory_byte: Positive
    idle_power_w: Positive | None = None
    compute_power_w: Positive
    citations: dict[str, str] = Field(default_factory=dict)
    generation: dict[str, GenerationEntry] = Field(default_factory=dict)
    split: dict[str, SplitEntry] = Field(default_factory=dict)

    def generation_entry(self, model: str) -> GenerationEntry:
        """What is known of a model that writes answers; ConfigError lists what there is."""
        if model not in self.generation:
            raise ConfigError(
                f'profile {self.id!r} has no generation entry for model {model!r}; '
                f'{suggest(model, list(self.generation))}'
            )
        return self.generation[model]

    def split_entry(self, model: str) -> SplitEntry:
        """What is known of a network that can be cut; ConfigError lists what there is."""
        if model not in self.split:
            raise ConfigError(
                f'profile {self.id!r} has no split entry for model {model!r}; '
                f'{suggest(model, list(self.split))}'
            )
        return self.split[model]

    def power_w(self, model: str) -> float:
        """Power while a model answers [W]."""
        return (self.generation_entry(model).power_w or self.compute_power_w).value

    def start_s(self, model: str, assumed_s: float | None = None) -> float:
        """Time that every answer takes besides `token_s` for each of its tokens [s].

        Args:
            model: its id.
            assumed_s: taken where the profile has no time to the first token.

        Raises:
            ConfigError: no such entry, or no time to the first token and nothing assumed.
        """
        entry = self.generation_entry(model)
        if entry.first_token_s is not None:
            return max(entry.first_token_s.value - entry.token_s.value, 0.0)
        if assumed_s is None:
            raise ConfigError(
                f'profile {self.id!r} has no first_token_s for model {model!r}; measure it, '
                'take another model, or say what to assume (assumed_start_s)'
            )
        return assumed_s

    def generation_time_s(
        self, model: str, tokens: int, assumed_start_s: float | None = None
    ) -> float:
        """Time from picture and prompt to the last of `tokens` tokens [s]; errors as `start_s`."""
        entry = self.generation_entry(model)
        return self.start_s(model, assumed_start_s) + tokens * entry.token_s.value

    @model_validator(mode='after')
    def _quotes_are_cited(self) -> PlatformProfile:
        for place, number in self.numbers().items():
            key = number.origin.partition(':')[0]
            if number.source == 'quoted' and key not in self.citations:
                raise ValueError(
                    f'{place} is quoted from {key!r}, which citations does not hold; begin '
                    'origin with one of its keys and a colon, or add it'
                )
        return self

    def numbers(self) -> dict[str, Number]:
        """Every number with a source of its own, by its dotted place."""
        owners: dict[str, Settings] = {'': self}
        owners |= {f'generation.{name}.': entry for name, entry in self.generation.items()}
        return {
            f'{prefix}{name}': value
            for prefix, owner in owners.items()
            for name, value in owner
            if isinstance(value, Number)
        }


def load_profile(name_or_path: str) -> PlatformProfile:
    """Read a profile.

    Args:
        name_or_path: name of a file in config/profiles, or a YAML file of your own.

    Raises:
        ConfigError: no such profile, or one that is not sound.
    """
    path = named_file('profile', name_or_path)
    profile = load(path, PlatformProfile)
    if profile.id != path.stem:
        raise ConfigError(f'{path}: id = {profile.id!r}: must be the name of the file')
    return profile


def write_profile(profile: PlatformProfile, path: Path) -> None:
    """Write a profile; `load_profile` reads it back as it was."""
    tree = profile.model_dump(mode='json', exclude_defaults=True)
    tree['date'] = profile.date
    text = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=98)
    path.write_text(_HEADER + text, encoding='utf-8')


def common_scale(accuracies: Mapping[str, Accuracy]) -> str:
    """The scale that accuracies, by model, are on.

    Raises:
        ConfigError: they are on several.
    """
    scales = sorted({accuracy.scale for accuracy in accuracies.values()})
    if len(scales) != 1:
        of_each = ', '.join(f'{model}: {number.scale}' for model, number in accuracies.items())
        raise ConfigError(
            f'accuracies on different scales cannot be compared or used together ({of_each}); '
            'take models of one scale'
        )
    return scales[0]
