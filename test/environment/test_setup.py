"""scripts/setup as a person runs it: quick when nothing changed, clear when it cannot go on, nothing half-installed."""

import fcntl
import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
from checkouts import ROOT

OWN_VENV = os.path.join(ROOT, '.venv')

#: Neither the network nor a place of this machine's own to take packages from.
NO_PACKAGES = {
    'PIP_NO_INDEX': '1',
    'PIP_CONFIG_FILE': os.devnull,
    'PIP_FIND_LINKS': None,
    'PIP_INDEX_URL': None,
    'PIP_EXTRA_INDEX_URL': None,
}


def stopped_with(ran, *words):
    """Check that the set-up stopped with one paragraph that says these words, without a traceback."""
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert 'Traceback' not in ran.stderr
    paragraph = ran.stderr.strip()
    assert paragraph.startswith('scripts/setup stopped. '), paragraph
    assert not [word for word in words if word not in paragraph], paragraph


def has_own_environment():
    return os.path.exists(os.path.join(OWN_VENV, 'facial_emotion_setup.json'))


def test_help_says_what_it_does_when_asked():
    ran = subprocess.run(
        [os.path.join(ROOT, 'scripts', 'setup'), '--help'], stdout=subprocess.PIPE, universal_newlines=True
    )
    assert ran.returncode == 0
    assert '--tests' in ran.stdout and '.venv' in ran.stdout and 'Jazzy' in ran.stdout


