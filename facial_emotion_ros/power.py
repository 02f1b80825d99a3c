"""What the board draws, in watts, from sysfs: INA3221 on Jetsons, RAPL on Intel's and AMD's processors.

Sensors come and go and files hold nonsense; a reading then has fewer rails and says so. Nothing here raises.

Source: NVIDIA's Jetson Linux Developer Guide, power monitors of TX2, Xavier and Orin; the kernel's
Documentation/hwmon/ina3221.rst and Documentation/power/powercap/powercap.rst.
"""

import glob
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

#: Levels of diagnostic_msgs/DiagnosticStatus, as in health.py.
_OK, _WARN = 0, 1

#: Rails that measure all that comes into the board; any one of them is the total.
INPUT_RAILS = ('VDD_IN', 'POM_5V_IN', 'VIN')

#: Boards without such a rail: the total is the sum of these, and is known only when all of them are.
SUMMED_RAILS = {
    'AGX Xavier': ('GPU', 'CPU', 'SOC', 'CV', 'VDDRQ', 'SYS5V'),
    'AGX Orin': ('VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0', 'VDDQ_VDD2_1V8AO'),
}

#: No rail of such a board draws more; what says so is nonsense.
_MAX_W = 1000.0
#: A sysfs file holds one short line.
_MAX_BYTES = 256

_NOT_CONNECTED = ('', 'NC')


class PowerReading(NamedTuple):
    """What was read at one time."""

    #: 'INA3221', 'RAPL', or '' where there is no sensor.
    source: str
    #: Name of each rail -> watts.
    rails: Dict[str, float]
    #: Watts of the whole board (INA3221), or of processor and memory (RAPL); None where it is not known.
    total_w: Optional[float]
    #: What the total is made of, or why there is none: a sentence's beginning without its full stop.
    note: str


class PowerMeter:
    """Reads all sensors that it finds, anew each time; RAPL counts energy, so its first reading has no watts."""

    def __init__(self, root: str = '/sys'):
        """Take the folder; nothing is read yet.

        :param root: where sysfs is mounted.
        """
        self.root = root
        self._energies = {}  # type: Dict[str, Tuple[float, float]]

    def read(self, now_s: float) -> PowerReading:
        """Read what is there.

        :param now_s: monotonic time in seconds, later than in the call before.
        :returns: a PowerReading; without sensors one without rails.
        """
        rails, silent = self._read_ina3221()
        if rails or silent:
            return _summed(rails, silent)
        return self._read_rapl(now_s)

    def _read_ina3221(self):
        """Return name -> watts, and the names of the rails that exist but cannot be read."""
        rails = {}  # type: Dict[str, float]
        silent = set()
        for folder in self._folders('bus/i2c/devices/*/iio:device*', 'bus/iio/devices/iio:device*'):
            for label_path in _files(folder, 'rail_name_*'):
                number = label_path.rpartition('_')[2]
                milliwatts = _number(os.path.join(folder, 'in_power%s_input' % number))
                _add(rails, silent, _text(label_path), None if milliwatts is None else milliwatts / 1e3)
        for folder in self._folders('bus/i2c/devices/*/hwmon/hwmon*', 'class/hwmon/hwmon*'):
            chip = _text(os.path.join(folder, 'name'))
            if chip and not chip.startswith('ina3221'):  # other chips have volts and amperes of other things
                continue
            for label_path in _files(folder, 'in[0-9]*_label'):
                number = re.sub(r'\D', '', os.path.basename(label_path))
                current_path = os.path.join(folder, 'curr%s_input' % number)
                if chip and not os.path.exists(current_path):  # the sum of the shunts' voltages, which is no rail
                    continue
                millivolts = _number(os.path.join(folder, 'in%s_input' % number))
                milliamperes = _number(current_path)
                watts = None if None in (millivolts, milliamperes) else millivolts * milliamperes / 1e6
                _add(rails, silent, _text(label_path), watts)
        return rails, sorted(silent - set(rails))

    def _read_rapl(self, now_s: float) -> PowerReading:
        """Return watts since the reading before."""
        rails = {}  # type: Dict[str, float]
        found, refused, fresh = 0, 0, {}
        for folder in self._folders('class/powercap/*-rapl:*', 'class/powercap/*-rapl:*/*-rapl:*'):
            name = _text(os.path.join(folder, 'name'))
            if not name:
                continue
            if os.path.basename(folder).count(':') > 1:  # a part of a package: core, uncore, dram
                name = '%s/%s' % (_text(os.path.join(os.path.dirname(folder), 'name')) or 'package', name)
            found += 1
            energy_uj = _number(os.path.join(folder, 'energy_uj'))
            if energy_uj is None or energy_uj < 0:
                refused += 1
                continue
            fresh[folder] = (now_s, energy_uj)
            watts = self._watts(folder, now_s, energy_uj)
            if watts is not None:
                rails[name] = watts
        self._energies = fresh
        if not found:
            return PowerReading('', {}, None, 'no power sensor below %s' % self.root)
        if refused == found:
            return PowerReading('RAPL', {}, None, 'energy_uj below %s/class/powercap cannot be read: it is kept for '
                                'root unless a udev rule allows it' % self.root)
        if not rails:
            return PowerReading('RAPL', {}, None, 'watts come with the next reading')
        return _rapl_total(rails)

    def _watts(self, folder: str, now_s: float, energy_uj: float) -> Optional[float]:
        """Return the mean power since the reading before; None where there is none to tell."""
        if folder not in self._energies:
            return None
        before_s, before_uj = self._energies[folder]
        used_uj = energy_uj - before_uj
        if used_uj < 0:  # the counter has begun again
            span_uj = _number(os.path.join(folder, 'max_energy_range_uj'))
            if span_uj is None or span_uj <= 0:
                return None
            used_uj += span_uj
        if now_s <= before_s or used_uj < 0:
            return None
        watts = used_uj / 1e6 / (now_s - before_s)
        return watts if watts <= _MAX_W else None

    def _folders(self, *patterns: str) -> List[str]:
        """Return the folders that fit, each once, though links lead to it by several ways."""
        folders, seen = [], set()
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(glob.escape(self.root), pattern))):
                home = os.path.realpath(path)
                if home not in seen and os.path.isdir(home):
                    seen.add(home)
                    folders.append(path)
        return folders


