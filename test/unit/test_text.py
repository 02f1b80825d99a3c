"""Texts of others are harmless where they are shown."""

import csv
import io
import os
import sys

import pytest

from facial_emotion_ros.core.errors import BadBag, BadImage, one_line
from facial_emotion_ros.core.text import (
    cell,
    print_while_read,
    printable,
    public_address,
    public_file,
    public_text,
    show,
    uncell,
    without_secrets,
)


@pytest.mark.parametrize(
    'text, shown',
    [
        ('/camera/image', '/camera/image'),
        ('Zoë 愛', 'Zoë 愛'),
        ('\x1b[2J', r'\x1b[2J'),
        ('a\nb\r', r'a\x0ab\x0d'),
        ('\x9b31m', r'\x9b31m'),
        ('\u202egnp.exe', r'\u202egnp.exe'),
        (os.fsdecode(b'caf\xe9'), r'caf\xe9'),
        ('\ud800', r'\ud800'),
        ('', ''),
    ],
)
def test_a_text_can_be_printed_when_it_holds_anything(text, shown):
    assert printable(text) == shown
    assert printable(text).encode('utf-8').decode() == shown


@pytest.mark.parametrize(
    'address, shown',
    [
        ('rtsp://host:554/live/1', 'rtsp://host:554/live/1'),
        ('rtsp://admin:secret@host/live', 'rtsp://host/live'),
        ('http://host/video.mjpg?user=admin&pwd=secret', 'http://host/video.mjpg'),
        ('http://admin:secret@[::1]:80/video#secret', 'http://[::1]:80/video'),
        ('rtsp://host:554/user=admin_password=secret_channel=1.sdp?real', 'rtsp://host:554/user'),
        ('rtsp://admin:sec/ret@host/live', 'rtsp://host/live'),
        ('rtsp://admin:sec?ret@host/live', 'rtsp://...'),
        ('http://host/live?mail=a@b.c&pwd=secret', 'http://host/live'),
        ('http://us?er:secret@host/live', 'http://...'),
        ('rtspsrc user-pw=secret location=rtsp://host/live', 'rtsp://host/live'),
        ('/dev/video0', '/dev/video0'),
    ],
)
def test_an_address_is_shown_without_user_and_password(address, shown):
    assert public_address(address) == shown


@pytest.mark.parametrize(
    'place, shown',
    [
        ('https://me:hush@host/a/b.mcap?token=hush', 'https://host/a/b.mcap'),
        ('s3://rides/me@work/study=1/b#2.mcap', 's3://rides/me@work/study=1/b#2.mcap'),
        ('/rides/what?.mcap', '/rides/what?.mcap'),
        ('https://me:hu\'sh"ed@host/b.mcap?token=hu\'sh"ed', 'https://host/b.mcap'),
        ('zip://a/b.mcap::https://me:hush@host/rides.zip?token=hush', 'zip://a/b.mcap::https://host/rides.zip'),
        ('abfs://rides@us.dfs.core.windows.net/b.mcap?sig=hush', 'abfs://rides@us.dfs.core.windows.net/b.mcap'),
        ('simplecache::abfss://rides@us/me@work/b.mcap', 'simplecache::abfss://rides@us/me@work/b.mcap'),
        ('zip://b.mcap::abfs://rides@us/c.zip?sig=hush', 'zip://b.mcap::abfs://rides@us/c.zip'),
        ('zip://me@work/b?.mcap::/rides/me@work/c.zip', 'zip://me@work/b?.mcap::/rides/me@work/c.zip'),
        ('simplecache::zip://b.mcap::s3://key:hush@rides/c.zip', 'simplecache::zip://b.mcap::s3://rides/c.zip'),
        ('s3://key:hush@rides/a::sftp://me:hush@host/b', 's3://rides/a::sftp://host/b'),
        ('https://me:hush::s3://hush@host/b', 'https://...::s3://host/b'),
        ('https://me:hush::hush::hush@host/b', 'https://host/b'),
        ('abfs://me:hush@us/b.mcap', 'abfs://us/b.mcap'),
        ('abfs://rides@me:hush@us/b.mcap', 'abfs://rides@us/b.mcap'),
    ],
)
def test_a_url_of_a_recording_is_shown_without_secrets_wherever_it_stands(place, shown, capsys):
    show(f"got '{place}', {place}: see {place}.")
    assert capsys.readouterr().out == f"got '{shown}', {shown}: see {shown}.\n"
    assert str(BadBag(place)) == shown
    assert public_file(place) == public_file(shown) == shown


