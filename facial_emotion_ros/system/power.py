"""Read power consumption in watts from sysfs: INA3221 on Jetsons, RAPL on Intel and AMD processors.

Nothing here raises: where sensors are missing or files invalid, a reading has fewer rails and a note.

Source: NVIDIA's Jetson Linux Developer Guide, power monitors of TX2, Xavier and Orin; the kernel's
Documentation/hwmon/ina3221.rst and Documentation/power/powercap/powercap.rst.
"""

import glob
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

#: Levels of diagnostic_msgs/DiagnosticStatus, as in health.py.
_OK, _WARN = 0, 1

#: Rails that measure the board's input; any one of them is the total.
INPUT_RAILS = ('VDD_IN', 'POM_5V_IN', 'VIN')

#: Boards without such a rail: the total is the sum of these, if all of them are known.
SUMMED_RAILS = {
    'AGX Xavier': ('GPU', 'CPU', 'SOC', 'CV', 'VDDRQ', 'SYS5V'),
    'AGX Orin': ('VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0', 'VDDQ_VDD2_1V8AO'),
}

#: Larger values are invalid.
_MAX_W = 1000.0
#: Read limit; a sysfs file has one short line.
_MAX_BYTES = 256

_NOT_CONNECTED = ('', 'NC')


class PowerReading(NamedTuple):
    """A reading of all sensors.

    :param source: 'INA3221', 'RAPL', or '' without a sensor.
    :param rails: name of each rail -> watts.
    :param total_w: watts of the board (INA3221), or of processor and memory (RAPL); None where it is unknown.
    :param note: how the total was computed, or why there is none; no full sentence.
    """

    source: str
    rails: Dict[str, float]
    total_w: Optional[float]
    note: str


class PowerMeter:
    """Find and read all sensors. RAPL counts energy: its first reading has no watts.

    :param root: where sysfs is mounted.
    """

    def __init__(self, root: str = '/sys') -> None:
        self.root = root
        self._energies: Dict[str, Tuple[float, float]] = {}

    def read(self, now_s: float) -> PowerReading:
        """Read all sensors.

        :param now_s: monotonic time in seconds, later than in the last call.
        """
        rails, silent = self._read_ina3221()
        if rails or silent:
            return _summed(rails, silent)
        return self._read_rapl(now_s)

    def _read_ina3221(self) -> Tuple[Dict[str, float], List[str]]:
        """Return name -> watts, and the names of unreadable rails."""
        rails: Dict[str, float] = {}
        silent: Set[str] = set()
        for folder in self._folders('bus/i2c/devices/*/iio:device*', 'bus/iio/devices/iio:device*'):
            for label_path in _files(folder, 'rail_name_*'):
                number = label_path.rpartition('_')[2]
                milliwatts = _number(os.path.join(folder, 'in_power%s_input' % number))
                _add(rails, silent, _text(label_path), None if milliwatts is None else milliwatts / 1e3)
        for folder in self._folders('bus/i2c/devices/*/hwmon/hwmon*', 'class/hwmon/hwmon*'):
            chip = _text(os.path.join(folder, 'name'))
            if chip and not chip.startswith('ina3221'):  # not a power monitor
                continue
            for label_path in _files(folder, 'in[0-9]*_label'):
                number = re.sub(r'\D', '', os.path.basename(label_path))
                current_path = os.path.join(folder, 'curr%s_input' % number)
                if chip and not os.path.exists(current_path):  # the sum of the shunt voltages, no rail
                    continue
                millivolts = _number(os.path.join(folder, 'in%s_input' % number))
                milliamperes = _number(current_path)
                watts = None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
                _add(rails, silent, _text(label_path), watts)
        return rails, sorted(silent - set(rails))

    def _read_rapl(self, now_s: float) -> PowerReading:
        """Return the mean power since the last reading."""
        rails: Dict[str, float] = {}
        fresh: Dict[str, Tuple[float, float]] = {}
        found = refused = 0
        for folder in self._folders('class/powercap/*-rapl:*', 'class/powercap/*-rapl:*/*-rapl:*'):
            name = _text(os.path.join(folder, 'name'))
            if not name:
                continue
            if os.path.basename(folder).count(':') > 1:  # a domain of a package: core, uncore, dram
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
            note = 'energy_uj below %s/class/powercap cannot be read: only root may, unless a udev rule allows it'
            return PowerReading('RAPL', {}, None, note % self.root)
        if not rails:
            return PowerReading('RAPL', {}, None, 'watts are known from the second reading on')
        return _rapl_total(rails)

    def _watts(self, folder: str, now_s: float, energy_uj: float) -> Optional[float]:
        """Return the mean power since the last reading; None where it is unknown."""
        if folder not in self._energies:
            return None
        before_s, before_uj = self._energies[folder]
        used_uj = energy_uj - before_uj
        if used_uj < 0:  # the counter has wrapped
            span_uj = _number(os.path.join(folder, 'max_energy_range_uj'))
            if span_uj is None or span_uj <= 0:
                return None
            used_uj += span_uj
        if now_s <= before_s or used_uj < 0:
            return None
        watts = used_uj / 1e6 / (now_s - before_s)
        return watts if watts <= _MAX_W else None

    def _folders(self, *patterns: str) -> List[str]:
        """Return the folders that match, without duplicates by links."""
        folders: List[str] = []
        seen: Set[str] = set()
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(glob.escape(self.root), pattern))):
                home = os.path.realpath(path)
                if home not in seen and os.path.isdir(home):
                    seen.add(home)
                    folders.append(path)
        return folders


