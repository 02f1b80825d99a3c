"""What holds for all tests: signals, and the promises' long form and figures."""

import datetime
import json
import os
import platform
import re
import signal
import sys

import pytest

# Before any test imports torch: as many threads as cores in each of several processes spin while they wait for each
# other, and three quarters of all work was that. The processes that tests start inherit it.
os.environ.update(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='passive')
# Images of containers set it; each process that tests start would then compile again what it imports.
if os.environ.pop('PYTHONDONTWRITEBYTECODE', ''):
    sys.dont_write_bytecode = False
# Before any test imports ONNX Runtime, which sends telemetry otherwise; so do the processes that tests start.
import facial_emotion_ros  # noqa: F401

#: The processes of test/ros, test/fault and test/soak.
pytest_plugins = ['ros_processes']

#: Unit tests that --fast leaves out, beside those that use torch: each takes more than some seconds.
SLOW = (
    'bag_fleet',
    'bag_report_in_browser',
    'benchmark',
    'detector_quantization',
    'evaluate_bag',
    'old_pythons',
    'ray_runner',
    'render_faces',
    'telemetry',
)
_USES_TORCH = re.compile(
    r"^ *(import|from) (torch|tiny_training|facial_emotion_ros\.training\.model)\b|importorskip\('torch'", re.MULTILINE
)

# A shell that starts a program in the background has it ignore SIGINT, and its children inherit that; a program under
# test is started as if somebody sat at its terminal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: What a setup may lack: a test module that imports it is skipped then.
OPTIONAL = set(
    'av jinja2 matplotlib mcap onnx openvino pandas plotly pyarrow pydantic rich rosbags safetensors scipy selenium '
    'skimage tensorboardX torch tqdm'.split()
)


class OptionalModule(pytest.Module):
    """A test module, which is skipped where it imports what is absent."""

    def collect(self):
        """Import it; say what is missing."""
        try:
            return super().collect()
        except self.CollectError as error:
            absent = (getattr(error.__cause__, 'name', None) or '').partition('.')[0]
            if absent not in OPTIONAL or not isinstance(error.__cause__, ModuleNotFoundError):
                raise
            return pytest.skip('%s is not installed: scripts/setup --tests does that' % absent, allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    """Let test modules import what may be absent."""
    return OptionalModule.from_parent(parent, path=module_path)


def pytest_addoption(parser):
    """Add the options of the promises."""
    group = parser.getgroup('promises', 'what docs/promises.md holds')
    group.addoption('--long', action='store_true', help='run the promises in their long form, bounds of time included')
    group.addoption('--fast', action='store_true', help='only the unit tests that are quick and need no torch')
    group.addoption('--figures', metavar='FILE', help='append what was measured to this file, one JSON object a line')


def pytest_ignore_collect(collection_path, config):
    """Leave out what is not fast where that is asked for, before anything of it is imported."""
    if not config.getoption('--fast') or collection_path.suffix != '.py':
        return None
    return (
        collection_path.parent.name != 'unit'
        or collection_path.stem[len('test_') :] in SLOW
        or _USES_TORCH.search(collection_path.read_text(encoding='utf-8')) is not None
    ) or None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Take two processes more than cores, for tests of ROS wait; none where that does not pay or shows nothing.

    A few tests that are named, or chosen by a word, have run before further processes have found them. The long form
    has bounds of time.
    """
    option = config.option
    files = [name for name in config.args if not os.path.isdir(name)]
    if files or option.keyword or option.capture == 'no' or option.long:
        return 0
    return cores() + 2


@pytest.fixture(scope='session')
def long_form(request):
    """Return whether the promises are tested in their long form; bounds of time are asserted there alone."""
    return request.config.getoption('--long')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember for `promise` whether the test has failed."""
    made = yield
    if made.get_result().failed:
        item.promise_broken = True


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Keep what is remembered of checked pictures out of the user's cache."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def promise(request):
    """Return a function that notes what was measured: promise(row of the table, figure, bound='2 s', n='20 kills').

    Call it before asserting the bound: the note is written after the test, and says whether the test went well. A test
    of several rows says of each of them whether it was: kept=True.
    """
    notes = []

    def note(row, figure, **measured):
        notes.append(dict(measured, row=row, figure=figure))
        print('%s: %s' % (row, ', '.join([figure] + ['%s: %s' % pair for pair in sorted(measured.items())])))

    yield note
    path = request.config.getoption('--figures')
    if path and notes:
        kept = not getattr(request.node, 'promise_broken', False)
        with open(path, 'a') as file:
            for each in notes:
                file.write(
                    json.dumps(
                        dict(
                            {'kept': kept},
                            **each,
                            test=request.node.nodeid,
                            machine=machine(),
                            date=datetime.date.today().isoformat(),
                        )
                    )
                    + '\n'
                )


def machine():
    """Describe this machine: processor and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    try:
        with open('/proc/cpuinfo') as file:
            model = [line.split(':')[1].strip() for line in file if line.startswith('model name')][0]
    except (OSError, IndexError):  # boards of ARM have no such line
        pass
    return '%s, %d cores' % (model, cores())


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
