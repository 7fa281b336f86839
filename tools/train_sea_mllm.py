"""Train the small MLLMs `sea-s` and `sea-l` from nothing and make of them what is shipped.

Four stages: the vision tower learns what each patch shows; with the tower frozen the decoder
learns to answer questions, many of them behind one picture; then both learn together; in the end
the hard kinds of questions are asked more often. Steps are counted, not timed, so that a run can
be repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sea_data import (
    IGNORED,
    N_LABELS,
    TURNS,
    Packed,
    Scenes,
    pack_questions,
    patch_labels,
    render_scenes,
    turned_layout,
)
from sea_networks import IMAGE_TOKENS, SIZES, make_model, make_processor, make_tokenizer
from sea_shipping import ship
from torch import nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from sec_nodes.inference.evaluation import PER_KIND
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.layout import draw_layout
from sec_nodes.inference.sea.questions import question


@dataclass(frozen=True)
class Recipe:
    """How one model is trained."""

    scenes: int
    """Pictures, seeds from 0; seen in eight flips and turns."""
    vision_steps: int
    vision_batch: int
    vision_lr: float
    text_steps: int
    text_batch: int
    text_tokens: int
    """Tokens of questions and answers behind each picture."""
    text_lr: float
    joint_steps: int
    joint_batch: int
    joint_lr: float
    hard_steps: int
    hard_lr: float
    seed: int


RECIPES = {
    'sea-s': Recipe(
        scenes=16000,
        vision_steps=1500,
        vision_batch=64,
        vision_lr=3e-3,
        text_steps=2000,
        text_batch=12,
        text_tokens=120,
        text_lr=3e-3,
        joint_steps=500,
        joint_batch=12,
        joint_lr=8e-4,
        hard_steps=800,
        hard_lr=1e-3,
        seed=21,
    ),
    'sea-l': Recipe(
        scenes=24000,
        vision_steps=2500,
        vision_batch=64,
        vision_lr=1.5e-3,
        text_steps=5000,
        text_batch=12,
        text_tokens=120,
        text_lr=1.5e-3,
        joint_steps=600,
        joint_batch=12,
        joint_lr=4e-4,
        hard_steps=3600,
        hard_lr=7e-4,
        seed=22,
    ),
}
WEIGHTS = {'list': 2.0, 'describe': 2.0, 'relation': 2.0, 'nearest': 1.5, 'outermost': 1.5}
"""How often a kind is asked while training, 1 unless named: hard ones more often."""
HARD_WEIGHTS = {'relation': 4.0, 'list': 3.0, 'count': 2.0, 'nearest': 2.0, 'describe': 2.0}
"""How often in the last stage."""


class Progress:
    """Prints loss and time left now and then."""

    def __init__(self, stage: str, steps: int) -> None:
        self._stage, self._steps, self._began = stage, steps, time.monotonic()
        self._mean = 0.0

    def update(self, step: int, loss: float) -> None:
        """After step `step`, counted from 0."""
        self._mean += (loss - self._mean) * max(0.02, 1 / (step + 1))
        if (step + 1) % 100 == 0 or step + 1 == self._steps:
            spent = time.monotonic() - self._began
            left = spent / (step + 1) * (self._steps - step - 1)
            print(
                f'  {self._stage} {step + 1}/{self._steps} loss {self._mean:.4f} '
                f'{spent:.0f} s, {left:.0f} s left',
                flush=True,
            )


def pixels(pictures: np.ndarray, processor: object) -> torch.Tensor:
    """(n, 96, 96, 3) uint8 pictures as the tower wants them: what the processor computes."""
    settings = processor.image_processor  # type: ignore[attr-defined]
    mean = torch.tensor(settings.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(settings.image_std).view(1, 3, 1, 1)
    levels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return (levels / 255.0 - mean) / std


def features(model: LlavaForConditionalGeneration, images: torch.Tensor) -> torch.Tensor:
    """What the projector gets: hidden states before the tower's last normalisation."""
    output = model.model.vision_tower(pixel_values=images, output_hidden_states=True)
    hidden: torch.Tensor = output.hidden_states[-1]
    return hidden


