"""`pip install .` into a fresh environment: the package works there outside of the checkout, with its models."""

import os
import shutil
import subprocess
import sys

import pytest
from checkouts import COPIED, LEFT_BY_SHELLS, ROOT
from programs import printed

PACKAGE = 'facial_emotion_ros'

#: Reads a picture; prints where the package lies, what it requires and what it sees.
READS_A_PICTURE = """
import sys
import facial_emotion_ros
from facial_emotion_ros import EmotionPipeline
import cv2
print(facial_emotion_ros.__file__)
print(*(face.emotion for face in EmotionPipeline().estimate(cv2.imread(sys.argv[1]))))
"""


def link_or_copy(source, target):
    """Give a file one more name, which costs nothing; copy it where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def run(*command, **options):
    """Run a command as a fresh shell would; give what it printed."""
    env = {name: value for name, value in os.environ.items() if name not in LEFT_BY_SHELLS}
    env['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    return printed(*command, env=env, stdin=subprocess.DEVNULL, **options)


@pytest.fixture(scope='module')
def environment(tmp_path_factory, request):
    """Return an environment with the package in it, and nothing of this checkout.

    Its dependencies come from the package index with --long only; otherwise they are those of the tests' environment.
    """
    sources, folder = tmp_path_factory.mktemp('sources'), tmp_path_factory.mktemp('pip') / 'env'
    for name in COPIED + ('LICENSE', 'pyproject.toml', 'models', 'samples', 'examples', 'recipes'):
        if os.path.isdir(os.path.join(ROOT, name)):
            shutil.copytree(os.path.join(ROOT, name), str(sources / name), copy_function=link_or_copy)
        else:
            shutil.copy(os.path.join(ROOT, name), str(sources))
    pip = [sys.executable, '-m', 'pip', '--no-input']
    run(sys.executable, '-m', 'venv', '--without-pip', folder)
    into = pip + ['--python', folder / 'bin' / 'python', 'install', '--quiet']
    if request.config.getoption('--long'):
        run(*into, sources)
    else:
        fast = '--config-settings=--build-option=--compression=stored'
        run(*pip, 'wheel', '--quiet', '--no-deps', '--no-index', '--no-build-isolation', fast, '-w', folder, sources)
        [wheel] = folder.glob('*.whl')
        run(*into, '--no-deps', '--no-index', wheel)
        [site] = folder.glob('lib/python3*/site-packages')
        (site / 'dependencies.pth').write_text('\n'.join(path for path in sys.path if path.endswith('-packages')))
    yield folder
    shutil.rmtree(str(sources))
    shutil.rmtree(str(folder))


def test_emotions_are_read_when_the_package_came_by_pip(environment, tmp_path):
    picture = os.path.join(ROOT, 'samples', 'astronaut.jpg')
    place, emotion = run(environment / 'bin' / 'python', '-c', READS_A_PICTURE, picture, cwd=str(tmp_path)).splitlines()
    assert place.startswith(str(environment)) and emotion == 'happy'
    assert os.path.isfile(os.path.join(os.path.dirname(place), 'py.typed')), 'type checkers look for it'


def test_commands_and_shared_files_are_there_when_the_package_came_by_pip(environment, tmp_path):
    assert 'usage: ' in run(environment / 'bin' / 'evaluate_recording', '--help', cwd=str(tmp_path))
    assert (environment / 'share' / PACKAGE / 'examples' / 'picture.py').is_file()
    assert (environment / 'share' / PACKAGE / 'config' / 'emotion_node.yaml').is_file()
    [package] = environment.glob('lib/python3*/site-packages/' + PACKAGE)
    for template in ('evaluation/templates/base.html', 'recordings/report/templates/recording.html'):
        assert (package / template).is_file(), 'pages are made from it'


def test_dependencies_are_named_when_pip_reads_the_package(environment, tmp_path):
    code = 'from importlib.metadata import requires; print(*requires(%r), sep="\\n")' % PACKAGE
    lines = run(environment / 'bin' / 'python', '-c', code, cwd=str(tmp_path)).splitlines()
    wanted = {line.split(';')[0].strip() for line in lines if 'extra ==' not in line}
    assert {'numpy', 'onnxruntime', 'opencv-python-headless<5', 'PyYAML'} <= wanted
    assert any(line.startswith('torch;') and 'extra == "train"' in line for line in lines)
