"""From a recording to its tables, figures and report."""

import json
import os
import platform
import time
from importlib.metadata import version

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.bag_evaluation.judge import Judge
from facial_emotion_ros.bag_evaluation.recorded import Recorded, find_recorded
from facial_emotion_ros.bag_evaluation.report import report_html
from facial_emotion_ros.bag_evaluation.totals import add, figures, intervals, truth_figures
from facial_emotion_ros.bag_evaluation.truth import open_truth
from facial_emotion_ros.bags.bag_file import BagFile
from facial_emotion_ros.bags.content_hash import hash_of
from facial_emotion_ros.bags.frames import read_frames
from facial_emotion_ros.errors import BadBag

#: Of summary.json; raised when a field changes its meaning.
FORMAT = 1


def evaluate_bag(path, output, options, progress=None, command='', measure_live=None):
    """Evaluate a recording.

    The same recording, bundles and engine give the same bytes in all files but timings.csv, and in all of summary.json
    but its block `run`, which the report shows too.

    :param path: of the recording.
    :param output: folder for the results, which is made: frames.csv, frames.parquet, timings.csv, summary.json and
        report.html, and the annotated recording and film where the options want them. With several bundles, one folder
        of its name for each of them in there.
    :param options: Options.
    :param progress: called with (images done, images in all or 0 where that is not known).
    :param command: what was typed, for the record.
    :param measure_live: function (path, camera) -> dict that plays the recording through the node and measures it,
        such as :func:`.live.measure_live`; None does not. What it says goes into the block `run`.
    :returns: dict, as summary.json holds it; with several bundles a list of these.
    :raises BadBag: if the recording cannot be read, or holds no image.
    :raises BadDataset: if the truth cannot be read.
    :raises BadModel: if a bundle is refused.
    :raises OSError: if the folder cannot be written to.
    """
    began_s = time.perf_counter()
    identity = hash_of(path)
    with BagFile(path) as bag:
        cameras = choose_cameras(bag, options.topics)
        truth = open_truth(options.truth, bag)
        topic = find_recorded(bag, options.recorded, options.truth)
        judges = _judges(output, options, cameras)
        try:
            for judge in judges:
                judge.recorded = Recorded(bag, topic) if topic else None
            # Where faces are followed in between, the detector is asked when that is due, and not ahead.
            look = judges[0].pipeline.detect if options.every_n == 1 else None
            _play(bag, cameras, truth, judges, look, progress)
        except BaseException:
            for judge in judges:
                judge.discard()
            raise
        for judge in judges:
            judge.close()
        seconds = time.perf_counter() - began_s
        summaries = [_summary(bag, identity, judge, truth, seconds, command) for judge in judges]
    live = measure_live(path, cameras[0]) if measure_live is not None else None
    for judge, summary in zip(judges, summaries):
        if live is not None:
            summary['run']['live'] = live
        page = report_html(summary, judge.story)
        text = json.dumps(summary, indent=1, allow_nan=False) + '\n'
        try:
            write_whole(os.path.join(judge.output, 'report.html'), page.encode('utf-8'))
            write_whole(os.path.join(judge.output, 'summary.json'), text.encode('utf-8'))
        except OSError as error:
            raise BadBag('; '.join([*judge.faults, f'report.html and summary.json: {error}'])) from error
    return summaries if len(summaries) > 1 else summaries[0]


def choose_cameras(bag, named=()):
    """Choose the topics that are evaluated.

    :param bag: BagFile, open.
    :param named: topics that were asked for; () takes what looks like cameras.
    :returns: list of topics.
    :raises BadBag: if there is none.
    """
    missing = [topic for topic in named if topic not in bag.topics]
    cameras = list(named) or bag.cameras()
    if missing or not cameras:
        there = ', '.join(f'{topic.name} ({topic.msgtype})' for topic in bag.topics.values()) or 'no topic at all'
        wanted = f'the image topic {missing[0]}' if missing else 'an image topic'
        raise BadBag(f'{bag.name}: expected {wanted}, the recording has {there}')
    wrong = [topic for topic in cameras if not bag.topics[topic].msgtype.endswith('Image')]
    if wrong:
        raise BadBag(f'{bag.name}: expected images on {wrong[0]}, it holds {bag.topics[wrong[0]].msgtype}')
    return cameras


