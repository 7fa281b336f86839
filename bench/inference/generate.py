"""How fast a converted MLLM answers: against transformers, by quantisation, and in batches.

    python bench/inference/generate.py FOLDER [--original FOLDER] [--out generate.json]

FOLDER is what `sec models convert` wrote, the original what transformers saved; with the latter
this needs requirements/train.txt. One thread of the CPU throughout.

speed    the same questions, each about a picture of its own, put to every level and to
         transformers' greedy `generate` in turns, so that all see the same load of the machine.
         In float32 the answers have to be the same, token by token
batches  the same questions at every level in batches of 1, 2, 4 and 8

Times are CPU times of this process, which on an idle machine are what a clock shows; the clock's
are in the JSON file too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.language.files import find_model
from sec_nodes.inference.language.spec import SPEC_FILE, parse_spec
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.sea.questions import ask

BATCHES = (1, 2, 4, 8)
FIRST_SEED = 2**31
ON_CPU = DevicePolicy(('cpu',))
console = Console(stderr=True)


@dataclass
class Speed:
    """Sums over all questions [s]: CPU time to the first token and to the last; the clock's."""

    name: str
    size_byte: int
    tokens: int = 0
    first_cpu_s: float = 0.0
    total_cpu_s: float = 0.0
    total_s: float = 0.0

    def per_question(self, count: int) -> dict[str, float]:
        """What the table shows."""
        rest_s = max(self.total_cpu_s - self.first_cpu_s, 1e-9)
        return {
            'first_token_ms': 1e3 * self.first_cpu_s / count,
            'question_ms': 1e3 * self.total_cpu_s / count,
            'tokens_per_s': self.tokens / self.total_cpu_s,
            'further_tokens_per_s': (self.tokens - count) / rest_s,
        }


Answerer = Callable[[Question, Speed], list[int]]


def by_runtime(model: LanguageModel) -> Answerer:
    """Ask a converted model, with a stopwatch on the first token."""

    def answer(question: Question, speed: Speed) -> list[int]:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        ids = []
        for event in model.stream(question):
            if not ids:
                speed.first_cpu_s += time.process_time() - began_cpu_s
            ids.append(event.token_id)
        return _note(speed, ids, began_s, began_cpu_s)

    return answer


def by_transformers(folder: Path) -> Answerer:
    """Ask the original, its processor included; a streamer hears the first token."""
    import torch

    from sec_nodes.conversion.mllm import load_transformers
    from sec_nodes.conversion.prompts import chat

    torch.set_num_threads(1)
    model, processor = load_transformers(folder)
    model.set_attn_implementation('sdpa')  # the faster one

    class First:
        """Notes when the second thing is put: the first is the prompt."""

        def __init__(self) -> None:
            self.puts: list[float] = []

        def put(self, value: Any) -> None:
            self.puts.append(time.process_time())

        def end(self) -> None:
            pass

    def answer(question: Question, speed: Speed) -> list[int]:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        heard = First()
        inputs = processor(
            text=chat(processor, question.prompt), images=question.image, return_tensors='pt'
        )
        with torch.inference_mode():
            ids = model.generate(
                **inputs, do_sample=False, max_new_tokens=question.max_tokens, streamer=heard
            )
        speed.first_cpu_s += heard.puts[1] - began_cpu_s
        made = [int(token) for token in ids[0, inputs['input_ids'].shape[1] :]]
        return _note(speed, made, began_s, began_cpu_s)

    return answer


def _note(speed: Speed, ids: list[int], began_s: float, began_cpu_s: float) -> list[int]:
    speed.total_s += time.perf_counter() - began_s
    speed.total_cpu_s += time.process_time() - began_cpu_s
    speed.tokens += len(ids)
    return ids


def compare(
    levels: Sequence[str], folder: Path, original: Path | None, questions: Sequence[Question]
) -> list[Speed]:
    """Put every question to everyone in turn."""
    speeds, answerers = [], []
    for level in levels:
        size = find_model(folder, level, None).weights_byte
        speeds.append(Speed(level, size))
        model = LanguageModel.load(folder, quantisation=level, policy=ON_CPU)
        answerers.append(by_runtime(model))
    if original is not None:
        size = sum(path.stat().st_size for path in original.glob('*.safetensors'))
        speeds.append(Speed('transformers', size))
        answerers.append(by_transformers(original))
    for answer in answerers:  # to warm up
        answer(questions[0], Speed('', 0))
    for question in track(questions[1:], 'questions', console=console):
        said = {
            speed.name: answer(question, speed)
            for speed, answer in zip(speeds, answerers, strict=True)
        }
        if said.get('transformers', said['fp32']) != said['fp32']:
            raise SystemExit(f'{question.prompt!r}: transformers answers otherwise: {said}')
    return speeds


def throughput(model: LanguageModel, questions: Sequence[Question]) -> dict[int, float]:
    """Questions answered a second of CPU time, by size of batch."""
    rates = {}
    for batch in BATCHES:
        began_cpu_s = time.process_time()
        for start in range(0, len(questions), batch):
            model.generate(questions[start : start + batch])
        rates[batch] = len(questions) / (time.process_time() - began_cpu_s)
    return rates


def speed_table(speeds: Sequence[Speed], count: int) -> Table:
    """One row a level."""
    table = Table('', 'MiB', 'first token [ms]', 'question [ms]', 'tokens/s', 'against it')
    slowest = speeds[-1].per_question(count)['tokens_per_s']
    for speed in speeds:
        row = speed.per_question(count)
        table.add_row(
            speed.name,
            f'{speed.size_byte / 2**20:.2f}',
            f'{row["first_token_ms"]:.2f}',
            f'{row["question_ms"]:.2f}',
            f'{row["tokens_per_s"]:.0f}',
            f'{row["tokens_per_s"] / slowest:.1f} x',
        )
    return table


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('folder', type=Path, help='converted model')
    parser.add_argument('--original', type=Path, help='the same model as transformers saved it')
    parser.add_argument('--questions', type=int, default=64, help='how many (default 64)')
    parser.add_argument('--max-tokens', type=int, default=48, help='longest answer (default 48)')
    parser.add_argument('--out', type=Path, default=Path('generate.json'))
    args = parser.parse_args()
    spec_file = args.folder / SPEC_FILE
    levels = tuple(parse_spec(spec_file.read_text(encoding='utf-8'), str(spec_file)).levels)
    asked = [ask(FIRST_SEED + index) for index in range(args.questions + 1)]
    questions = [Question(item.prompt, item.image, max_tokens=args.max_tokens) for item in asked]
    speeds = compare(levels, args.folder, args.original, questions)
    rates = {}
    for level in track(levels, 'batches', console=console):
        model = LanguageModel.load(args.folder, quantisation=level, policy=ON_CPU)
        model.generate(questions[-1:])
        rates[level] = throughput(model, questions[:-1])
    console.print(speed_table(speeds, args.questions))
    table = Table('questions/s in batches of', *map(str, BATCHES))
    for level, by_batch in rates.items():
        table.add_row(level, *(f'{rate:.0f}' for rate in by_batch.values()))
    console.print(table)
    figures = {
        'model': args.folder.name,
        'questions': args.questions,
        'speed': [{**asdict(speed), **speed.per_question(args.questions)} for speed in speeds],
        'questions_per_s': rates,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=1) + '\n', encoding='utf-8')
    console.print(f'written: {args.out}')


if __name__ == '__main__':
    main()
