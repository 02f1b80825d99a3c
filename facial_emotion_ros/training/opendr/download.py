"""Downloads for FacialEmotionLearner.download(): known files and hashes, and how to get them by hand."""

import hashlib
import http.client
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

from tqdm import tqdm

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.files import fsync_folder, move_into_place

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0
_ATTEMPTS = 3
#: HTTP status codes that another attempt may change.
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)

#: OpenDR's server, the only one that has its small piece of AffectNet.
OPENDR_URL = 'ftp://opendrdata.csd.auth.gr/perception/facial_emotion_estimation'

#: The authors' repository at one commit. Source: its README for the licence, its tree for the hashes of the files.
_AUTHORS_COMMIT = '5980cbf51bd2c4c64b6288d6c708e910479df025'
_AUTHORS_REPOSITORY = (
    'siqueira-hc/Efficient-Facial-Feature-Learning-with-Wide-Ensemble-based-Convolutional-Neural-Networks'
)
_AUTHORS_URL = f'https://raw.githubusercontent.com/{_AUTHORS_REPOSITORY}/{_AUTHORS_COMMIT}/'
_AUTHORS_PAGE = f'https://github.com/{_AUTHORS_REPOSITORY}/tree/{_AUTHORS_COMMIT}/'

#: Minimum disk space of a file, for the size check of a zip.
_LEAST_BYTES = 4096

_WEIGHTS_LICENCE = 'The published weights may not be used commercially: their authors say so.'

_WEIGHTS = 'model/ml/trained_models/esr_9/'
_BRANCHES = (
    'e5d8b005b556e00db68b0b5d0bcee7102ccd9a3f', 'c4af83fd0c42e714c67b2ae937506d153f9bbe26',
    'a79d5f10035c2ba76ec8b3bd8bb26b74057e27b7', 'c1296a8f4eed09b4409ea74a7733fdd4f098e886',
    '5e9060dd4920f25c8222b7758d0774b62d922ffa', 'e21160368163d0c199ef16efa3a28b452c73d63b',
    '618bd03d599da78cdd75ed58f3eeef0b0a650c48', 'db56e4b1aa42048f34cf4086593e37a5aabb5fce',
    '280edf9afa2d24b4c81e817c24846c805166faf4',
)  # fmt: skip


class Piece(NamedTuple):
    """One file of the authors' repository: its path there, its name here, and its digest."""

    place: str
    name: str
    digest: str


class Mode(NamedTuple):
    """What one mode of download() fetches.

    :param what: description for messages.
    :param file: path of OpenDR's file below its address and below the download folder; a zip is unpacked beside it.
    :param pieces: the same in the authors' repository; () where it has none.
    :param notice: terms to print.
    :param most_bytes: upper bound of each file; a zip may unpack to four times as much.
    """

    what: str
    file: str
    pieces: tuple[Piece, ...] = ()
    notice: str = ''
    most_bytes: int = 1 << 30


MODES = {
    'data': Mode('the small piece of AffectNet', 'data/AffectNet_micro.zip'),
    'pretrained': Mode(
        "the authors' ESR-9, trained on AffectNet", 'pretrained/esr_9.zip',
        (
            Piece(f'{_WEIGHTS}Net-Base-Shared_Representations.pt', 'Net-Base-Shared_Representations.pt',
                  'sha256:563215f7ae9487277f2da2f1b48d6d1e3b3de5daa1cf377429dd5368379acb97'),
            *(Piece(f'{_WEIGHTS}Net-Branch_{i}.pt', f'Net-Branch_{i}.pt', f'git:{blob}')
              for i, blob in enumerate(_BRANCHES, 1)),
        ),
        _WEIGHTS_LICENCE,
    ),
    'demo_image': Mode(
        "the demo's picture", 'demo/sheldon.jpg',
        (Piece('media/sheldon.jpg', 'sheldon.jpg',
               'sha256:c5f555388ecf25e71afd352c5b51cf8ab9a4148ca34d8dc400ce70ab840d3b8e'),),
    ),
    'demo_video': Mode(
        "the demo's video", 'demo/big_bang.mp4',
        (Piece('media/big_bang.mp4', 'big_bang.mp4', 'git:f03920a0cf0d1d1f2aed0c68cc16398e85e5f0e6'),),
    ),
}  # fmt: skip


class UnknownMode(BadParameter, UserWarning):
    """download() has no such mode; a UserWarning too, because that is what OpenDR raises."""


