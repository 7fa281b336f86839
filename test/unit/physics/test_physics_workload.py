import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.physics import workload
from sec_nodes.physics.workload import dnn_table


def test_alexnet_by_hand():
    table = dnn_table('alexnet')
    # 2 H W C_in k^2 C_out on sides 55, 27, 13, 13, 13; then 2 (U_in - 1) U_out.
    assert table.layer_flop.tolist() == [
        2 * 55 * 55 * 3 * 121 * 64,
        2 * 27 * 27 * 64 * 25 * 192,
        2 * 13 * 13 * 192 * 9 * 384,
        2 * 13 * 13 * 384 * 9 * 256,
        2 * 13 * 13 * 256 * 9 * 256,
        2 * 9215 * 4096,
        2 * 4095 * 4096,
        2 * 4095 * 1000,
    ]
    assert table.layer_flop[0] == 140_553_600
    # Image 3 x 224^2, then after pooling 64 x 27^2, 192 x 13^2, 384 x 13^2, 256 x 13^2, 256 x 6^2.
    elements = [150_528, 46_656, 32_448, 64_896, 43_264, 9_216, 4_096, 4_096]
    assert table.input_bit.tolist() == [32 * n for n in elements]


def test_vgg13_by_hand():
    table = dnn_table('vgg13')
    assert table.layers == 13
    assert table.layer_flop[:3].tolist() == [
        2 * 224 * 224 * 3 * 9 * 64,
        2 * 224 * 224 * 64 * 9 * 64,
        2 * 112 * 112 * 64 * 9 * 128,
    ]
    assert table.layer_flop[-3:].tolist() == [2 * 25_087 * 4096, 2 * 4095 * 4096, 2 * 4095 * 1000]
    # After the five pools: 64 x 112^2, 128 x 56^2, 256 x 28^2, 512 x 14^2, 512 x 7^2.
    elements = table.input_bit[[2, 4, 6, 8, 10]] // 32
    assert elements.tolist() == [802_816, 401_408, 200_704, 100_352, 25_088]


def test_vgg16_is_vgg13_with_three_more_convolutions():
    small, large = dnn_table('vgg13'), dnn_table('vgg16')
    assert (large.layers, dnn_table('alexnet').layers) == (16, 8)
    # One more layer in blocks 3, 4, 5: 2 * 56^2 * 256^2 * 9, 2 * 28^2 * 512^2 * 9, 2 * 14^2 * ...
    extra = 2 * 9 * (56**2 * 256**2 + 28**2 * 512**2 + 14**2 * 512**2)
    assert large.total_flop - small.total_flop == extra
    # The usual count of VGG16 is 15.47 G multiply-adds, twice that in FLOP.
    assert large.total_flop == pytest.approx(2 * 15.47e9, rel=1e-3)


@pytest.mark.parametrize('name', workload.NETWORKS)
def test_cuts_split_the_work(name):
    table = dnn_table(name)
    assert len(table.front_flop) == len(table.cut_bit) == table.layers + 1
    np.testing.assert_array_equal(table.front_flop + table.rear_flop, table.total_flop)
    assert table.front_flop[0] == 0 and table.rear_flop[-1] == 0
    np.testing.assert_array_equal(np.diff(table.front_flop), table.layer_flop)
    assert table.cut_bit[0] == 4_816_896 and table.cut_bit[-1] == 0


def test_tables_cannot_be_spoilt():
    with pytest.raises(ValueError, match='read-only'):
        dnn_table('vgg16').layer_flop[0] = 1


def test_cut_tables_side_by_side():
    tables = workload.cut_tables(['alexnet', 'vgg16', 'alexnet'])
    assert tables.layers.tolist() == [8, 16, 8]
    assert tables.cut_bit.shape == (3, 17)
    np.testing.assert_array_equal(tables.front_flop[2, :9], dnn_table('alexnet').front_flop)
    # Beyond its last cut a network stays local: all work in front, nothing to send.
    assert np.all(tables.front_flop[0, 8:] == dnn_table('alexnet').total_flop)
    assert np.all(tables.rear_flop[0, 8:] == 0) and np.all(tables.cut_bit[0, 8:] == 0)
    assert workload.cut_tables([]).cut_bit.shape == (0, 1)


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match="'resnet50', but must be one of alexnet"):
        dnn_table('resnet50')


def test_computing_by_hand():
    # 52 words of 0.05 TFLOP on 1.88 TFLOP/s: 1.382979 s and at 25 W 34.574468 J (Yan et al.).
    time_s = workload.compute_time_s(0.05e12 * 52, 1.88e12)
    assert time_s == pytest.approx(1.3829787234)
    assert workload.compute_energy_j(time_s, 25.0) == pytest.approx(34.574468085)
    assert workload.compute_time_s(0.0, 1.0) == 0.0


@given(st.floats(0, 1e15), st.floats(1e6, 1e15), st.floats(1.01, 10))
def test_a_faster_processor_is_never_slower(work, speed, factor):
    fast = workload.compute_time_s(work, speed * factor)
    assert fast <= workload.compute_time_s(work, speed)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match='work_flop'):
        workload.compute_time_s(-1.0, 1.0)
    with pytest.raises(ValueError, match='speed_flop_s is 0'):
        workload.compute_time_s(1.0, 0.0)
    with pytest.raises(ValueError, match='power_w'):
        workload.compute_energy_j(1.0, math.nan)
