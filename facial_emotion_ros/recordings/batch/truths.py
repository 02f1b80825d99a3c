"""Assign ground truth to each recording of a batch: by file names, by observations in a file, or shared."""

import os
from collections.abc import Sequence
from dataclasses import replace

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.recordings.batch.finished import Known
from facial_emotion_ros.recordings.batch.in_threads import Stage, in_threads
from facial_emotion_ros.recordings.batch.recording_discovery import end_named, ends_of, local_copy, name_of
from facial_emotion_ros.recordings.batch.task import FleetTask
from facial_emotion_ros.recordings.evaluation.annotation_files import ENDINGS, is_annotation_file, observations_of
from facial_emotion_ros.recordings.evaluation.ground_truth import Intervals
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.raters import names_of
from facial_emotion_ros.recordings.io.content_hash import hash_of
from facial_emotion_ros.recordings.study.events import EVENT_ENDINGS

#: Number of recordings read at once.
_AT_ONCE = 2


def options_of_each(options: Options, places: Sequence[str]) -> list[Options]:
    """Resolve the ground truth of each recording.

    :param options: options whose `truth` may be a folder of files, each with the name of its recording, in subfolders
        like the recording's if names are equal.
    :param places: paths or URLs of the recordings.
    :returns: options per recording, in order; a recording without a file has no ground truth.
    :raises BadDataset: if a file cannot be read.
    :raises BadParameter: if a file with relative times applies to several recordings, or none applies to any.
    """
    found = [_truths_of_each(each, places) for each in options.truths()]
    if not found:
        return [options] * len(places)
    names = names_of(options.truths())  # the same for all recordings, whatever their file names
    raters = [tuple(name for name, text in zip(names, texts) if text) for texts in zip(*found)]
    return [
        replace(options, truth=first, more_truths=tuple(others), raters=each)
        for each, (first, *others) in zip(raters, zip(*found))
    ]


def refuse_mistyped(options: Options) -> None:
    """Check, before any recording is opened, that sources are files of a known type or topic names.

    :raises BadParameter: naming the first that is not.
    """
    sources: list[tuple[str, str, tuple[str, ...]]] = [
        ('--truth', each, (*ENDINGS, 'a folder')) for each in options.truths() if not os.path.isdir(each)
    ]
    sources += [('--events', options.events, EVENT_ENDINGS), ('--recorded', options.recorded, ())]
    for option, text, endings in sources:
        is_file = text.partition('#')[0].lower().endswith(endings)
        if text and not is_file and (not text.startswith('/') or os.path.isfile(text)):
            kinds = f'a file ({", ".join(endings)}) or ' if endings else ''
            raise BadParameter(f'{option}: expected {kinds}a topic, which starts with /, got {text}')


def refused_copies(
    tasks: Sequence[FleetTask], sizes_bytes: Sequence[int], known: Sequence[Known | None], stage: Stage
) -> dict[int, str]:
    """Find copies of an earlier recording that have another ground truth, as a content can have only one.

    Recordings of equal size with different ground truth are read (or downloaded) and hashed, unless results exist.

    :param tasks: one per recording.
    :param sizes_bytes: sizes of the recordings; 0 if unknown.
    :param known: earlier results of each.
    :param stage: progress display.
    :returns: {index of the recording: reason for the refusal}.
    """
    keys: dict[int, set[str]] = {}
    for task, size_bytes in zip(tasks, sizes_bytes):
        keys.setdefault(size_bytes, set()).add(task.key)
    suspects = [number for number, size_bytes in enumerate(sizes_bytes) if size_bytes and len(keys[size_bytes]) > 1]
    hashes = in_threads(
        stage, 'recordings of equal size', lambda each: _hash_of(tasks[each].place, known[each]), suspects, _AT_ONCE
    )
    firsts: dict[str, FleetTask] = {}
    refused = {}
    for number, content_hash in zip(suspects, hashes):
        task = tasks[number]
        first = firsts.setdefault(content_hash or task.place, task)
        if first.key != task.key:
            refused[number] = (
                f'expected copies of a recording to have the same ground truth, got {_shown(task)} for {task.place} '
                f'and {_shown(first)} for {first.place}, which is identical; leave one of them out, or use the same '
                'ground truth for both'
            )
    return refused


def _truths_of_each(text, places):
    """Return the ground truth of one rater for each recording."""
    if os.path.isdir(text):
        texts = [_truth_of(text, place) for place in places]
        if not any(texts):
            raise BadParameter(
                f'expected ground-truth files in {text} with the names of their recordings, such as '
                f'{name_of(places[0])}.csv, found none'
            )
    elif is_annotation_file(text):
        texts = [text] * len(places)
    else:
        return [text] * len(places)
    observations = {each: observations_of(each) for each in set(texts) if each}
    texts = [_observation_of(each, observations.get(each), place) for each, place in zip(texts, places)]
    if not any(texts):
        known = next(filter(None, observations.values()))
        raise BadParameter(
            f'{text}: expected observations with the names of the recordings, such as {name_of(places[0])}, got '
            f'{", ".join(known)}; for a single recording, choose one with FILE#{known[0]}'
        )
    shared: dict[str, list[str]] = {}
    for each, place in zip(texts, places):
        shared.setdefault(each, []).append(place)
    for each, whose in shared.items():
        if each:
            _check_truth(each, whose)
    return texts


def _truth_of(folder, place):
    """Find the file of a recording: p00/baseline.csv before baseline.csv; '' if there is none."""
    names = (os.path.join(folder, *end) + ending for end in reversed(ends_of(place)[1:]) for ending in ENDINGS)
    return next((path for path in names if os.path.isfile(path)), '')


def _observation_of(text, observations, place):
    """Choose a recording's observation in a file of several: the one with its name or the end of its path."""
    if not observations:
        return text
    path, _, subject = text.partition('#')
    ends = ends_of(place)
    found = [each for each in observations if end_named(each) in ends[1:]]
    return '#'.join(filter(None, [path, max(found, key=lambda each: len(end_named(each))), subject])) if found else ''


def _check_truth(path, places):
    """Read a file, and refuse relative times if several recordings share it."""
    if Intervals(path).counts_from_an_image and len(places) > 1:
        raise BadParameter(
            f'{path}: expected stamps (seconds since 1970) as times, because {len(places)} recordings share '
            f'this file ({places[0]}, {places[1]}...), got times relative to the first image; set '
            '--truth to a folder with one file per recording, named like it'
        )


def _hash_of(place, known):
    if known:
        return known.content_hash
    try:
        with local_copy(place) as path:
            return hash_of(path)
    except Exception:  # stores have errors of their own types; the evaluation will report them
        return ''


def _shown(task):
    return ' and '.join(filter(None, task.options.truths())) or 'none'
