"""Find recordings in local folders or at any URL that fsspec opens."""

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

#: Files that mark a results folder: of a batch, or of a single evaluation.
_RESULTS = ({'finished.json'}, {'summary.json', 'frames.csv'})

#: In an output: the batch's results folder, the annotated recording, and annotated videos.
_MANY, _WRITTEN = 'bags', 'annotated'
_WRITTEN_FILM = re.compile(r'annotated(_[^/]*)?\.(mp4|avi)$')

#: Attributes in a store's file listing that change with the content; names differ between stores.
_CHANGES = set('etag generation mtime lastmodified last_modified updated modificationtime modify created'.split())

_UNSAFE = re.compile(r'[^A-Za-z0-9._-]+')


def is_url(place: str) -> bool:
    """Return whether a location is a URL for fsspec; file:// counts as a path."""
    return '://' in place and not place.startswith('file://')


def find_bags(places: Sequence[str], without: str = '') -> list[str]:
    """List the recordings at some locations.

    :param places: paths or URLs of recordings, or of folders that hold some at any depth.
    :param without: folder or URL of the results, skipped like all results folders. If it is one of `places` itself,
        only the files of the evaluation are skipped.
    :returns: paths and URLs without duplicates, in the order of `places`, sorted within each.
    :raises BadBag: if a location does not exist or holds no recording.
    """
    found = []
    for place in places:
        listed = _in_url(place, without) if is_url(place) else _in_folder(local_path(place), without)
        if not listed:
            raise BadBag(
                f'expected recordings in {public_file(place)}, found none: a recording is a folder with {METADATA}, a '
                '.mcap, .db3 or .bag file (also with .zstd), or a video (.mp4, .mov, .mkv...)'
            )
        found += listed
    return list(dict.fromkeys(found))


def bags_among(names: Iterable[str]) -> list[str]:
    """Select the recordings among the files of a folder.

    A folder is one recording if it has metadata, or if all its message files have the same name with a number, like a
    recorder's after its metadata was lost. Any other message file or video is a recording of its own.

    :param names: paths relative to the folder, with /.
    :returns: sorted relative paths; '' for the folder itself.
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
    """Return whether a local folder is one recording."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return any(MESSAGES.search(name) for name in names) and bags_among(names) == ['']


def public_path(place: str) -> str:
    """Return a path or URL without secrets and trailing /; a path in an archive (chained URL) follows the archive's."""
    if not is_url(place):
        return place.rstrip('/')
    first, *others = split_url(place)[0][::-1]
    return '/'.join([first, *filter(None, (each.partition('://')[2] for each in others))]).rstrip('/')


def titles_of(places: Sequence[str]) -> list[str]:
    """Return unique titles of recordings: their names, preceded by folders if names are equal."""
    parts = [public_path(place).split('/') for place in places]
    titles = [name_of(place) for place in places]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        counts = Counter(titles)
        if len(counts) == len(titles):
            break
        titles = [title if counts[title] == 1 else '/'.join(each[-depth:]) for title, each in zip(titles, parts)]
    return titles


def name_of(place: str) -> str:
    """Return a recording's name from its path or URL, in characters that every file system allows."""
    name = os.path.basename(public_path(place))
    return _UNSAFE.sub('_', FILM.sub('', MESSAGES.sub('', name))).strip('.') or 'recording'


def ends_of(place: str) -> list[tuple[str, ...]]:
    """List the ends of a recording's absolute path, such as ('p00', 'task'), from () to the whole path."""
    own = _parts(place)
    return [own[first:] for first in range(len(own), -1, -1)]


def end_named(text: str) -> tuple[str, ...]:
    """Parse the end of a path into the form of :func:`ends_of`.

    :param text: a path or the end of one; '' for any recording. A path that starts with .. is relative to the working
        directory.
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
    """Return the canonical form of a path or URL."""
    return place.rstrip('/') if is_url(place) else os.path.realpath(local_path(place))


def state_of(place: str) -> tuple[int, str]:
    """Fingerprint a recording without reading it completely; at a URL, from the store's file listing.

    :returns: total size in bytes, and a fingerprint that changes when a file does; '' if unknown, so that the recording
        has to be read.
    """
    try:
        if not is_url(place):
            return content_hash.state_of(local_path(place))
        files, path = open_url(place)
        listed = files.find(path, detail=True)
        listed.update({log: files.info(log) for log in _logs_of(files, path, list(listed))})
    except Exception:  # stores raise errors of their own types; reading the recording will report them
        return 0, ''
    states = [{key.lower(): value for key, value in listed[name].items()} for name in sorted(listed)]
    size_bytes = sum(each.get('size') or 0 for each in states)
    marks = [{key: _plain(each[key]) for key in sorted(_CHANGES.intersection(each))} for each in states]
    if not all(marks):
        return size_bytes, ''
    text = json.dumps([(name, each.get('size'), mark) for name, each, mark in zip(sorted(listed), states, marks)])
    return size_bytes, hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()


def _plain(mark):
    """Format a time or tag independently of the time zone."""
    return repr(mark.timestamp() if isinstance(mark, datetime.datetime) else mark)


@contextmanager
def local_copy(place: str) -> Iterator[str]:
    """Yield a local path of a recording; a URL is downloaded to a temporary copy.

    :raises BadBag: if it cannot be downloaded.
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
                f'cannot download {public_file(place)}: {one_line(error, place)}; check the address, the access rights '
                'and the space for temporary files ($TMPDIR)'
            ) from error
        yield target


