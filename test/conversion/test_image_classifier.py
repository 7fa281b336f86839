"""Classifiers of transformers become graphs that take a raw picture and can be cut."""

import numpy as np
import pytest

from sec_nodes.conversion.image_classifier import convert_classifier
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import ModelError

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')

LABELS = {0: 'ship', 1: 'buoy', 2: 'oil', 3: 'nothing'}


def tiny_vit(folder):
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        image_size=32, patch_size=8, id2label=LABELS,
    )  # fmt: skip
    processor = transformers.ViTImageProcessor(size={'height': 32, 'width': 32})
    return transformers.ViTForImageClassification(config), processor


def tiny_resnet(folder):
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type='basic', id2label=LABELS
    )
    processor = transformers.ConvNextImageProcessor(size={'shortest_edge': 32})
    return transformers.ResNetForImageClassification(config), processor


@pytest.mark.parametrize(('make', 'cuts'), [(tiny_vit, 4), (tiny_resnet, 4)])
def test_scores_are_those_of_transformers_at_every_cut(make, cuts, tmp_path):
    torch.manual_seed(1)
    model, processor = make(tmp_path)
    model.eval().save_pretrained(tmp_path / 'hf')
    processor.save_pretrained(tmp_path / 'hf')
    classes = convert_classifier(tmp_path / 'hf', tmp_path / 'model.onnx')
    assert classes == tuple(LABELS.values())
    picture = np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8)
    pixels = processor(picture, do_resize=False, return_tensors='pt')
    with torch.no_grad():
        wanted = model(**pixels).logits.numpy()
    split = SplitModel.load(tmp_path / 'model.onnx')
    assert split.input_shape == (1, 32, 32, 3)
    assert len(split.cuts) >= cuts
    for cut in range(len(split.cuts)):
        scores = split.run_back(cut, split.run_front(cut, picture))
        np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_what_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(ModelError, match='cannot load'):
        convert_classifier(tmp_path / 'nothing', tmp_path / 'model.onnx')
