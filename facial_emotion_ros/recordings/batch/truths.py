"""The ground truth of each of many recordings: files that are named as they are, or shared; copies have one."""

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

#: Recordings that are read at once.
_AT_ONCE = 2


def options_of_each(options: Options, places: Sequence[str]) -> list[Options]:
    """Give each recording its own ground truth.

    :param options: whose truth may be a folder of files, each with the name of its recording; of recordings of the same
        name, in folders as theirs.
    :param places: paths or URLs of the recordings.
    :returns: one a recording, in order; a recording without a file has no ground truth.
    :raises BadDataset: if a file cannot be read.
    :raises BadParameter: if one holds for several recordings that its times do not distinguish, or for none.
    """
    found = [_truths_of_each(each, places) for each in options.truths()]
    if not found:
        return [options] * len(places)
    names = names_of(options.truths())  # the same for each recording, however its files are called
    raters = [tuple(name for name, text in zip(names, texts) if text) for texts in zip(*found)]
    return [
        replace(options, truth=first, more_truths=tuple(others), raters=each)
        for each, (first, *others) in zip(raters, zip(*found))
    ]


def refuse_mistyped(options: Options) -> None:
    """Refuse what is neither a file of a known kind nor the name of a topic, before any recording is opened.

    :raises BadParameter: naming it.
    """
    sources: list[tuple[str, str, tuple[str, ...]]] = [
        ('--truth', each, (*ENDINGS, 'a folder')) for each in options.truths() if not os.path.isdir(each)
    ]
    sources += [('--events', options.events, EVENT_ENDINGS), ('--recorded', options.recorded, ())]
    for option, text, endings in sources:
        is_file = text.partition('#')[0].lower().endswith(endings)
        if text and not is_file and (not text.startswith('/') or os.path.isfile(text)):
            kinds = f'a file ({", ".join(endings)}) or ' if endings else ''
            raise BadParameter(f'{option}: expected {kinds}a topic, which begins with /, got {text}')


def refused_copies(
    tasks: Sequence[FleetTask], sizes_bytes: Sequence[int], known: Sequence[Known | None], stage: Stage
) -> dict[int, str]:
    """Find the recordings that are copies of one before them, and have another ground truth: results are of one.

    Of recordings that are equal in size and differ in truth, those without results are read, or fetched, once more.

    :param tasks: one a recording.
    :param sizes_bytes: of the recordings; 0 where that is not known.
    :param known: earlier results of each.
    :param stage: shows the progress.
    :returns: {number of the recording: why it cannot be evaluated}.
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
                f'expected copies of a recording to have one ground truth, got {_shown(task)} for {task.place}, and '
                f'{_shown(first)} for {first.place}, which holds the same; leave one of the two out, or give both the '
                'same'
            )
    return refused


def _truths_of_each(text, places):
    """Give the ground truth of one rater for each recording."""
    if os.path.isdir(text):
        texts = [_truth_of(text, place) for place in places]
        if not any(texts):
            raise BadParameter(
                f'expected files of ground truth in {text}, each with the name of its recording, such as '
                f'{name_of(places[0])}.csv, got none'
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
            f'{", ".join(known)}; of a single recording, name one as FILE#{known[0]}'
        )
    shared: dict[str, list[str]] = {}
    for each, place in zip(texts, places):
        shared.setdefault(each, []).append(place)
    for each, whose in shared.items():
        if each:
            _check_truth(each, whose)
    return texts


def _truth_of(folder, place):
    """Find the file of a recording: p00/baseline.csv before baseline.csv; '' where there is none."""
    names = (os.path.join(folder, *end) + ending for end in reversed(ends_of(place)[1:]) for ending in ENDINGS)
    return next((path for path in names if os.path.isfile(path)), '')


def _observation_of(text, observations, place):
    """Name the observation of a recording, of a file of several: that of its name, or of the end of its path."""
    if not observations:
        return text
    path, _, subject = text.partition('#')
    ends = ends_of(place)
    found = [each for each in observations if end_named(each) in ends[1:]]
    return '#'.join(filter(None, [path, max(found, key=lambda each: len(end_named(each))), subject])) if found else ''


def _check_truth(path, places):
    """Read a file, and refuse relative times where several recordings share it."""
    if Intervals(path).counts_from_an_image and len(places) > 1:
        raise BadParameter(
            f'{path}: expected stamps (seconds since 1970) as times, for {len(places)} recordings share '
            f'this file ({places[0]}, {places[1]}...), got times that count from a first image; give '
            '--truth a folder with a file for each, with its name'
        )


def _hash_of(place, known):
    if known:
        return known.content_hash
    try:
        with local_copy(place) as path:
            return hash_of(path)
    except Exception:  # each type of store has its own errors: the evaluation says what is wrong
        return ''


def _shown(task):
    return ' and '.join(filter(None, task.options.truths())) or 'none'
