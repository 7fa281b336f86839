"""What `sec models eval` asks, shows and keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from sec_nodes.cli.cards import write_card
from sec_nodes.inference.evaluation import PER_KIND, SEA, Item, Scores, sea_items
from sec_nodes.inference.language import LanguageModel
from sec_nodes.inference.manifest import (
    Generation,
    MllmEntry,
    ModelError,
    default_models_dir,
    load_manifest,
)
from sec_nodes.inference.mmmu import mmmu_items
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.zoo import mllm_entry, read_spec, save_entry


def set_items(questions: str, per_kind: int | None) -> tuple[int | None, Iterator[Item]]:
    """Questions of a set and how many there are, None where that shows only in the end."""
    if questions == SEA:
        count = per_kind or PER_KIND
        return count * len(NAMES), sea_items(count)
    if per_kind is not None:
        raise ModelError('--per-kind is for the built-in set; a folder is asked as a whole')
    return None, mmmu_items(questions)


def scores_table(model: str, scores: Scores) -> Table:
    """Accuracy by kind, beside what the commonest answer of each kind would reach."""
    low, high = scores.interval_95
    table = Table(
        box=box.SIMPLE,
        title=f'{model}: {scores.accuracy:.3f} ({low:.3f} to {high:.3f}) of {scores.asked} '
        f'questions; first token {1e3 * scores.first_token_s:.1f} ms, '
        f'{scores.tokens_per_s:.0f} tokens/s',
    )
    for column in ('kind', 'asked', 'right', 'commonest answer'):
        table.add_column(Text(column))
    for kind, score in scores.kinds.items():
        table.add_row(
            Text(kind), str(score.asked), f'{score.accuracy:.3f}', f'{score.majority:.3f}'
        )
    table.add_row('all', str(scores.asked), f'{scores.accuracy:.3f}', f'{scores.majority:.3f}')
    for reason, count in scores.left_out.items():
        table.add_row(Text(f'not asked, counted as wrong: {reason}'), str(count), '', '')
    return table


def save_scores(
    model: LanguageModel,
    scores: Scores,
    named: str,
    questions: str,
    models_dir: Path | None,
    platform: str,
) -> list[Path]:
    """Write accuracy and speed into the manifest, and the card; returns what was written.

    Raises:
        ModelError: the model is in no models folder: an entry needs one.
    """
    folder, models = _home(named, models_dir)
    speed = model.profile()
    measured = Generation(
        platform=platform,
        tokens_per_s=round(speed.tokens_per_s, 1),
        first_token_s=round(speed.prefix_s + speed.first_token_s, 6),
        peak_byte=speed.peak_byte,
    )
    spec = read_spec(folder)
    level = model.id.removeprefix(f'{spec.id}-')
    old = [entry for entry in _entries(models) if entry.id == model.id]
    task = old[0].task if old else f'Answers questions about pictures; {spec.source}.'
    entry = mllm_entry(
        models,
        folder,
        level,
        task,
        scores=scores,
        question_set=SEA if questions == SEA else Path(questions).name,
        measured=[measured],
    )
    save_entry(models, entry)
    card = write_card(models, load_manifest(models), spec.id)
    return [models / 'manifest.yaml', card]


def _entries(models: Path) -> list[MllmEntry]:
    if not (models / 'manifest.yaml').is_file():
        return []
    return [entry for entry in load_manifest(models).models if isinstance(entry, MllmEntry)]


def _home(named: str, models_dir: Path | None) -> tuple[Path, Path]:
    """The folder of a converted model, and the models folder that it lies in."""
    folder = Path(named.partition(':')[0])
    if folder.is_dir():
        return folder, folder.parent
    models = models_dir or default_models_dir()
    for entry in _entries(models):
        if entry.id == named:
            return models / Path(entry.files[0].path).parent, models
    raise ModelError(f'{named} lies in no models folder, so no entry can be kept; use --print')
