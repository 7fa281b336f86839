"""Measuring models for a profile, on stand-ins that take a known time and a real small network."""

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.power import NoMeter, Reading
from sec_nodes.inference.profiles import Positive, load_profile, write_profile
from sec_nodes.inference.profiling import describe_platform, measure_generation, measure_split


@dataclass
class Model:
    """Says what it takes: 8 ms for a picture, 2 ms to the first token, then 500 token/s a row."""

    id: str = 'sea-x-q4'
    provider: str = 'cpu'
    accuracy: float | None = 0.7
    max_batch: int = 4

    def __post_init__(self):
        self.asked = []

    def profile(self, batch=1):
        return SimpleNamespace(
            prefix_s=8e-3, first_token_s=2e-3, tokens_per_s=500.0 * batch, peak_byte=1000
        )

    def generate(self, questions):
        self.asked.append(list(questions))
        return [SimpleNamespace(token_ids=(1, 2, 3, 4, 5)) for _ in questions]


class Meter:
    """Every block takes 3 J in 0.5 s."""

    @contextmanager
    def measure(self):
        reading = Reading()
        yield reading
        reading.energy_j, reading.duration_s, reading.source = 3.0, 0.5, 'made up'


def measure(model, meter, **options):
    return measure_generation(
        model, ['one', 'two'], meter, quantisation='q4', scale='sea', **options
    )


def test_times_of_a_language_model():
    entry = measure(Model(), NoMeter('no sensor'))
    assert entry.prefix_s.value == 8e-3
    assert entry.first_token_s.value == pytest.approx(10e-3)  # with the picture
    assert entry.token_s.value == pytest.approx(2e-3)
    assert entry.peak_byte.value == 1000
    assert (entry.accuracy.value, entry.accuracy.scale) == (0.7, 'sea')
    assert {n.source for n in (entry.prefix_s, entry.token_s, entry.accuracy)} == {'measured'}


def test_throughput_by_batch_up_to_what_the_model_takes():
    entry = measure(Model(), NoMeter('no sensor'), batches=(2, 4, 8))
    rates = {batch: rate.value for batch, rate in entry.batch_tokens_per_s.items()}
    assert rates == {1: 500.0, 2: 1000.0, 4: 2000.0}


def test_energy_is_shared_out_over_the_tokens():
    model = Model()
    entry = measure(model, Meter())
    assert entry.power_w.value == 6.0
    assert entry.token_j.value == pytest.approx(3.0 / 10)  # two answers of five tokens
    assert entry.token_j.origin == 'made up'
    assert model.asked == [['one'], ['two']]


def test_without_a_sensor_there_is_no_energy_and_without_answers_no_accuracy():
    entry = measure(Model(accuracy=None), NoMeter('no sensor'))
    assert entry.power_w is None
    assert entry.token_j is None
    assert entry.accuracy is None


@pytest.fixture(scope='module')
def network():
    return SplitModel.load('scene-s')


def picture(network):
    return np.zeros(network.input_shape, np.uint8)


def test_every_cut_of_a_network_is_timed_on_both_sides(network):
    entry = measure_split(network, Meter(), quantisation='fp32', image=picture(network), reps=4)
    assert entry.source == 'measured'
    assert '4 runs' in entry.origin
    assert 'made up' in entry.origin
    assert [cut.tensor for cut in entry.cuts] == [cut.tensor for cut in network.cuts]
    whole = entry.cuts[0].back_flop
    assert all(cut.front_flop + cut.back_flop == whole for cut in entry.cuts)
    for cut in entry.cuts:
        assert cut.front_p50_s <= cut.front_p95_s
        assert cut.back_p50_s <= cut.back_p95_s
        assert cut.front_j == cut.back_j == 0.75  # 3 J in four runs
    # nothing runs before the first cut, and nothing behind the last
    assert entry.cuts[0].front_p50_s < 0.5 * entry.cuts[-1].front_p50_s
    assert entry.cuts[-1].back_p50_s < 0.5 * entry.cuts[0].back_p50_s


def test_a_profile_of_this_machine_is_written_and_read(network, tmp_path):
    entry = measure_split(
        network, NoMeter('no sensor'), quantisation='fp32', image=picture(network), reps=2
    )
    assert entry.cuts[0].back_j is None
    assert entry.origin == '2 runs of each side; energy: not measured: no sensor'
    power = Positive(value=20.0, source='estimated', origin='a guess that says so')
    profile = describe_platform('here', 'a test', provider='cpu', compute_power_w=power)
    assert profile.processor
    assert profile.memory_byte.value > 1e8
    both = profile.model_copy(update={'split': {'scene-s': entry}})
    write_profile(both, tmp_path / 'here.yaml')
    assert load_profile(str(tmp_path / 'here.yaml')) == both


def test_no_runs_are_refused(network):
    with pytest.raises(ValueError, match='reps is 0'):
        measure_split(network, Meter(), quantisation='fp32', image=picture(network), reps=0)
