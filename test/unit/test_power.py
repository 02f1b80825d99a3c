"""Power from sysfs, on trees that are made up as the boards have them."""

import os
import shutil

import pytest

from facial_emotion_ros.ros import health
from facial_emotion_ros.system.power import PowerMeter, PowerReading, power_health


def write(path, content):
    """Write a file and the folders above it."""
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    with open(str(path), 'wb') as stream:
        stream.write(content if isinstance(content, bytes) else ('%s\n' % content).encode())


def tx2(root, rails):
    """Make the sensors of a Jetson TX2: three rails a chip, in milliwatts."""
    for place, (name, milliwatts) in enumerate(rails):
        folder = root / 'bus/i2c/devices' / ('0-004%d' % (place // 3)) / ('iio:device%d' % (place // 3))
        write(folder / ('rail_name_%d' % (place % 3)), name)
        write(folder / ('in_power%d_input' % (place % 3)), milliwatts)


def hwmon(root, rails, chip='ina3221'):
    """Make the sensors of a newer Jetson: millivolts and milliamperes."""
    for place, (name, millivolts, milliamperes) in enumerate(rails):
        folder = root / 'bus/i2c/devices' / ('1-004%d' % (place // 3)) / 'hwmon' / ('hwmon%d' % (3 + place // 3))
        number = place % 3 + 1
        if chip:
            write(folder / 'name', chip)
        write(folder / ('in%d_label' % number), name)
        write(folder / ('in%d_input' % number), millivolts)
        write(folder / ('curr%d_input' % number), milliamperes)


def rapl(root, name, energy_uj, place='intel-rapl:0', span_uj=262143328850):
    """Make one domain of a processor."""
    folder = root / 'class/powercap' / place
    write(folder / 'name', name)
    write(folder / 'energy_uj', energy_uj)
    if span_uj is not None:
        write(folder / 'max_energy_range_uj', span_uj)


TX2 = [
    ('VDD_SYS_GPU', 1213),
    ('VDD_SYS_SOC', 913),
    ('VDD_4V0_WIFI', 19),
    ('VDD_IN', 5215),
    ('VDD_SYS_CPU', 989),
    ('VDD_SYS_DDR', 1210),
]
XAVIER = [
    ('GPU', 19000, 100),
    ('CPU', 19000, 40),
    ('SOC', 19000, 60),
    ('CV', 19000, 0),
    ('VDDRQ', 19000, 20),
    ('SYS5V', 19000, 80),
]
ORIN = [
    ('VDD_GPU_SOC', 20000, 200),
    ('VDD_CPU_CV', 20000, 50),
    ('VIN_SYS_5V0', 5000, 800),
    ('NC', 0, 0),
    ('VDDQ_VDD2_1V8AO', 5000, 100),
    ('NC', 0, 0),
]
XAVIER_NX = [('VDD_IN', 5000, 1000), ('VDD_CPU_GPU_CV', 5000, 200), ('VDD_SOC', 5000, 150)]


def test_total_of_a_tx2_is_its_input_rail(tmp_path):
    tx2(tmp_path, TX2)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert reading.source == 'INA3221' and reading.note == 'VDD_IN' and reading.total_w == pytest.approx(5.215)
    assert reading.rails == pytest.approx({name: milliwatts / 1e3 for name, milliwatts in TX2})


@pytest.mark.parametrize(
    'rails, total_w, rail, watts',
    [(XAVIER, 5.7, 'GPU', 1.9), (ORIN, 9.5, 'VDD_GPU_SOC', 4.0), (XAVIER_NX, 5.0, 'VDD_SOC', 0.75)],
)
@pytest.mark.parametrize('chip', ['ina3221', ''])
def test_volts_and_amperes_make_the_watts_of_newer_boards(tmp_path, rails, total_w, rail, watts, chip):
    hwmon(tmp_path, rails, chip)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert reading.total_w == pytest.approx(total_w) and reading.rails[rail] == pytest.approx(watts)
    assert set(reading.rails) == {name for name, _, _ in rails} - {'NC'}


def test_xavier_with_the_older_driver_is_summed_too(tmp_path):
    tx2(tmp_path, [(name, volts * amperes // 1000) for name, volts, amperes in XAVIER])
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert reading.total_w == pytest.approx(5.7) and reading.note == 'sum of GPU, CPU, SOC, CV, VDDRQ, SYS5V'


def test_a_sensor_counts_once_when_links_lead_to_it_by_two_ways(tmp_path):
    hwmon(tmp_path, XAVIER_NX)
    os.makedirs(str(tmp_path / 'class/hwmon'))
    os.symlink(str(tmp_path / 'bus/i2c/devices/1-0040/hwmon/hwmon3'), str(tmp_path / 'class/hwmon/hwmon3'))
    assert PowerMeter(str(tmp_path)).read(0.0).total_w == pytest.approx(5.0)


def test_other_chips_are_left_alone_and_the_sum_of_shunts_is_no_rail(tmp_path):
    hwmon(tmp_path, [('vin', 48000, 9000)], chip='lm25066')
    assert PowerMeter(str(tmp_path)).read(0.0).source == ''
    shutil.rmtree(str(tmp_path / 'bus'))
    hwmon(tmp_path, XAVIER_NX)
    write(tmp_path / 'bus/i2c/devices/1-0040/hwmon/hwmon3/in7_label', 'sum of shunt voltages')
    write(tmp_path / 'bus/i2c/devices/1-0040/hwmon/hwmon3/in7_input', 12)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert set(reading.rails) == {'VDD_IN', 'VDD_CPU_GPU_CV', 'VDD_SOC'} and reading.note == 'VDD_IN'


GARBAGE = [
    b'',
    b'\n',
    b'busy',
    b'12 mW',
    b'0x10',
    b'nan',
    b'1e3',
    b'\xff\xfe\x00',
    b'9' * 18,
    b'9' * 4096,
    b'-',
    b'1.5',
]


@pytest.mark.parametrize('content', GARBAGE)
@pytest.mark.parametrize('file', ['curr1_input', 'in1_input'])
def test_a_rail_that_holds_garbage_is_named_and_the_others_are_read(tmp_path, file, content):
    hwmon(tmp_path, XAVIER)
    write(tmp_path / 'bus/i2c/devices/1-0040/hwmon/hwmon3' / file, content)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert set(reading.rails) == {'CPU', 'SOC', 'CV', 'VDDRQ', 'SYS5V'} and reading.total_w is None
    assert 'GPU cannot be read' in reading.note


@pytest.mark.parametrize('content', GARBAGE)
def test_the_input_rail_is_enough_when_another_one_holds_garbage(tmp_path, content):
    tx2(tmp_path, TX2)
    write(tmp_path / 'bus/i2c/devices/0-0040/iio:device0/in_power0_input', content)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert reading.total_w == pytest.approx(5.215) and 'unreadable: VDD_SYS_GPU' in reading.note


def _gone(folder):
    os.remove(str(folder / 'in_power0_input'))


def _folder_in_its_place(folder):
    os.remove(str(folder / 'in_power0_input'))
    os.mkdir(str(folder / 'in_power0_input'))


def _dangling(folder):
    os.remove(str(folder / 'in_power0_input'))
    os.symlink(str(folder / 'nowhere'), str(folder / 'in_power0_input'))


def _all_gone(folder):
    shutil.rmtree(str(folder))


def _label_gone(folder):
    os.remove(str(folder / 'rail_name_0'))


@pytest.mark.parametrize(
    'damage, left', [(_gone, None), (_folder_in_its_place, None), (_dangling, None), (_all_gone, ''), (_label_gone, '')]
)
def test_reading_goes_on_when_files_vanish_between_two_readings(tmp_path, damage, left):
    tx2(tmp_path, TX2[3:4])
    meter = PowerMeter(str(tmp_path))
    assert meter.read(0.0).total_w == pytest.approx(5.215)
    damage(tmp_path / 'bus/i2c/devices/0-0040/iio:device0')
    reading = meter.read(1.0)
    assert reading.total_w is None and not reading.rails
    assert reading.source == ('INA3221' if left is None else left)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    tx2(tmp_path, TX2[3:4])
    os.chmod(str(tmp_path / 'bus/i2c/devices/0-0040/iio:device0/in_power0_input'), 0)
    assert 'unreadable: VDD_IN' in PowerMeter(str(tmp_path)).read(0.0).note


@pytest.mark.parametrize('root', ['nothing', 'empty', 'file'])
def test_nothing_is_reported_when_there_is_no_sensor(tmp_path, root):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('no folder')
    assert PowerMeter(str(tmp_path / root)).read(0.0).source == ''


def test_watts_are_the_energy_between_two_readings(tmp_path):
    meter = PowerMeter(str(tmp_path))
    for second, energy_uj in enumerate((1000000, 13000000, 43000000)):
        rapl(tmp_path, 'package-0', energy_uj)
        rapl(tmp_path, 'core', energy_uj // 2, 'intel-rapl:0:0')
        rapl(tmp_path, 'dram', energy_uj // 10, 'intel-rapl:0:1')
        reading = meter.read(10.0 + 2 * second)
        if not second:
            assert reading.total_w is None and reading.note == 'watts are known from the second reading on'
    assert reading.source == 'RAPL' and reading.rails['package-0'] == pytest.approx(15.0)
    assert reading.total_w == pytest.approx(15.0 + 1.5), 'memory is no part of a package; cores are'


def test_nested_domains_carry_their_package_when_they_lie_below_it(tmp_path):
    meter = PowerMeter(str(tmp_path))
    for energy_uj in (0, 5000000):
        rapl(tmp_path, 'package-1', energy_uj, 'intel-rapl:1')
        rapl(tmp_path, 'dram', energy_uj, 'intel-rapl:1/intel-rapl:1:0')
        reading = meter.read(energy_uj / 5e6)
    assert reading.rails == pytest.approx({'package-1': 5.0, 'package-1/dram': 5.0})


def test_the_platform_is_the_total_when_it_is_counted(tmp_path):
    meter = PowerMeter(str(tmp_path))
    for energy_uj in (0, 5000000):
        rapl(tmp_path, 'package-0', energy_uj)
        rapl(tmp_path, 'psys', 4 * energy_uj, 'intel-rapl:1')
        reading = meter.read(energy_uj / 5e6)
    assert reading.total_w == pytest.approx(20.0) and reading.note == 'psys'


@pytest.mark.parametrize('span_uj, watts', [(100000000, 12.0), (None, None), ('garbage', None), (0, None), (5, None)])
def test_a_counter_that_begins_again_is_no_negative_power(tmp_path, span_uj, watts):
    meter = PowerMeter(str(tmp_path))
    rapl(tmp_path, 'package-0', 95000000, span_uj=span_uj)
    meter.read(0.0)
    rapl(tmp_path, 'package-0', 7000000, span_uj=span_uj)
    assert meter.read(1.0).rails == ({} if watts is None else {'package-0': pytest.approx(watts)})
    rapl(tmp_path, 'package-0', 10000000, span_uj=span_uj)
    assert meter.read(2.0).rails == {'package-0': pytest.approx(3.0)}, 'the next reading is a plain one again'


@pytest.mark.parametrize('content', [b'', b'garbage', b'-5', b'\x00'])
def test_reason_is_given_when_energy_cannot_be_read(tmp_path, content):
    rapl(tmp_path, 'package-0', content)
    reading = PowerMeter(str(tmp_path)).read(0.0)
    assert reading.source == 'RAPL' and 'udev' in reading.note


def test_power_is_unknown_when_time_stands_still_or_the_counter_leaps(tmp_path):
    meter = PowerMeter(str(tmp_path))
    for now_s, energy_uj in ((1.0, 0), (1.0, 5000000), (2.0, 5 * 10**12)):
        rapl(tmp_path, 'package-0', energy_uj)
        assert meter.read(now_s).rails == {}


def test_diagnostics_say_watts_and_rails():
    level, message, values = power_health(PowerReading('INA3221', {'VDD_IN': 5.25, 'A': 1.0}, 5.25, 'VDD_IN'))
    assert (level, message) == (health.OK, '5.2 W (INA3221, VDD_IN).')
    assert values == {'source': 'INA3221', 'total_w': 5.25, 'A_w': 1.0, 'VDD_IN_w': 5.25}


def test_diagnostics_warn_when_there_is_no_total():
    level, message, values = power_health(PowerReading('', {}, None, 'no power sensor below /sys'))
    assert (level, message) == (health.WARN, 'No total power: no power sensor below /sys.')
    assert values == {'source': ''}