def _judges(output, options, cameras):
    os.makedirs(output, exist_ok=True)
    judges = []
    for bundle in options.bundles or ('',):
        folder = output
        if len(options.bundles) > 1:
            folder = os.path.join(output, os.path.basename(os.path.normpath(bundle)))
            os.makedirs(folder, exist_ok=True)
        judges.append(Judge(bundle, folder, options, cameras, judges[0].pipeline.detector if judges else None))
    return judges


def _play(bag, cameras, truth, judges, look, progress):
    """Hand every image to every judge."""
    wanted = sum(bag.topics[camera].count for camera in cameras)
    start_ns = None
    frames = read_frames(bag, cameras, look)
    try:
        for done, frame in enumerate(frames, 1):
            if start_ns is None:
                start_ns = frame.stamp_ns
                truth.begin(start_ns)
            for judge in judges:
                judge.take(frame, truth, start_ns)
                if judge.stopped:
                    return
            if progress is not None:
                progress(done, wanted)
    finally:
        frames.close()
    if not any(run.totals().values.any() for judge in judges for run in judge.runs.values()):
        raise BadBag(f'{bag.name}: expected images on {", ".join(cameras)}, it holds none'
                     + ''.join(f'; {fault}' for fault in bag.faults))


def _summary(bag, identity, judge, truth, seconds, command):
    """Put together what summary.json holds."""
    runs = {camera: judge.runs[camera] for camera in sorted(judge.runs)}
    whole = add(run.totals() for run in runs.values()).values
    length_s = max((run.time_s for run in runs.values()), default=0.0)
    told = truth_figures(whole)
    parts = [part for run in runs.values() for _, part in sorted(run.stretches.items())]
    ranges = intervals(parts)
    if told is not None:
        told = dict(told, source=truth.source, intervals={
            name: ranges[name] for name in ('accuracy', 'macro_f1', 'macro_recall') if name in ranges})
    frames = int(figures(whole)['frames'])
    return {
        'format': FORMAT,
        'bag': {'name': bag.name, 'sha256': identity, 'seconds': length_s, 'start_ns': bag.start_ns,
                'topics': {topic.name: {'type': topic.msgtype, 'messages': topic.count}
                           for topic in bag.topics.values()},
                'faults': bag.faults + _losses(runs) + judge.faults},
        'whole': not (bag.faults or judge.faults or any(run.losses for run in runs.values())),
        'cameras': {camera: dict(figures(run.totals().values), seconds=run.time_s, clock_jumps=run.jumps)
                    for camera, run in runs.items()},
        'overall': figures(whole), 'truth': told, 'intervals': ranges,
        'recorded': judge.recorded.figures() if judge.recorded else None,
        'bundle': _named(judge.pipeline.esr_bundle), 'detector': _named(judge.pipeline.detector_bundle),
        'stretches': {camera: {'seconds': run.stretch_s, 'sums': {
            str(place): part.sparse() for place, part in sorted(run.stretches.items())}}
            for camera, run in runs.items()},
        'run': {
            'command': command, 'made': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'seconds': seconds,
            'times_real_time': length_s / seconds if seconds else None, 'frames_per_second': frames / seconds,
            'ms': judge.milliseconds(), 'provider': judge.pipeline.provider, 'notes': judge.notes,
            'versions': _versions()},
    }


def _losses(runs):
    """Say which images were lost, and which clocks jumped."""
    said = []
    for camera, run in runs.items():
        for count, first in sorted(run.losses.values(), reverse=True):
            said.append(f'{camera}: {count} image{"s" if count > 1 else ""} could not be read'
                        f'{", the first" if count > 1 else ""}: {first}')
        if run.jumps:
            times = f'{run.jumps} time{"s" if run.jumps > 1 else ""}'
            said.append(f'{camera}: the stamps jumped {times}; faces got new ids there')
    return said


def _named(bundle):
    return {'name': bundle.name, 'version': bundle.version, 'sha256': bundle.sha256} if bundle else None


def _versions():
    import cv2
    import numpy
    import onnxruntime

    return {'python': platform.python_version(), 'numpy': numpy.__version__, 'opencv': cv2.__version__,
            'onnxruntime': onnxruntime.__version__, 'rosbags': version('rosbags')}