class DownloadFailed(FacialEmotionError, OSError):
    """A file could not be fetched, or is not the expected one."""


def download(
    folder: str,
    mode: str = 'data',
    url: str | None = None,
    authors_url: str = _AUTHORS_URL,
    report: Callable[[str], object] = lambda line: None,
    pause_s: float = 1.0,
) -> str:
    """Fetch the files of a mode, unless an earlier call did.

    :param folder: root of OpenDR's layout.
    :param mode: a key of MODES.
    :param url: address with OpenDR's layout below it, optionally with '#sha256=' and the expected 64 digits. None tries
        the authors' repository first, whose hashes are known, then OpenDR's server; the hash of a file from there is
        reported.
    :param authors_url: address of the authors' repository.
    :param report: called with progress messages.
    :param pause_s: see :func:`fetch`.
    :returns: path of the file or folder.
    :raises UnknownMode: listing the modes.
    :raises DownloadFailed: with each cause, and how to get the files by hand.
    """
    if mode not in MODES:
        raise UnknownMode(f'expected a mode of {", ".join(MODES)}, got {mode!r}')
    wanted = MODES[mode]
    address, digest = _address_and_digest(url or OPENDR_URL)
    file = os.path.join(folder, *wanted.file.split('/'))
    result = file.removesuffix('.zip')
    if os.path.exists(result):
        report(f'{result} exists already.')
        return result
    report(f'Downloading {wanted.what}...')
    if wanted.notice:
        report(wanted.notice)
    failures = []
    if url is None and wanted.pieces and not os.path.exists(file):
        try:
            _fetch_pieces(wanted, result, authors_url, pause_s)
            return result
        except DownloadFailed as error:
            failures.append(str(error))
            report(f"{error}; trying OpenDR's server")
    try:
        fetch(f'{address}/{wanted.file}', file, digest, wanted.most_bytes, pause_s=pause_s)
        if not digest:
            came = _digest_of(file, 'sha256:').replace(':', '=')
            report(f'{file}: not verified against a hash. Once you trust it, append #{came} to url to verify it.')
        if file != result:
            _unpack(file, result, 4 * wanted.most_bytes)
            shutil.rmtree(result + '.part', ignore_errors=True)  # single files of an earlier call
    except DownloadFailed as error:
        failures.append(str(error))
        raise DownloadFailed('; '.join(failures) + '. ' + _by_hand(wanted, result)) from error
    return result


def fetch(
    url: str,
    path: str | os.PathLike[str],
    digest: str | None = None,
    most_bytes: int = 1 << 30,
    pause_s: float = 1.0,
) -> str:
    """Fetch one file, which appears when it is complete and verified.

    :param url: http, https or ftp.
    :param path: of the file; its folder is created; an existing file is kept.
    :param digest: 'sha256:' and 64 digits, 'git:' and the 40 digits of a git blob, or None for no verification.
    :param most_bytes: upper bound of its size.
    :param pause_s: wait before the second attempt, doubled for each further one.
    :returns: the absolute path.
    :raises DownloadFailed: with the cause and a remedy.
    """
    path = os.path.abspath(path)
    if os.path.exists(path):
        return path
    if urllib.parse.urlsplit(url).scheme not in ('http', 'https', 'ftp'):
        raise DownloadFailed(f'expected an address with http, https or ftp, got {url!r}')
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.fetch.', dir=folder) as aside:
        part = os.path.join(aside, name)
        for attempt in range(_ATTEMPTS):
            time.sleep(pause_s * 2 ** (attempt - 1) if attempt else 0)
            try:
                _transfer(url, part, most_bytes)
                break
            except (OSError, http.client.HTTPException) as error:
                is_final = isinstance(error, urllib.error.HTTPError) and error.code not in _TRANSIENT
                if isinstance(error, DownloadFailed):
                    raise
                if is_final or attempt == _ATTEMPTS - 1:
                    advice = 'check the address' if is_final else 'check the connection and the server'
                    raise DownloadFailed(f'{url}: cannot be fetched ({error}); {advice}') from error
        if digest and (came := _digest_of(part, digest)) != digest:
            raise DownloadFailed(
                f'{url}: expected a file with {digest}, got {came}: it was replaced or damaged. Get the right one and '
                f'save it as {path}'
            )
        move_into_place(part, path)
    return path