def local_path(place: str) -> str:
    """Return the path of a file:// URL; other paths unchanged."""
    return place[len('file://') :] if place.startswith('file://') else place


def _is_one(folder, files, folders):
    storage = [file for file in files if MESSAGES.search(file)]
    if METADATA in files:
        # Other folders may contain a file of this name, too.
        return bool(storage) or not any(
            other.startswith(f'{folder}/' if folder else '') and other != folder for other in folders
        )
    names = [part.group(1) for file in storage if (part := re.match(r'(.+)_\d+\.(mcap|db3)(\.zstd)?$', file))]
    return len(names) == len(storage) and len(set(names)) == 1


def _in_folder(place, without):
    if not os.path.isdir(place):
        if not os.path.exists(place):
            raise BadBag(f'expected a recording or a folder with recordings, got {place!r}, which does not exist')
        return [place]
    without = '' if is_url(without) or not without else os.path.realpath(local_path(without))
    left_out = {without, os.path.join(without, _MANY)} if without else set()
    names, seen = [], {os.path.realpath(place)}
    for folder, folders, files in os.walk(place, followlinks=True):
        entered = []
        for each in sorted(folders, key=lambda each: (os.path.islink(os.path.join(folder, each)), each)):
            real = os.path.realpath(os.path.join(folder, each))
            if not each.startswith('.') and real not in left_out and real not in seen:  # links may form a cycle
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
        raise BadBag(f'cannot list {public_file(place)}: {one_line(error, place)}') from error
    if listed == [path]:
        return [place]
    names = [each[len(path) :].lstrip('/') for each in listed]
    url, home = place.rstrip('/'), without.rstrip('/')
    left_out = f'{home}/{_MANY}/' if home == url else f'{home}/' if home else None
    names = [each for each in names if not (left_out and f'{url}/{each}'.startswith(left_out))]
    found = bags_among(_without_results([each for each in names if '/.' not in f'/{each}']))
    return [f'{url}/{each}' if each else place for each in found]


def _without_results(names):
    """Remove results folders, which may contain annotated recordings.

    :param names: paths relative to the searched folder, with /; if that is a results folder itself, only its annotated
        recording and videos are removed.
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

    :returns: fsspec file system, and the path in it.
    :raises FacialEmotionError: if fsspec, or its backend for this kind of URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise FacialEmotionError(
            f'opening {public_file(url)} needs fsspec, which is not installed ({error}); pip install fsspec'
        ) from error
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        cause = f' ({error.__cause__})' if error.__cause__ else ''
        raise FacialEmotionError(
            f'opening {public_file(url)} needs a package that fsspec uses for it: {error}{cause}; install it with pip'
        ) from error
    except Exception as error:  # each type of store has its own errors, and some connect here
        raise FacialEmotionError(
            f'expected a URL that fsspec opens, got {public_file(url)}: {one_line(error, url)}'
        ) from error
    return files, path.rstrip('/')


def _logs_of(files, path, listed):
    """List the SQLite logs beside a database that was not closed; none for a folder, which contains its logs."""
    logs = LOGS if listed == [path] and '.db3' in path else ()
    return [path + log for log in logs if files.exists(path + log)]


def _fetch(place, target):
    files, path = open_url(place)
    listed = files.find(path)
    if not listed:
        raise BadBag(f'expected a recording at {public_file(place)}, found nothing')
    beside = [path, *_logs_of(files, path, listed)]
    for each in dict.fromkeys([*listed, *beside[1:]]):
        to = target + each[len(path) :] if each in beside else os.path.join(target, each[len(path) :].lstrip('/'))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        files.get_file(each, to)
