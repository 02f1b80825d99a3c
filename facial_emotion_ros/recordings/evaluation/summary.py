"""Compose the content of summary.json, for one recording and one network."""

import math
from typing import Any

from facial_emotion_ros.emotion.operating_points import point_words
from facial_emotion_ros.evaluation.provenance import made_at, versions
from facial_emotion_ros.recordings.evaluation.camera_run import CameraRun
from facial_emotion_ros.recordings.evaluation.evaluator import RecordingEvaluator
from facial_emotion_ros.recordings.evaluation.ground_truth import NullGroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import add, figures, intervals, truth_figures
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.report.formatting import many, uneven_rate

#: Format of summary.json; incremented when a field changes its meaning.
FORMAT = 1

#: Figures whose intervals are in the block `truth`.
_OF_TRUTH = ('accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall', 'kappa')


def summary_of(
    bag: BagFile,
    identity: str,
    evaluator: RecordingEvaluator,
    truth: NullGroundTruth,
    seconds: float | None,
    command: str,
) -> dict[str, Any]:
    """Compose the content of summary.json; docs/columns.md explains its fields.

    :param bag: the recording.
    :param identity: hash of its content.
    :param evaluator: evaluator after all images.
    :param truth: ground truth of the recording.
    :param seconds: duration of the evaluation; None if other networks ran in it.
    :param command: command line.
    :returns: JSON-compatible dict.
    """
    runs = {camera: evaluator.runs[camera] for camera in sorted(evaluator.runs)}
    whole = add(run.totals() for run in runs.values()).values
    length_s = max((run.time_s for run in runs.values()), default=0.0)
    ranges = intervals([part for run in runs.values() for _, part in sorted(run.stretches.items())])
    faults = bag.faults + losses_of(runs)
    evaluator.notes += low_rates_of(runs, evaluator.options.max_age_s)
    evaluator.notes += filter(None, (uneven_rate(camera, run.cadence.figures()) for camera, run in runs.items()))
    evaluator.notes += filter(None, [evaluator.pipeline.degraded])
    against_truth = _against_truth(evaluator, truth, whole, ranges, length_s, faults)
    overall = dict(figures(whole), persons=len(set().union(*(run.persons for run in runs.values()))) or None)
    pipeline = evaluator.pipeline
    return {
        'format': FORMAT,
        'bag': {
            'name': bag.name,
            'sha256': identity,
            'seconds': length_s,
            'start_ns': bag.start_ns,
            'topics': {topic.name: {'type': topic.msgtype, 'messages': topic.count} for topic in bag.topics.values()},
            'faults': faults,
        },
        'whole': not (bag.faults or any(run.losses for run in runs.values())),
        'cameras': {camera: _figures(run) for camera, run in runs.items()},
        'overall': overall,
        'truth': against_truth,
        'raters': evaluator.raters.figures() if evaluator.raters else None,
        'intervals': ranges,
        'recorded': evaluator.recorded.figures() if evaluator.recorded else None,
        'bundle': dict(_named(pipeline.esr_bundle), operating_point=point_words(pipeline.engine.point)),
        'detector': _named(pipeline.detector_bundle),
        'smoothing': evaluator.options.smoothing(),
        'every_n': {'detect': evaluator.options.every_n, 'estimate': evaluator.options.estimate_every_n},
        'stretches': {camera: _stretches(run) for camera, run in runs.items()},
        'run': {'command': command, **_run(evaluator, overall['frames'], length_s, seconds)},
    }


def _figures(run):
    """Return the figures of one camera."""
    persons = len(run.persons) or None
    found = dict(figures(run.totals().values), seconds=run.time_s, clock_jumps=run.jumps, persons=persons)
    return {**found, **run.cadence.figures()}


def _stretches(run):
    """Return the sums of each stretch of one camera, for comparisons."""
    sums = {str(place): part.sparse() for place, part in sorted(run.stretches.items())}
    return {'seconds': run.stretch_s, 'sums': sums}


def _run(evaluator, frames, length_s, seconds):
    """Return the block `run`: all that may differ in another run with the same recording."""
    options = evaluator.options
    settings = ('engine', 'providers', 'precision', 'face_batch', 'threads')
    return {
        'made': made_at(),
        'seconds': seconds,
        'times_real_time': length_s / seconds if seconds and length_s > 0 else None,
        'frames_per_second': frames / seconds if seconds else None,
        'ms': evaluator.step_times(),
        'provider': evaluator.pipeline.provider,
        'inference': {name: getattr(options, name) for name in settings},
        'notes': evaluator.notes,
        'versions': versions('rosbags'),
    }


def _against_truth(evaluator, truth, whole, ranges, length_s, faults):
    """Return the block `truth`, or None; add unused annotations to faults or notes."""
    found = truth_figures(whole)
    if found is None:
        if truth.source:
            faces = [each for camera in evaluator.timeline.cameras.values() for each in list(camera.faces)[:3]]
            faults.append(
                f'{truth.source}: applies to none of the faces; the recording lasts from 0 to {length_s:.1f} s, '
                f'its first faces are {", ".join(faces) or "none"}'
            )
        return None
    if truth.unused():
        # If times are stamps, the file may be shared by several recordings.
        remarks = faults if truth.counts_from_an_image else evaluator.notes
        remarks.append(f'{truth.unused()}; the recording lasts from 0 to {length_s:.1f} s')
    if truth.beyond(length_s):
        faults.append(f'{truth.beyond(length_s)}; the recording lasts from 0 to {length_s:.1f} s')
    return dict(found, source=truth.source, intervals={name: ranges[name] for name in _OF_TRUTH if name in ranges})


def losses_of(runs: dict[str, CameraRun]) -> list[str]:
    """Describe lost and damaged images and irregular stamps per camera."""
    texts = []
    for camera, run in runs.items():
        for count, first in sorted(run.losses.values(), reverse=True):
            texts.append(f'{camera}: {many(count, "image")} could not be read{_first(count)}: {first}')
        count, first = run.damaged
        if count:
            was = ' was' if count == 1 else 's were'
            texts.append(f'{camera}: {count} image{was} read with damaged pixels{_first(count)}: {first}')
        if run.jumps:
            texts.append(f'{camera}: stamps jumped {many(run.jumps, "time")}; faces got new ids there')
        if run.still:
            texts.append(
                f'{camera}: {_have(run.still)} the same stamp as the previous one; the time of recording replaces it'
            )
        if run.late:
            texts.append(
                f'{camera}: {_have(run.late)} a slightly earlier stamp than the previous one (out of order, or a clock '
                'correction); the latest stamp before it replaces it'
            )
    return texts


def low_rates_of(runs: dict[str, CameraRun], max_age_s: float) -> list[str]:
    """Describe cameras whose frame rate is too low for a face to keep its id between images, and the options for it.

    :param runs: by camera.
    :param max_age_s: as in the tracker.
    """
    texts = []
    for camera, run in runs.items():
        step_s = run.cadence.step_s
        if step_s is not None and step_s > max_age_s:
            longer = (
                f'; to also use its position, set --max-age {min(math.ceil(2.5 * step_s), 60)}' if step_s < 60 else ''
            )
            texts.append(
                f'{camera}: one image every {step_s:.3g} s, and a face unseen for {max_age_s:g} s keeps its id only if '
                f'it is recognised by its appearance (--remember){longer}'
            )
    return texts


def _first(count):
    return ', the first' if count > 1 else ''


def _have(count):
    return f'{many(count, "image")} {"has" if count == 1 else "have"}'


def _named(bundle):
    return {'name': bundle.name, 'version': bundle.version, 'sha256': bundle.sha256} if bundle else None
