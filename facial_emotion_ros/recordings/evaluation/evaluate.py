"""Evaluate a recording: write its tables, summary and report."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from facial_emotion_ros.core.errors import BadBag, BadDataset, FacialEmotionError
from facial_emotion_ros.evaluation.page import PLOTLY_FILE
from facial_emotion_ros.recordings.batch.recording_discovery import name_of
from facial_emotion_ros.recordings.batch.result_store import LocalStore
from facial_emotion_ros.recordings.evaluation.annotation_files import is_annotation_file, refuse_milliseconds
from facial_emotion_ros.recordings.evaluation.evaluator import RecordingEvaluator
from facial_emotion_ros.recordings.evaluation.ground_truth import open_truth
from facial_emotion_ros.recordings.evaluation.image_flow import ImageFlow
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.perception_pool import PerceptionPool
from facial_emotion_ros.recordings.evaluation.raters import Raters, names_of
from facial_emotion_ros.recordings.evaluation.recorded_detections import Recorded, find_recorded
from facial_emotion_ros.recordings.evaluation.results_folder import REPORT, SUMMARY, new_results
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import figures
from facial_emotion_ros.recordings.evaluation.summary import losses_of, summary_of
from facial_emotion_ros.recordings.evaluation.videos import video_names
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.content_hash import hash_of
from facial_emotion_ros.recordings.io.frames import read_frames
from facial_emotion_ros.recordings.io.message_types import IMAGE_TYPES
from facial_emotion_ros.recordings.people.face_views import FACE_PICTURES, FACE_VIEWS, read_face_views
from facial_emotion_ros.recordings.people.merges import EDITED, MERGES, not_followed_text, read_merges
from facial_emotion_ros.recordings.people.people import PEOPLE_TABLES, write_people
from facial_emotion_ros.recordings.report.events_panel import event_panels
from facial_emotion_ros.recordings.report.people_panel import people_panel
from facial_emotion_ros.recordings.report.report import report_html
from facial_emotion_ros.recordings.study.epochs import (
    EVENT_TABLES,
    epochs_of,
    outside,
    outside_text,
    window_of,
    write_events,
)
from facial_emotion_ros.recordings.study.events import (
    EVENT_TIMES,
    check_topic,
    events_of,
    events_text,
    is_event_file,
    read_events,
    source_name,
    topic_events,
)
from facial_emotion_ros.recordings.study.face_rows import read_face_rows
from facial_emotion_ros.recordings.study.results import Result


def evaluate_bag(
    path: str,
    output: str,
    options: Options,
    progress: Callable[[int, int], None] | None = None,
    command: str = '',
    measure_live: Callable[[str, str], dict[str, Any]] | None = None,
    force: bool = False,
    of_many: bool = False,
    processes: int = 0,
) -> list[dict[str, Any]]:
    """Evaluate a recording.

    Results are reproducible byte by byte for the same recording, bundles and engine, except for timings.csv and the
    block `run` of summary.json, which the report shows, too. After an error, earlier results in the folder are
    unchanged.

    :param path: path of the recording.
    :param output: folder for the results: frames.csv, frames.parquet, timings.csv, summary.json, report.html and, by
        the options, the annotated recording, video and tables of events. With several bundles, one subfolder each.
    :param options: options of the evaluation.
    :param progress: called with (images done, all images or 0 if unknown).
    :param command: command line, stored in summary.json.
    :param measure_live: function of recording and camera that plays the recording through the node, such as
        :func:`.real_time_replay.measure_live`, or None; its figures go into the block `run`.
    :param force: overwrite files that no evaluation wrote.
    :param of_many: part of a batch: topics of the options that this recording lacks are ignored, faces are described
        but not clustered into persons, and the report loads plotly from two folders above.
    :param processes: number of additional processes that detect and estimate faces; does not change the results.
    :returns: content of summary.json, per bundle.
    :raises BadBag: if the recording cannot be read or holds no image, or the results cannot be written.
    :raises BadParameter: if files would be replaced that no evaluation wrote.
    :raises BadDataset: if the ground truth cannot be read.
    :raises BadModel: if a bundle is refused.
    :raises FacialEmotionError: if one of the processes crashed.
    """
    began_s = time.perf_counter()
    identity = hash_of(path)
    with BagFile(path) as bag:
        cameras = choose_cameras(bag, options.topics)
        options, lacks = _left_to(bag, options) if of_many else (options, [])
        truths = [open_truth(each, bag, len(cameras) > 1) for each in options.truths() or ['']]
        truth = Raters(options.raters or names_of(options.truths()), truths) if len(truths) > 1 else truths[0]
        is_read = options.people and not of_many
        homes = folders_of(options, output)
        decided = [read_merges(LocalStore(each).read(MERGES) if is_read else None) for each in homes]
        topic = find_recorded(bag, options.recorded, options.truths())
        listed = _listed_events(bag, path, options)  # raise its errors before the evaluation
        typed: dict[str, bytes | None] = {}
        with new_results(output, options.folder_names(), _certain_files(options, cameras), force, typed) as parts:
            evaluators = _evaluate(bag, cameras, truth, topic, options, parts, processes, progress)
            events = _events(bag, evaluators[0], options) if listed is None else listed
            seconds = time.perf_counter() - began_s if len(evaluators) == 1 else None
            summaries = [summary_of(bag, identity, each, truth, seconds, command) for each in evaluators]
            for summary in summaries:
                summary['run']['notes'] += filter(None, [not options.topics and _left_out(bag, cameras)])
                summary['run']['lacks'] = lacks
            if measure_live is not None:
                _measure_live(measure_live, path, cameras[0], summaries[0]['run'])
            plotly_src = ('../../../' if len(evaluators) > 1 else '../../') + PLOTLY_FILE if of_many else ''
            recording = f'{name_of(path)}-{identity[:12]}'
            for evaluator, summary, part, home, decisions in zip(evaluators, summaries, parts, homes, decided):
                notes, rows, panel, people = summary['run']['notes'], _face_rows(evaluator, options), None, None
                if options.events:
                    panel = _write_events(evaluator, rows, events, options, notes)
                if options.people:
                    views = evaluator.face_views.content(rows, _write_pictures(evaluator))
                    evaluator.store.write(FACE_VIEWS, views)
                if options.people and not of_many:
                    result = Result(evaluator.store, recording, '', evaluator.pipeline.esr_bundle.name, {}, {})
                    people = _write_people(result, rows, views, home, decisions, notes, typed, part)
                _write(evaluator, summary, plotly_src, panel, people)
        for summary, part in zip(summaries, parts):
            summary['run']['notes'] += [EDITED] if part in typed else []
    return summaries


def _measure_live(measure_live, path, camera, run):
    """Add the figures of the node to the block `run`, or the reason why there are none."""
    try:
        run['live'] = measure_live(path, camera)
    except FacialEmotionError as error:
        run['notes'].append(f'the node could not be measured live: {error}')


def _left_to(bag, options):
    """Return the options without topics that the recording lacks, and these topics."""
    named = {'truth': options.truths(), 'recorded': [options.recorded], 'events': [options.events]}
    lacks = [
        each
        for kind, texts in named.items()
        for each in filter(None, texts)
        if each.partition(':')[0] not in bag.topics
        and not (kind == 'truth' and is_annotation_file(each) or kind == 'events' and is_event_file(each))
    ]
    first, *others = [each for each in options.truths() if each not in lacks] or ['']
    raters = tuple(name for name, each in zip(options.raters, options.truths()) if each not in lacks)
    kept = {name: '' for name in ('recorded', 'events') if getattr(options, name) in lacks}
    return replace(options, truth=first, more_truths=tuple(others), raters=raters, **kept), lacks


def folders_of(options: Options, output: str) -> list[str]:
    """Return the results folder of each bundle: the output itself for a single one."""
    return [os.path.join(output, name) if name else output for name in options.folder_names()]


def _certain_files(options, cameras):
    """List the files that an evaluation with these options always writes."""
    return [
        'frames.csv',
        'frames.parquet',
        'timings.csv',
        REPORT,
        SUMMARY,
        *([EVENT_TIMES] if options.events else []),
        *((FACE_VIEWS, *PEOPLE_TABLES) if options.people else []),
        *(EVENT_TABLES if options.events and options.event_window else []),
        *(['annotated'] if options.write_bag else []),
        *(f'{name}.mp4' for name in video_names(cameras).values() if options.video),
    ]


def _evaluate(bag, cameras, truth, topic, options, folders, processes, progress):
    """Run each bundle over the recording, and complete all tables and videos."""
    evaluators: list[RecordingEvaluator] = []
    try:
        for bundle, folder in zip(options.bundles or ('',), folders):
            detector = evaluators[0].pipeline.detector if evaluators else None
            evaluators.append(RecordingEvaluator(bundle, folder, options, cameras, detector))
            evaluators[-1].recorded = Recorded(bag, topic) if topic else None
        # With automatic rotation, the angle is not known ahead of time; blurring needs the faces of every image.
        every_n = 0 if options.rotate_deg < 0 else 1 if options.blur_faces else options.every_n
        with PerceptionPool(options, processes) if processes else nullcontext() as pool:
            _play(bag, cameras, ImageFlow(evaluators, truth, every_n, pool), progress)
        _refuse_none(bag, cameras, evaluators[0].runs)
        for evaluator in evaluators:
            evaluator.close()
    except BaseException:
        for evaluator in evaluators:
            evaluator.discard()
        raise
    return evaluators


def _listed_events(bag, path, options):
    """Read the recording's events from a file; return None if they are in a topic, which is checked."""
    if options.events and not is_event_file(options.events):
        check_topic(bag, options.events)
        return None
    events = events_of(read_events(options.events), path) if options.events else []
    times = [each.time for each in events]
    refuse_milliseconds(times, times, bag.duration_s, options.events)
    return events


