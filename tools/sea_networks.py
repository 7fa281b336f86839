"""The small MLLMs before training: transformers configurations, tokenizer and processor.

Both are of the LLaVA kind (Liu et al., Visual Instruction Tuning, 2023): a SigLIP vision tower,
a two-layer projector and a Llama decoder, put together from transformers' own classes, so that
whatever loads, converts and runs them serves larger models of that kind too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

from sec_nodes.inference.sea.layout import SIDE

PATCH = 16
GRID = SIDE // PATCH
IMAGE_TOKENS = GRID * GRID
BOS, EOS, PAD, IMAGE = '<s>', '</s>', '<pad>', '<image>'
CHAT_TEMPLATE = (
    '{{ bos_token }}{% for message in messages %}{% if message["role"] == "user" %}'
    '{% for part in message["content"] %}{% if part["type"] == "image" %}<image>'
    '{% else %}{{ part["text"] }}\n{% endif %}{% endfor %}'
    '{% else %}{% for part in message["content"] %}{{ part["text"] }}{% endfor %}'
    '{{ eos_token }}{% endif %}{% endfor %}'
)
"""The picture, the question on a line, then the answer."""


@dataclass(frozen=True)
class Size:
    """Widths and depths of one model."""

    vision_width: int
    vision_layers: int
    width: int
    layers: int
    heads: int
    inner: int


SIZES: dict[str, Size] = {
    'sea-s': Size(vision_width=48, vision_layers=2, width=48, layers=2, heads=4, inner=128),
    'sea-l': Size(vision_width=128, vision_layers=4, width=128, layers=4, heads=4, inner=352),
}


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer whose merges are learnt on `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[PAD, BOS, EOS, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens={'image_token': IMAGE},
        model_max_length=256,
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures to pixels and text to tokens, saved beside the model."""
    pictures = SiglipImageProcessor(
        size={'height': SIDE, 'width': SIDE},
        image_mean=[0.25, 0.35, 0.40],
        image_std=[0.25, 0.25, 0.25],
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy='full',
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def make_model(size: Size, tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The untrained model; torch's seed decides its weights."""
    vision = SiglipVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=2 * size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.heads,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy='full',
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
