"""Libraries that report home are told not to before anything can import them."""

import ast
import os
import sys

import pytest
from places import ROOT, read
from programs import printed
from test_guards import FILES, PACKAGE

from facial_emotion_ros import TELEMETRY_OFF

#: Prints what a process has after importing the package and, where they are installed, the libraries.
PROBE = """
import os
import facial_emotion_ros
print({name: os.environ.get(name) for name in facial_emotion_ros.TELEMETRY_OFF})
"""


def run(code, **variables):
    """Run code in a process without CI's variables and without ours; give what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in TELEMETRY_OFF}
    return printed(sys.executable, '-c', code, cwd=ROOT, env=dict(environment, **variables))


def test_telemetry_is_off_when_the_package_is_imported():
    assert ast.literal_eval(run(PROBE)) == TELEMETRY_OFF
    assert TELEMETRY_OFF['ORT_DISABLE_TELEMETRY'] == '1' and TELEMETRY_OFF['RAY_USAGE_STATS_ENABLED'] == '0'


@pytest.mark.parametrize('name', sorted(TELEMETRY_OFF))
def test_a_user_s_own_choice_is_kept_when_he_has_made_one(name):
    assert ast.literal_eval(run(PROBE, **{name: 'mine'})) == dict(TELEMETRY_OFF, **{name: 'mine'})


def test_openvino_finds_no_telemetry_package_when_it_is_imported_after_ours(tmp_path):
    (tmp_path / 'openvino_telemetry.py').write_text('print("reports")\n')
    code = (
        'import sys; sys.path.insert(0, %r)\nfirst = %r\nexec(first)\ntry:\n    import openvino_telemetry\n'
        'except ImportError:\n    print("silent")'
    )
    assert run(code % (str(tmp_path), 'import facial_emotion_ros')).strip() == 'silent'
    assert run(code % (str(tmp_path), '')).strip() == 'reports'


def test_a_warning_says_so_when_onnxruntime_was_faster():
    code = 'import sys; sys.modules["onnxruntime"] = sys; import facial_emotion_ros'
    assert 'Import facial_emotion_ros first' in run(code)
    assert run(code, ORT_DISABLE_TELEMETRY='1') == ''


def test_nothing_of_the_package_runs_before_the_switches_are_set():
    """Each module is reached by way of the package: none is run as a file, which would not import it."""
    nodes = ast.walk(ast.parse(read(PACKAGE, '__init__.py')))
    early = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    assert set(early) <= {'os', 'sys', 'warnings'}
    for path in FILES:
        assert not read(path).startswith('#!'), '%s could be run as a file' % path


@pytest.mark.parametrize('name', sorted(os.listdir(os.path.join(ROOT, 'docker'))))
def test_an_image_sets_the_switch_before_it_imports_onnxruntime_by_itself(name):
    before, found, _ = read('docker', name).partition('import cv2, numpy, onnxruntime')
    assert not found or 'ENV ORT_DISABLE_TELEMETRY=1' in before
