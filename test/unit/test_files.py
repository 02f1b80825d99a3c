"""Files that are there whole or not at all."""

import os

import pytest
from small_disk import small_disk

from facial_emotion_ros.core.files import replace_atomic, write_atomic


def test_the_former_file_stays_and_the_error_names_it_when_the_disk_is_full(tmp_path):
    with small_disk(tmp_path / 'disk', 16) as disk:
        path = str(disk.path / 'figures.json')
        write_atomic(path, b'former')
        with pytest.raises(OSError, match='No space.*figures.json'):
            write_atomic(path, bytes(1 << 20))
        with open(path, 'rb') as file:
            assert file.read() == b'former'
        assert os.listdir(str(disk.path)) == ['figures.json']


def test_each_of_two_writers_of_a_file_succeeds_and_neither_leaves_a_trace(tmp_path):
    path = str(tmp_path / 'choices.json')
    (tmp_path / '.choices.json.part').write_text('left by a killed writer')

    def write(part):
        with open(part, 'wb') as file:
            file.write(b'first')
        write_atomic(path, b'second')  # another writer begins and ends meanwhile
        assert (tmp_path / 'choices.json').read_bytes() == b'second'

    replace_atomic(path, write)
    assert (tmp_path / 'choices.json').read_bytes() == b'first' and os.listdir(str(tmp_path)) == ['choices.json']
