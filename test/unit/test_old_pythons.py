"""The robot's modules on the oldest Pythons that robots have: their unit tests run there, with the oldest packages."""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from programs import ended
from test_guards import PACKAGE, ROBOT_FILES, ROOT, ROS_PACKAGES, imports_of

#: Of the environments themselves; change it when this module makes them in another way.
FORMAT = 1

#: Unit tests that together go through the whole pipeline and every package that it needs; of Python 3.8 in every run.
WHOLE_PRODUCT = ('emotion_pipeline', 'image_decoding')

#: Words in the names of files and tests that take long and show the same on any Python, or what the tests of the
#: pipeline show too: on the old ones with --long alone.
LONG_TESTS = (
    'test_backend_autotune',
    'test_esr',
    'a_closed_guard',
    'a_gpu_gives_nan',
    'are_padded_to_one_batch',
    'estimates_are_calibrated',
    'flips_less_than',
    'leave_a_gpu',
    'no_processor_is_kept_busy',
    'outputs_are_refused',
    'sadness_that_lasts',
    'sample_is_a_stream',
    'the_process_goes_on',
    'weights_are_in_memory',
    'within_600_ms',
)

#: Tests that run the networks again and again: not on an emulated processor, where that takes a hundred times as long.
NETWORKS = (
    'crop_estimation',
    'emotion_pipeline',
    'execution_providers',
    'face_detector',
    'face_stream',
    'image_rotation',
    'quality_gate',
)

#: In the short form each of these tests runs with the first of its parameters.
ONCE = NETWORKS + ('model_bundle', 'truncated_jpeg', 'visualization')
FIRST_PARAMETERS = """
def pytest_collection_modifyitems(config, items):
    seen, kept = set(), []
    for item in items:
        name = item.nodeid.split('[')[0]
        if name not in seen or item.module.__name__[len('test_'):] not in %r:
            kept.append(item)
        seen.add(name)
    items[:] = kept
"""

PROBE = 'import sys; print("%d.%d" % sys.version_info[:2], sys.executable)'


def bare_environment():
    """Copy the environment without what a ROS shell, coverage and other Pythons leave in it."""
    dropped = ('LD_LIBRARY_PATH', 'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    return {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(('COVERAGE_', 'COV_CORE_', 'PYTEST_'))
    }


