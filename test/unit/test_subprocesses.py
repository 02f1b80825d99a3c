"""Processes that live and die together, and the domain they speak in."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.system import subprocesses
from facial_emotion_ros.system.subprocesses import (
    DOMAINS,
    Child,
    ProcessGroup,
    describe_exit,
    private_environment,
    take_free_domain,
)

SLEEPS = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def family(tmp_path):
    """Hold children; none survives the test."""
    family = ProcessGroup()

    def add(name, program):
        family.add(Child(name, [sys.executable, '-c', program], os.environ, str(tmp_path / name)))
        return family[name]

    family.start = add
    yield family
    family.stop()


def wait_until(condition, timeout_s=20.0):
    """Wait for a condition."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_the_one_that_ended_is_found_when_one_of_several_ends(family):
    family.start('lasting', SLEEPS)
    family.start('failing', "import sys; print('first', flush=True); sys.exit('last words')")
    ended = family.wait_for_any(['lasting', 'failing'], 20.0)
    assert ended.name == 'failing' and ended.exit_code == 1
    assert ended.last_lines(1) == ['last words']
    assert family['lasting'].exit_code is None
    assert family.wait_for_any(['lasting'], 0.1) is None


def test_all_end_when_the_family_is_stopped(family):
    children = [family.start('polite', SLEEPS), family.start('other', SLEEPS)]
    for child in children:
        wait_until(lambda child=child: child.last_lines() == ['up'])
    family.stop()
    assert [child.exit_code for child in children] == [-signal.SIGINT, -signal.SIGINT]  # not a harder signal


def test_stubborn_child_is_ended_by_a_harder_signal_when_it_ignores_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(
        'facial_emotion_ros.system.subprocesses._STOP_STEPS', ((signal.SIGINT, 0.2), (signal.SIGTERM, 5.0))
    )
    child = Child('stubborn', [sys.executable, '-c', STUBBORN], os.environ, str(tmp_path / 'log'))
    wait_until(lambda: child.last_lines() == ['up'])
    assert child.stop() == -signal.SIGTERM


def test_children_end_when_their_parent_is_killed(tmp_path):
    program = (
        'import os, sys, time; from facial_emotion_ros.system.subprocesses import Child\n'
        'child = Child("c", [sys.executable, "-c", %r], os.environ, %r)\n'
        'print(child._process.pid, flush=True); time.sleep(60)' % (SLEEPS, str(tmp_path / 'log'))
    )
    parent = subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    pid = int(parent.stdout.readline())
    wait_until(lambda: (tmp_path / 'log').read_text() == 'up\n')
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def is_gone():
        try:
            with open('/proc/%d/stat' % pid) as stat:
                return stat.read().rpartition(')')[2].split()[0] == 'Z'
        except OSError:
            return True

    wait_until(is_gone)


@pytest.mark.parametrize(
    'code, words', [(0, 'exit code 0'), (2, 'exit code 2'), (-9, 'killed by SIGKILL'), (-200, 'killed by signal 200')]
)
def test_exit_is_described_when_a_process_has_ended(code, words):
    assert describe_exit(code) == words


def test_domains_differ_when_two_are_taken():
    first, first_claim = take_free_domain()
    second, second_claim = take_free_domain()
    try:
        assert first != second and {first, second} <= set(DOMAINS)
    finally:
        first_claim.close()
        second_claim.close()


@pytest.mark.parametrize('offset', [0, 10, 12])  # of everybody, of the first participant, of the second
def test_domain_is_skipped_when_it_is_used_or_reserved(offset):
    wanted, claim = take_free_domain()
    claim.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.bind(('', 7400 + 250 * wanted + offset))
        other, claim = take_free_domain()
        claim.close()
    assert other != wanted
    taken, lock = take_free_domain()
    with lock:
        other, claim = take_free_domain()
        claim.close()
    assert other != taken


def test_domain_is_taken_without_a_file_and_free_again_when_its_process_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    code = (
        'from facial_emotion_ros.system import subprocesses as s\ns.DOMAINS = (%d,)\n'
        'domain, claim = s.take_free_domain()\nprint(domain, flush=True)\nimport time; time.sleep(60)'
    )
    domain, claim = take_free_domain()
    claim.close()
    monkeypatch.setattr(subprocesses, 'DOMAINS', (domain,))
    with subprocess.Popen([sys.executable, '-c', code % domain], stdout=subprocess.PIPE) as holder:
        try:
            assert int(holder.stdout.readline()) == domain
            with pytest.raises(FacialEmotionError, match='expected a free ROS domain'):
                take_free_domain()
        finally:
            holder.kill()
    take_free_domain()[1].close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'distribution, keeps_local, keeps_profile',
    [
        ({}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, True),
        ({'ROS_DISTRO': 'jazzy'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, True),
        ({'ROS_DISTRO': 'humble'}, {'ROS_LOCALHOST_ONLY': '1'}, False),
    ],
)
def test_environment_stays_on_this_machine_when_private(distribution, keeps_local, keeps_profile):
    profile = {'FASTRTPS_DEFAULT_PROFILES_FILE': '/with_udp.xml'}
    kept = dict(distribution, HOME='/home/x')
    private = private_environment(
        dict(
            kept,
            ROS_LOCALHOST_ONLY='0',
            ROS_AUTOMATIC_DISCOVERY_RANGE='SUBNET',
            ROS_STATIC_PEERS='192.0.2.1',
            ROS_DOMAIN_ID='3',
            **profile,
        ),
        17,
    )
    assert private == dict(kept, ROS_DOMAIN_ID='17', **keeps_local, **(profile if keeps_profile else {}))
