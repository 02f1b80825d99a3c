"""Keeps the house as it was designed: who may import whom, what runs on a robot's Python, what a node loads."""

import ast
import functools
import os
import subprocess
import sys
from collections import namedtuple

import pytest
from places import ROOT, read
from programs import printed

PACKAGE = 'facial_emotion_ros'

#: The package's folders in the order of imports: each imports only from those above it.
ORDER = (
    'core',
    'system',
    'inference',
    'perception',
    'emotion',
    'pipeline',
    'demo',
    'recordings/io',
    'ros',
    'training',
    'evaluation',
    'recordings',
    'cli',
)

#: Arrows that the order would allow, and the design does not.
FORBIDDEN_ARROWS = (
    ('demo', 'emotion'),
    ('training', 'ros'),
    ('training', 'recordings/io'),
    ('evaluation', 'ros'),
    ('evaluation', 'recordings/io'),
    ('recordings', 'ros'),
    ('recordings', 'training'),
)

#: Folders that never run on a robot; all the rest does.
WORKSTATION_ROOMS = ('training', 'evaluation', 'recordings', 'cli')

#: The only foreign packages that a robot's modules may import anywhere, and those for ros/ alone.
ROBOT_PACKAGES = {'cv2', 'numpy', 'onnxruntime', 'yaml'}
#: Packages that a robot may have: imported where they are needed, and told where they are missing.
OPTIONAL_PACKAGES = {'av', 'imageio_ffmpeg', 'openvino', 'rosbags'}
ROS_PACKAGES = {
    'ament_index_python',
    'bond',
    'builtin_interfaces',
    'cv_bridge',
    'diagnostic_msgs',
    'geometry_msgs',
    'hri_msgs',
    'launch',
    'launch_ros',
    'lifecycle_msgs',
    'rcl_interfaces',
    'rclpy',
    'rosgraph_msgs',
    'sensor_msgs',
    'std_msgs',
    'std_srvs',
    'tf2_msgs',
    'vision_msgs',
}

Import = namedtuple('Import', 'module line at_top')


