"""Finds recordings, in folders of this machine or at any URL that fsspec opens."""

import datetime
import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from facial_emotion_ros.core.errors import BadBag, FacialEmotionError, one_line
from facial_emotion_ros.core.text import public_file, split_url
from facial_emotion_ros.recordings.io import content_hash
from facial_emotion_ros.recordings.io.content_hash import MESSAGES, METADATA
from facial_emotion_ros.recordings.io.film_file import FILM
from facial_emotion_ros.recordings.io.scratch import LOGS

#: Files of a folder of results: of one recording of many, and of any.
_RESULTS = ({'finished.json'}, {'summary.json', 'frames.csv'})

#: In an output: the folder of the results of many recordings, a recording that is a result, and films that are.
_MANY, _WRITTEN = 'bags', 'annotated'
_WRITTEN_FILM = re.compile(r'annotated(_[^/]*)?\.(mp4|avi)$')

#: What stores list of a file that changes with its content; names differ from store to store.
_CHANGES = set('etag generation mtime lastmodified last_modified updated modificationtime modify created'.split())

_UNSAFE = re.compile(r'[^A-Za-z0-9._-]+')


def is_url(place: str) -> bool:
    """Check whether a place is a URL of fsspec; file:// counts as the path behind it."""
    return '://' in place and not place.startswith('file://')


def find_bags(places: Sequence[str], without: str = '') -> list[str]:
    """List the recordings at some places.

    :param places: paths or URLs, of recordings or of folders that hold some, at any depth.
    :param without: folder or URL of the results. It is left out, as are all folders with results; where it is the place
        itself, the files of an evaluation are.
    :returns: paths and URLs, in the order of `places`, sorted within each, none twice.
    :raises BadBag: if a place is not there or holds no recording.
    """
    found = []
    for place in places:
        listed = _in_url(place, without) if is_url(place) else _in_folder(local_path(place), without)
        if not listed:
            raise BadBag(
                f'expected recordings in {public_file(place)}, found none: a recording has {METADATA}, or is a file '
                'that ends in .mcap, .db3 or .bag (or in one of these and .zstd), or is a video (.mp4, .mov, .mkv...)'
            )
        found += listed
    return list(dict.fromkeys(found))


def bags_among(names: Iterable[str]) -> list[str]:
    """Pick the recordings from the files of a folder.

    A folder is one recording where it has metadata beside its files, or where all of them bear one name and a number,
    as a recorder names them, so that the metadata was lost. Any other file is a recording of its own.

    :param names: paths relative to the folder, with /.
    :returns: sorted list of relative paths; '' for the folder itself.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition('/')
        folders.setdefault(folder, []).append(file)
    whole = {folder for folder, files in folders.items() if _is_one(folder, files, folders)}
    if '' in whole:
        return ['']
    found = sorted(whole)
    for folder, files in folders.items():
        above = [folder[:place] for place, letter in enumerate(folder + '/') if letter == '/']
        if not whole.intersection(above):
            found += [f'{folder}/{file}'.lstrip('/') for file in files if MESSAGES.search(file) or FILM.search(file)]
    return sorted(found)


def is_recording(folder: str) -> bool:
    """Check whether a folder of this machine is one recording."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return any(MESSAGES.search(name) for name in names) and bags_among(names) == ['']


def public_path(place: str) -> str:
    """Give a place without secrets and / at its end; of a chain, the path in an archive stands behind the archive's."""
    if not is_url(place):
        return place.rstrip('/')
    first, *others = split_url(place)[0][::-1]
    return '/'.join([first, *filter(None, (each.partition('://')[2] for each in others))]).rstrip('/')


def titles_of(places: Sequence[str]) -> list[str]:
    """Name recordings uniquely: by their names, preceded by folders where names are equal."""
    parts = [public_path(place).split('/') for place in places]
    titles = [name_of(place) for place in places]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        counts = Counter(titles)
        if len(counts) == len(titles):
            break
        titles = [title if counts[title] == 1 else '/'.join(each[-depth:]) for title, each in zip(titles, parts)]
    return titles


