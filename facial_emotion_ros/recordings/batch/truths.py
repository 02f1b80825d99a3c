"""The ground truth of each of many recordings: files that are named as they are, or shared."""

import os
from collections.abc import Sequence
from dataclasses import replace

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.recordings.batch.recording_discovery import end_named, ends_of, name_of
from facial_emotion_ros.recordings.evaluation.annotation_files import ENDINGS, is_annotation_file, observations_of
from facial_emotion_ros.recordings.evaluation.ground_truth import Intervals
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.raters import names_of
from facial_emotion_ros.recordings.study.events import EVENT_ENDINGS


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
