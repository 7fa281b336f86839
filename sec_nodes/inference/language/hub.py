"""Folders and Hugging Face repositories in the layout of onnx-community and transformers.js.

They have no model.yaml: what it would say is derived from config.json, preprocessor_config.json,
generation_config.json and the chat template, for the kinds of model whose way of putting a
picture into a prompt is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sec_nodes.inference.language.configs import (
    decoder_flop,
    decoder_spec,
    image_spec,
    text_config,
    vision_flop,
)
from sec_nodes.inference.language.spec import (
    QUESTION_MARK,
    TOKENIZER_FILE,
    LanguageSpec,
    Level,
    PromptSpec,
)
from sec_nodes.inference.manifest import ModelError

_DECODER = 'decoder_model_merged'
_ROLES = {'vision': 'vision_encoder', 'embed': 'embed_tokens', 'decoder': _DECODER}
_AROUND = {
    'llava': '{image}',
    'idefics3': '<fake_token_around_image><global-img>{image}<fake_token_around_image>',
    'smolvlm': '<fake_token_around_image><global-img>{image}<fake_token_around_image>',
}
"""What a processor puts in place of the image token, by model type."""

_VISION_DEFAULTS = {
    'hidden_size': 768, 'intermediate_size': 3072, 'num_hidden_layers': 12,
    'image_size': 224, 'patch_size': 32,
}  # fmt: skip


def download(repository: str, quantisation: str | None) -> Path:
    """The local copy of a Hugging Face repository's configuration and one level of its graphs.

    ModelError if it cannot be had.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise ModelError(f'{repository} is not here; install huggingface_hub to get it') from error
    suffix = '' if quantisation in (None, 'fp32') else f'_{quantisation}'
    graphs = [f'*{role}{suffix}.onnx*' for role in _ROLES.values()]
    try:
        return Path(snapshot_download(repository, allow_patterns=['*.json', '*.jinja', *graphs]))
    except (HfHubHTTPError, OSError, ValueError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f'{repository} is neither a folder here nor to be had from Hugging Face: {first_line}'
        ) from error


def graphs_folder(folder: Path) -> Path:
    """Where the graphs are: in onnx/, or beside the configuration."""
    return folder / 'onnx' if (folder / 'onnx').is_dir() else folder


