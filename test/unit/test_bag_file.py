"""Recordings of every kind are read; of damaged ones, what is left, and what is wrong is said."""

import os
import shutil
import sqlite3
import tempfile

import cv2
import numpy as np
import pytest
from small_disk import small_disk

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.content_hash import hash_of
from facial_emotion_ros.recordings.io.frames import read_frames
from facial_emotion_ros.recordings.io.message_types import (
    COMPRESSED_IMAGE,
    IMAGE,
    as_ros2,
    header,
    make,
    make_image,
    typestore,
)
from facial_emotion_ros.recordings.io.sample_bag import CAMERA, START_NS, write_sample_bag
from facial_emotion_ros.recordings.io.scratch import zstandard
from facial_emotion_ros.recordings.io.writer import BagWriter

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

JPEG = CAMERA + '/compressed'
COUNT = 10


def write_images(path, images, topic=CAMERA, storage='mcap', begin_ns=START_NS):
    """Write raw images of 4 x 4 px, ten a second; `images` are brightnesses, or messages."""
    with BagWriter(path, storage) as bag:
        for number, image in enumerate(images):
            stamp_ns = begin_ns + number * 10**8
            if isinstance(image, int):
                image = make_image(header(stamp_ns), np.full((4, 4, 3), image, np.uint8))
            bag.add(topic, stamp_ns, image)
    return path


@pytest.fixture(scope='module')
def samples(tmp_path_factory):
    """A second of film in each kind of file: {(storage, transport): folder}."""
    folder = tmp_path_factory.mktemp('samples')
    found = {}
    for storage in ('mcap', 'sqlite3'):
        for transport in ('raw', 'compressed'):
            found[storage, transport] = str(folder / f'{storage}_{transport}')
            write_sample_bag(found[storage, transport], 1.0, COUNT, transport, 160, 120, storage)
    return found


def the_file(folder):
    """Return the one file of messages in a recording."""
    return next(os.path.join(folder, name) for name in os.listdir(folder) if name != 'metadata.yaml')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('transport', ['raw', 'compressed'])
@pytest.mark.parametrize('as_file', [False, True])
def test_images_come_in_order_with_their_stamps_when_a_recording_is_read(samples, storage, transport, as_file):
    path = samples[storage, transport]
    with BagFile(the_file(path) if as_file else path) as bag:
        topic = JPEG if transport == 'compressed' else CAMERA
        assert bag.cameras() == [topic] and bag.topics[topic].count == COUNT
        assert bag.duration_s == pytest.approx(0.9, 0.02)
        frames = list(read_frames(bag, bag.cameras()))
        assert bag.faults == []
    assert [frame.number for frame in frames] == list(range(COUNT))
    assert [frame.stamp_ns - START_NS for frame in frames] == [number * 10**8 for number in range(COUNT)]
    assert all(frame.receive_ns == frame.stamp_ns + 4_000_000 and frame.frame_id == 'camera' for frame in frames)
    assert all(frame.image.shape == (120, 160, 3) and frame.fault == '' for frame in frames)
    assert np.ptp(frames[0].image) > 100


def test_the_same_bytes_come_out_when_the_sample_is_made_again(tmp_path, samples):
    write_sample_bag(tmp_path / 'mcap_compressed', 1.0, COUNT, 'compressed', 160, 120)
    assert hash_of(tmp_path / 'mcap_compressed') == hash_of(samples['mcap', 'compressed'])


def test_a_recording_keeps_its_hash_when_it_is_moved_and_not_when_a_bit_is_turned(tmp_path, samples):
    moved = shutil.copytree(samples['mcap', 'raw'], tmp_path / 'elsewhere')
    name = the_file(moved)
    (moved / 'out').mkdir()
    (moved / 'report.html').write_text('a page')  # what else lies beside it does not count
    assert hash_of(moved) == hash_of(samples['mcap', 'raw'])
    with open(name, 'r+b') as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))
    assert hash_of(moved) != hash_of(samples['mcap', 'raw'])


