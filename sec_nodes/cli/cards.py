"""Model cards of multimodal LLMs, written from the manifest so that both always agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sec_nodes.cli.page_tables import markdown
from sec_nodes.inference.evaluation import SEA
from sec_nodes.inference.manifest import Manifest, MllmAccuracy, MllmEntry
from sec_nodes.inference.sea.kinds import KINDS

_MADE_BY = '## Made by\n\n'
_LIMITS = """\
The pictures are rendered by code (sec_nodes/inference/sea). The accuracies hold for these pictures
and these forms of questions; they say nothing about photographs: do not use this model in a real
search.
"""
Title = Callable[[MllmEntry], str]
"""What an entry is called in a table."""


def write_card(models_dir: Path, manifest: Manifest, base: str, made_by: str = '') -> Path:
    """Write card.md of model `base` with every level that the manifest has of it.

    Args:
        models_dir: where the manifest is.
        manifest: its content.
        base: what the levels have in common.
        made_by: how the model came about; empty to leave what an older card says.
    """
    path, text = made_card(models_dir, manifest, base, made_by)
    path.write_text(text, encoding='utf-8')
    return path


def made_card(
    models_dir: Path, manifest: Manifest, base: str, made_by: str = ''
) -> tuple[Path, str]:
    """Place and text of the card that `write_card` writes; arguments as there."""
    entries = [
        entry for entry in manifest.models if isinstance(entry, MllmEntry) and entry.base == base
    ]
    path = models_dir / Path(entries[0].files[0].path).parent / 'card.md'
    told = made_by or (told_by(path.read_text(encoding='utf-8')) if path.is_file() else '')
    return path, card_text(entries, told)


def told_by(card: str) -> str:
    """What a card says on how its model came about."""
    return card.partition(_MADE_BY)[2].partition('\n## ')[0]


def card_text(entries: Sequence[MllmEntry], made_by: str) -> str:
    """A card of one model at all its levels, which must not be empty."""
    first = entries[0]
    height, width, _ = first.image
    parts = [
        f'# {first.base}\n\n{first.task}\n',
        markdown(
            ('', ''),
            [
                ('parameters', f'{first.parameters:,}'),
                ('picture', f'{height} x {width} RGB, {first.image_tokens} image tokens'),
                ('decoder', f'{first.layers} layers, width {first.hidden}'),
                ('context', f'{first.context} tokens'),
                ('work for a picture', f'{first.flop_prefix / 1e6:.1f} MFLOP'),
                ('work for a token', f'{first.flop_per_token / 1e6:.2f} MFLOP'),
                ('source', first.source),
                ('license', first.license),
            ],
        ),
        '## Levels\n\n' + levels_table(entries, lambda entry: f'`{entry.id}`'),
    ]
    by_kind = kinds_tables(entries, lambda entry: entry.quantisation)
    if by_kind:
        parts.append(f'## Accuracy by kind of question\n\n{by_kind}')
    if made_by:
        parts.append(f'{_MADE_BY}{made_by}')
    if any(entry.accuracy and entry.accuracy.set == SEA for entry in entries):
        parts.append(f'## Limits\n\n{_LIMITS}')
    return '\n'.join(parts)


def levels_table(entries: Sequence[MllmEntry], title: Title) -> str:
    """Size, accuracy and speed of each level; speeds name their platform."""
    columns = ('id', 'weights KiB', 'accuracy', '95 % interval', 'questions', 'platform',
               'first token ms', 'tokens/s', 'memory MiB')  # fmt: skip
    rows = []
    for entry in entries:
        size = f'{entry.weights_byte / 1024:.0f}'
        found = ('-', '-', '-') if entry.accuracy is None else _accuracy(entry.accuracy)
        for speed in entry.measured or (None,):
            timed = ('-',) * 4
            if speed is not None:
                timed = (
                    speed.platform,
                    f'{1e3 * speed.first_token_s:.2f}',
                    f'{speed.tokens_per_s:.0f}',
                    f'{speed.peak_byte / 2**20:.0f}',
                )
            rows.append((title(entry), size, *found, *timed))
    return markdown(columns, rows)


def _accuracy(accuracy: MllmAccuracy) -> tuple[str, str, str]:
    low, high = accuracy.interval_95
    asked = f'{accuracy.n_heldout}' + ('' if accuracy.set == SEA else f' of {accuracy.set}')
    return f'{accuracy.value:.3f}', f'{low:.3f} to {high:.3f}', asked


def kinds_tables(entries: Sequence[MllmEntry], title: Title) -> str:
    """A table for every set that entries were measured on, since two sets do not compare."""
    by_set: dict[str, list[tuple[str, MllmAccuracy]]] = {}
    for entry in entries:
        if entry.accuracy is not None:
            by_set.setdefault(entry.accuracy.set, []).append((title(entry), entry.accuracy))
    if len(by_set) == 1:
        return ''.join(map(_kinds, by_set.values()))
    return '\n'.join(f'Questions of {name}:\n\n{_kinds(found)}' for name, found in by_set.items())


def _kinds(found: Sequence[tuple[str, MllmAccuracy]]) -> str:
    """One row a kind, one column a model, beside what the commonest answer would reach."""
    asks = {kind.name: kind.asks for kind in KINDS}
    baselines: dict[str, float] = {}
    for _, accuracy in found:
        baselines = accuracy.majority_baseline | baselines
    rows = [
        (
            f'{kind}: {asks[kind]}' if kind in asks else kind,
            f'{baseline:.2f}',
            *(_share(accuracy.per_kind.get(kind)) for _, accuracy in found),
        )
        for kind, baseline in baselines.items()
    ]
    return markdown(('kind', 'commonest answer', *(name for name, _ in found)), rows)


def _share(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