def derive_spec(folder: Path) -> LanguageSpec:
    """What model.yaml would say; ModelError for a folder that is not converted or not known."""
    levels = _levels(graphs_folder(folder), folder)
    config = _read(folder, 'config.json')
    kind = config.get('model_type', '')
    if kind not in _AROUND:
        raise ModelError(
            f'{folder} is of model type {kind!r}; without a model.yaml only '
            f'{", ".join(_AROUND)} are known. Convert the original: sec models convert ...'
        )
    processor = _read(folder, 'processor_config.json', {})
    pictures = processor.get('image_processor') or _read(folder, 'preprocessor_config.json')
    text, vision = text_config(config), {**_VISION_DEFAULTS, **config.get('vision_config', {})}
    decoder = decoder_spec(text)
    prompt = _prompt(folder, kind, _image_tokens(config, processor, vision))
    per_token = decoder_flop(text, decoder, prompt.image_tokens)
    tower = vision_flop(vision, prompt.image_tokens, decoder.hidden)
    return LanguageSpec(
        id=folder.resolve().name,
        source=config.get('_name_or_path') or folder.resolve().name,
        parameters=max((per_token + tower // prompt.image_tokens) // 2, 1),
        prompt=prompt,
        stop_token_ids=_stop_ids(folder, config),
        image=image_spec(pictures),
        decoder=decoder,
        flop_prefix=tower + prompt.image_tokens * per_token,
        flop_per_token=per_token,
        levels=levels,
    )


def _levels(graphs: Path, folder: Path) -> dict[str, Level]:
    """Quantisations that are there, by the suffix of the decoder; fp32 has none."""
    found = sorted(graphs.glob(f'{_DECODER}*.onnx'))
    if not found:
        raise ModelError(
            f'{folder} holds no {_DECODER}.onnx: it is not converted. '
            f'Convert it first: sec models convert {folder}'
        )
    levels = {}
    for path in found:
        suffix = path.stem.removeprefix(_DECODER)
        files = {role: _with_suffix(graphs, name, suffix) for role, name in _ROLES.items()}
        levels[suffix.lstrip('_') or 'fp32'] = Level(**files)
    return levels


def _with_suffix(graphs: Path, name: str, suffix: str) -> str:
    """The graph of a role in that quantisation, else the unquantised one."""
    wanted = f'{name}{suffix}.onnx'
    return wanted if (graphs / wanted).is_file() else f'{name}.onnx'


def _image_tokens(
    config: Mapping[str, Any], processor: Mapping[str, Any], vision: Mapping[str, Any]
) -> int:
    told = processor.get('image_seq_len') or config.get('image_seq_length')
    patches = (vision['image_size'] // vision['patch_size']) ** 2
    return int(told or patches // config.get('scale_factor', 1) ** 2)


def _prompt(folder: Path, kind: str, image_tokens: int) -> PromptSpec:
    tokenizer = _read(folder, TOKENIZER_FILE)
    added = {token['content']: token['id'] for token in tokenizer.get('added_tokens', ())}
    if '<image>' not in added:
        raise ModelError(f'{folder / TOKENIZER_FILE} has no token <image>')
    settings = _read(folder, 'tokenizer_config.json', {})
    with_image = _chat(folder, settings, pictured=True)
    return PromptSpec(
        with_image=with_image.replace('<image>', _AROUND[kind]),
        without_image=_chat(folder, settings, pictured=False),
        image_token='<image>',
        image_token_id=added['<image>'],
        image_tokens=image_tokens,
        # a template writes the first token itself, a processor leaves it to the tokenizer
        add_special_tokens=not with_image.startswith(_content(settings.get('bos_token')) or '\0'),
    )


def _chat(folder: Path, settings: Mapping[str, Any], *, pictured: bool) -> str:
    """The chat template filled with marks instead of a picture and a question."""
    template = _template(folder, settings)
    if template is None:
        start = f'<image>\n{QUESTION_MARK}' if pictured else QUESTION_MARK
        return f'USER: {start} ASSISTANT:'
    try:
        from jinja2.exceptions import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise ModelError(f'{folder} has a chat template; install jinja2 to read it') from error
    content = [{'type': 'image'}] if pictured else []
    message = {'role': 'user', 'content': [*content, {'type': 'text', 'text': QUESTION_MARK}]}
    names = {key: _content(settings.get(key)) for key in ('bos_token', 'eos_token')}
    try:
        # whoever wrote the template must not run code here
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        compiled = environment.from_string(template)
        return compiled.render(messages=[message], add_generation_prompt=True, **names)
    except TemplateError as error:
        raise ModelError(f'the chat template of {folder} fails: {error}') from error


def _template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The chat template, from whichever of the three places it is in."""
    path = folder / 'chat_template.jinja'
    if path.is_file():
        return path.read_text(encoding='utf-8')
    found = _read(folder, 'chat_template.json', {}).get('chat_template')
    found = found or settings.get('chat_template')
    return found if isinstance(found, str) else None


def _stop_ids(folder: Path, config: Mapping[str, Any]) -> tuple[int, ...]:
    ids = _read(folder, 'generation_config.json', {}).get('eos_token_id')
    ids = config.get('eos_token_id') if ids is None else ids
    ids = config.get('text_config', {}).get('eos_token_id', 2) if ids is None else ids
    return tuple(ids) if isinstance(ids, list) else (int(ids),)


def _content(token: Any) -> str:
    """A special token's text; old files wrap it in an object."""
    return str(token.get('content', '')) if isinstance(token, dict) else str(token or '')


def _read(folder: Path, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    path = folder / name
    if not path.is_file() and default is not None:
        return default
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ModelError(f'{path} cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise ModelError(f'{path} is not valid JSON: {error}') from error
    if not isinstance(content, dict):
        raise ModelError(f'{path} is not a JSON object')
    return content
