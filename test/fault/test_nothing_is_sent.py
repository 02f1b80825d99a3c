"""Nothing is sent to anybody: all processes run in a network of their own that is listened to, with an empty HOME."""

import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from facial_emotion_ros.installed_files import find_shared
from graph_peer import REPOSITORY

HERE = os.path.dirname(os.path.abspath(__file__))
ROOM = ['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
#: What processes need to know. All else stays out: CI's variables switch telemetry off, and a user has none of them.
KEPT = re.compile('PATH$|LD_LIBRARY_PATH$|PYTHONPATH$|(AMENT|CMAKE|COLCON)_PREFIX_PATH$|LANG$|_?(ROS|RMW|RCUTILS)_')
#: Files that docs/security.md names, below HOME.
NAMED = re.compile(r'\.ros/log/[^/]+\.log$|\.cache/matplotlib/fontlist-[^/]+\.json$|\.cache/facial_emotion_ros/')
#: Opened for writing outside of HOME, TMPDIR and the outputs: devices, shared memory, what the kernel tells.
DEVICES = re.compile('/dev/(null|tty|shm(/.*)?)$|/proc/')

PIPELINE = """
import sys, time, cv2
from facial_emotion_ros.pipeline import EmotionPipeline
pipeline = EmotionPipeline()
assert pipeline.estimate(cv2.imread(sys.argv[1]))
open(sys.argv[2], 'w').close()
try:
    while True:
        time.sleep(1)
        pipeline.estimate(cv2.imread(sys.argv[1]))
except KeyboardInterrupt:
    pass
"""

#: A worker of Ray evaluates a recording, and stays.
RAY = """
import sys
from every_command import evaluate_and_stay
from facial_emotion_ros.bag_evaluation.fleet import evaluate_fleet
from facial_emotion_ros.bag_evaluation.options import Options
try:
    evaluate_fleet(sys.argv[1:2], sys.argv[2], Options(), ray_address='local', evaluate=evaluate_and_stay)
except KeyboardInterrupt:
    pass
"""

#: Sends a datagram, a question for a name and a request for a connection, and leaves a file at home.
TELLTALE = """
import os, socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.7', 9999))
with open(os.path.expanduser('~/telltale'), 'w'):
    pass
try:
    socket.create_connection(('telltale.example', 443), 1)
except OSError:
    pass
open(os.environ['DONE'], 'w').close()
"""


def test_packets_are_told_apart():
    from lone_network import describe

    def packet(kind, source, target, port, text=b''):
        ends = bytes(map(int, (source + '.' + target).split('.')))
        return b'\x45' + b'\0' * 8 + bytes([kind]) + b'\0\0' + ends + b'\x9c\x40' + port.to_bytes(2, 'big') + (
            b'\0' * 4 + text)

    assert describe(packet(17, '127.0.0.1', '127.0.0.1', 7412, b'RTPS')) == 'DDS'
    assert describe(packet(17, '127.0.0.1', '239.255.0.1', 7400, b'RTPS')) == 'DDS'
    assert describe(packet(6, '127.0.0.1', '127.0.0.1', 6379)) == 'loopback'
    for foreign in (packet(17, '127.0.0.1', '127.0.0.1', 53), packet(17, '127.0.0.1', '239.255.0.1', 5353, b'mdns'),
                    packet(17, '127.0.0.1', '198.51.100.7', 7412, b'RTPS'), packet(6, '127.0.0.1', '192.0.2.1', 443)):
        assert 'from 127.0.0.1 to ' in describe(foreign)


@pytest.fixture
def watch(ros_environment, tmp_path):
    """Return a function that runs processes in a network of their own, and what was found there."""
    missing = [name for name in ('unshare', 'ip', 'mount') if not shutil.which(name)]
    if missing:
        pytest.skip('%s: not installed (Debian packages util-linux, iproute2, mount)' % ', '.join(missing))
    if subprocess.run(['unshare'] + ROOM + ['true'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        pytest.skip('no network namespace can be made: that needs root, and a container that may (CAP_SYS_ADMIN)')
    places = {name: tmp_path / name for name in ('home', 'temporary', 'work')}
    for place in places.values():
        place.mkdir()
    environment = {name: value for name, value in ros_environment.items() if KEPT.match(name)}
    environment.pop('ROS_LOG_DIR')
    environment.update(HOME=str(places['home']), TMPDIR=str(places['temporary']), PYTHONDONTWRITEBYTECODE='1',
                       PYTHONUNBUFFERED='1')

    def watch(processes, seconds, until):
        strace = bool(shutil.which('strace'))
        plan = {'folder': str(places['work']), 'seconds': seconds, 'until': list(map(str, until)), 'strace': strace,
                'environment': environment, 'homes': [str(places['home']), str(places['temporary'])],
                'processes': [{'name': name, 'command': [sys.executable] + list(map(str, command)),
                               'environment': variables} for name, command, variables in processes]}
        (places['work'] / 'plan.json').write_text(json.dumps(plan))
        subprocess.run(['unshare'] + ROOM + [sys.executable, os.path.join(HERE, 'lone_network.py'),
                                             str(places['work'] / 'plan.json')], check=True, timeout=280)
        found = json.loads((places['work'] / 'found.json').read_text())
        found['logs'] = {name: (places['work'] / (name + '.log')).read_text() for name, _, _ in processes}
        found['strange'] = [os.path.relpath(path, str(tmp_path)) for path in found['files']
                            if not NAMED.match(os.path.relpath(path, str(places['home'])))]
        found['strange'] += opened_for_writing(places['work'], tmp_path) if strace else []
        return found

    watch.folder = places['work']
    return watch


def opened_for_writing(folder, allowed):
    """List what strace has seen being made or opened for writing outside of a folder, and what is still there."""
    strange = set()
    for trace in folder.glob('*.strace'):
        for line in trace.read_text(errors='replace').splitlines():
            if 'O_RDONLY' in line or ' = -1 ' in line or 'resumed>' in line:
                continue
            for path in re.findall(r'"(/[^"]*)"', line):
                if not path.startswith(str(allowed)) and not DEVICES.match(path) and os.path.lexists(path):
                    strange.add(path)
    return sorted(strange)


def test_what_is_sent_and_left_is_noticed(watch):
    done = watch.folder / 'done'
    found = watch([('telltale', ['-c', TELLTALE], {'DONE': str(done)})], 0, [done])
    assert found['questions'] == ['telltale.example']
    seen = ' '.join(found['packets'])
    assert '198.51.100.7, port 9999' in seen and '127.0.0.1, port 53' in seen and '192.0.2.1, port 443' in seen
    assert found['strange'] == ['home/telltale']


def commands(folder, bag, with_benchmark):
    """Write small inputs for all workstation commands.

    :returns: list of [module, arguments].
    """
    sys.path.insert(0, os.path.join(REPOSITORY, 'test', 'unit'))
    try:
        from affectnet_tree import AffectNetTree
        from test_ferplus import write_npz
    finally:
        sys.path.pop(0)
    portrait = find_shared('samples', 'astronaut.jpg')
    face = cv2.resize(cv2.imread(portrait, 0)[54:180, 161:287], (48, 48), interpolation=cv2.INTER_AREA)
    votes = np.eye(10, dtype=int)[np.arange(12) % 2] * 10
    faces = write_npz(folder / 'faces.npz', [face + shade for shade in range(12)], votes=votes)
    noise = write_npz(folder / 'noise.npz', np.random.default_rng(0).integers(0, 256, (12, 48, 48)).astype(np.uint8),
                      votes=votes)
    (folder / 'small.yaml').write_text('name: small\nnetwork: {branches: 1}\nfaces: {format: ferplus}\n'
                                       'phases: [{size_px: 56, steps: 2, batch_size: 4, averaging: 0}]\n')
    tree = AffectNetTree(folder / 'affectnet')
    tree.add_many(4)
    annotations, _ = tree.write(), tree.write('validation.csv')
    trained = str(folder / 'run' / 'weights.safetensors')
    bundle = str(folder / 'esr_1')

    def out(name):
        return ['--output', str(folder / name)]

    # It waits for a quiet machine, and measures in processes that are of our package too.
    benchmark = [['benchmark', ['--networks', 'shipped', '--engines', 'onnxruntime', 'openvino', '--threads', '1',
                                '--runs', '10', '--engines-only', '--html', str(folder / 'benchmark.html')]]]
    return [
        ['train', [str(folder / 'small.yaml'), '--data', faces] + out('run')],
        ['export', ['--weights', trained, '--size-px', '64'] + out('esr_1')],
        ['evaluate', ['--dataset', faces, '--bundle', bundle] + out('figures')],
        ['quantize', ['--bundle', bundle, '--faces', faces, '--count', '8'] + out('esr_1_int8')],
        ['explain', [portrait, '--bundle', bundle] + out('explained')],
        ['hold_out', ['--dataset', noise, '--count', '2'] + out('held_out.txt')],
        ['prepare_affectnet', ['--images', tree.root, '--annotations', annotations] + out('prepared')],
        ['make_sample_bag', [str(folder / 'made'), '--seconds', '1', '--rate', '5']],
        ['evaluate_bag', [str(bag), '--truth', '/annotation/faces', '--engine', 'openvino'] + out('read')],
        ['evaluate_camera', ['--dataset', faces, '--bundle', bundle, '--scenes', '2', '--varied', '0'] + out('camera')],
        ['evaluate_over_time', ['unknown', '--dataset', faces, '--bundle', bundle, '--scenes', '2', '--spoiled', '1']],
    ] + (benchmark if with_benchmark else [])


def test_nothing_is_sent_and_no_file_is_left_when_everything_runs(watch, long_form, promise):
    for name in ('torch', 'rosbags', 'ray', 'matplotlib', 'openvino'):
        pytest.importorskip(name, reason='%s is not installed: scripts/setup --tests does that' % name)
    from facial_emotion_ros.bags.sample_bag import write_sample_bag
    folder = watch.folder
    bag, portrait = folder / 'bag', find_shared('samples', 'astronaut.jpg')
    write_sample_bag(str(bag), seconds=2.0, rate_hz=5.0)
    (folder / 'commands.json').write_text(json.dumps(commands(folder, bag, long_form)))
    done = {name: folder / (name + '.done') for name in ('pipeline', 'commands', 'ray')}
    processes = [
        ('pipeline', ['-c', PIPELINE, portrait, done['pipeline']], {}),
        ('node', ['-m', 'facial_emotion_ros.ros.emotion_node', '--ros-args', '-p', 'input.transport:=compressed',
                  '-r', 'image/compressed:=/camera/image_raw/compressed'], {}),
        ('play_bag', ['-m', 'facial_emotion_ros.ros.bag_player', bag, '--loop', '--stamp-now'], {}),
        # A reader, without whom the node leaves the images alone.
        ('record_bag', ['-m', 'facial_emotion_ros.ros.bag_recorder', '--output', folder / 'recorded', '--topics',
                        '/detections'], {}),
        # Another node, with a camera and a reader that writes a film.
        ('demo', ['-m', 'facial_emotion_ros.commands.demo', '--loop', '--rate', '2', '--output', folder / 'demo'], {}),
        ('ray', ['-c', RAY, bag, folder / 'fleet'], {'DONE': str(done['ray']), 'PYTHONPATH': os.pathsep.join(
            [HERE] + [path for path in [os.environ.get('PYTHONPATH')] if path])}),
        ('commands', [os.path.join(HERE, 'every_command.py'), done['commands'], folder / 'commands.json'], {}),
    ]
    seconds = 60 if long_form else 20
    found = watch(processes, seconds, done.values())
    for name, text in found['logs'].items():
        print('== %s\n%s' % (name, text[-2000:]))
    print({name: value for name, value in found.items() if name != 'logs'})
    assert not found['early'] and not any(found['codes'])
    # What has not begun its work would have nothing to tell.
    assert 'Active: ' in found['logs']['node'] and os.path.getsize(str(folder / 'demo' / 'summary.json'))
    assert found['packets'].pop('DDS') > 100 and found['lost'] == 0
    promise('nothing is sent to anybody', '%d processes in %.0f s: no name asked for, no packet to anybody else, no '
            'file but those that docs/security.md names' % (len(processes), found['seconds']), bound='none',
            n='node, pipeline, Ray worker, %d commands' % len(commands(folder, bag, long_form)))
    assert not found['questions'] and set(found['packets']) <= {'loopback'}
    assert not found['strange']
