"""Repositories in the layout of onnx-community: everything is derived from their JSON files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from toy_language import (
    CONTEXT,
    HIDDEN,
    IMAGE_TOKENS,
    SIDE,
    STOPS,
    VOCABULARY,
    features_of,
    reference,
    tokenizer,
    toy_folder,
)

from sec_nodes.inference.language import LanguageModel, Question, hub
from sec_nodes.inference.language.configs import decoder_flop, decoder_spec, image_spec
from sec_nodes.inference.manifest import ModelError

TEMPLATE = (
    '{{ bos_token }}{% for message in messages %}{% for part in message["content"] %}'
    '{% if part["type"] == "image" %}<image>{% else %}Q: {{ part["text"] }}{% endif %}'
    '{% endfor %}{{ "\\n" }}{% endfor %}{% if add_generation_prompt %}A:{% endif %}'
)
CONFIG = {
    'model_type': 'llava',
    'image_seq_length': IMAGE_TOKENS,
    'text_config': {
        'model_type': 'llama', 'hidden_size': HIDDEN, 'intermediate_size': 7,
        'num_hidden_layers': 1, 'num_attention_heads': 1, 'vocab_size': VOCABULARY,
        'max_position_embeddings': CONTEXT,
    },
    'vision_config': {
        'hidden_size': 5, 'intermediate_size': 9, 'num_hidden_layers': 2, 'image_size': SIDE,
        'patch_size': 4,
    },
}  # fmt: skip
PICTURES = {
    'size': {'height': SIDE, 'width': SIDE}, 'image_mean': [0.5] * 3, 'image_std': [0.25] * 3,
    'resample': 3, 'rescale_factor': 1 / 255,
}  # fmt: skip


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def repository(tmp_path):
    """The toy as its authors would upload it: fp32 and q4, the latter's tower unquantised."""
    folder = tmp_path / 'Toy-ONNX'
    toy_folder(folder / 'onnx')
    shutil.move(folder / 'onnx' / 'tokenizer.json', folder / 'tokenizer.json')
    (folder / 'onnx' / 'model.yaml').unlink()
    for name in ('embed_tokens', 'decoder_model_merged'):
        shutil.copy(folder / 'onnx' / f'{name}.onnx', folder / 'onnx' / f'{name}_q4.onnx')
    write(folder, 'config.json', CONFIG)
    write(folder, 'preprocessor_config.json', PICTURES)
    write(folder, 'generation_config.json', {'eos_token_id': list(STOPS)})
    write(folder, 'tokenizer_config.json', {'bos_token': '<s>'})
    (folder / 'chat_template.jinja').write_text(TEMPLATE)
    return folder


def test_a_repository_answers_like_the_model_it_is(repository):
    import numpy as np

    image = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    ids = tokenizer().encode(f'<s>{"<image>" * IMAGE_TOKENS}Q: how?\nA:').ids
    wanted = reference(ids, features_of(image), 10)
    model = LanguageModel.load(repository)
    assert model.id == 'Toy-ONNX-fp32'
    answer = model.generate([Question('how?', image, max_tokens=10)])[0]
    assert list(answer.token_ids) == wanted
    assert LanguageModel.load(f'{repository}:q4').id == 'Toy-ONNX-q4'


def test_the_chat_template_may_be_in_three_places(repository):
    spec = hub.derive_spec(repository)
    assert spec.prompt.with_image == '<s>{image}Q: {question}\nA:'
    assert spec.prompt.without_image == '<s>Q: {question}\nA:'
    assert spec.prompt.add_special_tokens is False
    (repository / 'chat_template.jinja').unlink()
    write(
        repository,
        'chat_template.json',
        {'chat_template': 'J {{ messages[0].role }} <image>{question}'},
    )
    assert hub.derive_spec(repository).prompt.with_image == 'J user {image}{question}'
    (repository / 'chat_template.json').unlink()
    write(repository, 'tokenizer_config.json', {'chat_template': 'T <image>{question}'})
    assert hub.derive_spec(repository).prompt.with_image == 'T {image}{question}'
    write(repository, 'tokenizer_config.json', {})
    prompt = hub.derive_spec(repository).prompt
    assert prompt.with_image == 'USER: {image}\n{question} ASSISTANT:'
    assert prompt.add_special_tokens is True


