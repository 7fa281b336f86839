"""Models that do what a test asks for: the prompt says what, word by word.

Loaded by the process under test as 'fake_language:load'. Besides prompts that are simply echoed:
`gate PATH` says one token and waits until someone writes to the FIFO, `hang`, `stop` (as a
debugger would), `exit`, `segv`, `raise`, `late` (raises after a token), `report`, and `forever`,
which only ends when all is cancelled.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from sec_nodes.inference.language import Answer, TokenEvent
from sec_nodes.inference.manifest import ModelError

MIB = 2**20
SIZES = {'small': 1 * MIB, 'large': 10 * MIB}
loads = []


def load(model_id, policy, memory_limit_byte, max_batch):
    loads.append(model_id)
    if model_id == 'missing':
        raise ModelError("model 'missing' is unknown")
    if model_id == 'broken':
        raise RuntimeError('no such operator')
    if model_id == 'fatal':
        os._exit(7)
    if model_id == 'endless':
        threading.Event().wait()
    return FakeModel(model_id)


class FakeModel:
    provider = 'cpu'
    accuracy = 0.5
    image_shape = (96, 96, 3)

    def __init__(self, model_id):
        self.id = model_id
        self.needed_byte = SIZES[model_id]

    def generate(self, questions, *, on_token=None, cancelled=None):
        rows = range(len(questions))
        if any(question.prompt == 'raise' for question in questions):
            raise ValueError('a question I cannot take')
        for row in rows:
            on_token(TokenEvent(row, 1, f'{questions[row].prompt} ', 0.0, last=False))
        cancelled()  # as the real one does, after each step
        while any(question.prompt == 'forever' for question in questions) and not cancelled():
            time.sleep(0.001)
        texts = [self._act(question) for question in questions]
        finish = 'cancelled' if cancelled() else 'stop'
        for row in rows:
            on_token(TokenEvent(row, 0, '', 0.0, last=True))
        return [Answer(text, (1, 0), 3, 0.0, 0.0, 0.9, finish) for text in texts]

    def _act(self, question):
        word, _, rest = question.prompt.partition(' ')
        if word == 'gate':
            Path(rest).read_text()
        elif word == 'hang':
            threading.Event().wait()
        elif word == 'stop':
            os.kill(os.getpid(), signal.SIGSTOP)
        elif word == 'exit':
            os._exit(3)
        elif word == 'segv':
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # no stack on the screen of the test
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == 'late':
            raise ValueError('too late to try again')
        elif word == 'report':
            return json.dumps(self._report(question))
        return f'{self.id} heard {question.prompt}'

    def _report(self, question):
        return {
            'pid': os.getpid(),
            'loads': loads,
            'ros': [
                name for name in sys.modules if name.split('.')[0] in ('rclpy', 'sec_offload')
            ],
            'image_sum': None if question.image is None else int(question.image.sum()),
            'features_sum': None if question.features is None else float(question.features.sum()),
            'max_tokens': question.max_tokens,
        }
