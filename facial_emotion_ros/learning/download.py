"""Fetch files over HTTP, HTTPS and FTP: gone on with where they stopped, checked, and there whole or not at all."""

import contextlib
import email.utils
import fcntl
import ftplib
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

from facial_emotion_ros.atomic_file import read_cached, settle, write_whole
from facial_emotion_ros.errors import FacialEmotionError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0
#: Far more than anybody's weights, and far less than a disk.
MOST_BYTES = 4 << 30
#: Answers of a server that another try may change.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class DownloadFailed(FacialEmotionError, OSError):
    """A file could not be fetched, or is not the one that was expected."""


class _Again(Exception):
    """A try failed in a way that the next one need not."""


class _Answer(NamedTuple):
    """What a server offers: where its bytes begin in the file, how many the whole file has, and which version it is."""

    start: int  # -1: not to be told
    total: int | None
    version: str
    read: object


def fetch(url, path, digest=None, report=None, attempts=3, pause_s=1.0, most_bytes=MOST_BYTES):
    """Fetch one file, going on with what an earlier, interrupted call left beside it.

    The bytes gather in `.NAME.part` and get their name when they are all there and have the right hash. A version that
    the server has exchanged in between is fetched anew. Of two processes that want the same file, one waits.

    :param url: http, https or ftp.
    :param path: where the file goes; its folder is made; a file that is there already is kept and not fetched.
    :param digest: 'sha256:...' (64 digits), 'git:...' (the 40 digits of a git blob), or None where nobody knows one.
    :param report: called with the bytes that are there and how many there will be (None: unknown).
    :param attempts: tries without a single new byte before it is given up.
    :param pause_s: wait before the second such try; it doubles from then on.
    :param most_bytes: a larger file is refused, and nothing of it kept.
    :returns: the path.
    :raises DownloadFailed: with the cause, and what to do.
    """
    path = os.path.abspath(path)
    if os.path.exists(path):
        return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = os.path.join(os.path.dirname(path), f'.{os.path.basename(path)}.part')
    with _locked(part) as file:
        if os.path.exists(path):  # another process was faster
            _forget(part)
            return path
        try:
            _fill(url, path, part, file, digest, _bounded(report, url, file, most_bytes), attempts, pause_s)
        except BaseException:
            if not _size(file):
                _forget(part)
            raise
        os.fsync(file.fileno())
        os.replace(part, path)
        _forget(part)
    settle(os.path.dirname(path))
    return path


def _bounded(report, url, file, most_bytes):
    """Make a report refuse a file that is too large, or says that it will be; nothing of it is kept."""
    def step(done, total):
        if max(done, total or 0) > most_bytes:
            file.truncate(0)
            offer = 'more' if total is None else f'{total / 1e6:.1f} MB'
            raise DownloadFailed(f'{url}: at most {most_bytes / 1e6:.1f} MB expected, the server offers {offer}')
        if report:
            report(done, total)
    return step


def _locked(part):
    """Open a part for this process alone, once no other one has it."""
    while True:
        file = open(part, 'ab')
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(file.fileno()), os.stat(part)):
                return file
        except FileNotFoundError:  # the other process gave it its name, or threw it away
            pass
        file.close()


def _fill(url, path, part, file, digest, report, attempts, pause_s):
    """Fetch until the part is whole and right; what was wrong at first is fetched anew once."""
    kept = file.tell()
    for is_anew in (False, True):
        if is_anew:
            file.truncate(0)
        _gather(url, part, file, digest, report, attempts, pause_s)
        came = digest_of(part, digest)
        if came == digest:
            return
        if not kept:  # all of it came in one go: the next time it would be the same
            break
    _forget(part)
    raise DownloadFailed(f'{url}: a file with {digest} expected, got {came}; somebody exchanged or damaged it. Get the '
                         f'right one, and put it there as {path}')


def _gather(url, part, file, digest, report, attempts, pause_s):
    failures, most = 0, _size(file)
    while True:
        try:
            if _pull(url, part, file, digest, report):
                return
            cause = 'the connection ended early'
        except _Again as error:
            cause = str(error)
        failures, most = (0, _size(file)) if _size(file) > most else (failures + 1, most)
        if failures >= attempts:
            raise DownloadFailed(
                f'{url}: cannot be fetched ({cause}, {attempts} tries; {_size(file)} bytes are kept, the next call '
                'goes on from there). Is this machine on-line, and the server?'
            )
        if failures:
            time.sleep(pause_s * 2 ** (failures - 1))


def _pull(url, part, file, digest, report):
    """Take what the server gives now; tell whether the file is whole."""
    known = _known(part, url)
    size = _size(file)
    if not (known.get('version') or digest):  # two versions might be put together unnoticed
        size = 0
    with _opened(url, size, known) as answer:
        if answer.start and not (answer.start == size and _is_same(answer, known)):
            file.truncate(0)
            raise _Again('the file on the server has changed')
        file.truncate(answer.start)
        write_whole(_notes(part), json.dumps({'url': url, 'total': answer.total, 'version': answer.version}).encode())
        report(answer.start, answer.total)
        _check_room(part, answer)
        while True:
            try:
                chunk = answer.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException, ftplib.Error) as error:
                raise _Again(_cause(error)) from error
            if not chunk:
                break
            _write(file, chunk)
            report(_size(file), answer.total)
    return answer.total is None or _size(file) >= answer.total


