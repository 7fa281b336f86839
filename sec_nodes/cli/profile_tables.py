"""What config/profiles holds, as tables of docs/profiles.md.

    python -m sec_nodes.cli.profile_tables

writes them between the two markers of that page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sec_nodes.cli.page_tables import between_markers, markdown
from sec_nodes.config import known_names
from sec_nodes.inference.profiles import (
    GenerationEntry,
    Number,
    PlatformProfile,
    SplitEntry,
    load_profile,
)
from sec_nodes.paths import share_dir
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.registry import read_settings

COMMAND = 'python -m sec_nodes.cli.profile_tables'
_UNKNOWN = '-'
_GENERATION = ('model', 'runs on', 'first token [s]', 'token/s', 'v [TFLOP]', 'accuracy')
_SPLIT = ('network', 'runs on', 'source', 'cuts', 'whole p50, p95 [ms]', 'GFLOP/s', 'J')


def tables() -> str:
    """A section for every profile that ships."""
    return '\n'.join(_section(load_profile(name)) for name in known_names('profile'))


def with_tables(page: str) -> str:
    """The page with the text between its markers replaced."""
    return between_markers(page, COMMAND, tables())


def _section(profile: PlatformProfile) -> str:
    power, memory = profile.compute_power_w, profile.memory_byte
    parts = [
        f'### {profile.id}: {profile.source}\n',
        f'{profile.description}. {profile.processor}; {memory.value / 1e9:.0f} GB; power mode '
        f'{profile.power_mode or "not known"}; {profile.date}. Power while computing: '
        f'{power.value:g} W, {power.source}{f": {power.origin}" if power.origin else ""}.\n',
    ]
    if profile.generation:
        parts.append(markdown(_GENERATION, _generation_rows(profile)))
    if profile.split:
        parts.append(markdown(_SPLIT, map(_split_row, profile.split.values())))
    if profile.citations:
        parts.append(''.join(f'- `{key}`: {text}\n' for key, text in profile.citations.items()))
    return '\n'.join(parts)


def _generation_rows(profile: PlatformProfile) -> Iterator[tuple[str, ...]]:
    for name, entry in profile.generation.items():
        rate = entry.token_s.model_copy(update={'value': 1 / entry.token_s.value})
        yield (
            f'`{name}`',
            entry.provider,
            _number(entry.first_token_s),
            _number(rate),
            _work(profile, entry),
            _accuracy(entry),
        )


def _split_row(entry: SplitEntry) -> tuple[str, ...]:
    whole = entry.cuts[0]
    return (
        f'`{entry.model}`, {entry.quantisation}',
        entry.provider,
        entry.source,
        str(len(entry.cuts)),
        f'{1e3 * whole.back_p50_s:.3g}, {1e3 * whole.back_p95_s:.3g}',
        f'{entry.flop_s / 1e9:.3g}',
        'not measured' if whole.back_j is None else f'{whole.back_j:.3g}',
    )


def _work(profile: PlatformProfile, entry: GenerationEntry) -> str:
    """Work of a token if the board had the speed that the mllm scenario gives it [TFLOP]."""
    settings = read_settings('mllm')
    assert isinstance(settings, MllmSettings)
    speeds = {'orin_nx': settings.uavs.flop_s, 'agx_orin': settings.satellites.flop_s}
    if profile.id not in speeds:
        return _UNKNOWN
    return f'{speeds[profile.id] * entry.token_s.value / 1e12:.3f}'


def _accuracy(entry: GenerationEntry) -> str:
    found = entry.accuracy
    return _UNKNOWN if found is None else f'{found.scale} {_number(found)}'


def _number(number: Number | None) -> str:
    return _UNKNOWN if number is None else f'{number.value:.3g} {number.source}'


def main(page: Path | None = None) -> None:
    """Write the tables into docs/profiles.md."""
    path = page or share_dir() / 'docs' / 'profiles.md'
    path.write_text(with_tables(path.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main()