def optimiser_of(
    parameters: list[nn.Parameter], rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a one-cycle rate."""
    optimiser = torch.optim.AdamW(parameters, rate, weight_decay=0.03, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    return optimiser, schedule


def step(
    loss: torch.Tensor,
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """One update with clipped gradients."""
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    schedule.step()


def train_vision(
    model: LlavaForConditionalGeneration, processor: object, scenes: Scenes, recipe: Recipe
) -> None:
    """Stage 1: the tower tells, patch by patch, what is there and where in it."""
    rng = np.random.default_rng(recipe.seed)
    head = nn.Linear(model.config.vision_config.hidden_size, N_LABELS + 2)
    parameters = [*model.model.vision_tower.parameters(), *head.parameters()]
    optimiser, schedule = optimiser_of(parameters, recipe.vision_lr, recipe.vision_steps)
    progress = Progress('vision', recipe.vision_steps)
    for number in range(recipe.vision_steps):
        chosen = rng.integers(recipe.scenes, size=recipe.vision_batch)
        ways = rng.integers(TURNS, size=recipe.vision_batch)
        pictures, layouts = scenes.turned(chosen, ways)
        truth = [patch_labels(layout) for layout in layouts]
        labels = torch.from_numpy(np.stack([pair[0] for pair in truth]))
        places = torch.from_numpy(np.stack([pair[1] for pair in truth]))
        told = head(features(model, pixels(pictures, processor)))
        loss = functional.binary_cross_entropy_with_logits(told[..., :N_LABELS], labels)
        there = places[..., 2:]
        off = (told[..., N_LABELS:] - places[..., :2]).abs() * there
        loss = loss + 0.1 * off.sum() / there.sum().clamp(min=1)
        step(loss, parameters, optimiser, schedule)
        progress.update(number, loss.item())


def answer_loss(
    model: LlavaForConditionalGeneration, seen: torch.Tensor, packed: Packed
) -> torch.Tensor:
    """Cross-entropy of the answers' tokens, given the tower's output (B, 36, width)."""
    embed = model.model.language_model.get_input_embeddings()
    start = torch.full((len(seen), 1), model.config.text_config.bos_token_id)
    image = model.model.multi_modal_projector(seen)
    embeds = torch.cat([embed(start), image, embed(packed.tokens)], dim=1)
    prefix = torch.arange(1 + IMAGE_TOKENS).expand(len(seen), -1)
    hidden = model.model.language_model(
        inputs_embeds=embeds,
        attention_mask=packed.mask(),
        position_ids=torch.cat([prefix, packed.positions], dim=1),
        use_cache=False,
    ).last_hidden_state[:, 1 + IMAGE_TOKENS :]
    asked = packed.targets != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[asked]), packed.targets[asked])


@torch.no_grad()
def encode_all(
    model: LlavaForConditionalGeneration,
    processor: object,
    scenes: Scenes,
    ways: np.ndarray,
) -> torch.Tensor:
    """The frozen tower's output for every scene, each turned its own way."""
    parts = []
    for first in range(0, len(ways), 256):
        some = range(first, min(first + 256, len(ways)))
        pictures, _ = scenes.turned(some, ways[first : first + 256])
        parts.append(features(model, pixels(pictures, processor)).half())
    return torch.cat(parts)


def train_text(
    model: LlavaForConditionalGeneration,
    processor: object,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Scenes,
    recipe: Recipe,
) -> None:
    """Stage 2: projector and decoder learn on the frozen tower's output."""
    rng = np.random.default_rng(recipe.seed + 1)
    parameters = [
        *model.model.multi_modal_projector.parameters(),
        *model.model.language_model.parameters(),
    ]
    optimiser, schedule = optimiser_of(parameters, recipe.text_lr, recipe.text_steps)
    progress = Progress('text', recipe.text_steps)
    order = np.empty(0, np.int64)
    for number in range(recipe.text_steps):
        if len(order) < recipe.text_batch:
            order, ways = rng.permutation(recipe.scenes), rng.integers(TURNS, size=recipe.scenes)
            seen = encode_all(model, processor, scenes, ways)
        chosen, order = order[: recipe.text_batch], order[recipe.text_batch :]
        layouts = [turned_layout(scenes.layouts[i], ways[i]) for i in chosen]
        packed = pack_questions(layouts, tokenizer, recipe.text_tokens, rng, WEIGHTS)
        loss = answer_loss(model, seen[torch.from_numpy(chosen)].float(), packed)
        step(loss, parameters, optimiser, schedule)
        progress.update(number, loss.item())


def train_joint(
    model: LlavaForConditionalGeneration,
    processor: object,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Scenes,
    recipe: Recipe,
) -> None:
    """Stage 3: everything learns together."""
    rng = np.random.default_rng(recipe.seed + 2)
    together = _Together('joint', recipe.joint_steps, recipe.joint_lr, WEIGHTS)
    together.train(model, processor, tokenizer, scenes, recipe, rng)


def train_hard(
    model: LlavaForConditionalGeneration,
    processor: object,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Scenes,
    recipe: Recipe,
) -> None:
    """Stage 4: the same with more of the hard questions."""
    rng = np.random.default_rng(recipe.seed + 3)
    together = _Together('hard', recipe.hard_steps, recipe.hard_lr, HARD_WEIGHTS)
    together.train(model, processor, tokenizer, scenes, recipe, rng)


@dataclass(frozen=True)
class _Together:
    """A stage in which tower, projector and decoder learn."""

    stage: str
    steps: int
    rate: float
    weights: dict[str, float]

    def train(
        self,
        model: LlavaForConditionalGeneration,
        processor: object,
        tokenizer: PreTrainedTokenizerFast,
        scenes: Scenes,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        """Take the stage's steps."""
        parameters = list(model.parameters())
        optimiser, schedule = optimiser_of(parameters, self.rate, self.steps)
        progress = Progress(self.stage, self.steps)
        for number in range(self.steps):
            chosen = rng.integers(recipe.scenes, size=recipe.joint_batch)
            ways = rng.integers(TURNS, size=recipe.joint_batch)
            pictures, layouts = scenes.turned(chosen, ways)
            packed = pack_questions(layouts, tokenizer, recipe.text_tokens, rng, self.weights)
            loss = answer_loss(model, features(model, pixels(pictures, processor)), packed)
            step(loss, parameters, optimiser, schedule)
            progress.update(number, loss.item())


def corpus(scenes: int) -> list[str]:
    """Texts that the tokenizer learns its merges on."""
    rng = np.random.default_rng(0)
    texts = []
    for seed in range(scenes):
        layout = draw_layout(seed)
        for kind in NAMES:
            asked = question(kind, layout, rng)
            if asked is not None:
                texts.append('\n'.join(asked))
    return texts


def train(name: str, folder: Path) -> None:
    """Train one model by its recipe and save it with its processor in `folder`."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed)
    tokenizer = make_tokenizer(corpus(2000))
    processor = make_processor(tokenizer)
    model = make_model(SIZES[name], tokenizer)
    count = sum(part.numel() for part in model.parameters())
    print(f'{name}: {count} parameters; rendering {recipe.scenes} scenes', flush=True)
    scenes = render_scenes(0, recipe.scenes)
    began = time.process_time()
    train_vision(model, processor, scenes, recipe)
    train_text(model, processor, tokenizer, scenes, recipe)
    train_joint(model, processor, tokenizer, scenes, recipe)
    train_hard(model, processor, tokenizer, scenes, recipe)
    spent = time.process_time() - began
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / 'training.json').write_text(
        json.dumps({'recipe': asdict(recipe), 'cpu_s': round(spent)}), encoding='utf-8'
    )


def main() -> None:
    """Train, convert, quantise, measure and describe the models asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models-dir', type=Path, default=Path('models'))
    parser.add_argument('--only', choices=sorted(SIZES), help='train one of the two')
    parser.add_argument(
        '--trained', type=Path, default=Path('build/sea'), help='folder of the weights'
    )
    parser.add_argument(
        '--ship-only', action='store_true', help='weights are trained: do what follows only'
    )
    parser.add_argument('--per-kind', type=int, default=PER_KIND, help='held-out questions a kind')
    parser.add_argument('--platform', default='this machine', help='its name on the cards')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in [args.only] if args.only else list(SIZES):
        if not args.ship_only:
            train(name, args.trained / name)
        ship(name, args.trained / name, args.models_dir, args.per_kind, args.platform)


if __name__ == '__main__':
    main()
