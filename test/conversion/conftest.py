"""Models made once; all of this needs requirements/train.txt."""

import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')
pytest.importorskip('onnxscript')

import tiny_models

from sec_nodes.conversion.mllm import convert_mllm

KINDS = {'llava': tiny_models.tiny_llava, 'smolvlm': tiny_models.tiny_smolvlm}


@pytest.fixture(scope='session', params=KINDS)
def original(request, tmp_path_factory):
    """Folder of a model as transformers saves it."""
    return KINDS[request.param](tmp_path_factory.mktemp(request.param) / request.param)


@pytest.fixture(scope='session')
def converted(original):
    """The same model, converted beside it."""
    return convert_mllm(original, original.parent / 'converted')
