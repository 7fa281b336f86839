"""The multimodal LLMs of models/: what the manifest promises is what the files do."""

from __future__ import annotations

import pytest

from sec_nodes.cli.cards import card_text, told_by
from sec_nodes.cli.model_tables import with_tables
from sec_nodes.inference.evaluation import evaluate, sea_items, wilson_interval
from sec_nodes.inference.language import LanguageModel
from sec_nodes.inference.language.golden import GOLDEN_FILE, differences
from sec_nodes.inference.manifest import MllmEntry, load_manifest
from sec_nodes.inference.sea.drawing import draw
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.layout import draw_layout
from sec_nodes.paths import share_dir

MODELS = share_dir() / 'models'
ENTRIES = {
    entry.id: entry for entry in load_manifest(MODELS).models if isinstance(entry, MllmEntry)
}
MEGABYTE = 1e6


def accuracy(model: str) -> float:
    """What the manifest promises."""
    found = ENTRIES[model].accuracy
    assert found is not None and found.set == 'sea'
    return found.value


def test_the_levels_of_the_paper_are_there_and_small() -> None:
    assert set(ENTRIES) >= {
        'sea-s-q2', 'sea-s-q4', 'sea-s-q8', 'sea-l-q4', 'sea-l-q8', 'sea-l-fp16',
    }  # fmt: skip
    files = {file.path: file.bytes for entry in ENTRIES.values() for file in entry.files}
    assert sum(files.values()) < 15 * MEGABYTE


def test_requirements_can_tell_the_levels_apart() -> None:
    """Accuracy decides something only if the levels differ: from a third to nine tenths."""
    assert accuracy('sea-s-q2') < 0.45
    assert accuracy('sea-l-fp16') > 0.88
    assert accuracy('sea-s-q8') < accuracy('sea-l-q8') - 0.03
    best = ENTRIES['sea-l-fp16'].accuracy
    assert best is not None
    for kind in ('count', 'colour', 'colour_count'):
        assert best.per_kind[kind] >= 0.85
    for kind, baseline in best.majority_baseline.items():
        if kind != 'relation':  # docs/inference.md says that it was not learnt
            assert best.per_kind[kind] > baseline + 0.3


@pytest.mark.parametrize('model', sorted(ENTRIES))
def test_a_sample_agrees_with_the_promise(model: str) -> None:
    """Five held-out questions of each kind: the promise lies in a wide interval around them."""
    scores = evaluate(LanguageModel.load(model, models_dir=MODELS), sea_items(5))
    low, high = wilson_interval(scores.right, scores.asked, z=3.5)
    assert scores.asked == 5 * len(NAMES)
    assert low < accuracy(model) < high


def test_full_precision_says_what_transformers_said() -> None:
    model = LanguageModel.load('sea-s-fp32', models_dir=MODELS)
    golden = MODELS / 'sea-s' / GOLDEN_FILE
    assert golden.read_text().count('token_ids') >= 50
    assert differences(golden, model, lambda seed: draw(draw_layout(seed), seed)) == []


def test_other_precision_says_otherwise_somewhere() -> None:
    """So that the test above can fail."""
    model = LanguageModel.load('sea-s-q2', models_dir=MODELS)
    golden = MODELS / 'sea-s' / GOLDEN_FILE
    assert differences(golden, model, lambda seed: draw(draw_layout(seed), seed))


@pytest.mark.parametrize('base', sorted({entry.base for entry in ENTRIES.values()}))
def test_cards_repeat_the_manifest(base: str) -> None:
    card = (MODELS / base / 'card.md').read_text(encoding='utf-8')
    own = [entry for entry in load_manifest(MODELS).models if entry.id in ENTRIES]
    entries = [entry for entry in own if isinstance(entry, MllmEntry) and entry.base == base]
    assert 'CPU-seconds of training' in told_by(card)
    assert card == card_text(entries, told_by(card))


def test_docs_repeat_the_manifest() -> None:
    page = (share_dir() / 'docs' / 'inference.md').read_text(encoding='utf-8')
    assert page == with_tables(page), 'call `python -m sec_nodes.cli.model_tables`'
