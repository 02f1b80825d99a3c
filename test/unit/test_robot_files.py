"""What starts the node at boot: the unit of systemd and the compose file name what exists."""

import configparser
import os
import re
import shutil

import pytest
import yaml
from launch_stand_in import launched
from places import read
from programs import ended

UNIT = os.path.join('examples', 'facial_emotion.service')


def launch_words(command):
    """Return the file and the arguments that a command gives to ros2 launch."""
    [(file, arguments)] = re.findall(r'ros2 launch facial_emotion_ros (\S+)((?: \w+:=\S+)*)', command)
    return file, dict(word.split(':=', 1) for word in arguments.split())


def unit():
    """Read the unit; lines that end in a backslash are one."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(re.sub(r'\\\n\s*', ' ', read(UNIT)))
    return parser


def composed():
    """Read the one service of the compose file."""
    [service] = yaml.safe_load(read('docker', 'compose.yaml'))['services'].values()
    return service


def test_what_starts_the_node_at_boot_is_a_launch_file_and_arguments_that_exist(monkeypatch):
    for command in (unit()['Service']['ExecStart'], composed()['command']):
        file, arguments = launch_words(command.rstrip("'"))
        [node], context = launched(monkeypatch, file, **arguments)
        assert node['executable'] == 'emotion_node' and set(arguments) <= {each.name for each in context.declared}


def test_the_node_is_ended_as_by_ctrl_c_and_comes_back_after_a_failure():
    service = unit()['Service']
    assert (service['KillSignal'], service['KillMode'], service['Restart']) == ('SIGINT', 'mixed', 'on-failure')
    assert 'exec ros2 launch' in service['ExecStart'], 'the signal must reach the launch, not a shell'
    assert (composed()['stop_signal'], composed()['restart']) == ('SIGINT', 'unless-stopped')


def test_a_container_sees_the_graph_and_the_shared_memory_of_its_host():
    service = composed()
    assert (service['network_mode'], service['ipc']) == ('host', 'host')
    folder = os.path.normpath(os.path.join('docker', service['build']['context']))
    assert folder == '.' and 'FROM' in read(service['build']['dockerfile'])


def test_systemd_accepts_the_unit(tmp_path):
    if shutil.which('systemd-analyze') is None:
        pytest.skip('systemd-analyze is not installed')
    (tmp_path / 'facial_emotion.service').write_text(read(UNIT))
    ran = ended('systemd-analyze', 'verify', tmp_path / 'facial_emotion.service')
    assert 'facial_emotion' not in ran.stdout, ran.stdout  # it tells of other units, too
