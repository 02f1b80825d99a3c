"""Where recordings lie: in folders of this machine, or at any URL that fsspec opens."""

import os
import re
import tempfile
from collections import Counter
from contextlib import contextmanager

from facial_emotion_ros.bags.content_hash import MESSAGES, METADATA
from facial_emotion_ros.bags.scratch import LOGS
from facial_emotion_ros.errors import BadBag, FacialEmotionError

#: By these files a folder is known to hold results: of one recording of many, and of any.
_RESULTS = ({'finished.json'}, {'summary.json', 'frames.csv'})

#: Where the results of many recordings lie in their output, and a recording that was written as a result.
_MANY, _WRITTEN = 'bags', 'annotated'

_ALONE = re.compile(r'\.(mcap|db3|bag)(\.zstd)?$')
_UNSAFE = re.compile(r'[^A-Za-z0-9._-]+')


def is_url(place):
    """Tell whether a place is a URL of fsspec and not a path; file:// counts as the path behind it."""
    return '://' in place and not place.startswith('file://')


def find_bags(places, without=''):
    """List the recordings at some places.

    :param places: paths or URLs, of recordings or of folders that hold some, at any depth.
    :param without: folder or URL of the results. It is left out where it lies in there, as all folders are that hold
        results of earlier times; where it is the place itself, what an evaluation writes is.
    :returns: list of paths and URLs, in the order of `places`, sorted within each, none twice.
    :raises BadBag: if a place is not there or holds no recording.
    """
    found = []
    for place in places:
        listed = _in_url(place, without) if is_url(place) else _in_folder(local_path(place), without)
        if not listed:
            raise BadBag(f'expected recordings in {place}, found none: a recording has {METADATA}, or is a file '
                         'that ends in .mcap, .db3 or .bag (or in one of these and .zstd)')
        found += listed
    return list(dict.fromkeys(found))


def bags_among(names):
    """Pick the recordings from the files of a folder.

    A folder is one recording where it has metadata beside its files, or where all of them bear one name and a number,
    as a recorder names them, so that the metadata was lost. Any other file is a recording of its own.

    :param names: paths relative to the folder, with /.
    :returns: sorted list of relative paths; '' for the folder itself.
    """
    folders = {}
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
            found += [f'{folder}/{file}'.lstrip('/') for file in files if _ALONE.search(file)]
    return sorted(found)


def is_recording(folder):
    """Tell whether a folder of this machine is one recording."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return any(MESSAGES.search(name) for name in names) and bags_among(names) == ['']


def titles_of(places):
    """Name recordings so that people can tell them apart: by their names, with folders before these where need be.

    :param places: paths or URLs, none twice.
    :returns: list of str.
    """
    parts = [place.rstrip('/').split('/') for place in places]
    titles = [name_of(place) for place in places]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        counts = Counter(titles)
        if len(counts) == len(titles):
            break
        titles = [title if counts[title] == 1 else '/'.join(each[-depth:]) for title, each in zip(titles, parts)]
    return titles


def name_of(place):
    """Name a recording by its place, with letters that every file system takes."""
    name = os.path.basename(place.rstrip('/')) or 'recording'
    return _UNSAFE.sub('_', MESSAGES.sub('', name)).strip('.') or 'recording'


def fingerprint_of(place):
    """Tell the state of a recording at a URL without reading it.

    :param place: path or URL.
    :returns: str that changes when a file there does; '' for a path, which is read instead.
    """
    if not is_url(place):
        return ''
    files, path = open_url(place)
    try:
        listed = files.find(path)
        return ' '.join(files.ukey(each) for each in sorted(listed + _logs_of(files, path, listed)))
    except Exception:  # a store that does not tell: the recording is read, which says more
        return ''


@contextmanager
def local_copy(place):
    """Give the path of a recording on this machine; what lies at a URL is fetched, and deleted in the end.

    :param place: path or URL.
    :raises BadBag: if it cannot be fetched.
    """
    if not is_url(place):
        yield local_path(place)
        return
    with tempfile.TemporaryDirectory(prefix='fleet_bag_') as folder:
        target = os.path.join(folder, os.path.basename(place.rstrip('/')) or 'recording')
        try:
            _fetch(place, target)
        except FacialEmotionError:
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise BadBag(f'expected to fetch {place}, got {type(error).__name__}: {error}; check the address and the '
                         'rights') from error
        yield target


def local_path(place):
    """Give the path that a file:// URL stands for; any other path as it is."""
    return place[len('file://'):] if place.startswith('file://') else place


def _is_one(folder, files, folders):
    storage = [file for file in files if MESSAGES.search(file)]
    if METADATA in files:
        # Some other folder may have a file of that name too.
        return bool(storage) or not any(other.startswith(f'{folder}/' if folder else '') and other != folder
                                        for other in folders)
    parts = [re.match(r'(.+)_\d+\.(mcap|db3)(\.zstd)?$', file) for file in storage]
    return bool(storage) and all(parts) and len({part.group(1) for part in parts}) == 1


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
    except Exception as error:  # each kind of store has errors of its own
        raise BadBag(f'expected to list {place}, got {type(error).__name__}: {error}') from error
    if listed == [path]:
        return [place]
    names = [each[len(path):].lstrip('/') for each in listed]
    url, home = place.rstrip('/'), without.rstrip('/')
    left_out = f'{home}/{_MANY}/' if home == url else f'{home}/' if home else None
    names = [each for each in names if not (left_out and f'{url}/{each}'.startswith(left_out))]
    found = bags_among(_without_results([each for each in names if '/.' not in f'/{each}']))
    return [f'{url}/{each}' if each else place for each in found]


def _without_results(names):
    """Leave out the files of folders that hold results: a recording may be among these, and is none of those meant.

    :param names: paths relative to the place that is searched, with /; of its own results only what was written as a
        recording is left out.
    """
    folders = {}
    for name in names:
        folder, _, file = name.rpartition('/')
        folders.setdefault(folder, set()).add(file)
    ours = {folder for folder, files in folders.items() if METADATA not in files and any(
        told <= files for told in _RESULTS)}
    if '' in ours:
        ours = ours - {''} | {_WRITTEN}
    return [name for name in names if not any(
        name[:place] in ours for place, letter in enumerate(name) if letter == '/')]


def open_url(url):
    """Open what a URL points at.

    :param url: of any kind that fsspec knows.
    :returns: fsspec's file system, and the path in it.
    :raises FacialEmotionError: if fsspec, or what it needs for this kind of URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
        files, path = url_to_fs(url)
    except ImportError as error:
        raise FacialEmotionError(f'expected fsspec, and what it needs for {url.partition("://")[0]}://, to be '
                                 f'installed: {error}; pip install fsspec, with s3fs for s3://, gcsfs for '
                                 'gs://') from error
    except ValueError as error:
        raise FacialEmotionError(f'expected a URL that fsspec opens, got {url}: {error}') from error
    return files, path.rstrip('/')


def _logs_of(files, path, listed):
    """List the logs beside a database that was not closed; none for a folder, which holds its own."""
    return [path + log for log in LOGS if listed == [path] and files.exists(path + log)]


def _fetch(place, target):
    files, path = open_url(place)
    listed = files.find(path)
    if not listed:
        raise BadBag(f'expected a recording at {place}, there is nothing')
    beside = [path, *_logs_of(files, path, listed)]
    for each in dict.fromkeys([*listed, *beside[1:]]):
        to = target + each[len(path):] if each in beside else os.path.join(target, each[len(path):].lstrip('/'))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        files.get_file(each, to)