def test_a_template_cannot_run_code(repository):
    attack = '<image>{question}{{ "".__class__.__mro__[1].__subclasses__() }}'
    (repository / 'chat_template.jinja').write_text(attack)
    with pytest.raises(ModelError, match=r'chat template of .* fails'):
        hub.derive_spec(repository)


def test_one_tile_of_smolvlm(repository):
    """Pixel shuffle by 2 makes 16 patches 4 tokens; the processor wraps them."""
    config = {
        **CONFIG, 'model_type': 'idefics3', 'scale_factor': 2, 'image_seq_length': None,
        'vision_config': {'image_size': 48, 'patch_size': 12},
    }  # fmt: skip
    write(repository, 'config.json', config)
    pictures = {
        'size': {'longest_edge': 96},
        'max_image_size': {'longest_edge': 48},
        'resample': 1,
    }
    write(repository, 'preprocessor_config.json', pictures)
    spec = hub.derive_spec(repository)
    assert spec.prompt.image_tokens == 4
    assert '<fake_token_around_image><global-img>{image}<fake_token' in spec.prompt.with_image
    assert [(step.kind, step.height) for step in spec.image.steps] == [
        ('longest_edge', 96), ('fit', 48),
    ]  # fmt: skip
    assert spec.image.resample == 'lanczos'


def test_work_by_hand():
    """Llama of width 4, one layer, 2 heads of 2 (1 for keys), inner 3, 10 words, 5 attended."""
    text = {
        'hidden_size': 4, 'intermediate_size': 3, 'num_hidden_layers': 1, 'vocab_size': 10,
        'num_attention_heads': 2, 'num_key_value_heads': 1, 'max_position_embeddings': 50,
    }  # fmt: skip
    query_and_output, key_and_value, gated = 2 * 4 * 4, 2 * 4 * 2, 3 * 4 * 3
    attention = 5 * 4 + 5 * 4
    multiply_adds = query_and_output + key_and_value + gated + attention + 4 * 10
    assert decoder_flop(text, decoder_spec(text), 5) == 2 * multiply_adds


@pytest.mark.parametrize(
    ('settings', 'steps'),
    [
        ({'size': 24}, [('fit', 24, 24)]),
        (
            {'size': {'shortest_edge': 30}, 'do_center_crop': True, 'crop_size': 28},
            [('shortest_edge', 30, 30), ('crop', 28, 28)],
        ),
    ],
)
def test_pictures_of_other_processors(settings, steps):
    made = image_spec(settings).steps
    assert [(step.kind, step.height, step.width) for step in made] == steps


def test_what_is_not_known_is_refused(repository):
    with pytest.raises(ModelError, match='no fixed shape'):
        image_spec({'size': {'shortest_edge': 30}})
    for kind, words in (('qwen2_5_vl', 'qwen2_5_vl.*only llava, idefics3, smolvlm'),):
        write(repository, 'config.json', {**CONFIG, 'model_type': kind})
        with pytest.raises(ModelError, match=words):
            LanguageModel.load(repository)
    sliding = {**CONFIG['text_config'], 'layer_types': ['sliding_attention']}
    write(repository, 'config.json', {**CONFIG, 'text_config': sliding})
    with pytest.raises(ModelError, match='sliding_attention'):
        LanguageModel.load(repository)
    (repository / 'config.json').write_text('{')
    with pytest.raises(ModelError, match=r'config.json is not valid JSON'):
        LanguageModel.load(repository)


def test_a_repository_is_fetched_by_level(repository, monkeypatch):
    import huggingface_hub

    asked = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(repository)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', fetch)
    assert LanguageModel.load('someone/Toy-ONNX:q4').id == 'Toy-ONNX-q4'
    name, patterns = asked[0]
    assert name == 'someone/Toy-ONNX'
    assert '*decoder_model_merged_q4.onnx*' in patterns

    def fail(name: str, allow_patterns: list[str]) -> str:
        raise OSError('no network')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', fail)
    with pytest.raises(ModelError, match=r'someone/Toy is neither a folder .* no network'):
        LanguageModel.load('someone/Toy')