def _is_same(answer, known):
    totals = {answer.total, known.get('total')} - {None}
    return len(totals) < 2 and answer.version == known.get('version', answer.version)


@contextlib.contextmanager
def _opened(url, offset, known):
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme in ('http', 'https'):
        way = _http(url, offset, known)
    elif scheme == 'ftp':
        way = _ftp(url, offset)
    else:
        raise DownloadFailed(f'an address that begins with http, https or ftp expected, got {url!r}')
    with way as answer:
        yield answer


@contextlib.contextmanager
def _http(url, offset, known):
    request = urllib.request.Request(url, headers={'Accept-Encoding': 'identity', 'User-Agent': 'facial_emotion_ros'})
    if offset:
        request.add_header('Range', f'bytes={offset}-')
        if known.get('version'):
            request.add_header('If-Range', known['version'])
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # nothing behind what we have: it is whole, or another file by now
            start, total = _place(error.headers)
            yield _Answer(offset if total == offset else start, total, known.get('version', ''), lambda count: b'')
            return
        if error.code in _PASSING:
            raise _Again(f'the server answered {error.code}') from error
        raise DownloadFailed(f'{url}: the server answered {error.code} {error.reason}; is the address right?') from None
    except (OSError, http.client.HTTPException) as error:
        raise _Again(_cause(error)) from error
    with answer:
        length = answer.headers.get('Content-Length', '')
        start, total = 0, int(length) if length.isdigit() else None
        if answer.status == 206:
            start, total = _place(answer.headers)
        yield _Answer(start, total, _version(answer.headers), answer.read1)


def _place(headers):
    """Read Content-Range: where the bytes begin, -1 where it does not say, and how many the file has, or None."""
    place = re.match(r'bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)\Z', headers.get('Content-Range', ''))
    start, total = place.groups() if place else (None, None)
    return -1 if start is None else int(start), None if total is None else int(total)


def _version(headers):
    """Give what tells versions of a file apart for If-Range: a strong ETag, or a date that is not just now."""
    tag = headers.get('ETag', '')
    if tag and not tag.startswith('W/'):
        return tag
    try:
        changed = email.utils.parsedate_to_datetime(headers['Last-Modified'])
        answered = email.utils.parsedate_to_datetime(headers['Date'])
    except (TypeError, ValueError):
        return ''
    return headers['Last-Modified'] if (answered - changed).total_seconds() >= 1 else ''


@contextlib.contextmanager
def _ftp(url, offset):
    place = urllib.parse.urlsplit(url)
    server = ftplib.FTP(timeout=_TIMEOUT_S)
    try:
        server.connect(place.hostname, place.port or ftplib.FTP_PORT)
        server.login(urllib.parse.unquote(place.username or ''), urllib.parse.unquote(place.password or ''))
        server.voidcmd('TYPE I')
        name = urllib.parse.unquote(place.path)
        total = server.size(name)
        version = _changed(server, name)
        stream = server.transfercmd(f'RETR {name}', rest=offset or None)
    except ftplib.error_perm as error:
        server.close()
        raise DownloadFailed(f'{url}: the server answered {error}; is the address right?') from error
    except (OSError, ftplib.Error, EOFError) as error:
        server.close()
        raise _Again(_cause(error)) from error
    try:
        yield _Answer(offset, total, version, stream.recv)
    finally:
        stream.close()
        server.close()


def _changed(server, name):
    try:
        return server.voidcmd(f'MDTM {name}')
    except ftplib.error_perm:  # an old server that does not know the command
        return ''


def digest_of(path, like):
    """Hash a file.

    :param path: of the file.
    :param like: a digest 'sha256:...' or 'git:...', of which only the kind counts; None gives None.
    :returns: the file's digest of that kind.
    """
    if like is None:
        return None
    kind = like.partition(':')[0]
    digest = hashlib.sha256() if kind == 'sha256' else hashlib.sha1(b'blob %d\0' % os.path.getsize(path))
    with open(path, 'rb') as file:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b''):
            digest.update(chunk)
    return f'{kind}:{digest.hexdigest()}'


def _write(file, chunk):
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise DownloadFailed(f'{file.name}: cannot be written ({error.strerror}); what came so far is kept') from error


def _check_room(part, answer):
    free = shutil.disk_usage(os.path.dirname(part)).free
    needed = (answer.total or 0) - answer.start
    if needed > free:
        raise DownloadFailed(f'{part}: {needed / 1e6:.1f} MB of free disk expected, got {free / 1e6:.1f} MB; make '
                             'room, or name another folder')


def _size(file):
    return os.fstat(file.fileno()).st_size


def _notes(part):
    return part + '.json'


def _known(part, url):
    """Read what is known of the file that a part belongs to; of another address nothing is."""
    notes = read_cached(_notes(part)) or {}
    is_sound = isinstance(notes.get('version'), (str, type(None))) and isinstance(notes.get('total'), (int, type(None)))
    return notes if is_sound and notes.get('url') == url else {}


def _forget(part):
    for each in (part, _notes(part)):
        if os.path.exists(each):
            os.remove(each)


def _cause(error):
    reason = getattr(error, 'reason', error)
    return getattr(reason, 'strerror', None) or str(reason) or type(reason).__name__
