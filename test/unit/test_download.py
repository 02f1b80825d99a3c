"""Files over HTTP and FTP, from real servers that break off, change their minds and serve something else."""

import contextlib
import hashlib
import http.server
import io
import os
import socketserver
import subprocess
import sys
import threading
import zipfile

import pytest

from facial_emotion_ros.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.learning import opendr_files
from facial_emotion_ros.learning.download import DownloadFailed, fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = 'sha256:' + hashlib.sha256(CONTENT).hexdigest()
GIT = 'git:' + hashlib.sha1(b'blob %d\0' % len(CONTENT) + CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Shelf:
    """What the servers of a test serve, and how badly; tests read afterwards what was asked for."""

    def __init__(self):
        self.files = {'/file.bin': CONTENT}
        self.tag = '"first"'
        self.ranges = True
        self.length_is_told = True
        self.breaks_after = []  # bytes after which each next answer breaks off; then none does
        self.refusals = []  # HTTP codes of the next answers
        self.asked = []  # (path, Range header or FTP offset)
        self.gate = None  # (bytes sent, Event): the answer stops there

    def cut(self, body):
        """Return what of an answer's body is sent."""
        return body[:self.breaks_after.pop(0)] if self.breaks_after else body


class Handler(http.server.BaseHTTPRequestHandler):
    """GET with ranges, as RFC 9110 has them."""

    def do_GET(self):
        """Answer from the server's shelf."""
        shelf = self.server.shelf
        asked = self.headers.get('Range')
        shelf.asked.append((self.path, asked))
        if shelf.refusals:
            return self.send_error(shelf.refusals.pop(0))
        content = shelf.files.get(self.path)
        if content is None:
            return self.send_error(404)
        start = int(asked[len('bytes='):-1]) if asked and shelf.ranges else 0
        if self.headers.get('If-Range', shelf.tag) != shelf.tag:
            start = 0
        if start >= len(content) and start:
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(content)}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        if shelf.tag:
            self.send_header('ETag', shelf.tag)
        if shelf.length_is_told:
            self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            body = shelf.cut(content[start:])
            if shelf.gate:
                sent, gate = shelf.gate
                self.wfile.write(body[:sent])
                self.wfile.flush()
                gate.wait(60)
            else:
                self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


class FtpHandler(socketserver.StreamRequestHandler):
    """As much of an FTP server as downloading takes."""

    def handle(self):
        """Talk."""
        shelf, offset, data = self.server.shelf, 0, None
        self.say('220 ready')
        for line in self.rfile:
            command, _, value = line.decode().strip().partition(' ')
            content = shelf.files.get(value)
            if command in ('SIZE', 'RETR', 'MDTM') and content is None:
                self.say('550 no such file')
            elif command == 'USER':
                self.say('331 password, please')
            elif command == 'SIZE':
                self.say(f'213 {len(content)}')
            elif command == 'MDTM':
                self.say(f'213 {shelf.tag}' if shelf.tag else '500 what?')
            elif command == 'PASV':
                data = socketserver.TCPServer(('127.0.0.1', 0), None)
                port = data.server_address[1]
                self.say(f'227 ok (127,0,0,1,{port >> 8},{port & 255})')
            elif command == 'REST':
                offset = int(value)
                self.say('350 go on')
            elif command == 'RETR':
                shelf.asked.append((value, offset))
                self.say('150 here it comes')
                stream, _ = data.get_request()
                stream.sendall(shelf.cut(content[offset:]))
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
def test_a_file_arrives_whole_when_nothing_goes_wrong(web, path, digest):
    shelf, address = web
    steps = []
    assert fetch(f'{address}/file.bin', path, digest, lambda *step: steps.append(step), pause_s=0) == str(path)
    assert path.read_bytes() == CONTENT and names(path.parent) == ['file.bin']
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and shelf.asked == [('/file.bin', None)]


def test_a_file_that_is_there_is_not_fetched_again(web, path):
    shelf, address = web
    path.parent.mkdir()
    path.write_bytes(b'mine')
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == b'mine' and shelf.asked == []


@pytest.mark.parametrize('server', ['web', 'ftp'])
def test_a_download_goes_on_where_it_stopped_when_connections_break(request, server, path):
    shelf, address = request.getfixturevalue(server)
    shelf.breaks_after = [1000, 0, 5, HALF]
    fetch(f'{address}/file.bin', path, SHA256, pause_s=0)
    assert path.read_bytes() == CONTENT
    offsets = [1000, 1000, 1005, 1005 + HALF]
    expected = [f'bytes={offset}-' for offset in offsets] if server == 'web' else offsets
    assert [offset for _, offset in shelf.asked][1:] == expected


