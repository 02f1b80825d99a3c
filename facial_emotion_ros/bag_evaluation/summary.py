"""What summary.json holds of one recording and one network."""

import math
import platform
import time
from importlib.metadata import version

from facial_emotion_ros import __version__
from facial_emotion_ros.bag_evaluation.totals import add, figures, intervals, truth_figures

#: Raised when a field changes its meaning.
FORMAT = 1


def summary_of(bag, identity, judge, truth, seconds, command):
    """Put together what summary.json holds.

    :param bag: BagFile.
    :param identity: hash of its content.
    :param judge: Judge that has seen all of it.
    :param truth: NoTruth or one of its kind.
    :param seconds: what that took; None where it was not for this network alone.
    :param command: what was typed.
    :returns: dict.
    """
    runs = {camera: judge.runs[camera] for camera in sorted(judge.runs)}
    whole = add(run.totals() for run in runs.values()).values
    length_s = max((run.time_s for run in runs.values()), default=0.0)
    told = truth_figures(whole)
    parts = [part for run in runs.values() for _, part in sorted(run.stretches.items())]
    ranges = intervals(parts)
    faults = bag.faults + losses_of(runs)
    judge.notes += low_rates_of(runs, judge.max_age_s)
    if told is not None:
        told = dict(told, source=truth.source, intervals={
            name: ranges[name] for name in ('accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall', 'kappa')
            if name in ranges})
    elif truth.source:
        faults.append(f'{truth.source}: it holds for none of the faces; the recording goes from 0 to {length_s:.1f} s, '
                      f'its first faces are {", ".join(_first_faces(judge)) or "none"}')
    if told is not None and truth.unused():
        # One file may be the truth of several recordings, if its times are stamps.
        told_in = faults if truth.counts_from_an_image else judge.notes
        told_in.append(f'{truth.unused()}; the recording goes from 0 to {length_s:.1f} s')
    overall = dict(figures(whole), persons=len(set().union(*(run.persons for run in runs.values()))) or None)
    return {
        'format': FORMAT,
        'bag': {'name': bag.name, 'sha256': identity, 'seconds': length_s, 'start_ns': bag.start_ns,
                'topics': {topic.name: {'type': topic.msgtype, 'messages': topic.count}
                           for topic in bag.topics.values()},
                'faults': faults},
        'whole': not (bag.faults or any(run.losses for run in runs.values())),
        'cameras': {camera: dict(figures(run.totals().values), seconds=run.time_s, clock_jumps=run.jumps,
                                 persons=len(run.persons) or None, **run.cadence.figures())
                    for camera, run in runs.items()},
        'overall': overall, 'truth': told, 'intervals': ranges,
        'recorded': judge.recorded.figures() if judge.recorded else None,
        'bundle': _named(judge.pipeline.esr_bundle), 'detector': _named(judge.pipeline.detector_bundle),
        'stretches': {camera: {'seconds': run.stretch_s, 'sums': {
            str(place): part.sparse() for place, part in sorted(run.stretches.items())}}
            for camera, run in runs.items()},
        'run': {
            'command': command, 'made': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'seconds': seconds,
            'times_real_time': length_s / seconds if seconds and length_s > 0 else None,
            'frames_per_second': overall['frames'] / seconds if seconds else None,
            'ms': judge.milliseconds(), 'provider': judge.pipeline.provider, 'notes': judge.notes,
            'versions': _versions()},
    }


def losses_of(runs):
    """Say which images were lost, and which clocks jumped or stood.

    :param runs: {camera: CameraRun}.
    :returns: list of str.
    """
    said = []
    for camera, run in runs.items():
        for count, first in sorted(run.losses.values(), reverse=True):
            said.append(f'{camera}: {count} image{"s" if count > 1 else ""} could not be read'
                        f'{", the first" if count > 1 else ""}: {first}')
        if run.jumps:
            times = f'{run.jumps} time{"s" if run.jumps > 1 else ""}'
            said.append(f'{camera}: the stamps jumped {times}; faces got new ids there')
        if run.still:
            images = f'{run.still} image{"s have" if run.still > 1 else " has"}'
            said.append(f'{camera}: {images} the stamp of the one before; the time of recording counts there')
        if run.late:
            images = f'{run.late} image{"s have" if run.late > 1 else " has"}'
            said.append(f'{camera}: {images} a stamp a little before that of the one before (out of order, or a clock '
                        'was corrected); each counts as taken when the latest before it was')
    return said


def low_rates_of(runs, max_age_s):
    """Say of which cameras images come so seldom that no face keeps its id from one to the next, and what to do.

    :param runs: {camera: CameraRun}.
    :param max_age_s: as the tracker's.
    :returns: list of str.
    """
    said = []
    for camera, run in runs.items():
        step_s = run.cadence.step_s
        if step_s is not None and step_s > max_age_s:
            longer = f'; --max-age {min(math.ceil(2.5 * step_s), 60)} gives them time' if step_s < 60 else ''
            said.append(f'{camera}: an image every {step_s:.3g} s, and a face that was not seen for {max_age_s:g} s '
                        f'gets a new id: each image begins new faces{longer}')
    return said


def _first_faces(judge):
    return [face_id for camera in judge.story.cameras.values() for face_id in list(camera.faces)[:3]]


def _named(bundle):
    return {'name': bundle.name, 'version': bundle.version, 'sha256': bundle.sha256} if bundle else None


def _versions():
    import cv2
    import numpy
    import onnxruntime

    return {'facial_emotion_ros': __version__, 'python': platform.python_version(), 'numpy': numpy.__version__,
            'opencv': cv2.__version__, 'onnxruntime': onnxruntime.__version__, 'rosbags': version('rosbags')}
