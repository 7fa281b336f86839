"""Sessions run where the policy says, on what really works, and say so."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from toy_graphs import Builder

from sec_nodes.inference import providers
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy, open_session, policy_from, provider_of

TRT, CUDA, CPU = (f'{name}ExecutionProvider' for name in ('Tensorrt', 'CUDA', 'CPU'))


@pytest.fixture(scope='module')
def graph():
    b = Builder((1, 4))
    return b.build(b.fc('image', 'y', 4, 2), shape=(1, 2))


@pytest.fixture
def content(graph) -> bytes:
    return graph.SerializeToString()


class FakeSession:
    """Takes what it was asked for, unless that is said to be broken."""

    broken: tuple[str, ...] = ()

    def __init__(self, model, options, wanted):
        self.model, self.options, self.wanted = model, options, wanted

    def names(self):
        return [item if isinstance(item, str) else item[0] for item in self.wanted]

    def get_providers(self):
        return [name for name in self.names() if name not in self.broken]


@pytest.fixture
def jetson(monkeypatch):
    """An ONNX Runtime built with everything; the class of its sessions."""
    monkeypatch.setattr(ort, 'get_available_providers', lambda: [TRT, CUDA, CPU])
    monkeypatch.setattr(FakeSession, 'broken', ())
    monkeypatch.setattr(providers, 'make_session', FakeSession)
    return FakeSession


def test_the_cpu_runs_here_and_says_so(content, caplog, tmp_path):
    path = tmp_path / 'a.onnx'
    path.write_bytes(content)
    with caplog.at_level(logging.INFO, 'sec_nodes.inference.providers'):
        session = open_session(path, DevicePolicy())
    assert provider_of(session) == 'cpu'
    assert f'model {path} runs on cpu' in caplog.text
    session = open_session(content, DevicePolicy())
    assert session.run(None, {'image': np.zeros((1, 4), np.float32)})[0].shape == (1, 2)
    assert session.get_session_options().intra_op_num_threads == 1
    session = open_session(content, DevicePolicy(('cpu',), threads=2))
    assert session.get_session_options().intra_op_num_threads == 2


def test_a_session_does_not_keep_the_bytes_it_was_made_from(content):
    session = open_session(content, DevicePolicy())
    assert not any(value is content for value in vars(session).values())


def test_a_file_runs_with_its_side_file(graph, tmp_path):
    path = tmp_path / 'side.onnx'
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    onnx.save(copy, path, save_as_external_data=True, location='side.data', size_threshold=0)
    inputs = {'image': np.ones((1, 4), np.float32)}
    found = open_session(path, DevicePolicy()).run(None, inputs)[0]
    expected = open_session(graph.SerializeToString(), DevicePolicy()).run(None, inputs)[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('prefer', [('cuda',), ('tensorrt',), ('tensorrt', 'cuda')])
def test_named_providers_are_not_replaced(content, prefer):
    with pytest.raises(
        ModelError, match=r'(cuda|tensorrt): not in this ONNX Runtime.*has .*CPUEx'
    ):
        open_session(content, DevicePolicy(prefer))


def test_the_order_of_wish_may_end_in_the_cpu(content):
    assert provider_of(open_session(content, DevicePolicy(('cuda', 'cpu')))) == 'cpu'


def test_refused_graphs_are_named():
    with pytest.raises(ModelError, match='ONNX Runtime refuses the graph: '):
        open_session(b'nonsense', DevicePolicy())
    with pytest.raises(ModelError, match=r'refuses model /nowhere/a\.onnx'):
        open_session(Path('/nowhere/a.onnx'), DevicePolicy(('cpu',)))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'prefer': ('gpu',)}, "prefer names provider 'gpu'; choose from tensorrt, cuda, cpu"),
        ({'threads': 0}, 'threads is 0'),
        ({'build_engines': True}, 'build_engines is set without cache_dir'),
    ],
)
def test_policies_that_fit_no_machine(fields, message):
    with pytest.raises(ValueError, match=message):
        DevicePolicy(**fields)


def test_a_policy_from_settings_keeps_engines_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    engines = tmp_path / 'sec_offload' / 'tensorrt'
    assert policy_from(' tensorrt, cuda,') == DevicePolicy(('tensorrt', 'cuda'), 1, engines)
    assert policy_from('', 3, build_engines=True) == DevicePolicy((), 3, engines, True)
    with pytest.raises(ValueError, match="provider 'gpu'"):
        policy_from('cuda,gpu')


@pytest.mark.parametrize('cache', [None, '', 'relative/cache'])
def test_without_a_cache_folder_of_the_user_engines_are_at_home(monkeypatch, tmp_path, cache):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    if cache is not None:
        monkeypatch.setenv('XDG_CACHE_HOME', cache)
    assert policy_from('').cache_dir == tmp_path / '.cache' / 'sec_offload' / 'tensorrt'


def test_a_missing_engine_is_logged_with_the_command_that_builds_it(
    jetson, content, monkeypatch, caplog, tmp_path
):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    for _ in range(2):
        assert provider_of(open_session(content, policy_from(''))) == 'cuda'
    command = 'sec models profile MODEL --providers tensorrt --build-engines'
    assert caplog.text.count(command) == 1
    assert provider_of(open_session(content, policy_from('', build_engines=True))) == 'tensorrt'


def test_cuda_is_taken_without_engines_and_keeps_the_cpu_below_it(jetson, content, tmp_path):
    for cache in (None, tmp_path):
        session = open_session(content, DevicePolicy(cache_dir=cache))
        assert (provider_of(session), session.names()) == ('cuda', [CUDA, CPU])
    with pytest.raises(ModelError, match=r'no engine of this model in .*, and build_engines'):
        open_session(content, DevicePolicy(('tensorrt',), cache_dir=tmp_path))
    with pytest.raises(ModelError, match='tensorrt: needs cache_dir'):
        open_session(content, DevicePolicy(('tensorrt',)))


def test_tensorrt_builds_where_it_may_and_finds_its_engines_again(jetson, content, tmp_path):
    session = open_session(content, DevicePolicy(cache_dir=tmp_path, build_engines=True))
    assert (provider_of(session), session.names()) == ('tensorrt', [TRT, CUDA, CPU])
    settings = session.wanted[0][1]
    engines = Path(settings.pop('trt_engine_cache_path'))
    assert settings == {
        'trt_fp16_enable': 'True',
        'trt_engine_cache_enable': 'True',
        'trt_timing_cache_enable': 'True',
        'trt_timing_cache_path': str(tmp_path),
    }
    assert engines.is_dir()
    later = DevicePolicy(cache_dir=tmp_path)
    assert provider_of(open_session(content, later)) == 'cuda'
    (engines / 'TensorrtExecutionProvider_TRTKernel_graph_toy_1_0_0_sm87.engine').touch()
    assert provider_of(open_session(content, later)) == 'tensorrt'
    # another graph has no engines yet, and operators that TensorRT lacks never go there
    assert provider_of(open_session(content + b'\x22\x00', later)) == 'cuda'
    assert provider_of(open_session(content, later, contrib_ops=True)) == 'cuda'


def test_engines_belong_to_weights_in_side_files_too(jetson, graph, tmp_path):
    policy = DevicePolicy(cache_dir=tmp_path / 'cache', build_engines=True)
    path, folders = tmp_path / 'side.onnx', set()
    for scale in (1.0, 2.0, 2.0):
        copy = onnx.ModelProto.FromString(graph.SerializeToString())
        weight = copy.graph.initializer[0]
        values = scale * onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        (tmp_path / 'side.data').unlink(missing_ok=True)
        onnx.save(copy, path, save_as_external_data=True, location='side.data', size_threshold=0)
        folders.add(open_session(path, policy).wanted[0][1]['trt_engine_cache_path'])
    assert len(folders) == 2


def test_what_was_compiled_in_but_does_not_work_is_passed_over(
    jetson, content, monkeypatch, caplog
):
    monkeypatch.setattr(jetson, 'broken', (CUDA,))
    assert provider_of(open_session(content, DevicePolicy())) == 'cpu'
    assert 'cuda does not work here: ONNX Runtime took cpu instead' in caplog.text
    with pytest.raises(ModelError, match='cuda: ONNX Runtime took cpu instead'):
        open_session(content, DevicePolicy(('cuda',)))

    def without_driver(model, options, wanted):
        if CUDA in wanted:
            raise RuntimeError('CUDA failure 100: no CUDA-capable device\nat line 7')
        return FakeSession(model, options, wanted)

    monkeypatch.setattr(providers, 'make_session', without_driver)
    assert provider_of(open_session(content, DevicePolicy())) == 'cpu'
    with pytest.raises(ModelError, match=r'cuda: CUDA failure 100: no CUDA-capable device\. '):
        open_session(content, DevicePolicy(('cuda',)))