def _transfer(url: str, part: str, most_bytes: int) -> None:
    """Copy a file from a server, showing progress on a terminal."""
    request = urllib.request.Request(url, headers={'Accept-Encoding': 'identity', 'User-Agent': 'facial_emotion_ros'})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, open(part, 'wb') as file:
        length = answer.headers.get('Content-Length') or ''
        total = int(length) if length.isdigit() else None
        with tqdm(total=total, desc=os.path.basename(part), unit='B', unit_scale=True, disable=None) as bar:
            for chunk in iter(lambda: answer.read(_CHUNK_BYTES), b''):
                file.write(chunk)
                bar.update(len(chunk))
                if max(file.tell(), total or 0) > most_bytes:
                    offer = 'more' if total is None else f'{total / 1e6:.1f} MB'
                    raise DownloadFailed(
                        f'{url}: expected at most {most_bytes / 1e6:.1f} MB, the server offers {offer}'
                    )
        if total is not None and file.tell() < total:
            raise ConnectionError(f'the connection ended after {file.tell()} of {total} bytes')


def _digest_of(path: str, like: str) -> str:
    """Hash a file by the algorithm of another digest, 'sha256:...' or 'git:...'."""
    kind = like.partition(':')[0]
    digest = hashlib.sha256() if kind == 'sha256' else hashlib.sha1(b'blob %d\0' % os.path.getsize(path))
    with open(path, 'rb') as file:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b''):
            digest.update(chunk)
    return f'{kind}:{digest.hexdigest()}'


def _address_and_digest(url: str) -> tuple[str, str | None]:
    """Split 'ADDRESS#sha256=DIGITS' into the address and 'sha256:...' or None."""
    address, mark, given = url.partition('#')
    if mark and not re.fullmatch('sha256=[0-9a-fA-F]{64}', given):
        raise BadParameter(f"expected '#sha256=' and 64 hexadecimal digits after the address, got '#{given}'")
    return address.rstrip('/'), given.lower().replace('=', ':') or None


def _fetch_pieces(wanted: Mode, result: str, address: str, pause_s: float) -> None:
    """Fetch single files; a folder of them appears when all are complete, and later calls resume."""
    is_file = len(wanted.pieces) == 1
    home = os.path.dirname(result) if is_file else result + '.part'
    for piece in wanted.pieces:
        path = os.path.join(home, piece.name)
        fetch(address + piece.place, path, piece.digest, wanted.most_bytes, pause_s=pause_s)
    if not is_file:
        os.replace(home, result)
        fsync_folder(os.path.dirname(result))


def _unpack(archive: str, result: str, most_bytes: int) -> None:
    """Unpack a zip into a folder that appears when it is complete; a damaged zip is removed.

    :raises DownloadFailed: if it is no complete zip, or holds more than most_bytes.
    """
    home, name = os.path.split(result)
    fresh = tempfile.mkdtemp(prefix=f'.{name}.', dir=home)
    try:
        with zipfile.ZipFile(archive) as zipped:
            # zipfile enforces the sizes that the entries state.
            held = sum(max(entry.file_size, _LEAST_BYTES) for entry in zipped.infolist())
            if held > most_bytes:
                raise zipfile.BadZipFile(f'it holds {held / 1e6:.1f} MB, expected at most {most_bytes / 1e6:.1f}')
            zipped.extractall(fresh)  # ignores paths outside the folder
        os.chmod(fresh, 0o755)
        inner = os.path.join(fresh, name)
        os.replace(inner if os.path.isdir(inner) else fresh, result)
    # RuntimeError: encrypted; NotImplementedError: an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        os.remove(archive)
        raise DownloadFailed(f'{archive}: expected a complete zip, it cannot be unpacked ({error})') from error
    except OSError as error:
        raise DownloadFailed(f'{archive}: cannot be unpacked to {result} ({error.strerror or error})') from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    fsync_folder(home)


def _by_hand(wanted: Mode, result: str) -> str:
    way = f'By hand: on a machine that is online, get {OPENDR_URL}/{wanted.file}'
    if wanted.pieces:
        way += f' or {_AUTHORS_PAGE}{os.path.dirname(wanted.pieces[0].place)}'
    way += (
        f', unpack it, and put the folder at {result}' if wanted.file.endswith('.zip') else f', and put it at {result}'
    )
    if wanted.what == MODES['data'].what:
        way += "; or make the same from your own AffectNet (docs/learner.md, 'Train')"
    return f'{way}; then call download() again, or use the path itself'