def power_health(reading: PowerReading) -> Tuple[int, str, Dict[str, Any]]:
    """Put a reading into words for the diagnostics.

    :param reading: of a PowerMeter.
    :returns: (level, message, values): OK, or WARN where no total is known.
    """
    values = {'source': reading.source}  # type: Dict[str, Any]
    if reading.total_w is not None:
        values['total_w'] = reading.total_w
    values.update(('%s_w' % name, watts) for name, watts in sorted(reading.rails.items()))
    if reading.total_w is None:
        return _WARN, 'No total power: %s.' % reading.note, values
    return _OK, '%.1f W (%s, %s).' % (reading.total_w, reading.source, reading.note), values


def _summed(rails: Dict[str, float], silent: List[str]) -> PowerReading:
    """Add up what makes the total on that board, and nothing twice."""
    note = 'unreadable: %s' % ', '.join(silent) if silent else ''
    for name in INPUT_RAILS:
        if name in rails:
            return PowerReading('INA3221', rails, rails[name], '; '.join(filter(None, (name, note))))
    known = set(rails) | set(silent)
    for board, names in sorted(SUMMED_RAILS.items()):
        missing = [name for name in names if name not in rails]
        if not missing:
            words = '; '.join(filter(None, ('sum of ' + ', '.join(names), note)))
            return PowerReading('INA3221', rails, sum(rails[name] for name in names), words)
        if known & set(names):
            return PowerReading('INA3221', rails, None, '%s cannot be read, of which the total of %s is made'
                                % (', '.join(missing), board))
    return PowerReading('INA3221', rails, None, note or 'none of the rails is the whole board')


def _rapl_total(rails: Dict[str, float]) -> PowerReading:
    """Take the platform where it is counted, else packages and their memory, which packages do not hold."""
    if 'psys' in rails:
        return PowerReading('RAPL', rails, rails['psys'], 'psys')
    names = [name for name in sorted(rails) if '/' not in name or name.endswith('/dram')]
    if not any('/' not in name for name in names):
        return PowerReading('RAPL', rails, None, 'no package can be read')
    return PowerReading('RAPL', rails, sum(rails[name] for name in names), 'sum of ' + ', '.join(names))


def _add(rails: Dict[str, float], silent: set, name: str, watts: Optional[float]):
    if name.upper() in _NOT_CONNECTED or 'sum of shunt' in name.lower():
        return
    if watts is None or not -_MAX_W <= watts <= _MAX_W:
        silent.add(name)
    else:
        rails[name] = watts


def _files(folder: str, pattern: str) -> List[str]:
    return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))


def _text(path: str) -> str:
    """Read one short line; '' where that is impossible."""
    try:
        with open(path, 'rb') as stream:
            text = stream.read(_MAX_BYTES).decode('ascii', 'replace')
    except (OSError, ValueError):
        return ''
    return re.sub(r'[^ -~]', '', text.partition('\n')[0]).strip()


def _number(path: str) -> Optional[float]:
    """Read one whole number; None where there is none."""
    text = _text(path)
    return float(text) if re.match(r'-?\d{1,18}\Z', text) else None
