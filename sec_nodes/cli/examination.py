"""What `sec models eval` asks, shows and keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from sec_nodes.cli.cards import made_card
from sec_nodes.inference.evaluation import PER_KIND, SEA, Item, Scores, sea_items
from sec_nodes.inference.language.files import find_model
from sec_nodes.inference.language.types import GenerationProfile
from sec_nodes.inference.manifest import (
    Generation,
    MllmAccuracy,
    MllmEntry,
    ModelError,
    default_models_dir,
    load_manifest,
)
from sec_nodes.inference.mmmu import mmmu_items
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.zoo import manifest_with, mllm_entry, read_spec, save_entry


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


@dataclass(frozen=True)
class Keeping:
    """Where the scores of a model are kept: its folder, and the models folder it lies in.

    `old` is the entry that is there already; `question_set` the name of the questions.
    """

    models: Path
    folder: Path
    model: str
    question_set: str
    old: MllmEntry | None


def find_keeping(
    named: str, questions: str, count: int | None, models_dir: Path | None
) -> Keeping:
    """Where scores will be kept; looked for before anything is loaded or asked.

    Args:
        named: what the user called the model.
        questions: name of the set, or its folder.
        count: of the questions, None where that shows only in the end.
        models_dir: the models folder of ids.

    Raises:
        ModelError: the model is in no models folder, or its entry holds what must not be
            replaced: an accuracy on another set, or on more questions.
    """
    folder, models = _home(named, models_dir)
    files = find_model(named, None, models_dir)
    read_spec(folder)
    old = [
        entry
        for entry in load_manifest(models).models
        if isinstance(entry, MllmEntry) and entry.id == files.id
    ]
    keeping = Keeping(models, folder, files.id, _set_name(questions), old[0] if old else None)
    if keeping.old is not None and keeping.old.accuracy is not None:
        _check_replaceable(keeping, keeping.old.accuracy, count)
    return keeping


def _home(named: str, models_dir: Path | None) -> tuple[Path, Path]:
    """The folder of a converted model, and the models folder that it lies in."""
    folder = Path(named)
    if not folder.is_dir() and ':' in named:
        folder = Path(named.rpartition(':')[0])
    if folder.is_dir():
        folder = folder.resolve()
        models = folder.parent
        if (models / 'manifest.yaml').is_file():
            return folder, models
    elif '/' not in named:
        models = models_dir or default_models_dir()
        return find_model(named, None, models).tokenizer.path.parent, models
    raise ModelError(
        f'{named} lies in no models folder, so no entry can be kept; use --print, or put it into '
        'one with: sec models convert'
    )


def _set_name(questions: str) -> str:
    if questions == SEA:
        return SEA
    name = Path(questions).resolve().name
    if name == SEA:
        raise ModelError(
            f'{questions} is called as the built-in set; rename the folder or use --print'
        )
    return name


def _check_replaceable(keeping: Keeping, old: MllmAccuracy, count: int | None) -> None:
    """ModelError if what the entry says of accuracy is worth more than what would replace it."""
    if old.set != keeping.question_set:
        raise ModelError(
            f'the accuracy of {keeping.model} in {keeping.models / "manifest.yaml"} is on set '
            f'{old.set}, and accuracies on two sets do not compare, so {keeping.question_set} '
            'must not replace it; use --print, or convert the model under another --name or '
            'into another --models-dir and examine that'
        )
    if count is not None and count < old.n_heldout:
        raise ModelError(
            f'the accuracy of {keeping.model} is kept from {old.n_heldout} questions, and '
            f'{count} must not replace them; use --print, or --per-kind '
            f'{-(-old.n_heldout // len(NAMES))} or more'
        )


def save_scores(
    keeping: Keeping, scores: Scores, speed: GenerationProfile, platform: str
) -> list[Path]:
    """Write accuracy and speed into the manifest, and the card; returns what was written.

    Args:
        keeping: where.
        scores: on its set.
        speed: measured before the questions were asked in batches, which take more memory.
        platform: what this machine is called; its older speed is replaced, others stay.

    Raises:
        ModelError: scores of fewer questions than the entry has; nothing is written then.
    """
    models, old = keeping.models, keeping.old
    spec = read_spec(keeping.folder)
    if old is not None and old.accuracy is not None:
        _check_replaceable(keeping, old.accuracy, scores.asked)
    entry = mllm_entry(
        models,
        keeping.folder,
        keeping.model.removeprefix(f'{spec.id}-'),
        old.task if old else f'Answers questions about pictures; {spec.source}.',
        scores=scores,
        question_set=keeping.question_set,
    )
    # speeds of other weights are not this model's
    others = old.measured if old is not None and old.files == entry.files else ()
    measured = Generation(
        platform=platform,
        tokens_per_s=round(speed.tokens_per_s, 1),
        first_token_s=round(speed.prefix_s + speed.first_token_s, 6),
        peak_byte=max(speed.peak_byte, 1),  # none above what a process held already
    )
    kept = (other for other in others if other.platform != platform)
    entry = entry.model_copy(update={'measured': (*kept, measured)})
    card, text = made_card(models, manifest_with(models, entry), spec.id)
    save_entry(models, entry)
    card.write_text(text, encoding='utf-8')
    return [models / 'manifest.yaml', card]
