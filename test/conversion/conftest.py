"""Models made once; all of this needs requirements/train.txt: make test-conversion."""

from importlib.util import find_spec

import pytest
import tiny_models

needed = ('torch', 'transformers', 'onnxscript')
collect_ignore_glob = [] if all(map(find_spec, needed)) else ['test_*.py']

KINDS = {'llava': tiny_models.tiny_llava, 'smolvlm': tiny_models.tiny_smolvlm}


@pytest.fixture(scope='session', params=KINDS)
def original(request, tmp_path_factory):
    """Folder of a model as transformers saves it."""
    return KINDS[request.param](tmp_path_factory.mktemp(request.param) / request.param)


@pytest.fixture(scope='session')
def converted(original):
    """The same model, converted beside it."""
    from sec_nodes.conversion.mllm import convert_mllm

    return convert_mllm(original, original.parent / 'converted')