def _events(bag, evaluator, options):
    """Read the recording's events from a topic."""
    run = next(iter(evaluator.runs.values()))
    return topic_events(bag, options.events, run.first_stamp_ns / 1e9, run.clock_shift_s, evaluator.notes)


def _face_rows(evaluator, options):
    """Read the written table of frames, if it is needed for people or event averages."""
    if not (options.people or options.events and options.event_window):
        return None
    return read_face_rows(evaluator.store.read('frames.csv') or b'')


def _write_events(evaluator, faces, events, options, notes):
    """Write the list of events and, if the options have a window, their averages; return the report's panel."""
    evaluator.store.write(EVENT_TIMES, events_text(events))
    if not options.event_window:
        return None
    window = window_of(options)
    epochs = epochs_of(faces, events, window, evaluator.pipeline.esr_bundle.name, {})
    averages = write_events(evaluator.store, epochs, window)
    beyond = [each.time for each, is_outside in zip(events, outside(faces, events, window)) if is_outside]
    left_out = outside_text(beyond, len(events), options.events, max(faces.times_s, default=0.0))
    notes += filter(None, [left_out, '' if events else f'{source_name(options.events)}: no event of this recording'])
    return event_panels(averages, window, left_out)


def _write_people(result, rows, views, home, decisions, notes, typed, part):
    """Write the tables of people; return the report's panel.

    decisions: from merges.csv in `home` before the evaluation; edits made meanwhile take precedence.
    typed, part: see new_results.
    """
    is_read = False
    try:
        merges = LocalStore(home).read(MERGES)
        decisions, is_read = read_merges(merges), True
    except (BadDataset, OSError) as error:
        notes.append(f'{MERGES} was edited meanwhile and cannot be read, so its earlier decisions were used ({error})')
    seen = read_face_views(views, result.recording)
    people = write_people(result.store, [result], lambda _: rows, seen, decisions)
    if is_read:
        result.store.write(MERGES, people.merges)
        typed[part] = merges
    panel = people_panel(people, result.store)
    notes += filter(None, [not_followed_text(panel['not_followed'])])
    return panel