@pytest.mark.parametrize(
    'url, text, shown',
    [
        ('abfs://rides@us/b.mcap?sig=hush', 'rides@us/c.mcap', 'rides@us/c.mcap'),
        ('abfs://me:hush@us/b.mcap', 'me:hush@us/c.mcap', 'us/c.mcap'),
        ('s3://rides/me@work/b.mcap', 'rides/me@work/c.mcap', 'rides/me@work/c.mcap'),
        ('https://host/live?mail=a@b.c&pwd=hush', 'host/live?mail=a@b.c&pwd=hush', 'host/live'),
        ('https://me:hu?sh@host/b.mcap', 'me:hu?sh@host/c.mcap', 'host/c.mcap'),
        ('https://me:hush@host/b?mail=a@b', 'me:hush@host/c.mcap', 'host/c.mcap'),
        ('sftp://me42:h%20ush@host/home/b', 'no me42 with h ush at host', 'no ... with ... at host'),
        ('ftp://data:data@host/b?part=true', 'true: user data has a data folder', 'true: user ... has a ... folder'),
        ('s3://a:b@bucket/x', 'a recording at s3://a:b@bucket/x', 'a recording at s3://bucket/x'),
        ('x://?', 'what? no idea?', 'what? no idea?'),
        ('sftp://me@host/home/me/b', 'not there: /home/me/b', 'not there: /home/me/b'),
        ('s3://rides/b?sig=hu%2Fsh', "{'sig': 'hu/sh'} is old", "{'sig': '...'} is old"),
        ('zip://b::sftp://me:hush@host/c', 'hush at s3://me:hush@host', '... at s3://host'),
        ('https://me:hu sh@host/b', 'got https://me:hu sh@host/b', 'got https://host/b'),
        ('/rides/me@work?', 'not there: /rides/me@work?', 'not there: /rides/me@work?'),
    ],
)
def test_secrets_of_a_known_url_are_left_out_wherever_they_stand(url, text, shown):
    assert without_secrets(text, url) == shown
    assert one_line(KeyError(text), url).replace('"', "'") == f'KeyError: {str(KeyError(shown))}'.replace('"', "'")


@pytest.mark.parametrize('odd', ["'" * 20000, '["' * 10000, 'a://' * 5000, '@' * 20000, 'a::' * 1200 + 'b://c'])
def test_an_odd_text_is_shown_at_once(odd):
    assert public_text('got a://h/x?q=' + odd) and one_line(ValueError('a://' + odd), odd) and public_file(odd)


def test_each_url_of_a_text_loses_its_own_secrets(capsys):
    show("'https://host/a','https://me:hush@host/b','s3://rides/c?sig=hush'")
    assert capsys.readouterr().out == "'https://host/a','https://host/b','s3://rides/c'\n"


@pytest.mark.parametrize(
    'encoding, shown', [('ascii', r'Zo\xeb \u611b'), ('latin-1', r'Zoë \u611b'), ('utf-8', 'Zoë 愛')]
)
@pytest.mark.parametrize('print_text', [show, print_while_read])
def test_a_text_is_shown_when_the_stream_lacks_its_characters(print_text, encoding, shown, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr('sys.stdout', stream)
    print_text('Zoë 愛')
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == shown + '\n'


def test_line_ends_stay_when_they_shall():
    assert printable('a\n\x1b', keep='\n') == 'a\n' + r'\x1b'


@pytest.mark.parametrize(
    'value, shown',
    [
        ('=1+1', "'=1+1"),
        ('@sum', "'@sum"),
        ('+1', '+1'),
        ('+x', "'+x"),
        ('-0.25', '-0.25'),
        ('-x', "'-x"),
        ('\tx', r'\x09x'),
        ("'=1+1", "''=1+1"),
        ("'tis", "'tis"),
        ('/image', '/image'),
        (-1.5, -1.5),
        (None, None),
        ('', ''),
        ('a=b', 'a=b'),
    ],
)
def test_a_cell_is_no_formula_when_it_begins_like_one(value, shown):
    assert cell(value) == shown


@pytest.mark.parametrize(
    'name', ['=cmd|calc', "'=x", "''-1", "'tis", '-0.25', '\t=x', '\r=x', 'a,"b"\r\nc\rd', '=a\n=b', '', "'"]
)
def test_a_name_is_the_same_when_it_was_written_for_a_table_and_read_again(name):
    text = io.StringIO(newline='')
    csv.writer(text).writerow([cell(name, '\t\n\r'), 'end'])
    found, end = next(csv.reader(io.StringIO(text.getvalue(), newline='')))
    assert uncell(found) == name and end == 'end'
    assert found in ('', '-0.25') or found[0] not in '=+-@\t\r\n'


def test_an_error_shows_no_control_characters_when_it_quotes_a_name():
    assert str(BadImage('\x1b]0;x\x07 is no picture\nnext line')) == r'\x1b]0;x\x07 is no picture' + '\nnext line'


@pytest.mark.skipif(sys.version_info < (3, 10), reason='tables are written on workstations, by Python 3.10 or later')
def test_a_table_holds_no_formula_when_a_name_is_one(tmp_path):
    tables = pytest.importorskip('facial_emotion_ros.recordings.evaluation.tables')
    columns = [tables.FRAMES[0], tables.FRAMES[13]._replace(name='=valence')]
    table = tables.CsvTable(str(tmp_path / 'frames.csv'), columns)
    table.add([('=cmd|calc', -0.5), ('@\x1b', '-0.5')])
    table.close()
    assert (tmp_path / 'frames.csv').read_text() == "camera,'=valence\n'=cmd|calc,-0.5\n'@\\x1b,-0.5\n"
