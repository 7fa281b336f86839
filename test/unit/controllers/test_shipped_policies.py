"""The policies that ship are those of their cards, small, and play what they were trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sec_nodes.controllers.base import create
from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.learned import read_policy
from sec_nodes.controllers.mllm.shipped import LEARNED
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.view import MllmView
from sec_nodes.scenarios.registry import read_settings

FOLDER = Path(__file__).resolve().parents[3] / 'models' / 'policies' / 'mllm'
LARGEST_BYTE = 1 << 20

every_policy = pytest.mark.parametrize(
    'path', sorted(FOLDER.glob('*/*.npz')), ids=lambda path: f'{path.parent.name}-{path.stem}'
)


@every_policy
def test_a_policy_is_that_of_its_card(path):
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() in path.with_suffix('.md').read_text()
    assert len(content) <= LARGEST_BYTE
    description = read_policy(path).description
    assert (description['algorithm'], description['mode']) == (path.stem, path.parent.name)
    assert path.stem in LEARNED


@every_policy
def test_a_policy_plays_by_its_name(path):
    scenario = Mllm(read_settings(f'mllm:{path.parent.name}'))
    assert path.stem in batch_controller_names('mllm')
    state = scenario.reset(np.arange(4))
    outcome = scenario.evaluate(state, create_batch(path.stem, scenario).decide(state))
    # the mask is respected; hardly anything goes wrong in a first slot
    assert not outcome.accuracy_broken.any()
    view = MllmView(scenario)
    slot = view.slot_states(state)[0]
    node = create(path.stem, view)
    assert not view.violations(slot, node.decide(slot)).any()
