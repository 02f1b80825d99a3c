"""From a recording to its tables, figures and report."""

import json
import os
import time

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.bag_evaluation.films import film_names
from facial_emotion_ros.bag_evaluation.judge import Judge
from facial_emotion_ros.bag_evaluation.recorded import Recorded, find_recorded
from facial_emotion_ros.bag_evaluation.report import report_html
from facial_emotion_ros.bag_evaluation.results_folder import REPORT, SUMMARY, new_results
from facial_emotion_ros.bag_evaluation.summary import losses_of, summary_of
from facial_emotion_ros.bag_evaluation.totals import figures
from facial_emotion_ros.bag_evaluation.truth import open_truth
from facial_emotion_ros.bags.bag_file import BagFile
from facial_emotion_ros.bags.content_hash import hash_of
from facial_emotion_ros.bags.frames import read_frames
from facial_emotion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from facial_emotion_ros.errors import BadBag, FacialEmotionError


def evaluate_bag(path, output, options, progress=None, command='', measure_live=None, force=False):
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
    :param force: replace files of the folder that no evaluation wrote.
    :returns: dict, as summary.json holds it; with several bundles a list of these.
    :raises BadBag: if the recording cannot be read or holds no image, or if the results cannot be written; whatever is
        raised, earlier results in the folder are as they were.
    :raises BadDataset: if the truth cannot be read.
    :raises BadModel: if a bundle is refused.
    """
    began_s = time.perf_counter()
    identity = hash_of(path)
    with BagFile(path) as bag:
        cameras = choose_cameras(bag, options.topics)
        truth = open_truth(options.truth, bag, len(cameras) > 1)
        topic = find_recorded(bag, options.recorded, options.truth)
        with new_results(output, options.folder_names(), _names(options, cameras), force) as folders:
            judges = _judge(bag, cameras, truth, topic, options, folders, progress)
            seconds = time.perf_counter() - began_s
            summaries = [summary_of(bag, identity, judge, truth, None if len(judges) > 1 else seconds, command)
                         for judge in judges]
            for summary in summaries:
                summary['run']['notes'] += filter(None, [not options.topics and _left_out(bag, cameras)])
            if measure_live is not None:
                try:
                    summaries[0]['run']['live'] = measure_live(path, cameras[0])
                except FacialEmotionError as error:
                    summaries[0]['run']['notes'].append(f'the node could not be measured live: {error}')
            for judge, summary in zip(judges, summaries):
                _write(judge, summary)
    return summaries if len(summaries) > 1 else summaries[0]


def folders_of(options, output):
    """Give the folder of each bundle's results: the output itself where there is but one.

    :param options: Options.
    :param output: folder for the results.
    :returns: list of paths, in the order of the bundles.
    """
    return [os.path.join(output, name) if name else output for name in options.folder_names()]


def _names(options, cameras):
    """List the files that an evaluation will write whatever it finds."""
    return ['frames.csv', 'frames.parquet', 'timings.csv', REPORT, SUMMARY,
            *(['annotated'] if options.write_bag else []),
            *(f'{name}.mp4' for name in film_names(cameras).values() if options.video)]


def _judge(bag, cameras, truth, topic, options, folders, progress):
    """Let each bundle read the recording; the judges have finished their tables and films when they are returned."""
    judges = []
    try:
        for bundle, folder in zip(options.bundles or ('',), folders):
            judges.append(Judge(bundle, folder, options, cameras, judges[0].pipeline.detector if judges else None))
            judges[-1].recorded = Recorded(bag, topic) if topic else None
        # Where faces are followed in between, the detector is asked when that is due, and not ahead.
        look = judges[0].pipeline.detect if options.every_n == 1 else None
        _play(bag, cameras, truth, judges, look, progress)
        for judge in judges:
            judge.close()
    except BaseException:
        for judge in judges:
            judge.discard()
        raise
    return judges


def _write(judge, summary):
    """Write page and summary, which lists all files."""
    summary['files'] = sorted(judge.written | {REPORT, SUMMARY})
    page = report_html(summary, judge.story)
    text = json.dumps(summary, indent=1, allow_nan=False) + '\n'
    for name, content in ((REPORT, page), (SUMMARY, text)):
        write_whole(os.path.join(judge.output, name), content.encode('utf-8', 'backslashreplace'))


def choose_cameras(bag, named=()):
    """Choose the topics that are evaluated.

    :param bag: BagFile, open.
    :param named: topics that were asked for; () takes what looks like cameras.
    :returns: list of topics.
    :raises BadBag: if there is none.
    """
    missing = [topic for topic in named if topic not in bag.topics]
    cameras = list(dict.fromkeys(named)) or bag.cameras()
    if missing or not cameras:
        there = ', '.join(f'{topic.name} ({topic.msgtype})' for topic in bag.topics.values()) or 'no topic at all'
        wanted = f'the image topic {missing[0]}' if missing else 'an image topic'
        hint = '' if missing else _left_out(bag, cameras)
        raise BadBag(f'{bag.name}: expected {wanted}, the recording has {there}{hint and "; " + hint}')
    wrong = [topic for topic in cameras if bag.topics[topic].msgtype not in (IMAGE, COMPRESSED_IMAGE)]
    if wrong:
        raise BadBag(f'{bag.name}: expected images on {wrong[0]}, it holds {bag.topics[wrong[0]].msgtype}')
    return cameras


def _left_out(bag, cameras):
    """Say which images are not evaluated, and what evaluates them; '' where all are."""
    names = [name for name in bag.left_out() if name not in cameras]
    if not names:
        return ''
    listed = ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')
    return f'left out by name, as no colour images of a scene: {listed}; --topic {names[0]} evaluates that'


def _play(bag, cameras, truth, judges, look, progress):
    """Hand every image to every judge."""
    wanted = sum(bag.topics[camera].count for camera in cameras)
    first = None
    frames = read_frames(bag, cameras, look)
    try:
        for done, frame in enumerate(frames, 1):
            first = first or frame
            for judge in judges:
                judge.take(frame, truth, first)
            if progress is not None:
                progress(done, wanted)
    finally:
        frames.close()
    runs = list(judges[0].runs.values())
    if not any(figures(run.totals().values)['frames'] for run in runs):
        came = 'holds none that can be read' if runs else 'holds none'
        raise BadBag('; '.join([f'{bag.name}: expected images on {", ".join(cameras)}, it {came}', *bag.faults,
                                *losses_of(judges[0].runs)]))
