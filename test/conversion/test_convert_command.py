"""`sec models convert`, from a folder of transformers to entries of a manifest that load."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip('torch')
pytest.importorskip('transformers')

from tiny_models import tiny_llava

from sec_nodes.cli import main as cli
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.manifest import load_manifest


def test_a_folder_of_transformers_becomes_entries_that_answer(tmp_path):
    tiny_llava(tmp_path / 'Tiny LLaVA')
    models = tmp_path / 'models'
    done = CliRunner().invoke(
        cli.app,
        ['models', 'convert', str(tmp_path / 'Tiny LLaVA'), '--models-dir', str(models),
         '--levels', 'q4'],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert [entry.id for entry in load_manifest(models).models] == [
        'tiny-llava-fp32',
        'tiny-llava-q4',
    ]
    model = LanguageModel.load('tiny-llava-q4', models_dir=models)
    image = np.zeros(model.image_shape, np.uint8)
    (answer,) = model.generate([Question('what is there?', image, max_tokens=4)])
    assert 1 <= len(answer.token_ids) <= 4


def test_what_transformers_does_not_know_is_refused(tmp_path):
    (tmp_path / 'config.json').write_text('{"model_type": "no_such_model"}')
    done = CliRunner().invoke(cli.app, ['models', 'convert', str(tmp_path)])
    assert done.exit_code == 2
    assert f'transformers cannot load {tmp_path}' in done.stderr
