"""Files of truth for many recordings: one for each, or one whose times are stamps; read before the work begins."""

import os
from dataclasses import replace

from facial_emotion_ros.bag_evaluation.bag_places import name_of
from facial_emotion_ros.bag_evaluation.truth import Intervals
from facial_emotion_ros.errors import BadParameter


def options_of_each(options, places):
    """Give each recording its own truth.

    :param options: Options, whose truth may be a folder of CSV files, each called as its recording is.
    :param places: paths or URLs of the recordings.
    :returns: list of Options, one a recording, in order; a recording that the folder has no file for has no truth.
    :raises BadDataset: if a file cannot be read.
    :raises BadParameter: if one holds for several recordings that its times do not tell apart, or for none.
    """
    if os.path.isdir(options.truth):
        return _of_folder(options, places)
    if options.truth.lower().endswith('.csv'):
        _check(options.truth, places)
    return [options] * len(places)


def _of_folder(options, places):
    names = [name_of(place) for place in places]
    paths = {name: os.path.join(options.truth, f'{name}.csv') for name in names}
    there = {name: [] for name, path in paths.items() if os.path.exists(path)}
    if not there:
        raise BadParameter(f'expected files of truth in {options.truth}, each called as its recording is, such as '
                           f'{names[0]}.csv, got none')
    for name, place in zip(names, places):
        if name in there:
            there[name].append(place)
    for name, sharing in there.items():
        _check(paths[name], sharing)
    return [replace(options, truth=paths[name] if name in there else '') for name in names]


def _check(path, places):
    """Read a file, and refuse relative times where several recordings would each take them for their own."""
    if Intervals(path).counts_from_an_image and len(places) > 1:
        raise BadParameter(f'{path}: expected stamps (seconds since 1970) as times, for {len(places)} recordings share '
                           f'this file ({places[0]}, {places[1]}...), got times that count from a first image; give '
                           '--truth a folder with a file for each, called as its recording is')
