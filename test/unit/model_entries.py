"""Manifests with made-up multimodal LLMs, for those who only read what stands in them."""

import yaml

ROLES = ('vision', 'embed', 'decoder', 'tokenizer', 'config')
SEA_LEVELS = {
    'sea-s-q2': 0.35,
    'sea-s-q4': 0.62,
    'sea-s-q8': 0.71,
    'sea-l-q4': 0.82,
    'sea-l-q8': 0.88,
    'sea-l-fp16': 0.9,
}


def write_manifest(folder, accuracies, question_set='sea'):
    """A manifest of models by id, with accuracies; None for one that nobody measured."""
    models = [_entry(model, value, question_set) for model, value in accuracies.items()]
    (folder / 'manifest.yaml').write_text(yaml.safe_dump({'models': models}))
    return folder


def _entry(model, accuracy, question_set):
    entry = {
        'id': model,
        'task': 'made up',
        'kind': 'mllm',
        'source': 'nowhere',
        'license': 'Apache-2.0',
        'base': model.rpartition('-')[0],
        'quantisation': model.rpartition('-')[2],
        'files': [
            {'path': f'{model}/{role}', 'sha256': '0' * 64, 'bytes': 1, 'role': role}
            for role in ROLES
        ],
        'parameters': 1,
        'image': [96, 96, 3],
        'image_tokens': 36,
        'hidden': 8,
        'layers': 1,
        'context': 128,
        'flop_prefix': 1,
        'flop_per_token': 1,
        'weights_byte': 1,
    }
    if accuracy is not None:
        entry['accuracy'] = {
            'set': question_set,
            'value': accuracy,
            'interval_95': [accuracy, accuracy],
            'n_heldout': 1000,
            'per_kind': {},
            'majority_baseline': {},
        }
    return entry