def name_of(place: str) -> str:
    """Name a recording by its place, in characters that every file system allows."""
    name = os.path.basename(public_path(place))
    return _UNSAFE.sub('_', FILM.sub('', MESSAGES.sub('', name))).strip('.') or 'recording'


def ends_of(place: str) -> list[tuple[str, ...]]:
    """List the ends of a recording's path, from () to the whole, wherever the command was started: ('p00', 'task')."""
    own = _parts(place)
    return [own[first:] for first in range(len(own), -1, -1)]


def end_named(text: str) -> tuple[str, ...]:
    """Give the end of a path, as :func:`ends_of` lists it, that a text names.

    :param text: a path, or the end of one; '' for each. One that begins with .. counts from the working directory.
    """
    if not text:
        return ()
    plain = text if is_url(text) else os.path.normpath(local_path(text))
    return _parts(plain) if plain.startswith(('/', '..')) or is_url(text) else _named_parts(plain)


def _parts(place):
    return _named_parts(place if is_url(place) else os.path.abspath(local_path(place)))


def _named_parts(path):
    return (*public_path(path).split('/')[:-1], name_of(path))


def identity(place: str) -> str:
    """Name a place so that two ways to write it are equal."""
    return place.rstrip('/') if is_url(place) else os.path.realpath(local_path(place))


def state_of(place: str) -> tuple[int, str]:
    """Describe the state of a recording without reading all of it; at a URL, by what the store lists.

    :returns: bytes in all, and a fingerprint: text that changes when a file does, '' where that is not known, so that
        the recording has to be read.
    """
    try:
        if not is_url(place):
            return content_hash.state_of(local_path(place))
        files, path = open_url(place)
        listed = files.find(path, detail=True)
        listed.update({log: files.info(log) for log in _logs_of(files, path, list(listed))})
    except Exception:  # stores raise errors of their own; reading the recording reports them
        return 0, ''
    states = [{key.lower(): value for key, value in listed[name].items()} for name in sorted(listed)]
    size_bytes = sum(each.get('size') or 0 for each in states)
    marks = [{key: _plain(each[key]) for key in sorted(_CHANGES.intersection(each))} for each in states]
    if not all(marks):
        return size_bytes, ''
    text = json.dumps([(name, each.get('size'), mark) for name, each, mark in zip(sorted(listed), states, marks)])
    return size_bytes, hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()


def _plain(mark):
    """Write a time or tag as text that is the same in every time zone."""
    return repr(mark.timestamp() if isinstance(mark, datetime.datetime) else mark)


@contextmanager
def local_copy(place: str) -> Iterator[str]:
    """Give the path of a recording on this machine; a URL is fetched, and the copy deleted in the end.

    :raises BadBag: if it cannot be fetched.
    """
    if not is_url(place):
        yield local_path(place)
        return
    with tempfile.TemporaryDirectory(prefix='fleet_bag_') as folder:
        target = os.path.join(folder, os.path.basename(public_path(place)) or 'recording')
        try:
            _fetch(place, target)
        except FacialEmotionError:
            raise
        except Exception as error:  # each type of store has its own errors
            raise BadBag(
                f'expected to fetch {public_file(place)}, got {one_line(error, place)}; check the address, the rights '
                'and the space for temporary files ($TMPDIR)'
            ) from error
        yield target


def local_path(place: str) -> str:
    """Give the path that a file:// URL stands for; any other path as it is."""
    return place[len('file://') :] if place.startswith('file://') else place


def _is_one(folder, files, folders):
    storage = [file for file in files if MESSAGES.search(file)]
    if METADATA in files:
        # Some other folder may have a file of that name too.
        return bool(storage) or not any(
            other.startswith(f'{folder}/' if folder else '') and other != folder for other in folders
        )
    names = [part.group(1) for file in storage if (part := re.match(r'(.+)_\d+\.(mcap|db3)(\.zstd)?$', file))]
    return len(names) == len(storage) and len(set(names)) == 1


