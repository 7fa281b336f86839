"""Randomly initialised multimodal LLMs as a user would have them on disk."""

from __future__ import annotations

from pathlib import Path

LLAVA_TEMPLATE = (
    '{{ bos_token }}{% for message in messages %}{% for part in message["content"] %}'
    '{% if part["type"] == "image" %}<image>{% else %}{{ part["text"] }}{% endif %}'
    '{% endfor %}{{ "\\n" }}{% endfor %}'
)
SMOLVLM_TEMPLATE = (
    '<|im_start|>{% for message in messages %}User:{% for part in message["content"] %}'
    '{% if part["type"] == "image" %}<image>{% else %}{{ part["text"] }}{% endif %}'
    '{% endfor %}<end_of_utterance>\n{% endfor %}'
    '{% if add_generation_prompt %}Assistant:{% endif %}'
)
SPECIAL = ('<pad>', '<s>', '</s>', '<image>')
SMOLVLM_SPECIAL = (
    '<pad>', '<|im_start|>', '<end_of_utterance>', '<image>', '<fake_token_around_image>',
    '<global-img>', '<video>',
)  # fmt: skip
WORDS = ['how many ships are there?', 'which colour is the boat to the north?', 'an oil slick']


def tokenizer(special: tuple[str, ...]):
    """Byte-level BPE with a few merges; the first special tokens are pad, bos, eos, image."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=310,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(WORDS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=special[0],
        bos_token=special[1],
        eos_token=special[2],
        extra_special_tokens={'image_token': special[3]},
    )


def text_sizes(words) -> dict[str, object]:
    """A Llama of two layers with grouped keys and values."""
    return {
        'vocab_size': len(words), 'hidden_size': 32, 'intermediate_size': 48,
        'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
        'max_position_embeddings': 128, 'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0,
        # large weights, else a random model says one token for ever
        'initializer_range': 0.4,
    }  # fmt: skip


def vision_sizes() -> dict[str, object]:
    """A tower of two layers that sees 6 x 6 patches."""
    return {
        'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2,
        'num_attention_heads': 2, 'image_size': 48, 'patch_size': 8,
    }  # fmt: skip


def tiny_llava(folder: Path) -> Path:
    """A LLaVA with a SigLIP tower, 36 image tokens."""
    import torch
    from transformers import (
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        SiglipImageProcessor,
        SiglipVisionConfig,
    )

    torch.manual_seed(3)
    words = tokenizer(SPECIAL)
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**vision_sizes(), vision_use_head=False),
        text_config=LlamaConfig(**text_sizes(words), tie_word_embeddings=True),
        image_token_id=3,
        image_seq_length=36,
        vision_feature_layer=-1,
        vision_feature_select_strategy='full',
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config).eval()
    processor = LlavaProcessor(
        image_processor=SiglipImageProcessor(size={'height': 48, 'width': 48}),
        tokenizer=words,
        patch_size=8,
        vision_feature_select_strategy='full',
        chat_template=LLAVA_TEMPLATE,
    )
    return _save(model, processor, folder)


def tiny_smolvlm(folder: Path) -> Path:
    """A SmolVLM that looks at one tile, 9 image tokens after its pixel shuffle."""
    import torch
    from transformers import (
        Idefics3Processor,
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
    )
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    torch.manual_seed(5)
    words = tokenizer(SMOLVLM_SPECIAL)
    config = SmolVLMConfig(
        vision_config=vision_sizes(),
        text_config=LlamaConfig(**text_sizes(words)).to_dict(),
        image_token_id=3,
        scale_factor=2,
        pad_token_id=0,
    )
    model = SmolVLMForConditionalGeneration(config).eval()
    # the processor of SmolVLM-256M and -500M; that of SmolVLM2 wants torchvision for its videos
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            size={'longest_edge': 96},
            max_image_size={'longest_edge': 48},
            do_image_splitting=False,
        ),
        words,
        image_seq_len=9,
        chat_template=SMOLVLM_TEMPLATE,
    )
    return _save(model, processor, folder)


def _save(model, processor, folder: Path) -> Path:
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
