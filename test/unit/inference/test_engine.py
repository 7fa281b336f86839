"""The shipped models load, split exactly, answer as their cards say, and complain clearly."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from toy_graphs import Builder, residual

from sec_nodes.inference import providers
from sec_nodes.inference.codec import PayloadError, decode, encode
from sec_nodes.inference.engine import SplitModel, _parse
from sec_nodes.inference.manifest import ModelError, default_models_dir, load_manifest
from sec_nodes.inference.power import Reading
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.scenes import CLASSES, render
from sec_nodes.inference.splitting import split_graph

CLASSIFIERS = ('scene-l', 'scene-s', 'chain-l', 'chain-m', 'chain-s')
EXAMINED_AT_EVERY_CUT = ('scene-l', 'scene-s')  # the chains are in test_programs


@pytest.fixture(scope='module', params=EXAMINED_AT_EVERY_CUT)
def model(request):
    return SplitModel.load(request.param)


@pytest.fixture(scope='module')
def models():
    return {name: SplitModel.load(name) for name in CLASSIFIERS}


@pytest.fixture
def models_dir(tmp_path):
    """A folder of one toy model with a true manifest, to be damaged by the test."""
    copy = tmp_path / 'models'
    shutil.copytree(default_models_dir(), copy)
    return copy


def session(model, level):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )


def test_every_split_equals_the_whole(model):
    """Bit for bit, wherever it is cut and however the tensor was carried."""
    for seed, label in enumerate(CLASSES):
        image = render(label, seed)
        expected = model.run(image)
        for cut in model.cuts:
            tensor = model.run_front(cut.index, image)
            assert (tensor.shape, tensor.dtype.name) == (cut.shape, cut.dtype)
            assert tensor.nbytes * 8 == cut.size_bit
            back = model.run_back(cut.index, decode(encode(tensor), cut.shape, cut.dtype))
            np.testing.assert_array_equal(back, expected)


def test_a_span_of_layers_leads_from_cut_to_cut(model):
    """Run in two legs over any cut, the layers give what they give in one."""
    image, last = render(CLASSES[0], 3), len(model.cuts) - 1
    front = model.run_front(1, image)
    for until in range(1, last + 1):
        tensor = model.run_span(1, until, front)
        np.testing.assert_array_equal(tensor, model.run_front(until, image))
        np.testing.assert_array_equal(model.run_span(until, last, tensor), model.run(image))
    with pytest.raises(ValueError, match=f"cut 1 of model '{model.id}' lies before cut 2"):
        model.run_span(2, 1, model.run_front(2, image))
    with pytest.raises(ValueError, match='does not exist'):
        model.run_span(1, last + 1, front)
    with pytest.raises(PayloadError, match='cut 2 expects'):
        model.run_span(2, 3, front.ravel())


def test_segments_equal_the_unsplit_graph(model):
    """Exactly while ONNX Runtime keeps the tensor layout; to rounding with its blocked layout."""
    graph = onnx.load(default_models_dir() / model.id / 'model.onnx')
    plain = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    segments = [session(piece, plain) for piece in split_graph(graph).segments]
    whole = session(graph, plain)
    fastest = session(graph, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    for seed, label in enumerate(CLASSES):
        image = render(label, seed)[None]
        tensor = image
        for cut, segment in zip(model.cuts, segments, strict=False):
            tensor = segment.run(None, {cut.tensor: tensor})[0]
        np.testing.assert_array_equal(tensor, whole.run(None, {'image': image})[0])
        unsplit = fastest.run(None, {'image': image})[0]
        np.testing.assert_allclose(model.run(image), unsplit, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize('model_id', CLASSIFIERS)
def test_cuts_and_manifest_agree(models, model_id):
    model = models[model_id]
    entry = load_manifest().entry(model.id)
    first, last = model.cuts[0], model.cuts[-1]
    assert (first.tensor, first.shape, first.dtype) == (
        entry.input.name,
        entry.input.shape,
        entry.input.dtype,
    )
    assert (last.tensor, last.shape, last.front_flop) == (
        entry.output.name,
        entry.output.shape,
        entry.flop,
    )
    assert (first.front_flop, first.back_flop, last.back_flop) == (0, entry.flop, 0)
    listed = [cut.model_dump(exclude={'head_byte'}) for cut in entry.cuts]
    assert listed == [{name: getattr(cut, name) for name in listed[0]} for cut in model.cuts]
    fronts = [cut.front_flop for cut in model.cuts]
    assert fronts == sorted(set(fronts))
    assert (entry.opset, entry.ir_version) <= (20, 10)
    assert entry.classes == CLASSES == model.classes
    files = {file.path: file.bytes for m in load_manifest().models for file in m.files}
    assert sum(files.values()) < 20e6


def test_accuracy_on_pictures_nobody_has_measured_yet(models):
    """Fresh held-out pictures: the card's figure lies in the sample's 99.9 % interval."""
    count = 320
    hits = dict.fromkeys(models, 0)
    for i in range(count):
        label = CLASSES[i % len(CLASSES)]
        image = render(label, 2**31 + 10**6 + i)
        for name, split in models.items():
            hits[name] += split.answer(split.run(image))[0] == label
    for name, split in models.items():
        claimed = split.accuracy
        assert claimed is not None
        deviation = (claimed * (1.0 - claimed) / count) ** 0.5
        assert abs(hits[name] / count - claimed) < 3.3 * deviation + 0.5 / count
    assert models['scene-l'].accuracy - models['scene-s'].accuracy > 0.07


def test_codecs_barely_change_the_answers(models):
    split = models['scene-l']
    agreed = 0
    for i in range(64):
        image = render(CLASSES[i % 8], 2**31 + i)
        tensor = split.run_front(2, image)
        scores = split.run_back(2, decode(encode(tensor, 'u8')))
        agreed += split.answer(scores)[0] == split.answer(split.run(image))[0]
    assert agreed >= 60


def test_provider_threads_and_profile(model):
    assert model.provider == 'cpu'
    profile = model.profile(reps=3)
    assert (profile.provider, profile.energy_j) == ('cpu', None)
    assert len(profile.segment_p50_s) == len(profile.segment_p95_s) == len(model.cuts) - 1
    for median_s, high_s in zip(profile.segment_p50_s, profile.segment_p95_s, strict=True):
        assert 0.0 < median_s <= high_s < 1.0
    with pytest.raises(ValueError, match='reps is 0'):
        model.profile(0)


class Meter:
    """Pretends that every block takes 6 J, or that nothing can be measured."""

    def __init__(self, energy_j):
        self.energy_j = energy_j

    @contextmanager
    def measure(self):
        reading = Reading()
        yield reading
        reading.energy_j = self.energy_j


def test_energy_of_a_run_is_a_share_of_what_the_meter_gave(models):
    split = models['scene-s']
    assert split.profile(reps=3, meter=Meter(6.0)).energy_j == pytest.approx(2.0)
    assert split.profile(reps=3, meter=Meter(None)).energy_j is None


class EngineSession(ort.InferenceSession):
    """A session on the CPU that says it is TensorRT's."""

    def get_providers(self):
        return ['TensorrtExecutionProvider', 'CPUExecutionProvider']


