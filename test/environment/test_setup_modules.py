"""The parts of the set-up that need no environment: locks, messages' cache, state, what pip says, what is sourced."""

import importlib.util
import io
import os
import re
import shutil
import tarfile

import pytest
from checkouts import ROOT

import console
import messages
import python_packages
import state
import system

_SPEC = importlib.util.spec_from_file_location('setup_main', system.__file__.replace('system.py', '__main__.py'))
setup_main = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(setup_main)

LOCKS = sorted(name for name in os.listdir(os.path.join(ROOT, 'requirements')) if name.endswith('.lock'))


def lock_text(name):
    with open(os.path.join(ROOT, 'requirements', name), encoding='utf-8') as file:
        return file.read()


@pytest.mark.parametrize('name', LOCKS)
def test_every_package_is_pinned_with_a_checksum_when_a_lock_is_read(name):
    entries = python_packages.read_lock(os.path.join(ROOT, 'requirements', name))
    assert entries
    for package, entry in entries:
        assert re.match(r'[A-Za-z0-9._-]+==[^ ;]+( ; .*)? \\\n', entry), entry
        assert re.search(r'--hash=sha256:[0-9a-f]{64}', entry), package


@pytest.mark.parametrize('name', LOCKS)
def test_no_registry_is_named_when_a_lock_is_read(name):
    assert not re.search(r'https?://|--(extra-)?index-url|--find-links|file:', lock_text(name))


def test_the_robots_lock_is_free_of_test_and_training_packages_when_read():
    folder = os.path.join(ROOT, 'requirements')
    for locks in setup_main.DISTRIBUTIONS.values():
        entries = python_packages.read_robot_locks([os.path.join(folder, name) for name in locks])
        names = {name for name, _ in entries}
        assert {'ros-rclpy', 'onnxruntime', 'numpy', 'opencv-python-headless'} <= names
        assert len({text.partition(' ')[0] for name, text in entries if name == 'ros-rclpy'}) == 1
    assert not names & {'torch', 'pytest', 'coverage', 'ruff', 'onnx', 'scikit-image', 'scipy', 'pillow'}


@pytest.mark.parametrize('name', ['run', 'test', 'docs', 'floor'])
def test_each_wanted_package_says_what_for_when_the_list_is_read(name):
    lines = [line for line in lock_text(name + '.in').splitlines() if line and not line.startswith('-c')]
    wanted = [position for position, line in enumerate(lines) if not line.startswith('#')]
    torch_own = next((position for position, line in enumerate(lines) if "torch's own" in line), len(lines))
    assert wanted and not [
        lines[position] for position in wanted if position < torch_own and not lines[position - 1].startswith('#')
    ]


@pytest.mark.parametrize('module, packages', sorted(python_packages.PACKAGES_OF_MODULE.items()))
def test_what_a_sourced_ros_may_lack_is_locked_when_it_would_be_installed(module, packages):
    names = {name for name, _ in python_packages.read_lock(os.path.join(ROOT, 'requirements', 'run.lock'))}
    assert set(packages) <= names


@pytest.mark.parametrize(
    'printed, expected',
    [
        (
            'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    six==1.17.0 from https://x:\n',
            r'six==1\.17\.0.*Do not use it',
        ),
        (
            'NewConnectionError: Failed to establish\nERROR: No matching distribution found for catkin-pkg==1.1.1',
            r'cannot be reached.*catkin-pkg==1\.1\.1.*Check the network',
        ),
        ('ERROR: No matching distribution found for numpy==2.2.6', r'does not offer.*numpy==2\.2\.6'),
        ('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device', r'disk is full'),
        ('something new', r'pip failed: something new.*some/log'),
    ],
)
def test_the_cause_and_the_next_step_are_told_when_pip_fails(printed, expected):
    assert re.search(expected, str(python_packages.explain_pip_failure(printed, 'some/log')), re.DOTALL)


