"""Power meters on made-up sysfs trees."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from sec_nodes.inference import power
from sec_nodes.inference.power import NoMeter, Rail, RailMeter, find_meter, trapezoid_j

ORIN_NX = {'VDD_IN': (5000, 2000), 'VDD_CPU_GPU_CV': (5000, 900), 'VDD_SOC': (5000, 400)}
AGX = {'VDD_GPU_SOC': (19000, 500), 'VDD_CPU_CV': (19000, 200), 'VIN_SYS_5V0': (5000, 800)}


def chip(root, rails, number=0, address='1-0040'):
    """An INA3221 with rails of voltage [mV] and current [mA]; returns its folder."""
    folder = root / f'sys/bus/i2c/drivers/ina3221/{address}/hwmon/hwmon{number}'
    folder.mkdir(parents=True)
    for channel, (name, (voltage, current)) in enumerate(rails.items(), start=1):
        (folder / f'in{channel}_label').write_text(f'{name}\n')
        (folder / f'in{channel}_input').write_text(f'{voltage}\n')
        (folder / f'curr{channel}_input').write_text(f'{current}\n')
    (folder / 'in7_label').write_text('sum of shunt voltages\n')
    (folder / 'in7_input').write_text('9\n')
    return folder


def package(root, number=0, energy_uj=1_000_000, wraps_at_uj=262_143_328_850, name=None):
    folder = root / f'sys/class/powercap/intel-rapl:{number}'
    folder.mkdir(parents=True)
    (folder / 'name').write_text(f'{name or f"package-{number}"}\n')
    (folder / 'energy_uj').write_text(f'{energy_uj}\n')
    (folder / 'max_energy_range_uj').write_text(f'{wraps_at_uj}\n')
    return folder


def test_the_trapezoid_of_a_ramp_is_exact():
    # 2 t W from 0 to 3 s, sampled unevenly: 9 J
    samples = [(t, 2 * t) for t in (0.0, 0.5, 0.6, 2.0, 3.0)]
    assert trapezoid_j(samples) == pytest.approx(9.0)
    assert trapezoid_j(samples[:1]) == 0


def test_the_module_input_is_taken_alone(tmp_path):
    chip(tmp_path, ORIN_NX)
    meter = find_meter(tmp_path)
    with meter.measure() as reading:
        time.sleep(0.12)
    # 5 V x 2 A = 10 W; rails behind the input are not added to it
    assert reading.duration_s >= 0.12
    assert reading.energy_j == pytest.approx(10 * reading.duration_s)
    assert reading.power_w == pytest.approx(10)
    assert reading.source == 'INA3221 VDD_IN, the whole module'


def test_rails_of_an_agx_are_summed_over_its_chips(tmp_path):
    chip(tmp_path, AGX)
    # fed by VIN_SYS_5V0, and a channel that is not connected
    chip(tmp_path, {'NC': (0, 0), 'VDDQ_VDD2_1V8AO': (5000, 700)}, 1, '1-0041')
    with find_meter(tmp_path).measure() as reading:
        time.sleep(0.06)
    # 19 x 0.5 + 19 x 0.2 + 5 x 0.8 = 17.3 W
    assert reading.power_w == pytest.approx(17.3)
    assert reading.source == 'INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0'


def test_unknown_boards_sum_all_their_rails_and_say_which(tmp_path):
    chip(tmp_path, {'GPU': (5000, 100), 'CPU': (5000, 300)})
    with find_meter(tmp_path).measure() as reading:
        pass
    assert reading.source == 'INA3221 GPU + CPU'
    assert reading.energy_j is not None


def test_power_is_followed_while_it_changes(tmp_path):
    ticks = iter([0.0, 0.0, 10.0, 10.0])
    (tmp_path / 'v').write_text('1000')
    (tmp_path / 'i').write_text('2000')
    meter = RailMeter(
        [Rail('X', tmp_path / 'v', tmp_path / 'i')], period_s=3600, clock=lambda: next(ticks)
    )
    with meter.measure() as reading:
        (tmp_path / 'i').write_text('6000')
    # from 2 W to 6 W in 10 s
    assert reading.energy_j == pytest.approx(40.0)
    assert reading.duration_s == 10.0
    assert threading.active_count() == 1 or all(
        thread.name != 'power meter' for thread in threading.enumerate()
    )


def test_slow_sensors_do_not_add_to_the_power(tmp_path):
    (tmp_path / 'v').write_text('1000')
    (tmp_path / 'i').write_text('2000')
    # the first look takes 5 s, the block 10 s, and the last look begins 3 s after it
    ticks = iter([0.0, 5.0, 15.0, 18.0])
    meter = RailMeter(
        [Rail('X', tmp_path / 'v', tmp_path / 'i')], period_s=3600, clock=lambda: next(ticks)
    )
    with meter.measure() as reading:
        pass
    assert reading.duration_s == 10.0
    assert reading.energy_j == pytest.approx(20.0)


def test_a_sensor_that_vanishes_gives_no_number(tmp_path):
    folder = chip(tmp_path, ORIN_NX)
    with find_meter(tmp_path).measure() as reading:
        (folder / 'curr1_input').unlink()
    assert reading.energy_j is None
    assert reading.power_w is None
    assert 'not measured: INA3221 VDD_IN, the whole module failed meanwhile' in reading.source


def test_a_sum_without_one_of_its_rails_is_not_taken(tmp_path):
    folder = chip(tmp_path, AGX)
    (folder / 'in2_input').write_text('not a number')
    meter = find_meter(tmp_path)
    assert isinstance(meter, NoMeter)
    with meter.measure() as reading:
        pass
    assert reading.energy_j is None
    assert 'INA3221 hwmon0 cannot be read' in reading.source


def test_rapl_sums_packages_and_leaves_their_parts(tmp_path):
    packages = [package(tmp_path, 0), package(tmp_path, 1)]
    package(tmp_path, 2, name='psys')
    core = tmp_path / 'sys/class/powercap/intel-rapl:0:0'
    core.mkdir()
    (core / 'name').write_text('core')
    with find_meter(tmp_path).measure() as reading:
        (packages[0] / 'energy_uj').write_text('3500000')
        (packages[1] / 'energy_uj').write_text('1500000')
    assert reading.energy_j == pytest.approx(2.5 + 0.5)
    assert reading.source == 'RAPL package-0 + package-1'


def test_a_rapl_counter_that_wraps(tmp_path):
    folder = package(tmp_path, energy_uj=9_000_000, wraps_at_uj=10_000_000)
    with find_meter(tmp_path).measure() as reading:
        (folder / 'energy_uj').write_text('500000')
    assert reading.energy_j == pytest.approx(1.5)


def test_rapl_that_only_root_may_read(tmp_path):
    folder = package(tmp_path)
    (folder / 'energy_uj').chmod(0)
    if os.access(folder / 'energy_uj', os.R_OK):  # root reads everything: a folder stands in
        (folder / 'energy_uj').unlink()
        (folder / 'energy_uj').mkdir()
    with find_meter(tmp_path).measure() as reading:
        pass
    assert reading.energy_j is None
    assert reading.source.startswith('not measured: no INA3221; RAPL intel-rapl:0 cannot be read')


def test_a_rapl_counter_that_vanishes(tmp_path):
    folder = package(tmp_path)
    with find_meter(tmp_path).measure() as reading:
        (folder / 'energy_uj').unlink()
    assert reading.energy_j is None
    assert reading.source == 'not measured: RAPL package-0 failed meanwhile'


def test_rails_come_before_rapl(tmp_path):
    package(tmp_path)
    chip(tmp_path, ORIN_NX)
    assert isinstance(find_meter(tmp_path), RailMeter)


def test_a_machine_without_sensors_says_so(tmp_path):
    with find_meter(tmp_path).measure() as reading:
        time.sleep(0.01)
    assert reading.energy_j is None
    assert reading.duration_s >= 0.01
    assert reading.source == 'not measured: no INA3221; no RAPL'


def test_an_exception_inside_passes_and_the_reading_is_complete(tmp_path):
    chip(tmp_path, ORIN_NX)
    with pytest.raises(RuntimeError), find_meter(tmp_path).measure() as reading:
        raise RuntimeError
    assert reading.energy_j is not None


def script(folder: Path, text: str) -> str:
    path = folder / 'nvpmodel'
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_power_mode_is_what_nvpmodel_says(tmp_path):
    tool = script(tmp_path, 'echo "NV Power Mode: MAXN_SUPER"; echo 2')
    assert power.power_mode(tool) == 'MAXN_SUPER'


def test_no_power_mode_without_the_tool_or_an_answer(tmp_path):
    assert power.power_mode(str(tmp_path / 'nowhere')) is None
    assert power.power_mode(script(tmp_path, 'exit 1')) is None