def processor_s():
    """Return the processor time that all children have taken so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_it_takes_less_than_two_seconds_when_nothing_changed(long_form):
    if not has_own_environment():
        pytest.skip('this checkout has no environment made by scripts/setup')
    command = [os.path.join(ROOT, 'scripts', 'setup')]
    clock = time.monotonic if long_form else processor_s  # what others take of the machine does not count
    seconds = []
    for _ in range(4):  # files may have come since the last set-up
        begun = clock()
        if subprocess.check_output(command) == b'':
            seconds.append(clock() - begun)
    assert min(seconds) < 2


@pytest.mark.skipif(not shutil.which('setarch'), reason='setarch is absent: no way to look like another processor')
def test_it_names_the_ros_way_when_the_processor_is_another(checkout):
    ran = checkout.setup(before=['setarch', 'i686'])
    stopped_with(ran, 'x86_64', 'rosdep install', 'colcon build')
    assert not checkout.venv.exists()


def test_it_names_the_network_and_keeps_the_former_environment_when_packages_cannot_be_had(checkout):
    checkout.venv.mkdir()
    (checkout.venv / 'facial_emotion_setup.json').write_text('{"base": "of an older checkout", "package": "older"}')
    (checkout.venv / 'still_here').write_text('')
    # Nobody listens on port 9 of this machine.
    ran = checkout.setup(
        **dict(NO_PACKAGES, PIP_NO_INDEX=None, PIP_INDEX_URL='http://127.0.0.1:9/simple', PIP_NO_CACHE_DIR='1')
    )
    stopped_with(ran, 'package index cannot be reached', 'Check the network', 'start again')
    assert (checkout.venv / 'still_here').exists()
    assert not (checkout.folder / '.venv.previous').exists()


def test_it_refuses_and_leaves_nothing_when_a_package_has_another_checksum(checkout, tmp_path):
    lock = (checkout.folder / 'requirements' / 'run.lock').read_text()
    version = lock.split('setuptools==')[1].split()[0]  # the first that is installed
    wheel = tmp_path / 'wheels' / 'setuptools-{}-py3-none-any.whl'.format(version)
    wheel.parent.mkdir()
    with zipfile.ZipFile(str(wheel), 'w') as content:
        folder = 'setuptools-{}.dist-info/'.format(version)
        content.writestr(folder + 'METADATA', 'Metadata-Version: 2.1\nName: setuptools\nVersion: {}\n'.format(version))
        content.writestr(folder + 'WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        content.writestr(folder + 'RECORD', '')
    ran = checkout.setup(**dict(NO_PACKAGES, PIP_FIND_LINKS=str(wheel.parent)))
    stopped_with(ran, 'checksum', 'setuptools', 'start again')
    assert not checkout.venv.exists()


def test_it_names_what_to_install_when_the_compiler_is_missing(checkout, tmp_path):
    # A PATH with Python and the shell's own needs, and neither compiler nor apt-get.
    tools = tmp_path / 'tools'
    tools.mkdir()
    base = os.path.realpath(getattr(sys, '_base_executable', sys.executable))
    (tools / 'python3').symlink_to(base)
    for name in ('bash', 'env', 'dirname'):
        (tools / name).symlink_to(shutil.which(name))
    ran = checkout.setup(PATH=str(tools), XDG_CACHE_HOME=str(tmp_path / 'empty'), CXX=None)
    stopped_with(ran, 'g++', 'start again')
    assert not checkout.venv.exists()


def test_it_begins_again_when_it_was_killed_in_the_middle(checkout):
    running = subprocess.Popen(
        [str(checkout.folder / 'scripts' / 'setup')],
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    for line in running.stdout:
        if line.startswith('[3/'):  # the environment is there, its packages are on their way
            break
    running.kill()
    running.wait()
    running.stdout.close()
    assert checkout.venv.exists()
    # This run cannot be a success; but it must not take what the last one left for an environment, nor leave it there.
    ran = checkout.setup('--python', str(checkout.folder / 'no_python'))
    stopped_with(ran, 'no_python')
    assert not checkout.venv.exists()


def test_a_second_run_waits_when_the_first_is_at_work(checkout):
    with open(str(checkout.folder / '.venv.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [str(checkout.folder / 'scripts' / 'setup'), '--python', str(checkout.folder / 'no_python')],
            env=checkout.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        assert 'waiting' in second.stdout.readline()
        assert second.poll() is None and not checkout.venv.exists()
    assert 'no_python' in second.communicate()[1]


@pytest.fixture
def ros_installation(tmp_path):
    """Return the folder of a ROS installation: what this environment has of it, elsewhere and not known as ours."""
    if not os.path.exists(os.path.join(OWN_VENV, 'setup.bash')):
        pytest.skip('no .venv/setup.bash to source: this checkout stands on a ROS installation itself')
    folder = str(tmp_path / 'ros')
    packages = os.path.join('lib', 'python%d.%d' % sys.version_info[:2], 'site-packages')
    link_all(OWN_VENV, folder, 'facial_emotion_setup.json', 'overlay', 'lib')
    link_all(os.path.join(OWN_VENV, 'lib'), os.path.join(folder, 'lib'), os.path.basename(os.path.dirname(packages)))
    link_all(os.path.join(OWN_VENV, packages), os.path.join(folder, packages))
    for name in ('setup.bash', 'setup.sh', 'local_setup.bash', 'local_setup.sh'):
        with open(os.path.join(OWN_VENV, name)) as file:
            text = file.read().replace(OWN_VENV, folder)
        os.remove(os.path.join(folder, name))
        with open(os.path.join(folder, name), 'w') as file:
            file.write(text)
    return folder


def link_all(source, target, *left_out):
    """Make a folder of links to what is in another."""
    os.makedirs(target)
    for name in set(os.listdir(source)).difference(left_out):
        os.symlink(os.path.join(source, name), os.path.join(target, name))


@pytest.mark.timeout(300)
def test_a_sourced_ros_is_used_when_its_setup_file_was_sourced(checkout, ros_installation):
    setup_file = os.path.join(ros_installation, 'setup.bash')
    script = (
        'set -e; . "{}"; cd "{}"; scripts/setup; . .venv/overlay/install/setup.bash; .venv/bin/python -c "'
        'import rclpy, onnxruntime, cv2, vision_msgs.msg, hri_msgs.msg, bond.msg, tf2_msgs.msg, facial_emotion_ros; '
        'from ament_index_python.packages import get_package_prefix; '
        "print(rclpy.__file__, get_package_prefix('{}'), facial_emotion_ros.__file__, sep='\\n')\"; "
        'scripts/setup'
    ).format(setup_file, checkout.folder, 'facial_emotion_ros')
    ran = subprocess.run(
        ['bash', '-c', script],
        env=checkout.environment(**NO_PACKAGES),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rclpy_file, prefix, package_file = ran.stdout.strip().splitlines()[-3:]
    assert 'Using ROS 2 jazzy' in ran.stdout and 'wheels' not in ran.stdout
    assert rclpy_file.startswith(ros_installation)
    assert prefix.startswith(str(checkout.venv)) and package_file.startswith(str(checkout.folder))
    assert not list(checkout.venv.glob('lib/python3*/site-packages/numpy'))
