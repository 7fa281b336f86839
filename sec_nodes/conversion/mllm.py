"""From a multimodal LLM of transformers to graphs that run without transformers and torch.

Three graphs in the layout of onnx-community and transformers.js. The decoder is one graph for a
whole prompt and for a single further token: rows, new tokens and past length are all dynamic.
What comes out is compared with the original before it is kept, so that a model of a kind that
this code misunderstands is refused instead of answering nonsense.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.conversion.export import export_graph
from sec_nodes.conversion.prompts import chat, example, prompt_spec
from sec_nodes.inference.language.configs import (
    decoder_flop,
    decoder_spec,
    image_spec,
    vision_flop,
)
from sec_nodes.inference.language.model import LanguageModel
from sec_nodes.inference.language.preprocessing import pixel_values
from sec_nodes.inference.language.spec import (
    TOKENIZER_FILE,
    DecoderSpec,
    ImageSpec,
    LanguageSpec,
    Level,
    write_spec,
)
from sec_nodes.inference.language.types import Question
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy

FP32 = Level(
    vision='vision_encoder.onnx', embed='embed_tokens.onnx', decoder='decoder_model_merged.onnx'
)
_PROBES = ('how many?', 'what is there, and where?', '1')
_PROBE_TOKENS = 8


def convert_mllm(source: str | Path, target: Path, *, model_id: str | None = None) -> Path:
    """Convert a model to float32 graphs in the folder `target`; see `quantise_mllm` for others.

    Args:
        source: folder or Hugging Face id of a model that AutoModelForImageTextToText loads.
        target: folder to write; made if it is not there.
        model_id: what the model is called; default: the last part of the source.

    Raises:
        ModelError: the model is of a kind that is not supported, or the graphs disagree with it.
    """
    model, processor = load_transformers(source)
    text = model.config.get_text_config(decoder=True).to_dict()
    decoder, image = decoder_spec(text), image_spec(processor.image_processor.to_dict())
    prompt = prompt_spec(processor, example(image.shape))
    vision = model.config.vision_config.to_dict()
    per_token = decoder_flop(text, decoder, prompt.image_tokens)
    name = Path(str(source)).name
    spec = LanguageSpec(
        id=model_id or name.lower(),
        source=name if Path(str(source)).is_dir() else str(source),
        parameters=sum(weight.numel() for weight in model.parameters()),
        prompt=prompt,
        stop_token_ids=_stop_ids(model),
        image=image,
        decoder=decoder,
        flop_prefix=vision_flop(vision, prompt.image_tokens, decoder.hidden)
        + prompt.image_tokens * per_token,
        flop_per_token=per_token,
        levels={'fp32': FP32},
    )
    target.mkdir(parents=True, exist_ok=True)
    _export(model, image, decoder, target)
    processor.tokenizer.backend_tokenizer.save(str(target / TOKENIZER_FILE))
    write_spec(spec, target)
    _check(model, processor, image, target)
    return target


def load_transformers(source: str | Path) -> tuple[Any, Any]:
    """The model in float32 and its processor, set to see a picture as one tile."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=torch.float32, attn_implementation='eager'
        )
        processor = AutoProcessor.from_pretrained(source)
    except (ValueError, OSError, KeyError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f'transformers cannot load {source} as an MLLM: {first_line}') from error
    if model.config.is_encoder_decoder:
        raise ModelError(f'{source} has an encoder and a decoder; only causal LMs are supported')
    if hasattr(processor.image_processor, 'do_image_splitting'):
        processor.image_processor.do_image_splitting = False
    return model.eval(), processor


def transformers_answer(
    model: Any, processor: Any, question: str, picture: NDArray[np.uint8], new_tokens: int
) -> list[int]:
    """Token ids of transformers' greedy `generate`, the stop token included."""
    import torch

    inputs = processor(text=chat(processor, question), images=picture, return_tensors='pt')
    with torch.no_grad():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens)
    return [int(token) for token in ids[0, inputs['input_ids'].shape[1] :]]


def _stop_ids(model: Any) -> tuple[int, ...]:
    """What ends an answer of `generate`."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = model.config.get_text_config(decoder=True).eos_token_id
    if ids is None:
        raise ModelError('neither generation_config nor config name an eos_token_id')
    return tuple(ids) if isinstance(ids, list | tuple) else (int(ids),)


def _export(model: Any, image: ImageSpec, text: DecoderSpec, target: Path) -> None:
    """Write the three graphs."""
    import torch

    from sec_nodes.conversion import modules

    batch = new = past = torch.export.Dim.DYNAMIC
    # two rows and more than one token: torch takes a size of one for a constant
    pixels = torch.zeros(2, 3, *image.shape[:2])
    export_graph(
        modules.vision_module(model), (pixels,), ({0: batch},),
        ['pixel_values'], ['image_features'], target / FP32.vision,
    )  # fmt: skip
    ids = torch.zeros(2, 3, dtype=torch.int64)
    export_graph(
        modules.TokenEmbedding(model), (ids,), ({0: batch, 1: new},),
        ['input_ids'], ['inputs_embeds'], target / FP32.embed,
    )  # fmt: skip
    names = [f'{layer}.{part}' for layer in range(text.layers) for part in ('key', 'value')]
    caches = [torch.zeros(2, text.kv_heads, 5, text.head_dim) for _ in names]
    export_graph(
        modules.Decoder(model),
        (
            torch.zeros(2, 3, text.hidden),
            torch.ones(2, 8, dtype=torch.int64),
            torch.arange(5, 8).repeat(2, 1),
            caches,
        ),
        (
            {0: batch, 1: new},
            {0: batch, 1: past},
            {0: batch, 1: new},
            [{0: batch, 2: past} for _ in names],
        ),
        [
            'inputs_embeds', 'attention_mask', 'position_ids',
            *(f'past_key_values.{name}' for name in names),
        ],
        ['logits', *(f'present.{name}' for name in names)],
        target / FP32.decoder,
    )  # fmt: skip


def _check(model: Any, processor: Any, image: ImageSpec, target: Path) -> None:
    """Compare the converted model with the original on pictures and questions.

    ModelError if pixels differ by more than rounding, or greedy answers by one token.
    """
    converted = LanguageModel.load(target, policy=DevicePolicy(prefer=('cpu',)))
    for seed, question in enumerate(_PROBES):
        picture = example(image.shape, seed)
        pixels = processor(text=chat(processor, question), images=picture, return_tensors='np')
        wanted = np.asarray(pixels['pixel_values']).reshape(3, *image.shape[:2])
        if not np.allclose(pixel_values(picture, image), wanted, atol=1e-5):
            raise ModelError(f'{type(processor).__name__} prepares pictures in a way not known')
        original = transformers_answer(model, processor, question, picture, _PROBE_TOKENS)
        ours = converted.generate([Question(question, picture, max_tokens=_PROBE_TOKENS)])[0]
        if list(ours.token_ids) != original:
            raise ModelError(
                f'the converted model answers {list(ours.token_ids)} where transformers answers '
                f'{original}; {type(model).__name__} is not of a supported kind'
            )
