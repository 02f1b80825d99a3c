"""Files over HTTP and FTP, from real servers that break off, refuse, and serve something else."""

import contextlib
import hashlib
import http.server
import io
import os
import socketserver
import threading
import zipfile

import pytest

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.training.opendr import download as downloads
from facial_emotion_ros.training.opendr.download import DownloadFailed, fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = 'sha256:' + hashlib.sha256(CONTENT).hexdigest()
GIT = 'git:' + hashlib.sha1(b'blob %d\0' % len(CONTENT) + CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Shelf:
    """What the servers of a test serve, and how badly; tests read afterwards what was requested."""

    def __init__(self):
        self.files = {'/file.bin': CONTENT}
        self.length_is_told = True
        self.breaks_after = []  # bytes after which each next answer breaks off; then none does
        self.refusals = []  # HTTP codes of the next answers
        self.asked = []  # paths

    def cut(self, body):
        """Return what of an answer's body is sent."""
        return body[: self.breaks_after.pop(0)] if self.breaks_after else body


class Handler(http.server.BaseHTTPRequestHandler):
    """GET."""

    def do_GET(self):
        """Answer from the server's shelf."""
        shelf = self.server.shelf
        shelf.asked.append(self.path)
        if shelf.refusals:
            return self.send_error(shelf.refusals.pop(0))
        content = shelf.files.get(self.path)
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        if shelf.length_is_told:
            self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            self.wfile.write(shelf.cut(content))

    def log_message(self, *args):
        """Say nothing."""


class FtpHandler(socketserver.StreamRequestHandler):
    """As much of an FTP server as downloading takes."""

    def handle(self):
        """Talk."""
        shelf, folder, data = self.server.shelf, '/', None
        self.say('220 ready')
        for line in self.rfile:
            command, _, value = line.decode().strip().partition(' ')
            if command == 'USER':
                self.say('331 password, please')
            elif command == 'CWD':
                folder = os.path.normpath(os.path.join(folder, value)).rstrip('/') + '/'
                is_there = any(name.startswith(folder) for name in shelf.files)
                self.say('250 fine' if is_there else '550 no such folder')
            elif command == 'PWD':
                self.say(f'257 "{folder}"')
            elif command == 'PASV':
                data = socketserver.TCPServer(('127.0.0.1', 0), None)
                port = data.server_address[1]
                self.say(f'227 ok (127,0,0,1,{port >> 8},{port & 255})')
            elif command == 'RETR' and folder + value not in shelf.files:
                self.say('550 no such file')
            elif command == 'RETR':
                content = shelf.files[folder + value]
                shelf.asked.append(folder + value)
                self.say(f'150 here it comes ({len(content)} bytes)')
                stream, _ = data.get_request()
                stream.sendall(shelf.cut(content))
                stream.close()
                data.server_close()
                self.say('226 done')
            else:
                self.say('230 fine')

    def say(self, line):
        """Answer with one line."""
        self.wfile.write(line.encode() + b'\r\n')


@contextlib.contextmanager
def serving(server_class, handler):
    """Run a server on this machine; give its shelf and port."""
    server = server_class(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    server.shelf = Shelf()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield server.shelf, server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web():
    """Return the shelf of an HTTP server, and its address."""
    with serving(http.server.ThreadingHTTPServer, Handler) as (shelf, port):
        yield shelf, f'http://127.0.0.1:{port}'


@pytest.fixture
def ftp():
    """Return the shelf of an FTP server, and its address."""
    with serving(socketserver.ThreadingTCPServer, FtpHandler) as (shelf, port):
        yield shelf, f'ftp://127.0.0.1:{port}'


@pytest.fixture
def path(tmp_path):
    """Return where the file shall go; its folder does not exist yet."""
    return tmp_path / 'new' / 'file.bin'


def names(folder):
    """List a folder, hidden files too."""
    return sorted(os.listdir(folder))


@pytest.mark.parametrize('digest', [SHA256, GIT, None])
@pytest.mark.parametrize('server', ['web', 'ftp'])
def test_a_file_arrives_whole_when_nothing_goes_wrong(request, server, path, digest):
    shelf, address = request.getfixturevalue(server)
    assert fetch(f'{address}/file.bin', path, digest) == str(path)
    assert path.read_bytes() == CONTENT and names(path.parent) == ['file.bin'] and shelf.asked == ['/file.bin']


def test_a_file_that_is_there_is_not_fetched_again(web, path):
    shelf, address = web
    path.parent.mkdir()
    path.write_bytes(b'mine')
    fetch(f'{address}/file.bin', path)
    assert path.read_bytes() == b'mine' and shelf.asked == []


@pytest.mark.parametrize('server', ['web', 'ftp'])
def test_a_file_is_fetched_anew_when_the_connection_breaks(request, server, path):
    shelf, address = request.getfixturevalue(server)
    shelf.breaks_after = [1000, HALF]
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == CONTENT and len(shelf.asked) == 3
    shelf.breaks_after = [1000, HALF, 0]
    with pytest.raises(DownloadFailed, match='check the connection'):
        fetch(f'{address}/file.bin', path.parent / 'other.bin', pause_s=0)
    assert names(path.parent) == ['file.bin']


def test_wrong_bytes_are_refused_and_do_not_stay(web, path):
    shelf, address = web
    shelf.files['/file.bin'] = b'<html>log in first</html>'
    with pytest.raises(DownloadFailed, match=f'expected a file with {SHA256}, got sha256:'):
        fetch(f'{address}/file.bin', path, SHA256)
    assert names(path.parent) == [] and len(shelf.asked) == 1


def test_transient_refusals_are_tried_again_and_others_are_not(web, path):
    shelf, address = web
    shelf.refusals = [503, 429]
    fetch(f'{address}/file.bin', path, pause_s=0)
    asked = len(shelf.asked)
    with pytest.raises(DownloadFailed, match='404.*check the address'):
        fetch(f'{address}/absent.bin', path.parent / 'absent.bin')
    assert asked == 3 and len(shelf.asked) == 4 and names(path.parent) == ['file.bin']


@pytest.mark.parametrize(
    'url, words',
    [
        ('http://127.0.0.1:9/file.bin', 'check the connection'),
        ('ftp://127.0.0.1:9/file.bin', 'check the connection'),
        ('file:///etc/hostname', 'http, https or ftp'),
    ],
)
def test_the_error_says_what_to_do_when_there_is_no_server(path, url, words):
    with pytest.raises(FacialEmotionError, match=words):
        fetch(url, path, pause_s=0)


def test_an_absent_file_is_an_error_when_the_server_is_ftp(ftp, path):
    with pytest.raises(DownloadFailed, match='550'):
        fetch(f'{ftp[1]}/absent.bin', path, pause_s=0)


def test_a_file_whose_length_nobody_tells_arrives(web, path):
    web[0].length_is_told = False
    fetch(f'{web[1]}/file.bin', path, SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize('is_told', [True, False])
def test_nothing_stays_of_a_file_that_is_too_large(web, path, is_told):
    web[0].length_is_told = is_told
    with pytest.raises(
        DownloadFailed, match='at most 0.5 MB, the server offers %s' % (r'1\.0 MB' if is_told else 'more')
    ):
        fetch(f'{web[1]}/file.bin', path, SHA256, most_bytes=HALF)
    assert names(path.parent) == []
    fetch(f'{web[1]}/file.bin', path, SHA256, most_bytes=len(CONTENT))
    assert path.read_bytes() == CONTENT


def zip_of(files):
    """Return the bytes of a zip with some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_layout_is_opendr_s_when_its_address_is_given(web, tmp_path):
    shelf, address = web
    shelf.files.update(
        {
            '/data/AffectNet_micro.zip': zip_of({'AffectNet_micro/Validation/0/0000000s1s5s5.jpg': b'picture'}),
            '/pretrained/esr_9.zip': zip_of({'esr_9/Net-Branch_1.pt': b'weights'}),
            '/demo/sheldon.jpg': b'picture',
            '/demo/big_bang.mp4': b'film',
        }
    )
    lines = []
    results = {
        mode: downloads.download(tmp_path, mode, address, report=lines.append, pause_s=0) for mode in downloads.MODES
    }
    assert {mode: os.path.relpath(result, tmp_path) for mode, result in results.items()} == {
        'data': 'data/AffectNet_micro',
        'pretrained': 'pretrained/esr_9',
        'demo_image': 'demo/sheldon.jpg',
        'demo_video': 'demo/big_bang.mp4',
    }
    assert (tmp_path / 'data/AffectNet_micro/Validation/0/0000000s1s5s5.jpg').read_bytes() == b'picture'
    assert (tmp_path / 'pretrained/esr_9/Net-Branch_1.pt').read_bytes() == b'weights'
    assert any('not be used commercially' in line for line in lines)
    asked = len(shelf.asked)
    downloads.download(tmp_path, 'data', address, pause_s=0)
    assert len(shelf.asked) == asked == 4


def test_the_authors_files_are_taken_one_by_one_and_checked_when_no_address_is_given(web, tmp_path, monkeypatch):
    shelf, address = web
    pieces = [
        downloads.Piece(f'weights/{name}', name, f'sha256:{hashlib.sha256(name.encode()).hexdigest()}')
        for name in ('Net-Base-Shared_Representations.pt', 'Net-Branch_1.pt')
    ]
    shelf.files.update({f'/{piece.place}': piece.name.encode() for piece in pieces})
    monkeypatch.setitem(downloads.MODES, 'pretrained', downloads.MODES['pretrained']._replace(pieces=tuple(pieces)))
    monkeypatch.setattr(downloads, 'OPENDR_URL', f'{address}/nothing')
    good = shelf.files.pop('/weights/Net-Branch_1.pt')
    with pytest.raises(DownloadFailed, match='404.*404.*By hand'):
        downloads.download(tmp_path, 'pretrained', authors_url=address + '/', pause_s=0)
    assert not (tmp_path / 'pretrained' / 'esr_9').exists()
    shelf.files['/weights/Net-Branch_1.pt'] = good
    result = downloads.download(tmp_path, 'pretrained', authors_url=address + '/', pause_s=0)
    assert names(result) == ['Net-Base-Shared_Representations.pt', 'Net-Branch_1.pt']
    assert shelf.asked.count('/weights/Net-Base-Shared_Representations.pt') == 1
    assert names(tmp_path / 'pretrained') == ['esr_9']


def test_opendr_s_server_is_asked_when_the_authors_is_not_there(web, tmp_path, monkeypatch):
    shelf, address = web
    shelf.files['/pretrained/esr_9.zip'] = zip_of({'esr_9/Net-Branch_1.pt': b'weights'})
    monkeypatch.setattr(downloads, 'OPENDR_URL', address)
    lines = []
    downloads.download(tmp_path, 'pretrained', authors_url='http://127.0.0.1:9/', report=lines.append, pause_s=0)
    assert (tmp_path / 'pretrained/esr_9/Net-Branch_1.pt').exists() and any('trying OpenDR' in line for line in lines)


def test_a_damaged_zip_does_not_stay(web, tmp_path):
    shelf, address = web
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'AffectNet_micro/x': CONTENT})[:-30]
    with pytest.raises(DownloadFailed, match='expected a complete zip'):
        downloads.download(tmp_path, 'data', address, pause_s=0)
    assert names(tmp_path / 'data') == []
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'AffectNet_micro/x': CONTENT})
    downloads.download(tmp_path, 'data', address, pause_s=0)
    assert (tmp_path / 'data/AffectNet_micro/x').read_bytes() == CONTENT


def test_a_zip_that_unpacks_to_far_more_does_not_fill_the_disk(web, tmp_path, monkeypatch):
    shelf, address = web
    mode = downloads.MODES['data']._replace(most_bytes=100_000)
    monkeypatch.setitem(downloads.MODES, 'data', mode)
    for bomb in ({'AffectNet_micro/zeros': bytes(400_001)}, {f'AffectNet_micro/{n}': b'' for n in range(98)}):
        shelf.files['/data/AffectNet_micro.zip'] = zip_of(bomb)
        with pytest.raises(DownloadFailed, match='expected at most 0.4'):
            downloads.download(tmp_path, 'data', address, pause_s=0)
        assert names(tmp_path / 'data') == []
    shelf.files['/data/AffectNet_micro.zip'] = CONTENT
    with pytest.raises(DownloadFailed, match='expected at most 0.1 MB'):
        downloads.download(tmp_path, 'data', address, pause_s=0)


def test_an_archive_is_compared_with_the_hash_behind_its_address(web, tmp_path):
    shelf, address = web
    good = zip_of({'esr_9/Net-Branch_1.pt': b'weights'})
    shelf.files['/pretrained/esr_9.zip'] = good + b'exchanged'
    pinned = f'{address}/#sha256={hashlib.sha256(good).hexdigest().upper()}'
    with pytest.raises(DownloadFailed, match='it was replaced or damaged'):
        downloads.download(tmp_path, 'pretrained', pinned, pause_s=0)
    assert names(tmp_path / 'pretrained') == []
    shelf.files['/pretrained/esr_9.zip'] = good
    lines = []
    downloads.download(tmp_path, 'pretrained', pinned, report=lines.append, pause_s=0)
    assert names(tmp_path / 'pretrained') == ['esr_9', 'esr_9.zip'] and not any('hash' in line for line in lines)
    downloads.download(tmp_path / 'other', 'pretrained', address, report=lines.append, pause_s=0)
    assert any(f'#sha256={hashlib.sha256(good).hexdigest()} to url' in line for line in lines)
    with pytest.raises(BadParameter, match="got '#md5=0'"):
        downloads.download(tmp_path, 'data', address + '#md5=0', pause_s=0)


def test_a_zip_cannot_write_outside_its_folder(web, tmp_path):
    shelf, address = web
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'../../evil': b'x', '/evil': b'x', 'AffectNet_micro/x': b'x'})
    downloads.download(tmp_path / 'home', 'data', address, pause_s=0)
    assert names(tmp_path) == ['home']
    assert names(tmp_path / 'home' / 'data') == ['AffectNet_micro', 'AffectNet_micro.zip']


@pytest.mark.parametrize('mode', ['data', 'pretrained', 'demo_image', 'demo_video'])
def test_the_manual_way_is_told_when_the_machine_is_off_line(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(downloads, 'OPENDR_URL', 'ftp://127.0.0.1:9')
    with pytest.raises(DownloadFailed) as caught:
        downloads.download(tmp_path, mode, authors_url='http://127.0.0.1:9/', pause_s=0)
    text = str(caught.value)
    assert 'By hand' in text and str(tmp_path) in text and downloads.MODES[mode].file in text
    assert ('github.com' in text) == (mode != 'data')


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(BadParameter, match='data, pretrained, demo_image, demo_video, got'):
        downloads.download(tmp_path, 'weights')
    with pytest.raises(UserWarning):
        downloads.download(tmp_path, 'weights')