def packed(text):
    """Make an archive with one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w') as tar:
        member = tarfile.TarInfo('share/word')
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return archive.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache in a folder of the test's own."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return messages.MessageCache(
        'jazzy', '3.11', os.path.join(ROOT, 'messages'), [os.path.join(ROOT, 'requirements', 'run.lock')]
    )


def test_an_archive_comes_back_when_it_was_cached(cache, tmp_path):
    assert cache.read() is None
    cache.write(packed(b'whole'))
    messages.unpack(cache.read(), str(tmp_path))
    assert (tmp_path / 'share' / 'word').read_bytes() == b'whole'
    assert os.listdir(os.path.dirname(cache.path)) == [os.path.basename(cache.path)]


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content[:-100],
        lambda content: b'',
        lambda content: content[:64],
        lambda content: content[:700] + b'X' + content[701:],
    ],
)
def test_an_archive_is_made_anew_when_the_cached_one_is_damaged(cache, damage):
    cache.write(packed(b'whole'))
    with open(cache.path, 'rb') as file:
        content = file.read()
    with open(cache.path, 'wb') as file:
        file.write(damage(content))
    assert cache.read() is None
    cache.write(packed(b'again'))
    assert cache.read() == packed(b'again')


def test_the_set_up_goes_on_when_the_cache_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    cache = messages.MessageCache(
        'jazzy', '3.11', os.path.join(ROOT, 'messages'), [os.path.join(ROOT, 'requirements', 'run.lock')]
    )
    cache.write(packed(b'whole'))
    assert cache.read() is None and 'not cached' in capsys.readouterr().out


def test_the_archive_has_another_name_when_python_or_a_definition_differs(cache, tmp_path):
    import shutil

    lock = [os.path.join(ROOT, 'requirements', 'run.lock')]
    shutil.copytree(os.path.join(ROOT, 'messages'), str(tmp_path / 'messages'))
    with open(str(tmp_path / 'messages/hri_msgs/msg/IdsList.msg'), 'a') as file:
        file.write('uint8 more\n')
    others = [
        messages.MessageCache('jazzy', '3.12', os.path.join(ROOT, 'messages'), lock).path,
        messages.MessageCache('kilted', '3.11', os.path.join(ROOT, 'messages'), lock).path,
        messages.MessageCache('jazzy', '3.11', str(tmp_path / 'messages'), lock).path,
    ]
    assert len({cache.path, *others}) == 4


def test_the_state_is_all_or_nothing_when_it_is_written(tmp_path):
    written = state.State(str(tmp_path))
    assert written.read() == {}
    written.write(base='a', tests=state.BEGUN)
    written.write(tests=None)
    assert written.read() == {'base': 'a'}
    (tmp_path / 'facial_emotion_setup.json').write_text('{"base": ')
    assert written.read() == {}


def prefix_with(folder, *names):
    """Make a ROS prefix that holds some packages."""
    index = folder / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    for name in names:
        (index / name).write_text('')
    return str(folder)


@pytest.mark.parametrize(
    'distribution, packages, own, expected',
    [
        ('jazzy', ['rclpy'], False, 'jazzy'),
        ('', ['rclpy'], False, None),
        ('jazzy', ['std_msgs'], False, None),
        ('jazzy', ['rclpy'], True, None),
    ],
)
def test_a_ros_installation_is_found_when_it_is_sourced_and_foreign(
    tmp_path, monkeypatch, distribution, packages, own, expected
):
    venv = tmp_path / '.venv'
    prefix = prefix_with(venv / 'inner' if own else tmp_path / 'opt', *packages)
    monkeypatch.setenv('ROS_DISTRO', distribution)
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(['', prefix]))
    found, others = system.find_sourced_ros(str(venv))
    assert (found and found.distribution) == expected and not others


@pytest.mark.parametrize('with_ros', [False, True])
def test_another_checkout_s_environment_is_named_and_left_aside_when_it_is_sourced(
    tmp_path, monkeypatch, capsys, with_ros
):
    other = tmp_path / 'other' / '.venv'
    prefixes = [
        prefix_with(other / 'overlay' / 'install' / 'facial_emotion_ros', 'facial_emotion_ros'),
        prefix_with(other, 'rclpy'),
    ] + ([prefix_with(tmp_path / 'opt', 'rclpy')] if with_ros else [])
    state.State(str(other)).write(base='of another checkout')
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(prefixes))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(prefixes))
    monkeypatch.setattr(setup_main, 'ROOT', str(tmp_path))
    monkeypatch.setattr(setup_main.Setup, 'stale_stages', lambda self: [])
    assert setup_main.main([]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert 'Sourced in this shell: %s, made by scripts/setup of another checkout' % os.path.realpath(str(other)) in line
    setup = setup_main.Setup(str(tmp_path / '.venv'), False, None)
    assert (setup.ros and setup.ros.prefixes) == (prefixes[2:] or None)
    environment = setup._ros_environment()
    assert environment['AMENT_PREFIX_PATH'] == environment['PYTHONPATH'] == os.pathsep.join(prefixes[2:])


def interpreter(**changes):
    """Describe a Python that has everything, with changes."""
    return system.Interpreter(
        dict(
            dict(
                executable='/usr/bin/python3.11',
                version=[3, 11, 2],
                venv=True,
                headers=True,
                implementation='cpython',
                rclpy=None,
            ),
            **changes,
        )
    )


@pytest.mark.parametrize(
    'changes, needs_compiler, expected',
    [
        ({}, False, []),
        ({'venv': False}, False, ['python3.11-venv']),
        ({'headers': False}, False, []),
        ({'headers': False}, True, ['g++', 'python3.11-dev']),
        ({}, True, ['g++']),
    ],
)
def test_missing_packages_are_named_when_something_is_absent(monkeypatch, tmp_path, changes, needs_compiler, expected):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    assert system.missing_packages(interpreter(**changes), needs_compiler) == expected


def script(folder, name, text='exit 0'):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text('#!/bin/sh\n%s\n' % text)
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    'there, expected',
    [
        ((), ['chromium', 'chromium-driver']),
        (('chromium',), ['chromium-driver']),
        (('google-chrome', 'chromedriver'), []),
    ],
)
def test_the_browsers_packages_are_named_when_they_are_absent(monkeypatch, tmp_path, there, expected):
    for name in there:
        script(tmp_path, name)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert system.missing_browser() == expected


@pytest.mark.parametrize('apt', ['echo no such package; exit 100', None])
def test_the_set_up_goes_on_and_says_why_when_the_browser_cannot_be_installed(monkeypatch, tmp_path, apt):
    programs = tmp_path / 'bin'
    script(programs, 'sudo')
    if apt:
        script(programs, 'apt-get', apt)
    monkeypatch.setenv('PATH', str(programs))
    monkeypatch.setattr(system.os, 'geteuid', lambda: 0)
    said = system.install_browser(console.Progress(str(tmp_path / 'log'), 1))
    assert 'will be skipped' in said and 'chromium chromium-driver' in said
    assert ('no such package' in said) == bool(apt)


def test_the_browser_is_installed_without_a_question_when_apt_is_there(monkeypatch, tmp_path):
    programs = tmp_path / 'bin'
    script(programs, 'apt-get', 'echo "$DEBIAN_FRONTEND $@" >> %s' % (tmp_path / 'asked'))
    monkeypatch.setenv('PATH', str(programs))
    monkeypatch.setattr(system.os, 'geteuid', lambda: 0)
    assert system.install_browser(console.Progress(str(tmp_path / 'log'), 1)) == ''
    assert (tmp_path / 'asked').read_text().split() == [
        'noninteractive',
        'install',
        '-y',
        '--no-install-recommends',
        'chromium',
        'chromium-driver',
    ]


def test_the_tests_packages_are_installed_again_when_their_lock_changed_meanwhile(tmp_path, monkeypatch):
    shutil.copytree(os.path.join(ROOT, 'requirements'), str(tmp_path / 'requirements'))

    class Pip:
        """Somebody pulls another lock while it is at work."""

        def __init__(self, *_):
            pass

        def install_entries(self, path, **_):
            with open(path, 'a') as lock:
                lock.write('\n')

        def install_torch(self, _):
            return ''

    monkeypatch.setattr(setup_main, 'ROOT', str(tmp_path))
    monkeypatch.setattr(setup_main, 'Installer', Pip)
    monkeypatch.setattr(system, 'install_browser', lambda progress: '')
    setup = setup_main.Setup(str(tmp_path), True, None)
    setup.progress = console.Progress(str(tmp_path / 'log'), 3)
    setup._install_tests()
    assert setup.state.read()['tests'] not in (state.BEGUN, state.tests_key(str(tmp_path), setup_main.TEST_LOCKS))