def test_a_later_call_goes_on_when_the_earlier_one_was_killed(web, path):
    shelf, address = web
    shelf.gate = (HALF, threading.Event())
    script = 'import sys; from facial_emotion_ros.learning.download import fetch; fetch(*sys.argv[1:])'
    child = subprocess.Popen([sys.executable, '-c', script, f'{address}/file.bin', str(path)],
                             cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    part = path.parent / '.file.bin.part'
    deadline = threading.Event()
    while not (part.exists() and part.stat().st_size == HALF):
        assert child.poll() is None
        deadline.wait(0.02)
    child.kill()
    child.wait()
    assert not path.exists()
    shelf.gate[1].set()
    shelf.gate = None
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert shelf.asked[-1] == ('/file.bin', f'bytes={HALF}-')
    assert path.read_bytes() == CONTENT and names(path.parent) == ['file.bin']


def test_a_download_is_whole_when_it_was_killed_behind_the_last_byte(web, path):
    shelf, address = web
    shelf.breaks_after = [HALF, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        fetch(f'{address}/file.bin', path, pause_s=0)
    with open(path.parent / '.file.bin.part', 'ab') as part:
        part.write(CONTENT[HALF:])
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize('ranges', [True, False])
@pytest.mark.parametrize('server', ['web', 'ftp'])
def test_two_versions_are_not_mixed_when_the_file_changes_in_between(request, server, path, ranges):
    shelf, address = request.getfixturevalue(server)
    shelf.ranges = ranges
    shelf.breaks_after = [HALF, 0, 0, 0]
    with pytest.raises(DownloadFailed, match='bytes are kept'):
        fetch(f'{address}/file.bin', path, pause_s=0)
    shelf.files['/file.bin'], shelf.tag = CONTENT[::-1], '"second"'
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == CONTENT[::-1]


def test_it_begins_anew_when_nothing_tells_versions_apart(web, path):
    shelf, address = web
    shelf.tag = ''
    shelf.breaks_after = [HALF]
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == CONTENT and [asked for _, asked in shelf.asked] == [None, None]


def test_a_part_of_another_address_is_not_used(web, path):
    shelf, address = web
    shelf.files['/other.bin'] = CONTENT[::-1]
    shelf.breaks_after = [HALF, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        fetch(f'{address}/other.bin', path, pause_s=0)
    fetch(f'{address}/file.bin', path, pause_s=0)
    assert path.read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_do_not_stay(web, path):
    shelf, address = web
    shelf.files['/file.bin'] = b'<html>log in first</html>'
    with pytest.raises(DownloadFailed, match=f'{SHA256} expected, got sha256:'):
        fetch(f'{address}/file.bin', path, SHA256, pause_s=0)
    assert names(path.parent) == [] and len(shelf.asked) == 1


def test_a_wrong_beginning_is_fetched_anew_when_its_end_has_come(web, path):
    shelf, address = web
    path.parent.mkdir()
    (path.parent / '.file.bin.part').write_bytes(b'x' * HALF)
    fetch(f'{address}/file.bin', path, SHA256, pause_s=0)
    assert path.read_bytes() == CONTENT


def test_passing_refusals_are_tried_again_and_others_are_not(web, path):
    shelf, address = web
    shelf.refusals = [503, 429]
    fetch(f'{address}/file.bin', path, pause_s=0)
    asked = len(shelf.asked)
    with pytest.raises(DownloadFailed, match='404'):
        fetch(f'{address}/absent.bin', path.parent / 'absent.bin', pause_s=0)
    assert asked == 3 and len(shelf.asked) == 4 and names(path.parent)[-1] == 'file.bin'


@pytest.mark.parametrize('url, words', [
    ('http://127.0.0.1:9/file.bin', 'Is this machine on-line'),
    ('ftp://127.0.0.1:9/file.bin', 'Is this machine on-line'),
    ('file:///etc/hostname', 'http, https or ftp expected'),
])
def test_the_error_says_what_to_do_when_there_is_no_server(path, url, words):
    with pytest.raises(FacialEmotionError, match=words):
        fetch(url, path, pause_s=0)


def test_an_absent_file_is_an_error_when_the_server_is_ftp(ftp, path):
    with pytest.raises(DownloadFailed, match='550'):
        fetch(f'{ftp[1]}/absent.bin', path, pause_s=0)


def test_a_file_whose_length_nobody_tells_arrives(web, path):
    web[0].length_is_told = False
    fetch(f'{web[1]}/file.bin', path, SHA256, pause_s=0)
    assert path.read_bytes() == CONTENT


def test_it_says_so_when_the_disk_is_too_small(web, path, monkeypatch):
    monkeypatch.setattr('shutil.disk_usage', lambda folder: type('Usage', (), {'free': 10})())
    with pytest.raises(DownloadFailed, match='MB of free disk expected'):
        fetch(f'{web[1]}/file.bin', path, pause_s=0)


@pytest.mark.parametrize('is_told', [True, False])
def test_nothing_stays_of_a_file_that_is_too_large(web, path, is_told):
    web[0].length_is_told = is_told
    with pytest.raises(DownloadFailed, match='at most 0.5 MB expected, the server offers %s' % (
            r'1\.0 MB' if is_told else 'more')):
        fetch(f'{web[1]}/file.bin', path, SHA256, pause_s=0, most_bytes=HALF)
    assert names(path.parent) == []
    fetch(f'{web[1]}/file.bin', path, SHA256, pause_s=0, most_bytes=len(CONTENT))
    assert path.read_bytes() == CONTENT


def test_two_callers_fetch_once_when_they_come_together(web, path):
    shelf, address = web
    shelf.gate = (HALF, threading.Event())
    done = []
    callers = [threading.Thread(target=lambda: done.append(fetch(f'{address}/file.bin', path, SHA256, pause_s=0)))
               for _ in range(2)]
    callers[0].start()
    wait = threading.Event()
    while not shelf.asked:
        wait.wait(0.01)
    callers[1].start()
    shelf.gate[1].set()
    shelf.gate = None
    for caller in callers:
        caller.join()
    assert done == [str(path)] * 2 and path.read_bytes() == CONTENT
    assert [asked for _, asked in shelf.asked] == [None, f'bytes={HALF}-'] and names(path.parent) == ['file.bin']


def zip_of(files):
    """Return the bytes of a zip with some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_layout_is_opendr_s_when_its_address_is_given(web, tmp_path):
    shelf, address = web
    shelf.files.update({
        '/data/AffectNet_micro.zip': zip_of({'AffectNet_micro/Validation/0/0000000s1s5s5.jpg': b'picture'}),
        '/pretrained/esr_9.zip': zip_of({'esr_9/Net-Branch_1.pt': b'weights'}),
        '/demo/sheldon.jpg': b'picture', '/demo/big_bang.mp4': b'film',
    })
    lines = []
    results = {mode: opendr_files.download(tmp_path, mode, address, report=lines.append, pause_s=0)
               for mode in opendr_files.MODES}
    assert {mode: os.path.relpath(result, tmp_path) for mode, result in results.items()} == {
        'data': 'data/AffectNet_micro', 'pretrained': 'pretrained/esr_9',
        'demo_image': 'demo/sheldon.jpg', 'demo_video': 'demo/big_bang.mp4',
    }
    assert (tmp_path / 'data/AffectNet_micro/Validation/0/0000000s1s5s5.jpg').read_bytes() == b'picture'
    assert (tmp_path / 'pretrained/esr_9/Net-Branch_1.pt').read_bytes() == b'weights'
    assert any('not be used commercially' in line for line in lines)
    asked = len(shelf.asked)
    opendr_files.download(tmp_path, 'data', address, pause_s=0)
    assert len(shelf.asked) == asked == 4


def test_the_authors_files_are_taken_one_by_one_and_checked_when_no_address_is_given(web, tmp_path, monkeypatch):
    shelf, address = web
    pieces = [opendr_files.Piece(f'weights/{name}', name, f'sha256:{hashlib.sha256(name.encode()).hexdigest()}')
              for name in ('Net-Base-Shared_Representations.pt', 'Net-Branch_1.pt')]
    shelf.files.update({f'/{piece.place}': piece.name.encode() for piece in pieces})
    monkeypatch.setitem(opendr_files.MODES, 'pretrained',
                        opendr_files.MODES['pretrained']._replace(pieces=tuple(pieces)))
    monkeypatch.setattr(opendr_files, 'OPENDR_URL', f'{address}/nothing')
    good = shelf.files.pop('/weights/Net-Branch_1.pt')
    with pytest.raises(DownloadFailed, match='404.*404.*By hand'):
        opendr_files.download(tmp_path, 'pretrained', authors_url=address + '/', pause_s=0)
    assert not (tmp_path / 'pretrained' / 'esr_9').exists()
    shelf.files['/weights/Net-Branch_1.pt'] = good
    result = opendr_files.download(tmp_path, 'pretrained', authors_url=address + '/', pause_s=0)
    assert names(result) == ['Net-Base-Shared_Representations.pt', 'Net-Branch_1.pt']
    assert [path for path, _ in shelf.asked].count('/weights/Net-Base-Shared_Representations.pt') == 1
    assert names(tmp_path / 'pretrained') == ['esr_9']


def test_opendr_s_server_is_asked_when_the_authors_is_not_there(web, tmp_path, monkeypatch):
    shelf, address = web
    shelf.files['/pretrained/esr_9.zip'] = zip_of({'esr_9/Net-Branch_1.pt': b'weights'})
    monkeypatch.setattr(opendr_files, 'OPENDR_URL', address)
    lines = []
    opendr_files.download(tmp_path, 'pretrained', authors_url='http://127.0.0.1:9/', report=lines.append, pause_s=0)
    assert (tmp_path / 'pretrained/esr_9/Net-Branch_1.pt').exists() and any('trying OpenDR' in line for line in lines)


def test_a_damaged_zip_does_not_stay(web, tmp_path):
    shelf, address = web
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'AffectNet_micro/x': CONTENT})[:-30]
    with pytest.raises(DownloadFailed, match='a whole zip expected'):
        opendr_files.download(tmp_path, 'data', address, pause_s=0)
    assert names(tmp_path / 'data') == []
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'AffectNet_micro/x': CONTENT})
    opendr_files.download(tmp_path, 'data', address, pause_s=0)
    assert (tmp_path / 'data/AffectNet_micro/x').read_bytes() == CONTENT


def test_a_zip_that_unpacks_to_far_more_does_not_fill_the_disk(web, tmp_path, monkeypatch):
    shelf, address = web
    mode = opendr_files.MODES['data']._replace(most_bytes=100_000)
    monkeypatch.setitem(opendr_files.MODES, 'data', mode)
    for bomb in ({'AffectNet_micro/zeros': bytes(400_001)}, {f'AffectNet_micro/{n}': b'' for n in range(98)}):
        shelf.files['/data/AffectNet_micro.zip'] = zip_of(bomb)
        with pytest.raises(DownloadFailed, match='at most 0.4 are expected'):
            opendr_files.download(tmp_path, 'data', address, pause_s=0)
        assert names(tmp_path / 'data') == []
    shelf.files['/data/AffectNet_micro.zip'] = CONTENT
    with pytest.raises(DownloadFailed, match='at most 0.1 MB expected'):
        opendr_files.download(tmp_path, 'data', address, pause_s=0)


def test_an_archive_is_compared_with_the_hash_behind_its_address(web, tmp_path):
    shelf, address = web
    good = zip_of({'esr_9/Net-Branch_1.pt': b'weights'})
    shelf.files['/pretrained/esr_9.zip'] = good + b'exchanged'
    pinned = f'{address}/#sha256={hashlib.sha256(good).hexdigest().upper()}'
    with pytest.raises(DownloadFailed, match='somebody exchanged or damaged it'):
        opendr_files.download(tmp_path, 'pretrained', pinned, pause_s=0)
    assert names(tmp_path / 'pretrained') == []
    shelf.files['/pretrained/esr_9.zip'] = good
    lines = []
    opendr_files.download(tmp_path, 'pretrained', pinned, report=lines.append, pause_s=0)
    assert names(tmp_path / 'pretrained') == ['esr_9', 'esr_9.zip'] and not any('hash' in line for line in lines)
    opendr_files.download(tmp_path / 'other', 'pretrained', address, report=lines.append, pause_s=0)
    assert any(f'#sha256={hashlib.sha256(good).hexdigest()} behind url' in line for line in lines)
    with pytest.raises(BadParameter, match="got '#md5=0'"):
        opendr_files.download(tmp_path, 'data', address + '#md5=0', pause_s=0)


def test_a_zip_cannot_write_outside_its_folder(web, tmp_path):
    shelf, address = web
    shelf.files['/data/AffectNet_micro.zip'] = zip_of({'../../evil': b'x', '/evil': b'x', 'AffectNet_micro/x': b'x'})
    opendr_files.download(tmp_path / 'home', 'data', address, pause_s=0)
    assert names(tmp_path) == ['home']
    assert names(tmp_path / 'home' / 'data') == ['AffectNet_micro', 'AffectNet_micro.zip']


@pytest.mark.parametrize('mode', ['data', 'pretrained', 'demo_image', 'demo_video'])
def test_the_manual_way_is_told_when_the_machine_is_off_line(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(opendr_files, 'OPENDR_URL', 'ftp://127.0.0.1:9')
    with pytest.raises(DownloadFailed) as caught:
        opendr_files.download(tmp_path, mode, authors_url='http://127.0.0.1:9/', pause_s=0)
    text = str(caught.value)
    assert 'By hand' in text and str(tmp_path) in text and opendr_files.MODES[mode].file in text
    assert ('github.com' in text) == (mode != 'data')


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(BadParameter, match='data, pretrained, demo_image, demo_video, got'):
        opendr_files.download(tmp_path, 'weights')
    with pytest.raises(UserWarning):
        opendr_files.download(tmp_path, 'weights')