def _write_pictures(evaluator):
    """Write the report's portrait of each face, unless faces are blurred; return their paths."""
    pictures: dict[tuple[str, str], str] = {}
    if evaluator.options.blur_faces:
        return pictures
    for number, (camera, timeline) in enumerate(sorted(evaluator.timeline.cameras.items())):
        for face_id, face in timeline.faces.items():
            if face.portrait:
                pictures[camera, face_id] = f'{FACE_PICTURES}/{number}_{face_id}.jpg'
                evaluator.store.write(pictures[camera, face_id], face.portrait)
    return pictures


def _write(evaluator, summary, plotly_src, panel, people):
    """Write the report and the summary, which lists all files."""
    summary['files'] = sorted({*evaluator.store.names(''), REPORT, SUMMARY})
    page = report_html(summary, evaluator.timeline, plotly_src, panel, people)
    text = json.dumps(summary, indent=1, allow_nan=False) + '\n'
    for name, content in ((REPORT, page), (SUMMARY, text)):
        evaluator.store.write(name, content.encode('utf-8', 'backslashreplace'))


def choose_cameras(bag: BagFile, named: Sequence[str] = ()) -> list[str]:
    """Choose the image topics to evaluate.

    :param bag: open recording.
    :param named: topics chosen by the user; () for all cameras.
    :returns: topics.
    :raises BadBag: if a topic does not exist or holds no images, or there is none.
    """
    missing = [topic for topic in named if topic not in bag.topics]
    cameras = list(dict.fromkeys(named)) or bag.cameras()
    if missing or not cameras:
        there = ', '.join(f'{topic.name} ({topic.msgtype})' for topic in bag.topics.values()) or 'no topics'
        wanted = f'the image topic {missing[0]}' if missing else 'an image topic'
        hint = '' if missing else _left_out(bag, cameras)
        raise BadBag(f'{bag.name}: expected {wanted}, but the recording has {there}{hint and "; " + hint}')
    wrong = [topic for topic in cameras if bag.topics[topic].msgtype not in IMAGE_TYPES]
    if wrong:
        raise BadBag(f'{bag.name}: expected images on {wrong[0]}, got {bag.topics[wrong[0]].msgtype}')
    return cameras


def _left_out(bag, cameras):
    """Describe the image topics that are not evaluated, and the option for it; '' for none."""
    names = [name for name in bag.left_out() if name not in cameras]
    if not names:
        return ''
    listed = ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')
    return f'not evaluated, as by name not colour cameras: {listed}; to evaluate one, use --topic {names[0]}'


def _play(bag, cameras, flow, progress):
    """Pass every image to the evaluators."""
    wanted = sum(bag.topics[camera].count for camera in cameras)
    frames = read_frames(bag, cameras)
    try:
        for done, frame in enumerate(frames, 1):
            flow.take(frame)
            if progress is not None:
                progress(done, wanted)
        flow.end()
    finally:
        frames.close()
        flow.close()


def _refuse_none(bag, cameras, runs):
    """Refuse a recording without a readable image."""
    if not any(figures(run.totals().values)['frames'] for run in runs.values()):
        found = f'expected images on {", ".join(cameras)}, got none{" that can be read" if runs else ""}'
        raise BadBag('; '.join([f'{bag.name}: {found}', *bag.faults, *losses_of(runs)]))