def source_files():
    """List the package's files as paths relative to the root."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), ROOT)
        for folder, _, names in os.walk(os.path.join(ROOT, PACKAGE))
        for name in names
        if name.endswith('.py')
    )


def room_of(path):
    """Give the folder of ORDER that a file or a dotted name of the package lies in: '' for the package itself."""
    path = path.replace('.', '/')
    return next(
        (room for room in sorted(ORDER, key=len, reverse=True) if path.startswith(PACKAGE + '/' + room + '/')), ''
    )


def is_robots(path):
    """Tell whether a file runs on a robot."""
    return room_of(path).split('/')[0] not in WORKSTATION_ROOMS


def parse(path):
    """Parse a file of the checkout."""
    return ast.parse(read(path), path)


def statements(tree):
    """List all statements of a syntax tree, however deep; expressions, nine of ten nodes, are left out."""
    found, left = [], list(tree.body)
    while left:
        node = left.pop()
        found.append(node)
        for field in ('body', 'orelse', 'handlers', 'finalbody', 'cases'):
            left += getattr(node, field, ())
    return found


@functools.lru_cache(maxsize=None)
def imports_of(path):
    """List what a file imports, wherever in it; relative names are made absolute."""
    tree = parse(path)
    at_top = set(map(id, tree.body))
    found = []
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found += [Import(name.name, node.lineno, id(node) in at_top) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                folder = path[: -len('.py')].split(os.sep)[: -node.level]
                base = '.'.join(folder + ([base] if base else []))
            found.append(Import(base, node.lineno, id(node) in at_top))
            # `from package import module` imports the module.
            found += [
                Import(base + '.' + name.name, node.lineno, id(node) in at_top)
                for name in node.names
                if is_module(base + '.' + name.name)
            ]
    return found


def is_module(name):
    """Tell whether a dotted name is a module or a room of the package."""
    path = os.path.join(ROOT, *name.split('.'))
    return name.startswith(PACKAGE) and (os.path.isfile(path + '.py') or os.path.isdir(path))


def where(path, imported):
    """Say where an import stands."""
    return '%s:%d imports %s' % (path, imported.line, imported.module)


FILES = source_files()
ROBOT_FILES = [path for path in FILES if is_robots(path)]


def test_files_were_found_when_the_guards_run():
    assert len(ROBOT_FILES) > 10 and len(FILES) > len(ROBOT_FILES)


def test_nothing_imports_ros_when_it_lies_outside_the_ros_room():
    wrong = [
        where(path, each)
        for path in FILES
        if room_of(path) != 'ros'
        for each in imports_of(path)
        if each.module.split('.')[0] in ROS_PACKAGES
    ]
    assert not wrong


@pytest.mark.skipif(sys.version_info < (3, 10), reason='sys.stdlib_module_names came with Python 3.10')
def test_only_listed_packages_are_imported_when_a_module_runs_on_a_robot():
    known = ROBOT_PACKAGES | OPTIONAL_PACKAGES | ROS_PACKAGES | set(getattr(sys, 'stdlib_module_names', ())) | {PACKAGE}
    wrong = [
        where(path, each) for path in ROBOT_FILES for each in imports_of(path) if each.module.split('.')[0] not in known
    ]
    assert not wrong
    early = [
        where(path, each)
        for path in ROBOT_FILES
        for each in imports_of(path)
        if each.at_top and each.module.split('.')[0] in OPTIONAL_PACKAGES
    ]
    assert not early


@pytest.mark.skipif(sys.version_info < (3, 10), reason='sys.stdlib_module_names came with Python 3.10')
def test_a_robot_reads_and_writes_recordings_without_packages_of_a_workstation():
    known = ROBOT_PACKAGES | OPTIONAL_PACKAGES | {'backports', 'compression', 'mcap', PACKAGE}
    known |= set(getattr(sys, 'stdlib_module_names', ()))
    paths = [path for path in FILES if room_of(path) == 'recordings/io']
    wrong = [where(path, each) for path in paths for each in imports_of(path) if each.module.split('.')[0] not in known]
    assert paths and not wrong


def test_each_folder_imports_only_from_those_above_it():
    wrong = []
    for path in FILES:
        room = room_of(path)
        for each in imports_of(path):
            # A folder's name itself counts as what lies in it.
            other = room_of(each.module + '.') if each.module.startswith(PACKAGE + '.') else ''
            if room and other and ORDER.index(other) > ORDER.index(room):
                wrong.append(where(path, each))
            if (room, other) in FORBIDDEN_ARROWS:
                wrong.append(where(path, each))
    assert not wrong


def test_the_package_is_a_dozen_folders_and_no_module_lies_beside_them():
    entries = {name for name in os.listdir(os.path.join(ROOT, PACKAGE)) if not name.startswith('__pycache__')}
    assert entries == {room.split('/')[0] for room in ORDER} | {'__init__.py', 'py.typed'}


def test_no_module_imports_itself_when_imports_are_followed():
    edges = {}
    for path in FILES:
        module = path[: -len('.py')].replace(os.sep, '.')
        module = module[: -len('.__init__')] if module.endswith('.__init__') else module
        edges[module] = {each.module for each in imports_of(path) if each.at_top and is_module(each.module)} - {PACKAGE}
    finished = set()

    def follow(module, trail):
        assert module not in trail, 'a circle: ' + ' -> '.join(trail + [module])
        if module not in finished:
            for imported in sorted(edges.get(module, ())):
                follow(imported, trail + [module])
            finished.add(module)

    for module in sorted(edges):
        follow(module, [])


@pytest.mark.parametrize('path', ROBOT_FILES)
def test_no_postponed_annotations_are_used_when_a_module_runs_on_a_robot(path):
    assert '__future__' not in {each.module for each in imports_of(path)}


def test_vermin_finds_nothing_newer_than_python_3_6_when_it_reads_the_robot_modules():
    pytest.importorskip('vermin', reason='vermin is not installed: scripts/setup --tests does that')
    options = '--target=3.6- --backport dataclasses --eval-annotations --no-parse-comments --no-tips --violations'
    vermin = [sys.executable, '-c', 'from vermin import main; main()', *options.split(), '--processes=1']
    printed(*vermin, 'setup.py', *ROBOT_FILES, cwd=ROOT)


def loaded_by(module, names):
    """Import a module in a process of its own; tell which of some others came with it."""
    code = 'import sys, importlib; importlib.import_module(%r); print(*[n for n in %r if n in sys.modules])'
    command = [sys.executable, '-c', code % (module, tuple(names))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize('module', ['ros.emotion_node', 'ros.demo.media_source', 'ros.demo.console_view'])
def test_torch_stays_unloaded_when_a_node_is_imported(module):
    pytest.importorskip('rclpy', reason='rclpy is not installed: scripts/setup does that')
    assert loaded_by(PACKAGE + '.' + module, ['torch', 'skimage', 'onnx', 'safetensors', PACKAGE + '.training']) == []


@pytest.mark.parametrize('module', ['pipeline.emotion_pipeline', 'cli.demo'])
def test_neither_torch_nor_ros_is_loaded_when_the_pipeline_or_a_command_is_imported(module):
    assert loaded_by(PACKAGE + '.' + module, ['torch', 'rclpy', 'skimage', 'onnx']) == []