def answer(*command, **variables):
    """Run a command; give what it printed, '' when it failed."""
    try:
        return subprocess.run(
            command,
            env=dict(bare_environment(), **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=60,
            universal_newlines=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ''


def find_python(version):
    """Find an interpreter that really runs: pyenv's stand-ins on PATH fail unless its version is chosen.

    :param version: like '3.6'.
    :returns: its path, or ''.
    """
    name = 'python' + version
    chosen = answer('pyenv', 'whence', name).split()
    for variables in [{}] + [{'PYENV_VERSION': each} for each in chosen]:
        printed = answer(name, '-c', PROBE, **variables).split(None, 1)
        if printed and printed[0] == version:
            return printed[1].strip()
    return ''


def make_environment(python, version):
    """Make an environment with the floor's packages, or take the one that is there.

    :param python: interpreter.
    :param version: like '3.6'.
    :returns: the environment's Python.
    """
    lock_path = os.path.join(ROOT, 'requirements', 'floor_%s.lock' % version)
    with open(lock_path, 'rb') as file:
        content = file.read()
    key = hashlib.sha256(repr((FORMAT, python)).encode() + content).hexdigest()[:16]
    caches = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    home = os.path.join(caches, PACKAGE, 'floor')
    os.makedirs(home, exist_ok=True)
    folder = os.path.join(home, '%s-%s' % (version, key))
    stamp, bin_python = os.path.join(folder, 'complete'), os.path.join(folder, 'bin', 'python')
    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp) and answer(bin_python, '-c', PROBE).startswith(version):
            return bin_python
        shutil.rmtree(folder, ignore_errors=True)
        entries = content.decode().split('\n', 1)[1]
        first = next(each for each in entries.replace('\\\n', '').splitlines() if each.startswith('pip=='))
        first_lock = os.path.join(home, '%s-pip.lock' % version)
        with open(first_lock, 'w') as file:
            file.write(first + '\n')
        # pip first: the one that comes with Python 3.6 does not know today's wheels.
        for command in (
            [python, '-m', 'venv', folder],
            [bin_python, '-m', 'pip', 'install', '--require-hashes', '--no-deps', '-r', first_lock],
            [bin_python, '-m', 'pip', 'install', '--require-hashes', '--no-deps', '-r', lock_path],
        ):
            ran = ended(*command, env=bare_environment(), stdin=subprocess.DEVNULL)
            if ran.returncode:
                pytest.skip(
                    'Python %s is here, but its packages cannot be installed: %s'
                    % (version, ran.stdout.strip().splitlines()[-1])
                )
        with open(stamp, 'w'):
            pass
    return bin_python


@functools.lru_cache(maxsize=None)
def needs_ros(path):
    """Return whether a module imports ROS, itself or through others of the package: no import leads in a circle."""
    for each in imports_of(path):
        inner = each.module.replace('.', os.sep) + '.py'
        if each.module.split('.')[0] in ROS_PACKAGES or (inner in ROBOT_FILES and needs_ros(inner)):
            return True
    return False


def robot_test_files():
    """List the unit tests of the robot's modules, those apart that need ROS."""
    wanted = [
        os.path.join('test', 'unit', 'test_' + os.path.basename(path)) for path in ROBOT_FILES if not needs_ros(path)
    ] + [os.path.join('test', 'unit', 'test_public_names.py')]  # of __init__.py
    return sorted(path for path in set(wanted) if os.path.exists(os.path.join(ROOT, path)))


def pytest_options(folder, once=ONCE, left_out=LONG_TESTS):
    """Write what pytest needs for these tests, and return its options.

    :param folder: where the settings and a plug-in go; it has to be on PYTHONPATH.
    :param once: test files of which each test runs with the first of its parameters.
    :param left_out: words of files and tests that do not run.
    """
    settings = os.path.join(folder, 'pytest.ini')
    with open(settings, 'w') as file:
        file.write(
            '[pytest]\naddopts = -ra -p no:cacheprovider -p first_parameters\n'
            'markers =\n    timeout: of another plug-in\n'
        )
    with open(os.path.join(folder, 'first_parameters.py'), 'w') as file:
        file.write(FIRST_PARAMETERS % (once,))
    chosen = ['-k', 'not (%s)' % ' or '.join(left_out)] if left_out else []
    return ['-c', settings, '--rootdir', ROOT] + chosen


def test_the_floor_covers_the_pipeline_when_its_tests_are_listed():
    names = {os.path.basename(path) for path in robot_test_files()}
    assert {'test_emotion_pipeline.py', 'test_face_crops.py', 'test_model_bundle.py', 'test_metrics.py'} <= names


@pytest.mark.timeout(1200)
@pytest.mark.parametrize('version', ['3.6', '3.8'])
def test_unit_tests_of_the_robot_modules_pass_when_they_run_on_an_old_python(version, tmp_path, long_form):
    python = find_python(version)
    if not python:
        pytest.skip('no Python %s on this machine that runs' % version)
    python = make_environment(python, version)
    places = os.pathsep.join([ROOT, str(tmp_path)])
    environment = dict(bare_environment(), PYTHONPATH=places, PYTHONDONTWRITEBYTECODE='1')
    # Both have the same numpy, ONNX Runtime and OpenCV; what 3.8 alone can show is another build of these.
    files = (
        robot_test_files()
        if version == '3.6' or long_form
        else [os.path.join('test', 'unit', 'test_%s.py' % name) for name in WHOLE_PRODUCT]
    )
    options = pytest_options(str(tmp_path), (), ()) if long_form else pytest_options(str(tmp_path))
    command = [python, '-m', 'pytest', '-q', *options, *files]
    ran = ended(*command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    lines = ran.stdout.strip().splitlines()
    assert ran.returncode == 0, '\n'.join(lines[-80:])
    sys.stderr.write('Python %s: %s\n' % (version, lines[-1]))


if __name__ == '__main__':
    # For scripts/test_arm64: the arguments of pytest, for a folder. qemu counts no processor time in /proc/self/stat.
    without = LONG_TESTS + tuple('test_' + name for name in NETWORKS) + ('time_grows_when_a_process_works',)
    print(*pytest_options(sys.argv[1], left_out=without) + robot_test_files(), sep='\n')
