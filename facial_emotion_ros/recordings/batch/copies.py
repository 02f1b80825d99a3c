"""Copies of a recording with a ground truth of their own: results are of a content, and of one truth only."""

from collections.abc import Sequence

from facial_emotion_ros.recordings.batch.finished import Known
from facial_emotion_ros.recordings.batch.in_threads import Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.recording_discovery import local_copy
from facial_emotion_ros.recordings.batch.task import FleetTask
from facial_emotion_ros.recordings.io.content_hash import hash_of

#: Recordings that are read at once.
_AT_ONCE = 2


def refused_copies(
    tasks: Sequence[FleetTask], sizes_bytes: Sequence[int], known: Sequence[Known | None], stage: Stage = silent
) -> dict[int, str]:
    """Find the recordings that are copies of one before them, and have another ground truth.

    Of recordings that are equal in size and differ in truth, those without results are read, or fetched, once more.

    :param tasks: one a recording.
    :param sizes_bytes: of the recordings; 0 where that is not known.
    :param known: earlier results of each.
    :param stage: shows the progress.
    :returns: {number of the recording: why it cannot be evaluated}.
    """
    by_size: dict[int, list[int]] = {}
    for number, size_bytes in enumerate(sizes_bytes):
        by_size.setdefault(size_bytes, []).append(number)
    suspects = sorted(
        number
        for size_bytes, numbers in by_size.items()
        if size_bytes and len({tasks[each].key for each in numbers}) > 1
        for number in numbers
    )
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
                f'expected copies of a recording to have one ground truth, got {_truth_of(task)} for {task.place}, and '
                f'{_truth_of(first)} for {first.place}, which holds the same; leave one of the two out, or give both '
                'the same'
            )
    return refused


def _hash_of(place, known):
    if known:
        return known.content_hash
    try:
        with local_copy(place) as path:
            return hash_of(path)
    except Exception:  # each type of store has its own errors: the evaluation says what is wrong
        return ''


def _truth_of(task):
    return ' and '.join(filter(None, task.options.truths())) or 'none'