def test_bad_images_are_told_and_the_others_come_when_a_recording_holds_both(tmp_path):
    torn = make(
        IMAGE, header=header(START_NS), height=4, width=4, encoding='bgr8', step=12, data=np.zeros(47, np.uint8)
    )
    depth = make(
        IMAGE, header=header(START_NS), height=4, width=4, encoding='32FC1', step=16, data=np.zeros(64, np.uint8)
    )
    path = write_images(tmp_path / 'bag', [1, torn, 2, depth, 3])
    with BagFile(path) as bag:
        frames = list(read_frames(bag, [CAMERA]))
    assert [frame.image is None for frame in frames] == [False, True, False, True, False]
    assert '48 bytes' in frames[1].fault and '32FC1' in frames[3].fault


def test_a_damaged_jpeg_and_bytes_that_are_no_message_are_told_when_they_lie_in_a_recording(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        begun = np.frombuffer(b'\xff\xd8\xffxx', np.uint8)
        cut = make(COMPRESSED_IMAGE, header=header(START_NS), format='jpeg', data=begun)
        bag.add(JPEG, START_NS, cut)
        bag.write(JPEG, COMPRESSED_IMAGE, START_NS + 1, b'\0\1\0\0\xff\xff\xff\xff\xff')
    with BagFile(tmp_path / 'bag') as bag:
        frames = list(read_frames(bag, [JPEG]))
    assert len(frames) == 2 and 'JPEG file' in frames[0].fault and 'cannot be decoded' in frames[1].fault


def test_an_image_with_bit_errors_is_read_and_named_when_it_lies_in_a_recording(tmp_path):
    whole = cv2.imencode('.jpg', np.arange(6400, dtype=np.uint8).reshape(80, 80))[1].tobytes()
    with BagWriter(tmp_path / 'bag') as bag:
        for number, content in enumerate((whole, whole[:-2] + b'\x55' * 500 + whole[-2:])):
            image = make(
                COMPRESSED_IMAGE, header=header(START_NS + number), format='jpeg', data=np.frombuffer(content, np.uint8)
            )
            bag.add(JPEG, START_NS + number, image)
    with BagFile(tmp_path / 'bag') as bag:
        good, damaged = read_frames(bag, [JPEG])
    assert (good.image is None, good.damage, damaged.image is None) == (False, '', False)
    assert damaged.damage.startswith('Corrupt JPEG data')


def test_an_image_gets_the_time_of_recording_when_its_camera_does_not_stamp(tmp_path):
    image = make(IMAGE, height=4, width=4, encoding='bgr8', step=12, data=np.zeros(48, np.uint8))
    with BagFile(write_images(tmp_path / 'bag', [image])) as bag:
        assert next(iter(read_frames(bag, [CAMERA]))).stamp_ns == START_NS


def large_image():
    """Return an image message of 1.4 MB."""
    return make_image(header(START_NS), np.zeros((600, 800, 3), np.uint8))


@pytest.mark.parametrize('share', [0.3, 0.7, 0.98])
def test_what_is_left_is_read_when_an_mcap_file_was_cut(tmp_path, share):
    path = write_images(tmp_path / 'big', [large_image()] * 10)
    with open(the_file(path), 'r+b') as file:
        file.truncate(int(share * os.path.getsize(the_file(path))))
    os.remove(path / 'metadata.yaml')
    with BagFile(path) as bag:
        frames = list(read_frames(bag, bag.cameras()))
        list(bag.messages())  # an end that is reached again is told once
        assert any('damaged' in fault for fault in bag.faults) and any('lost' in fault for fault in bag.faults)
        assert sum('cannot be read beyond' in fault for fault in bag.faults) == 1
    assert abs(len(frames) - 10 * share) <= 1.5 and all(frame.image is not None for frame in frames)


def test_what_is_left_is_read_when_a_sqlite_file_was_cut(tmp_path):
    path = write_images(tmp_path / 'bag', [number % 250 for number in range(2000)], storage='sqlite3')
    with open(the_file(path), 'r+b') as file:
        file.truncate(os.path.getsize(the_file(path)) // 2 // 4096 * 4096)
    with BagFile(path) as bag:
        frames = list(read_frames(bag, bag.cameras()))
        assert any('damaged' in fault for fault in bag.faults), bag.faults
        assert any('cannot be read beyond' in fault for fault in bag.faults), bag.faults
    assert 500 < len(frames) < 1500 and [frame.image[0, 0, 0] for frame in frames[:3]] == [0, 1, 2]


def test_the_others_are_read_when_one_file_of_several_is_empty(tmp_path):
    path = write_images(tmp_path / 'bag', [1, 2])
    os.remove(path / 'metadata.yaml')
    open(path / 'later.mcap', 'w').close()
    with BagFile(path) as bag:
        assert len(list(bag.messages())) == 2 and any('later.mcap, which is empty' in fault for fault in bag.faults)


@pytest.mark.parametrize(
    'make_path, said',
    [
        (lambda folder: folder / 'nowhere', 'does not exist'),
        (lambda folder: folder, 'holds no .mcap'),
        (lambda folder: write_bytes(folder / 'a.mcap', b''), 'empty'),
        (lambda folder: write_bytes(folder / 'a.mcap', b'x' * 500), 'nothing can be read'),
        (lambda folder: write_bytes(folder / 'a.db3', b'x' * 5000), 'nothing can be read'),
        (lambda folder: write_bytes(folder / 'a.bag', b'#ROSBAG V2.0\n'), 'cannot be read'),
        (lambda folder: write_bytes(folder / 'a.txt', b'hello'), 'cannot be read'),
    ],
)
def test_one_sentence_says_what_is_wrong_when_nothing_can_be_read(tmp_path, make_path, said):
    with pytest.raises(BadBag, match=said), BagFile(make_path(tmp_path)):
        pass


def write_bytes(path, content):
    """Write a file and return its path."""
    path.write_bytes(content)
    return path


def test_only_cameras_are_listed_when_depth_masks_and_crops_are_recorded_too(tmp_path):
    others = ('/a/depth/image_raw', '/mask', '/x/debug/image', '/humans/faces/abcde/cropped')
    names = ('/a/image_raw', '/a/image_raw/compressed', '/b/image/compressed', *others)
    write_topics(tmp_path / 'bag', dict.fromkeys(names, 1))
    with BagFile(tmp_path / 'bag') as bag:
        assert bag.cameras() == ['/a/image_raw', '/b/image/compressed']


def write_topics(path, counts):
    """Write a recording with topics of images: {name: number of messages}."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, count in counts.items():
            kind = COMPRESSED_IMAGE if name.endswith('compressed') else IMAGE
            connection = writer.add_connection(name, kind, typestore=typestore())
            for number in range(count):
                writer.write(connection, START_NS + number, typestore().serialize_cdr(make(kind), kind))
    return path


def test_a_raw_topic_without_images_does_not_hide_the_compressed_one(tmp_path):
    with BagFile(write_topics(tmp_path / 'bag', {'/a/image': 0, '/a/image/compressed': 2, '/b/image': 1})) as bag:
        assert bag.cameras() == ['/a/image/compressed', '/b/image']
    with BagFile(write_topics(tmp_path / 'empty', {'/a/image': 0, '/a/image/compressed': 0})) as bag:
        assert bag.cameras() == ['/a/image']


def test_topics_that_are_left_out_by_name_can_be_listed_when_they_hold_images(tmp_path):
    odd = ('/cam/infra1/image_rect_raw', '/cam/ir/image', '/cam/depth_registered/image', '/thermal/image', '/debug')
    with BagFile(write_topics(tmp_path / 'bag', dict.fromkeys((*odd, '/cam/color/image', '/first/image'), 1))) as bag:
        assert bag.cameras() == ['/cam/color/image', '/first/image'] and bag.left_out() == sorted(odd)


def images_of(path, faults=()):
    """Read all images of the first camera: their brightness, and the faults that were told."""
    with BagFile(path) as bag:
        frames = list(read_frames(bag, bag.cameras()))
        assert len(frames) == sum(bag.topics[name].count for name in bag.cameras())
        return [frame.image if frame.image is None else int(frame.image[0, 0, 0]) for frame in frames], bag.faults


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_recording_is_refused_while_it_is_written_and_read_afterwards(tmp_path, storage):
    path = write_images(tmp_path / 'bag', range(6), storage=storage)
    os.utime(the_file(path))
    with open(the_file(path), 'r+b'):
        with pytest.raises(BadBag, match='still being written'):
            images_of(path)
        os.utime(the_file(path), (0, 0))  # as on a network file system, which grants no lease
        assert images_of(path)[0] == list(range(6))
    assert images_of(path)[0] == list(range(6))


@pytest.fixture
def unclosed(tmp_path):
    """A sqlite3 recording as a power cut leaves it: ten images, of which the last six lie in the write-ahead log."""
    path = write_images(tmp_path / 'bag', range(10), storage='sqlite3')
    name = the_file(path)
    database = sqlite3.connect(name)
    rows = database.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id').fetchall()
    database.execute('DELETE FROM messages WHERE id > 4')
    database.commit()
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('PRAGMA wal_autocheckpoint=0')
    database.executemany('INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)', rows[4:])
    database.commit()
    cut = tmp_path / 'cut' / 'walk_0.db3'
    cut.parent.mkdir()
    for log in ('', '-wal'):
        shutil.copyfile(name + log, str(cut) + log)
    database.close()
    return cut


@pytest.mark.parametrize('as_file', [False, True])
def test_images_in_the_log_are_read_and_nothing_is_written_when_a_database_was_not_closed(unclosed, as_file):
    def state():
        return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in unclosed.parent.iterdir()}

    before = state()
    images, faults = images_of(unclosed if as_file else unclosed.parent)
    assert images == list(range(10)) and any('was not closed' in fault for fault in faults)
    assert state() == before
    with BagFile(unclosed) as bag:
        scratch = bag._storages[0].scratch.name
        assert os.path.isdir(scratch)
    assert not os.path.exists(scratch)


def test_the_folder_for_copies_is_named_when_the_log_finds_no_room_there(unclosed, tmp_path, monkeypatch):
    size = sum(each.stat().st_size for each in unclosed.parent.iterdir())
    with small_disk(tmp_path / 'small', size // 1024 + 8) as disk:  # both files, but not what SQLite keeps beside them
        monkeypatch.setattr(tempfile, 'tempdir', str(disk.path))
        with pytest.raises(BadBag, match='TMPDIR'):
            images_of(unclosed)


def test_a_recording_has_another_hash_when_its_log_has(unclosed):
    before = [hash_of(unclosed), hash_of(unclosed.parent)]
    log = unclosed.parent / 'walk_0.db3-wal'
    log.write_bytes(log.read_bytes()[:-1])
    assert not set(before) & {hash_of(unclosed), hash_of(unclosed.parent)}


def test_the_rest_is_read_when_the_log_is_damaged(unclosed):
    log = unclosed.parent / 'walk_0.db3-wal'
    log.write_bytes(b'x' * len(log.read_bytes()))
    images, faults = images_of(unclosed)
    assert images == [0, 1, 2, 3] and any('was not closed' in fault for fault in faults)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('mode', ['FILE', 'MESSAGE'])
@pytest.mark.parametrize('with_metadata', [False, True])
def test_compressed_recordings_are_read_with_and_without_metadata(tmp_path, storage, mode, with_metadata):
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    plain, path = write_images(tmp_path / 'plain', range(6), storage=storage), tmp_path / 'walk'
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with BagFile(plain) as bag, writer:
        connection = writer.add_connection(CAMERA, IMAGE, typestore=typestore())
        for message in bag.messages():
            writer.write(connection, message.receive_ns, message.cdr)
    if not with_metadata:
        os.remove(path / 'metadata.yaml')
    for each in [path] if with_metadata else [path, the_file(path)]:
        images, faults = images_of(each)
        assert images == list(range(6))
        assert faults == (
            [] if with_metadata or each != path else ['metadata.yaml is missing; 1 file is read in name order']
        )


def test_the_begin_is_read_when_a_compressed_file_was_cut(tmp_path):
    zstd, generator = zstandard(), np.random.default_rng(0)
    big = [make_image(header(START_NS), generator.integers(0, 255, (600, 800, 3), np.uint8)) for _ in range(8)]
    with open(the_file(write_images(tmp_path / 'bag', big)), 'rb') as file:
        packed = zstd.compress(file.read())
    (tmp_path / 'cut.mcap.zstd').write_bytes(packed[: len(packed) // 2])
    with BagFile(tmp_path / 'cut.mcap.zstd') as bag:
        assert bag.name == 'cut' and 1 <= len(list(read_frames(bag, [CAMERA]))) < 8
        assert any('decompressed as far as possible' in fault for fault in bag.faults), bag.faults


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_types_are_known_when_they_are_written_without_msg(tmp_path, storage):
    path = write_images(tmp_path / 'bag', [7, 8], storage=storage)
    name = the_file(path)
    if storage == 'mcap':
        rewrite_schema(name, 'sensor_msgs/Image')
    else:
        database = sqlite3.connect(name)
        for table, column in (('topics', 'type'), ('message_definitions', 'topic_type')):
            database.execute(f"UPDATE {table} SET {column} = 'sensor_msgs/Image'")
        database.commit()
        database.close()
    os.remove(path / 'metadata.yaml')
    images, faults = images_of(path)
    assert images == [7, 8] and len(faults) == 1
    with BagFile(path) as bag:
        assert bag.topics[CAMERA].msgtype == IMAGE


def rewrite_schema(path, name, encoding='ros2msg', message_encoding='cdr', serialize=None, text=None, order=None):
    """Write an mcap file anew with another spelling of its type, or without an index in an order, as other tools do."""
    from mcap.writer import Writer

    with BagFile(path) as bag:
        messages = [
            (message.receive_ns, message.cdr if serialize is None else serialize(message.read()))
            for message in bag.messages()
        ]
        text = text or bag._storages[0]._definitions[IMAGE][1]
    with open(path, 'wb') as file:
        writer = Writer(file, use_chunking=order is None)
        writer.start('ros2' if order else '')
        schema = writer.register_schema(name, encoding, text.encode())
        channel = writer.register_channel(CAMERA, message_encoding, schema)
        for receive_ns, content in [messages[place] for place in order or range(len(messages))]:
            writer.add_message(channel, receive_ns, content, receive_ns)
        writer.finish()


def test_an_mcap_file_of_another_tool_is_refused_when_its_types_are_damaged(tmp_path):
    from mcap.writer import CompressionType, Writer

    path = tmp_path / 'other.mcap'
    with open(path, 'wb') as file:
        writer = Writer(file, compression=CompressionType.NONE, enable_crcs=False)
        writer.start()
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data')
        writer.add_message(writer.register_channel('/text', 'cdr', schema), 1, b'\0\1\0\0\1\0\0\0\0', 1)
        writer.finish()
    path.write_bytes(path.read_bytes().replace(b'ros2msg', b'\xb0os2msg', 1))  # where messages are; the index is whole
    with pytest.raises(BadBag, match='other.mcap, of which nothing can be read'), BagFile(path):
        pass


@pytest.mark.parametrize('as_file', [False, True])
def test_all_images_are_read_when_an_mcap_file_has_no_index_and_is_not_in_order(tmp_path, as_file):
    path = write_images(tmp_path / 'bag', [1, 2, 3, 4, 5])
    rewrite_schema(the_file(path), IMAGE, order=[0, 2, 1, 3, 4])
    with BagFile(the_file(path) if as_file else path) as bag:
        assert [int(frame.image[0, 0, 0]) for frame in read_frames(bag, [CAMERA])] == [1, 3, 2, 4, 5]
        assert bag.faults == []
        assert [message.receive_ns for message in bag.messages(start_s=0.15)] == [
            START_NS + number * 10**8 for number in (2, 3, 4)
        ]


def test_images_of_ros_1_are_read_when_they_lie_in_an_mcap_file(tmp_path):
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)

    def of_ros1(image):
        stamp = store.types['builtin_interfaces/msg/Time'](sec=image.header.stamp.sec, nanosec=7)
        head = store.types['std_msgs/msg/Header'](seq=1, stamp=stamp, frame_id='eye')
        return bytes(
            store.serialize_ros1(
                store.types[IMAGE](
                    header=head, height=4, width=4, encoding='bgr8', is_bigendian=0, step=12, data=image.data
                ),
                IMAGE,
            )
        )

    path = write_images(tmp_path / 'bag', [5, 6])
    name = the_file(path)
    rewrite_schema(name, 'sensor_msgs/Image', 'ros1msg', 'ros1', of_ros1, store.generate_msgdef(IMAGE)[0])
    images, faults = images_of(name)
    assert images == [5, 6] and faults == []
    with BagFile(name) as bag:
        message = next(iter(bag.messages()))
        assert message.read().header.frame_id == 'eye'
        assert typestore().deserialize_cdr(message.cdr, IMAGE).header.stamp.nanosec == 7


def test_nothing_is_left_when_writing_a_recording_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / 'bag') as bag:
        bag.add(CAMERA, START_NS, make(IMAGE))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_an_existing_recording_stays_when_another_would_take_its_place(tmp_path, samples):
    before = hash_of(samples['mcap', 'raw'])
    with pytest.raises(BadBag, match='which exists'):
        write_sample_bag(samples['mcap', 'raw'])
    assert hash_of(samples['mcap', 'raw']) == before


def test_images_of_ros_1_are_read_when_the_recording_is_a_bag_file(tmp_path):
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    kind = store.types['std_msgs/msg/Header']
    time = store.types['builtin_interfaces/msg/Time']
    with Writer(tmp_path / 'old.bag') as bag:
        connection = bag.add_connection('/camera/image_raw', IMAGE, typestore=store)
        for number in range(3):
            head = kind(seq=number, stamp=time(sec=100 + number, nanosec=5), frame_id='eye')
            image = store.types[IMAGE](
                header=head, height=4, width=4, encoding='bgr8', is_bigendian=0, step=12, data=np.full(48, 7, np.uint8)
            )
            bag.write(connection, (100 + number) * 10**9, store.serialize_ros1(image, IMAGE))
    with BagFile(tmp_path / 'old.bag') as bag:
        frames = list(read_frames(bag, bag.cameras()))
        cdr = next(iter(bag.messages())).cdr
    assert [frame.stamp_ns for frame in frames] == [(100 + number) * 10**9 + 5 for number in range(3)]
    assert frames[0].image.tolist() == np.full((4, 4, 3), 7).tolist() and frames[0].frame_id == 'eye'
    assert typestore().deserialize_cdr(cdr, IMAGE).header.frame_id == 'eye'


def test_a_type_that_ros_2_lacks_is_refused_when_it_should_be_turned():
    with pytest.raises(BadBag, match='exists in ROS 2'):
        as_ros2(object(), 'my_msgs/msg/Own')


def test_a_sqlite_recording_reads_on_when_the_order_of_its_rows_is_not_that_of_time(tmp_path):
    path = write_images(tmp_path / 'bag', [1, 2, 3], storage='sqlite3')
    connection = sqlite3.connect(the_file(path))
    connection.execute('UPDATE messages SET timestamp = timestamp - 1000000000 WHERE id = 3')
    connection.commit()
    connection.close()
    with BagFile(the_file(path)) as bag:
        assert [frame.image[0, 0, 0] for frame in read_frames(bag, [CAMERA])] == [3, 1, 2]


def test_parts_are_read_as_people_count_when_metadata_is_missing(tmp_path):
    folder = tmp_path / 'a [1] folder.bag'
    folder.mkdir()
    for number in range(12):
        path = write_images(tmp_path / f'part_{number}', [number], begin_ns=START_NS + number * 10**9)
        shutil.move(the_file(path), folder / f'walk_{number}.mcap')
    with BagFile(folder) as bag:
        assert [frame.image[0, 0, 0] for frame in read_frames(bag, [CAMERA])] == list(range(12))
        assert bag.name == 'a [1] folder.bag' and bag.topics[CAMERA].count == 12
        assert bag.faults == ['metadata.yaml is missing; 12 files are read in name order']


def test_both_types_are_known_when_a_topic_has_two(tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for number, kind in enumerate((IMAGE, 'std_msgs/msg/String')):
            connection = writer.add_connection(CAMERA, kind, typestore=typestore())
            writer.write(connection, START_NS + number, typestore().serialize_cdr(make(kind), kind))
    with BagFile(tmp_path / 'bag') as bag:
        assert bag.cameras() == [CAMERA] and len(list(bag.messages())) == 1
        assert bag.faults == [f'{CAMERA} is recorded as {IMAGE} and as std_msgs/msg/String: only the former is read']


def test_nothing_is_left_when_a_recording_cannot_be_closed(tmp_path, monkeypatch):
    from rosbags.rosbag2 import Writer

    def fail(self):
        raise OSError(28, 'No space left on device')

    with pytest.raises(OSError, match='No space'), BagWriter(tmp_path / 'bag') as bag:
        bag.add(CAMERA, START_NS, make(IMAGE))
        monkeypatch.setattr(Writer, 'close', fail)
    assert os.listdir(tmp_path) == []