def power_health(reading: PowerReading) -> Tuple[int, str, Dict[str, Any]]:
    """Return level, message and values of a reading for the diagnostics: OK, or WARN without a total."""
    values: Dict[str, Any] = {'source': reading.source}
    if reading.total_w is not None:
        values['total_w'] = reading.total_w
    values.update(('%s_w' % name, watts) for name, watts in sorted(reading.rails.items()))
    if reading.total_w is None:
        return _WARN, 'No total power: %s.' % reading.note, values
    return _OK, '%.1f W (%s, %s).' % (reading.total_w, reading.source, reading.note), values


def _summed(rails: Dict[str, float], silent: List[str]) -> PowerReading:
    """Compute the board's total from its rails."""
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
            words = '%s cannot be read, part of the total of %s' % (', '.join(missing), board)
            return PowerReading('INA3221', rails, None, words)
    return PowerReading('INA3221', rails, None, note or 'none of the rails is the whole board')


def _rapl_total(rails: Dict[str, float]) -> PowerReading:
    """Return psys, the whole platform's power, if it is known, else the sum of packages and their memory."""
    if 'psys' in rails:
        return PowerReading('RAPL', rails, rails['psys'], 'psys')
    names = [name for name in sorted(rails) if '/' not in name or name.endswith('/dram')]
    if not any('/' not in name for name in names):
        return PowerReading('RAPL', rails, None, 'no package can be read')
    return PowerReading('RAPL', rails, sum(rails[name] for name in names), 'sum of ' + ', '.join(names))


def _add(rails: Dict[str, float], silent: Set[str], name: str, watts: Optional[float]) -> None:
    if name.upper() in _NOT_CONNECTED or 'sum of shunt' in name.lower():
        return
    if watts is None or not -_MAX_W <= watts <= _MAX_W:
        silent.add(name)
    else:
        rails[name] = watts


def _files(folder: str, pattern: str) -> List[str]:
    return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))


def _text(path: str) -> str:
    """Return a file's first line; '' if it cannot be read."""
    try:
        with open(path, 'rb') as stream:
            text = stream.read(_MAX_BYTES).decode('ascii', 'replace')
    except (OSError, ValueError):
        return ''
    return re.sub(r'[^ -~]', '', text.partition('\n')[0]).strip()


def _number(path: str) -> Optional[float]:
    """Return the integer in a file; None if there is none."""
    text = _text(path)
    return float(text) if re.match(r'-?\d{1,18}\Z', text) else None
