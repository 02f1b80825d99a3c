"""What FacialEmotionLearner.download() can fetch: from where, to where, and how by hand where there is no way."""

import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from typing import NamedTuple

from facial_emotion_ros.atomic_file import settle
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.learning.download import DownloadFailed, digest_of, fetch

#: OpenDR's server, the only one that has its small piece of AffectNet.
OPENDR_URL = 'ftp://opendrdata.csd.auth.gr/perception/facial_emotion_estimation'

#: The authors' repository at one commit. Source: its README for the licence, its tree for the hashes of the files.
_AUTHORS_COMMIT = '5980cbf51bd2c4c64b6288d6c708e910479df025'
_AUTHORS_REPOSITORY = (
    'siqueira-hc/Efficient-Facial-Feature-Learning-with-Wide-Ensemble-based-Convolutional-Neural-Networks'
)
_AUTHORS_URL = f'https://raw.githubusercontent.com/{_AUTHORS_REPOSITORY}/{_AUTHORS_COMMIT}/'
_AUTHORS_PAGE = f'https://github.com/{_AUTHORS_REPOSITORY}/tree/{_AUTHORS_COMMIT}/'

#: What a file takes on a disk at least.
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
    """One file of the authors' repository: where it lies there, what it is called here, and its digest."""

    place: str
    name: str
    digest: str


class Mode(NamedTuple):
    """What one mode of download() fetches.

    :param what: words for messages.
    :param result: path of what it gives, below the folder of the download; the folder's layout is OpenDR's.
    :param file: path of OpenDR's file, below its address and below the folder alike; a zip is unpacked.
    :param pieces: the same in the authors' repository; () where that has none.
    :param notice: what whoever fetches it has to know.
    :param most_bytes: no file of it is larger, and a zip unpacks to four times as much at most.
    """

    what: str
    result: str
    file: str
    pieces: tuple = ()
    notice: str = ''
    most_bytes: int = 1 << 30


MODES = {
    'data': Mode('the small piece of AffectNet', 'data/AffectNet_micro', 'data/AffectNet_micro.zip'),
    'pretrained': Mode(
        "the authors' ESR-9, trained on AffectNet", 'pretrained/esr_9', 'pretrained/esr_9.zip',
        (
            Piece(f'{_WEIGHTS}Net-Base-Shared_Representations.pt', 'Net-Base-Shared_Representations.pt',
                  'sha256:563215f7ae9487277f2da2f1b48d6d1e3b3de5daa1cf377429dd5368379acb97'),
            *(Piece(f'{_WEIGHTS}Net-Branch_{i}.pt', f'Net-Branch_{i}.pt', f'git:{blob}')
              for i, blob in enumerate(_BRANCHES, 1)),
        ),
        _WEIGHTS_LICENCE,
    ),
    'demo_image': Mode(
        "the demo's picture", 'demo/sheldon.jpg', 'demo/sheldon.jpg',
        (Piece('media/sheldon.jpg', 'sheldon.jpg',
               'sha256:c5f555388ecf25e71afd352c5b51cf8ab9a4148ca34d8dc400ce70ab840d3b8e'),),
    ),
    'demo_video': Mode(
        "the demo's film", 'demo/big_bang.mp4', 'demo/big_bang.mp4',
        (Piece('media/big_bang.mp4', 'big_bang.mp4', 'git:f03920a0cf0d1d1f2aed0c68cc16398e85e5f0e6'),),
    ),
}  # fmt: skip


class UnknownMode(BadParameter, UserWarning):
    """download() has no such mode; a UserWarning too, because that is what OpenDR raises."""


def download(folder, mode='data', url=None, authors_url=_AUTHORS_URL, report=None, pause_s=1.0):
    """Fetch what a mode stands for, or find it where an earlier call put it.

    :param folder: where OpenDR's layout of files goes.
    :param mode: a key of MODES.
    :param url: address with OpenDR's layout below it; '#sha256=' and 64 digits behind it are what the file has to have.
        None takes the authors' repository where that has the files, since it says their hashes, and OpenDR's server
        otherwise, of whose files nobody knows a hash: the one that came is reported.
    :param authors_url: address of the authors' repository.
    :param report: called with one line of text now and then; None for none.
    :param pause_s: see :func:`~facial_emotion_ros.learning.download.fetch`.
    :returns: path of the file or folder.
    :raises UnknownMode: naming those that there are.
    :raises DownloadFailed: with each cause and what to do by hand.
    """
    if mode not in MODES:
        raise UnknownMode(f'expected a mode of {", ".join(MODES)}, got {mode!r}')
    wanted = MODES[mode]
    address, digest = _address_and_digest(url or OPENDR_URL)
    report = report or (lambda line: None)
    result = os.path.join(folder, *wanted.result.split('/'))
    if os.path.exists(result):
        report(f'{result} is there already.')
        return result
    report(f'Downloading {wanted.what}...')
    if wanted.notice:
        report(wanted.notice)
    failures = []
    file = os.path.join(folder, *wanted.file.split('/'))
    if url is None and wanted.pieces and not os.path.exists(file):
        try:
            _fetch_pieces(wanted, result, authors_url, pause_s)
            return result
        except DownloadFailed as error:
            failures.append(str(error))
            report(f"{error}; trying OpenDR's server")
    try:
        fetch(
            f'{address}/{wanted.file}', file, digest, _progress(os.path.basename(file)), pause_s=pause_s,
            most_bytes=wanted.most_bytes,
        )
        if not digest:
            came = digest_of(file, 'sha256:').replace(':', '=')
            report(f'{file}: compared with no hash. Once you trust it, #{came} behind url has others compared.')
        if file != result:
            _unpack(file, result, 4 * wanted.most_bytes)
            shutil.rmtree(_unfinished(result), ignore_errors=True)
    except DownloadFailed as error:
        failures.append(str(error))
        raise DownloadFailed('; '.join(failures) + '. ' + _by_hand(wanted, folder, result)) from error
    return result


