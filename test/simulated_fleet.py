"""Thousands of tiny recordings, with an evaluation that copies real results: what a batch itself costs.

    python test/simulated_fleet.py make /tmp/rides 10000
    python test/simulated_fleet.py run /tmp/rides /tmp/rides_read --interrupt-at 5000
    python test/simulated_fleet.py run /tmp/rides /tmp/rides_read

Real are the recordings (mcap, 1 to 3 images; each of p00000/baseline, p00000/task... has a content of its own), the
processes, the hashes, the folders of results, the tables and the page. Simulated is the evaluation of a recording: no
model runs, the files that `evaluate_bag` wrote for one with as many images are copied. `--real` evaluates instead.

`--store MS` puts recordings and results at URLs of a store that waits so many milliseconds for each request, and counts
them, as an object store would.
"""

import argparse
import collections
import csv
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time

import cv2
import fsspec
from fsspec.implementations.local import LocalFileSystem

from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.io.content_hash import hash_of
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, header, make
from facial_emotion_ros.recordings.io.writer import BagWriter

CONDITIONS = ('baseline', 'task', 'rest', 'recall')

#: Beside the recordings: real results of a recording of each length, and the manifest.
RESULTS, STUDY = '.results', 'study.csv'

#: Where processes find these, how long a request takes, and where each writes a letter for one.
_RESULTS, _DELAY, _LOG = 'SIMULATED_FLEET_RESULTS', 'SIMULATED_FLEET_DELAY_S', 'SIMULATED_FLEET_LOG'

_REQUESTS = {
    'cat_file': 'GET', 'get_file': 'GET', 'open': 'GET', 'pipe_file': 'PUT', 'ls': 'LIST', 'find': 'LIST',
    'info': 'HEAD', 'exists': 'HEAD', 'ukey': 'HEAD', 'makedirs': 'HEAD', 'rm_file': 'DELETE', 'rm': 'DELETE',
}  # fmt: skip


class CountedStore(LocalFileSystem):
    """A folder as a store of fsspec: counted:///path."""

    protocol = 'counted'
    _inside = threading.local()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace('counted://', '', 1))


def _counted(name, kind):
    plain = getattr(LocalFileSystem, name)

    def request(self, *given, **named):
        if getattr(self._inside, 'is_one', False):
            return plain(self, *given, **named)
        self._inside.is_one = True
        try:
            time.sleep(float(os.environ[_DELAY]))
            with open(os.environ[_LOG], 'a') as log:
                log.write(kind[0])
            return plain(self, *given, **named)
        finally:
            self._inside.is_one = False

    return request


for _name, _kind in _REQUESTS.items():
    setattr(CountedStore, _name, _counted(_name, _kind))
fsspec.register_implementation('counted', CountedStore, clobber=True)


def make_recordings(folder, count):
    """Write recordings in folders of participants, a manifest, and real results for each length."""
    video = SampleVideo(160, 120)
    pictures = [cv2.imencode('.jpg', video.frame(number / 10))[1].reshape(-1) for number in range(3)]
    rows = []
    for number in range(count):
        place = os.path.join(f'p{number // len(CONDITIONS):05d}', CONDITIONS[number % len(CONDITIONS)])
        _write(os.path.join(folder, place), number, pictures[: 1 + number % 3])
        rows.append((place, os.path.dirname(place), os.path.basename(place)))
    with open(os.path.join(folder, STUDY), 'w') as file:
        csv.writer(file).writerows([('path', 'participant', 'condition'), *rows])
    for number in range(3):
        found = os.path.join(folder, RESULTS, str(number + 1))
        evaluate_bag(os.path.join(folder, rows[number][0]), found, Options(), of_many=True)


def _write(path, number, pictures):
    with BagWriter(path) as bag:
        for place, picture in enumerate(pictures):
            stamp_ns = 1_700_000_000 * 10**9 + number * 10**9 + place * 10**8
            image = make(COMPRESSED_IMAGE, header=header(stamp_ns, 'camera'), format='jpeg', data=picture)
            bag.add('/camera/image_raw/compressed', stamp_ns, image)


def evaluate(path, output, options):
    """Copy the results of a recording of the same length."""
    with open(os.path.join(path, 'metadata.yaml')) as file:
        count = next(line.split()[-1] for line in file if 'message_count' in line)
    shutil.copytree(os.path.join(os.environ[_RESULTS], count), output, dirs_exist_ok=True)
    summary = os.path.join(output, 'summary.json')
    with open(summary) as file:
        content = json.load(file)
    content['bag']['sha256'] = hash_of(path)
    with open(summary, 'w') as file:
        json.dump(content, file)


def run(arguments):
    """Evaluate all of them by the command, and print what it took."""
    import simulated_fleet  # by its name, which the processes import

    from facial_emotion_ros.cli import evaluate_recording
    from facial_emotion_ros.recordings.batch import batch

    log = arguments.output.rstrip('/') + '.requests'
    os.environ.update({_RESULTS: os.path.join(arguments.folder, RESULTS), _LOG: log, _DELAY: '0'})
    places = [arguments.folder, arguments.output]
    if arguments.store is not None:
        os.environ[_DELAY] = str(arguments.store / 1000)
        places = [f'counted://{os.path.abspath(place)}' for place in places]
    open(log, 'w').close()
    if arguments.interrupt_at:
        tell = batch.fleet_progress
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background

        def interrupt(done, wanted, record):
            tell(done, wanted, record)
            if done == arguments.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)

        batch.fleet_progress = interrupt
    if not arguments.real:
        whole = batch.evaluate_fleet
        batch.evaluate_fleet = lambda *given, **named: whole(*given, evaluate=simulated_fleet.evaluate, **named)
    began_s = time.monotonic()
    study = ['--study', os.path.join(arguments.folder, STUDY)] if arguments.store is None else []
    how = ['--ray', arguments.ray] if arguments.ray else ['--workers', str(arguments.workers)]
    command = [*([] if study else places[:1]), *study, '--output', places[1], *how]
    code = evaluate_recording.main(command + arguments.more)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open(log) as file:
        kinds = {kind[0]: kind for kind in _REQUESTS.values()}
        asked = {kinds[letter]: count for letter, count in collections.Counter(file.read()).items()}
    print(
        f'exit code {code}; {time.monotonic() - began_s:.1f} s; peak of the driver {peak_mb:.0f} MB; requests {asked}'
    )
    return code


def main():
    """Run the command."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = arguments.add_subparsers(required=True)
    make_them = what.add_parser('make')
    make_them.add_argument('folder')
    make_them.add_argument('count', type=int)
    make_them.set_defaults(call=lambda found: make_recordings(found.folder, found.count))
    run_them = what.add_parser('run')
    run_them.add_argument('folder')
    run_them.add_argument('output')
    run_them.add_argument('--workers', type=int, default=2)
    run_them.add_argument('--ray', default='', metavar='ADDRESS')
    run_them.add_argument('--interrupt-at', type=int, default=0, metavar='N', help='Ctrl-C after so many')
    run_them.add_argument('--store', type=float, metavar='MS', help='of a request')
    run_them.add_argument('--real', action='store_true')
    run_them.set_defaults(call=run)
    found, found_more = arguments.parse_known_args()
    found.more = found_more
    return found.call(found)


if __name__ == '__main__':
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [os.path.dirname(os.path.abspath(__file__)), os.environ.get('PYTHONPATH', '')]
    )
    sys.exit(main())