@pytest.fixture
def jetson(monkeypatch, tmp_path):
    """ONNX Runtime with TensorRT, of whose making of sessions the requests are kept."""
    asked = []

    def make(content, options, wanted):
        asked.append(wanted[0] if isinstance(wanted[0], str) else wanted[0][0])
        kind = EngineSession if asked[-1].startswith('Tensorrt') else ort.InferenceSession
        return kind(content, options, providers=['CPUExecutionProvider'])

    have = ['TensorrtExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(ort, 'get_available_providers', lambda: have)
    monkeypatch.setattr(providers, 'make_session', make)
    return asked


def test_tensorrt_gets_few_segments_the_cpu_all(jetson, tmp_path):
    build = DevicePolicy(cache_dir=tmp_path, build_engines=True)
    split = SplitModel.load('scene-l', policy=build)
    assert (split.provider, len(split.cuts)) == ('tensorrt', 9)
    assert jetson == ['TensorrtExecutionProvider'] * 8
    image = render('ship', 1)
    for cut in split.cuts:
        back = split.run_back(cut.index, split.run_front(cut.index, image))
        np.testing.assert_array_equal(back, split.run(image))
    jetson.clear()
    split = SplitModel.load('scene-l', policy=DevicePolicy(cache_dir=tmp_path))
    assert (split.provider, len(split.cuts)) == ('cpu', 12)  # no engine was really written
    with pytest.raises(ModelError, match='tensorrt: no engine of this model'):
        SplitModel.load('scene-l', policy=DevicePolicy(('tensorrt',), cache_dir=tmp_path))


def test_half_a_cache_of_engines_is_none(jetson, tmp_path):
    SplitModel.load('scene-l', policy=DevicePolicy(cache_dir=tmp_path, build_engines=True))
    first, *_ = sorted(tmp_path.rglob('onnxruntime-*/*'))
    (first / 'part.engine').touch()
    jetson.clear()
    split = SplitModel.load('scene-l', policy=DevicePolicy(cache_dir=tmp_path))
    assert (split.provider, len(split.cuts)) == ('cpu', 12)
    assert jetson.count('TensorrtExecutionProvider') == 1
    assert jetson[-11:] == ['CPUExecutionProvider'] * 11


def test_networks_without_classes_load(models_dir):
    path = models_dir / 'manifest.yaml'
    content = yaml.safe_load(path.read_text())
    entry = next(entry for entry in content['models'] if entry['id'] == 'scene-s')
    entry['kind'] = 'network'
    del entry['classes'], entry['accuracy']
    path.write_text(yaml.safe_dump(content))
    split = SplitModel.load('scene-s', models_dir=models_dir)
    assert (split.accuracy, split.classes[7]) == (None, 'class_7')


def test_wrong_tensors_are_named(model):
    with pytest.raises(PayloadError, match=r'cut 0 expects uint8 \(1, 128, 128, 3\), got uint8'):
        model.run(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(PayloadError, match='got float32'):
        model.run(np.zeros((128, 128, 3), np.float32))
    with pytest.raises(PayloadError, match='cut 1 expects float32'):
        model.run_back(1, np.zeros((1, 4), np.float32))
    for cut in (-1, len(model.cuts)):
        with pytest.raises(ValueError, match='does not exist'):
            model.run_front(cut, np.zeros((128, 128, 3), np.uint8))
    with pytest.raises(PayloadError, match='expected 8 finite'):
        model.answer(np.array([np.nan] * 8))


def test_answer_applies_softmax_only_where_the_graph_lacks_it(tmp_path):
    b = Builder((1, 3))
    path = tmp_path / 'logits.onnx'
    onnx.save(b.build(b.fc('image', 'y', 3, 2), shape=(1, 2)), path)
    split = SplitModel.load(path)
    assert (split.id, split.accuracy, split.classes) == ('logits', None, ('class_0', 'class_1'))
    label, confidence = split.answer(np.array([[0.0, np.log(3.0)]]))
    assert (label, confidence) == ('class_1', pytest.approx(0.75))
    path = tmp_path / 'soft.onnx'
    onnx.save(residual(), path)
    assert SplitModel.load(path).answer(np.array([0.1, 0.2, 0.6, 0.1])) == ('class_2', 0.6)


def test_weights_in_a_side_file_are_read_and_missed(tmp_path):
    b = Builder((1, 64))
    model = b.build(b.fc('image', 'y', 64, 32), shape=(1, 32))
    expected = SplitModel('inline', split_graph(model)).run(np.ones((1, 64), np.float32))
    path = tmp_path / 'side.onnx'
    onnx.save(model, path, save_as_external_data=True, location='side.data', size_threshold=0)
    image = np.ones(64, np.float32)
    np.testing.assert_array_equal(SplitModel.load(path).run(image), expected)
    (tmp_path / 'side.data').unlink()
    with pytest.raises(ModelError, match=r'side\.onnx'):
        SplitModel.load(path)


def test_unknown_id_suggests_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'scene-s'"):
        SplitModel.load('scene_s')
    with pytest.raises(ModelError, match='known ids: chain-l, chain-m, chain-s, scene-l, scene-s'):
        SplitModel.load('zzzz')


def test_a_folder_is_no_model_file(tmp_path):
    folder = tmp_path / 'x.onnx'
    folder.mkdir()
    with pytest.raises(ModelError, match=r'x\.onnx cannot be read \(it is a folder'):
        SplitModel.load(folder)


def test_damaged_and_missing_files_are_refused(models_dir):
    path = models_dir / 'scene-s' / 'model.onnx'
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match='SHA-256'):
        SplitModel.load('scene-s', models_dir=models_dir)
    path.unlink()
    with pytest.raises(ModelError, match='cannot be read'):
        SplitModel.load('scene-s', models_dir=models_dir)


@pytest.mark.parametrize('content', [b'', b'not an onnx file', b'\x08\x0a\x12\x01'])
def test_invalid_onnx_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / 'bad.onnx'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'bad\.onnx'):
        SplitModel.load(path)
    with pytest.raises(ModelError, match='not a valid ONNX file'):
        _parse(content, 'bad')
    with pytest.raises(ModelError, match='cannot be read'):
        SplitModel.load(tmp_path / 'absent.onnx')


def test_absent_provider_is_refused_not_replaced():
    with pytest.raises(ModelError, match=r'cuda: not in this ONNX Runtime.*has .*CPU'):
        SplitModel.load('scene-s', policy=DevicePolicy(('cuda',)))


def test_manifest_errors_name_the_field(models_dir, monkeypatch):
    path = models_dir / 'manifest.yaml'
    content = yaml.safe_load(path.read_text())
    content['models'][0]['accuracy']['value'] = 1.5
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=r'accuracy\.value: Input should be less'):
        load_manifest(models_dir)
    path.write_text('models: [')
    with pytest.raises(ModelError, match='not valid YAML'):
        load_manifest(models_dir)
    monkeypatch.setenv('SEC_MODELS_DIR', str(models_dir / 'nowhere'))
    with pytest.raises(ModelError, match='SEC_MODELS_DIR'):
        load_manifest()
