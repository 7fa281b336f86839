"""From the configuration files of transformers to what this runtime wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sec_nodes.inference.language.spec import DecoderSpec, ImageSpec, Resample, ResizeStep
from sec_nodes.inference.manifest import ModelError

_RESAMPLE: dict[int, Resample] = {
    0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming',
}  # fmt: skip
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CONTEXT = 2048
Config = Mapping[str, Any]


def image_spec(settings: Config) -> ImageSpec:
    """Preprocessing from a processor's settings (preprocessor_config.json).

    Idefics 3 and SmolVLM see one tile, the whole picture: what their processors do without image
    splitting. ModelError for settings that give pictures of varying size.
    """
    resample = settings.get('resample', 3)
    resample = resample if resample in _RESAMPLE else 3
    size = _edges(settings.get('size') or {})
    steps = []
    tile = _edges(settings.get('max_image_size') or {}).get('longest_edge')
    if tile:
        longest = size.get('longest_edge', tile)
        steps.append(ResizeStep(kind='longest_edge', height=longest, width=longest))
        steps.append(ResizeStep(kind='fit', height=tile, width=tile))
    elif 'height' in size:
        steps.append(ResizeStep(kind='fit', height=size['height'], width=size['width']))
    elif 'shortest_edge' in size and settings.get('do_center_crop'):
        edge = size['shortest_edge']
        steps.append(ResizeStep(kind='shortest_edge', height=edge, width=edge))
    else:
        raise ModelError(f'pictures of size {dict(size)} have no fixed shape; not supported')
    if settings.get('do_center_crop'):
        crop = _edges(settings.get('crop_size') or size)
        edge = crop.get('shortest_edge', 0)
        height, width = crop.get('height', edge), crop.get('width', edge)
        steps.append(ResizeStep(kind='crop', height=height, width=width))
    normal = settings.get('do_normalize', True)
    return ImageSpec(
        steps=tuple(steps),
        resample=_RESAMPLE[resample],
        rescale=settings.get('rescale_factor', 1 / 255) if settings.get('do_rescale', True) else 1,
        mean=tuple(settings.get('image_mean') or _CLIP_MEAN) if normal else (0.0, 0.0, 0.0),
        std=tuple(settings.get('image_std') or _CLIP_STD) if normal else (1.0, 1.0, 1.0),
    )


def decoder_spec(text: Config) -> DecoderSpec:
    """Sizes of the language model; ModelError if it is not an ordinary causal decoder."""
    refuse_unusual(text)
    heads = text['num_attention_heads']
    return DecoderSpec(
        layers=text['num_hidden_layers'],
        kv_heads=text.get('num_key_value_heads') or heads,
        head_dim=text.get('head_dim') or text['hidden_size'] // heads,
        hidden=text['hidden_size'],
        vocabulary=text['vocab_size'],
        context=text.get('max_position_embeddings') or _CONTEXT,
    )


def refuse_unusual(text: Config) -> None:
    """ModelError for language models whose cache or positions differ from a Llama's."""
    rope = text.get('rope_parameters') or text.get('rope_scaling') or {}
    if 'mrope_section' in rope or rope.get('type') == 'mrope' or rope.get('mrope_interleaved'):
        raise ModelError(
            'the model has multi-axis rope positions (as Qwen-VL); only ordinary positions are '
            'supported: LLaVA, SmolVLM and Idefics 3 kinds'
        )
    strange = set(text.get('layer_types') or ()) - {'full_attention'}
    if strange or text.get('is_encoder_decoder'):
        what = ', '.join(sorted(strange)) or 'an encoder and a decoder'
        raise ModelError(f'the language model has {what}; only causal full attention is supported')


def text_config(config: Config) -> Config:
    """The part of config.json about the language model; names of Llama where it leaves them out.

    transformers writes only what differs from its defaults.
    """
    text = dict(config.get('text_config') or config)
    if text.get('model_type', 'llama') == 'llama':
        defaults = {
            'hidden_size': 4096, 'intermediate_size': 11008, 'num_hidden_layers': 32,
            'num_attention_heads': 32, 'vocab_size': 32000, 'max_position_embeddings': 2048,
        }  # fmt: skip
        text = {**defaults, **text}
    return text


def decoder_flop(text: Config, decoder: DecoderSpec, attended: int) -> int:
    """Work for one token that looks at `attended` others [FLOP], 2 per multiply-add.

    Gated feed-forward layers as in Llama are assumed.
    """
    heads = text['num_attention_heads']
    inner = text['intermediate_size']
    width, dim = decoder.hidden, decoder.head_dim
    projections = width * dim * (2 * heads + 2 * decoder.kv_heads)
    layer = projections + 3 * width * inner + 2 * attended * heads * dim
    return 2 * (decoder.layers * layer + width * decoder.vocabulary)


def vision_flop(vision: Config, features: int, out: int) -> int:
    """Work of a vision transformer with a two-layer projector [FLOP], 2 per multiply-add."""
    width, patch = vision['hidden_size'], vision['patch_size']
    patches = (vision['image_size'] // patch) ** 2
    layer = 4 * width**2 + 2 * width * vision['intermediate_size'] + 2 * patches * width
    tower = patches * (3 * patch**2 * width + vision['num_hidden_layers'] * layer)
    shuffled = width * patches // features
    return 2 * (tower + features * out * (shuffled + out))


def _edges(size: Any) -> dict[str, int]:
    """A size as edges; old files give a bare number for a square or for the shortest edge."""
    if isinstance(size, int):
        return {'height': size, 'width': size, 'shortest_edge': size}
    return {name: int(value) for name, value in dict(size).items() if value}