def _in_folder(place, without):
    if not os.path.isdir(place):
        if not os.path.exists(place):
            raise BadBag(f'expected a recording or a folder of some, got {place!r}, which is not there')
        return [place]
    without = '' if is_url(without) or not without else os.path.realpath(local_path(without))
    left_out = {without, os.path.join(without, _MANY)} if without else set()
    names, seen = [], {os.path.realpath(place)}
    for folder, folders, files in os.walk(place, followlinks=True):
        entered = []
        for each in sorted(folders, key=lambda each: (os.path.islink(os.path.join(folder, each)), each)):
            real = os.path.realpath(os.path.join(folder, each))
            if not each.startswith('.') and real not in left_out and real not in seen:  # links may lead in a circle
                seen.add(real)
                entered.append(each)
        folders[:] = entered
        relative = os.path.relpath(folder, place)
        names += [file if relative == '.' else f'{relative}/{file}' for file in files if not file.startswith('.')]
    return [os.path.join(place, name) if name else place for name in bags_among(_without_results(names))]


def _in_url(place, without):
    files, path = open_url(place)
    try:
        listed = files.find(path)
    except Exception as error:  # each type of store has its own errors
        raise BadBag(f'expected to list {public_file(place)}, got {one_line(error, place)}') from error
    if listed == [path]:
        return [place]
    names = [each[len(path) :].lstrip('/') for each in listed]
    url, home = place.rstrip('/'), without.rstrip('/')
    left_out = f'{home}/{_MANY}/' if home == url else f'{home}/' if home else None
    names = [each for each in names if not (left_out and f'{url}/{each}'.startswith(left_out))]
    found = bags_among(_without_results([each for each in names if '/.' not in f'/{each}']))
    return [f'{url}/{each}' if each else place for each in found]


def _without_results(names):
    """Leave out folders with results, which may hold recordings too.

    :param names: paths relative to the place that is searched, with /; of its own results, only the annotated recording
        and films are left out.
    """
    folders: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition('/')
        folders.setdefault(folder, set()).add(file)
    ours = {
        folder
        for folder, files in folders.items()
        if METADATA not in files and any(results <= files for results in _RESULTS)
    }
    if '' in ours:
        ours = ours - {''} | {_WRITTEN}
        names = [name for name in names if not _WRITTEN_FILM.match(name)]
    return [
        name for name in names if not any(name[:place] in ours for place, letter in enumerate(name) if letter == '/')
    ]


def open_url(url: str) -> tuple[Any, str]:
    """Open a URL.

    :returns: fsspec's file system, and the path in it.
    :raises FacialEmotionError: if fsspec, or what it needs for this kind of URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise FacialEmotionError(
            f'expected fsspec to be installed, which opens {public_file(url)}: {error}; pip install fsspec'
        ) from error
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        cause = f' ({error.__cause__})' if error.__cause__ else ''
        raise FacialEmotionError(
            f'expected the package with which fsspec opens {public_file(url)} to be installed: {error}{cause}; install '
            'it by pip'
        ) from error
    except Exception as error:  # each type of store has its own errors, and some connect here
        raise FacialEmotionError(
            f'expected a URL that fsspec opens, got {public_file(url)}: {one_line(error, url)}'
        ) from error
    return files, path.rstrip('/')


def _logs_of(files, path, listed):
    """List the logs beside a database that was not closed; none for a folder, which holds its own."""
    logs = LOGS if listed == [path] and '.db3' in path else ()
    return [path + log for log in logs if files.exists(path + log)]


def _fetch(place, target):
    files, path = open_url(place)
    listed = files.find(path)
    if not listed:
        raise BadBag(f'expected a recording at {public_file(place)}, there is nothing')
    beside = [path, *_logs_of(files, path, listed)]
    for each in dict.fromkeys([*listed, *beside[1:]]):
        to = target + each[len(path) :] if each in beside else os.path.join(target, each[len(path) :].lstrip('/'))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        files.get_file(each, to)
