"""The networks compute what torch computes with the same weights under the same names."""

from __future__ import annotations

import re

import numpy as np
import onnxruntime as ort
import pytest

from sec_nodes.inference.networks import build_network

torch = pytest.importorskip('torch')
nn = torch.nn
WIDTH, CLASSES = 0.125, 11


def rectified(*layers):
    return [part for layer in layers for part in (layer, nn.ReLU())]


class Chain(nn.Module):
    """AlexNet and VGG, with the module tree that gives torchvision's names."""

    def __init__(self, features, pooled, classifier):
        super().__init__()
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def alexnet():
    a, b, c, d, h = 8, 24, 48, 32, 512
    features = [nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(b, c, 3, 1, 1), nn.ReLU(), nn.Conv2d(c, d, 3, 1, 1), nn.ReLU(),
                nn.Conv2d(d, d, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)]  # fmt: skip
    classifier = [nn.Dropout(), nn.Linear(36 * d, h), nn.ReLU(), nn.Dropout(), nn.Linear(h, h),
                  nn.ReLU(), nn.Linear(h, CLASSES)]  # fmt: skip
    return Chain(features, 6, classifier)


def vgg(stages):
    features, c_in = [], 3
    for count, c_out in zip(stages, (8, 16, 32, 64, 64), strict=True):
        for _ in range(count):
            features += [nn.Conv2d(c_in, c_out, 3, 1, 1), nn.ReLU()]
            c_in = c_out
        features.append(nn.MaxPool2d(2))
    classifier = [nn.Linear(49 * 64, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512),
                  nn.ReLU(), nn.Dropout(), nn.Linear(512, CLASSES)]  # fmt: skip
    return Chain(features, 7, classifier)


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(c_out), nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.downsample = None
        if stride > 1:
            convolution = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for stage, (c_in, c_out) in enumerate(((8, 8), (8, 16), (16, 32), (32, 64)), start=1):
            first = Block(c_in, c_out, 1 if stage == 1 else 2)
            setattr(self, f'layer{stage}', nn.Sequential(first, Block(c_out, c_out, 1)))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def state(module, seed=4):
    """Random weights for every parameter and statistic, small enough to keep scores near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.dtype.is_floating_point:
            fan_in = max(1, tensor[0].numel()) if tensor.ndim > 1 else 25
            values = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
            scales = 'weight' in name and ('norm' in name or 'bn' in name)
            positive = scales or name.endswith('var')
            tensor.copy_(values.abs() + 0.5 if positive else values)
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def compare(name, module, weights, size, mean, std, call=lambda module, x: module(x)):
    image = np.random.default_rng(6).integers(0, 256, (1, size, size, 3), np.uint8)
    model = build_network(name, width=WIDTH, image_size=size, classes=CLASSES, weights=weights)
    found = ort.InferenceSession(model.SerializeToString()).run(None, {'image': image})[0]
    x = torch.from_numpy((image / 255.0 - mean) / std).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = call(module.eval(), x).numpy()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize('size', [224, 96, 150])
@pytest.mark.parametrize(
    ('name', 'make'),
    [
        ('alexnet', alexnet),
        ('vgg13', lambda: vgg((2, 2, 2, 2, 2))),
        ('vgg16', lambda: vgg((2, 2, 3, 3, 3))),
        ('resnet18', ResNet18),
    ],
)
def test_convolutional_networks(name, make, size):
    module = make()
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    compare(name, module, state(module), size, mean, std)


def test_vit_tiny(tmp_path):
    transformers = pytest.importorskip('transformers')
    config = transformers.ViTConfig(
        hidden_size=24, num_attention_heads=3, intermediate_size=96, image_size=64,
        num_labels=CLASSES,
    )  # fmt: skip
    module = transformers.ViTForImageClassification(config)
    weights = {published_name(name): value for name, value in state(module).items()}
    half = np.full(3, 0.5)
    compare('vit-tiny', module, weights, 64, half, half, lambda m, x: m(x).logits)


def published_name(name: str) -> str:
    """Names in transformers 5's modules as its published checkpoints have them."""
    name = re.sub(r'vit\.layers\.', 'vit.encoder.layer.', name)
    name = re.sub(r'attention\.([qkv])_proj', lambda m: f'attention.attention.{PARTS[m[1]]}', name)
    name = name.replace('attention.o_proj', 'attention.output.dense')
    return name.replace('mlp.fc1', 'intermediate.dense').replace('mlp.fc2', 'output.dense')


PARTS = {'q': 'query', 'k': 'key', 'v': 'value'}