def _address_and_digest(url):
    """Take the hash from an address.

    :returns: (address without a slash at its end, 'sha256:...' or None).
    :raises BadParameter: if there is something else behind the #.
    """
    address, mark, given = url.partition('#')
    if mark and not re.fullmatch('sha256=[0-9a-fA-F]{64}', given):
        raise BadParameter(f"expected '#sha256=' and 64 hexadecimal digits behind the address, got '#{given}'")
    return address.rstrip('/'), given.lower().replace('=', ':') or None


def _fetch_pieces(wanted, result, address, pause_s):
    """Fetch single files; a folder of them gets its name when all are there."""
    is_file = len(wanted.pieces) == 1
    home = os.path.dirname(result) if is_file else _unfinished(result)
    for piece in wanted.pieces:
        fetch(address + piece.place, os.path.join(home, piece.name), piece.digest, _progress(piece.name),
              pause_s=pause_s, most_bytes=wanted.most_bytes)
    if not is_file:
        os.replace(home, result)
        settle(os.path.dirname(result))


def _unfinished(result):
    """Give the folder where single files gather before all of them are there."""
    return result + '.part'


def _unpack(archive, result, most_bytes):
    """Unpack a zip into a folder that gets its name when all of it is there; a damaged zip does not stay.

    :raises DownloadFailed: if it is no whole zip, or holds more than most_bytes.
    """
    home, name = os.path.split(result)
    fresh = tempfile.mkdtemp(prefix=f'.{name}.', dir=home)
    try:
        with zipfile.ZipFile(archive) as zipped:
            # No file becomes larger than its entry says: zipfile compares.
            held = sum(max(entry.file_size, _LEAST_BYTES) for entry in zipped.infolist())
            if held > most_bytes:
                raise zipfile.BadZipFile(f'it holds {held / 1e6:.1f} MB; at most {most_bytes / 1e6:.1f} are expected')
            zipped.extractall(fresh)  # leaves aside what would lead out of the folder
        os.chmod(fresh, 0o755)
        inner = os.path.join(fresh, name)
        os.replace(inner if os.path.isdir(inner) else fresh, result)
    # zipfile has RuntimeError for a zip with a password, NotImplementedError for a compression that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        os.remove(archive)
        raise DownloadFailed(f'{archive}: a whole zip expected, it cannot be unpacked ({error})') from error
    except OSError as error:
        raise DownloadFailed(f'{archive}: cannot be unpacked to {result} ({error.strerror or error})') from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    settle(home)


def _by_hand(wanted, folder, result):
    way = f'By hand: on a machine that is on-line, get {OPENDR_URL}/{wanted.file}'
    if wanted.pieces:
        way += f' or {_AUTHORS_PAGE}{os.path.dirname(wanted.pieces[0].place)}'
    if wanted.file.endswith('.zip'):
        way += f', unpack it, and put the folder here as {result}'
    else:
        way += f', and put it here as {result}'
    if wanted.what == MODES['data'].what:
        way += "; or make the like from your own AffectNet (docs/learner.md, 'Data')"
    return f'{way}; then call download() again, or use the path itself'


def _progress(name):
    """Give a callback that shows on a terminal how much of a file is there, and nothing elsewhere."""
    last = 0.0

    def show(done, total):
        nonlocal last
        is_last = done == total
        if sys.stderr.isatty() and (is_last or time.monotonic() - last > 0.2):
            last = time.monotonic()
            share = f' of {total / 1e6:.1f}' if total else ''
            print(f'\r{name}: {done / 1e6:.1f}{share} MB', end='\n' if is_last else '', file=sys.stderr, flush=True)

    return show
