"""Language models that need no weights, for tests of everything around them.

`load` is what the parameter `loader` of a server node names. An answer has as many words as the
question's kind would have; it is taken from the picture and the question alone, so that the same
task is answered alike wherever and in whatever batch it is. `models_folder` makes a folder for
SEC_MODELS_DIR whose manifest has the names of the models that mode measured of mllm flies.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import zlib
from pathlib import Path

import yaml

from sec_nodes.inference.language import Answer, TokenEvent
from sec_nodes.inference.manifest import ModelError, default_models_dir, load_manifest

LOADER = 'stand_in_language:load'
NEEDED_BYTE = 40 * 10**6
ACCURACIES = {
    'sea-s-q2': 0.4, 'sea-s-q4': 0.55, 'sea-s-q8': 0.6,
    'sea-l-q4': 0.8, 'sea-l-q8': 0.88, 'sea-l-fp16': 0.92,
}  # fmt: skip
PID_FILE = 'STAND_IN_PID'
"""Variable that names a folder: processes leave their numbers there while they answer."""
SLOW_S = 'STAND_IN_SLOW_S'
"""Variable: how long an answer takes [s]."""


def load(model_id, policy, memory_limit_byte, max_batch):
    if memory_limit_byte is not None and memory_limit_byte < NEEDED_BYTE:
        raise ModelError(
            f'model {model_id!r} needs {NEEDED_BYTE} byte, the limit is {memory_limit_byte}'
        )
    return StandIn(model_id)


def words_of(model_id, prompt, image):
    """What a stand-in says: it depends on nothing else."""
    seen = zlib.crc32(image.tobytes()) % 1000
    return [model_id, 'saw', str(seen), *prompt.rstrip('?.').split()[-2:]]


class StandIn:
    provider = 'cpu'
    accuracy = 0.5
    image_shape = (96, 96, 3)
    needed_byte = NEEDED_BYTE

    def __init__(self, model_id):
        self.id = model_id

    def generate(self, questions, *, on_token=None, cancelled=None):
        folder = os.environ.get(PID_FILE)
        if folder:
            (Path(folder) / str(os.getpid())).touch()
        time.sleep(float(os.environ.get(SLOW_S, '0')))
        answers = []
        for row, question in enumerate(questions):
            words = words_of(self.id, question.prompt, question.image)
            for number, word in enumerate(words):
                text = word if number == 0 else f' {word}'
                on_token(TokenEvent(row, number, text, 0.001, last=number == len(words) - 1))
            answers.append(
                Answer(' '.join(words), tuple(range(len(words))), 40, 0.001, 0.002, 0.9)
            )
        return answers


def models_folder(folder: Path) -> Path:
    """A copy of models/ with an entry for each stand-in instead of the model of its name."""
    target = folder / 'models'
    shutil.copytree(default_models_dir(), target)
    manifest = yaml.safe_load((target / 'manifest.yaml').read_text())
    others = [entry for entry in manifest['models'] if entry['id'] not in ACCURACIES]
    (target / 'stand-in').mkdir()
    files = []
    for role in ('vision', 'embed', 'decoder', 'tokenizer', 'config'):
        path = target / 'stand-in' / role
        path.write_text(role)
        digest = hashlib.sha256(role.encode()).hexdigest()
        files.append(
            {'path': f'stand-in/{role}', 'sha256': digest, 'bytes': len(role), 'role': role}
        )
    stand_ins = [_entry(name, accuracy, files) for name, accuracy in ACCURACIES.items()]
    manifest['models'] = others + stand_ins
    (target / 'manifest.yaml').write_text(yaml.safe_dump(manifest))
    load_manifest(target)
    return target


def _entry(name, accuracy, files):
    return {
        'id': name, 'task': 'questions about scenes at sea', 'kind': 'mllm',
        'source': 'none', 'license': 'Apache-2.0', 'base': name.rpartition('-')[0],
        'quantisation': name.rpartition('-')[2], 'files': files, 'parameters': 1,
        'image': [96, 96, 3], 'image_tokens': 36, 'hidden': 8, 'layers': 1, 'context': 128,
        'flop_prefix': 1, 'flop_per_token': 1, 'weights_byte': 1,
        'accuracy': {
            'value': accuracy, 'interval_95': [accuracy - 0.02, accuracy + 0.02],
            'n_heldout': 1000, 'per_kind': {}, 'majority_baseline': {},
        },
    }  # fmt: skip
