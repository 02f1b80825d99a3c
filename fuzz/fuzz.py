"""Fuzz what reads foreign bytes, guided by coverage (atheris).

    python fuzz/fuzz.py picture --seconds 60        # or bundle, bag, truth, ferplus
    python fuzz/fuzz.py picture --file FINDING      # one input again

Each input must be read or refused with an error of ours, within 30 s and 2 GB. One that does something else ends the
run with status 1, and is kept in the folder that --findings names.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

#: Bounds of one input.
TIMEOUT_S, MEMORY_MB, MOST_BYTES = 30, 2048, 1 << 16
#: Between the manifest and the model in an input of `bundle`.
SEPARATOR = b'\n--model--\n'
#: The first byte of an input of `bag` chooses one.
SUFFIXES = ('.mcap', '.db3', '.bag', '.mcap.zstd')


def picture(folder):
    """Fuzz the decoder of JPEG and PNG, and the header check of all picture files."""
    import cv2
    import numpy as np

    from facial_emotion_ros.core.errors import BadImage
    from facial_emotion_ros.perception.compressed_image import decode_compressed
    from facial_emotion_ros.perception.image_formats import check_picture

    image = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)
    seeds = [
        cv2.imencode(suffix, image, options)[1].tobytes()
        for suffix, options in (
            ('.jpg', []),
            ('.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            ('.jpg', [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
            ('.png', []),
            ('.ppm', []),
            ('.bmp', []),
            ('.tiff', []),
            ('.webp', []),
        )
    ]
    # JPEG 2000 halves the sides five times.
    seeds.append(cv2.imencode('.jp2', np.kron(image, np.ones((4, 4, 1), np.uint8)))[1].tobytes())

    def read(content):
        try:  # only the header: of the other kinds the rest is OpenCV's own code
            check_picture(content)
        except BadImage:
            pass
        if not content.startswith((b'\xff\xd8', b'\x89PNG')):
            return
        pixels = decode_compressed(content)
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8

    return seeds, read


def bundle(folder):
    """Fuzz the reader of model bundles; the hashes are made to fit, so that what lies behind them is reached."""
    import hashlib

    import onnx

    from facial_emotion_ros.inference.bundle_manifest import DIGEST, manifest_digest
    from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    result = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    weights = onnx.helper.make_tensor('w', onnx.TensorProto.FLOAT, [2], [1, 2])
    graph = onnx.helper.make_graph([node], 'small', [value], [result], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 13)], ir_version=7)
    seeds = []
    for name in ('centerface', 'esr_9_ferplus'):
        with open(os.path.join(embedded_bundle(name), 'manifest.json'), 'rb') as file:
            manifest = json.load(file)
        manifest['model'].update(opset=13, ir_version=7)
        seeds.append(json.dumps(manifest).encode() + SEPARATOR + model.SerializeToString())

    def read(content):
        text, _, model_bytes = content.partition(SEPARATOR)
        try:
            manifest = json.loads(text)
            manifest['model'].update(
                file='model.onnx', bytes=len(model_bytes), sha256=hashlib.sha256(model_bytes).hexdigest()
            )
            manifest['model'][DIGEST] = manifest_digest(manifest)
            text = json.dumps(manifest).encode()
        except Exception:  # then the reader gets what there is
            pass
        for name, part in (('manifest.json', text), ('model.onnx', model_bytes)):
            with open(os.path.join(folder, name), 'wb') as file:
                file.write(part)
        ModelBundle.open(folder)

    return seeds, read


def bag(folder):
    """Fuzz the reader of recordings."""
    import numpy as np
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    from facial_emotion_ros.core.errors import FacialEmotionError
    from facial_emotion_ros.recordings.io.bag_file import BagFile
    from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

    seeds = []
    for place, storage in enumerate(('mcap', 'sqlite3')):
        home = os.path.join(folder, storage)
        write_sample_bag(home, seconds=0.2, rate_hz=10.0, width=64, height=48, storage=storage)
        [path] = [os.path.join(home, name) for name in os.listdir(home) if not name.endswith('.yaml')]
        with open(path, 'rb') as file:
            seeds.append(bytes([place]) + file.read())
    path = os.path.join(folder, 'first.bag')
    types = get_typestore(Stores.ROS1_NOETIC)
    with Writer(path) as writer:
        kind = types.types['sensor_msgs/msg/CompressedImage']
        header = types.types['std_msgs/msg/Header'](0, types.types['builtin_interfaces/msg/Time'](1, 2), 'camera')
        connection = writer.add_connection('/camera/compressed', kind.__msgtype__, typestore=types)
        message = kind(header, 'jpeg', np.frombuffer(b'\xff\xd8\xff\xd9', np.uint8))
        writer.write(connection, 1, types.serialize_ros1(message, kind.__msgtype__))
    with open(path, 'rb') as file:
        seeds.append(bytes([2]) + file.read())

    def read(content):
        path = os.path.join(folder, 'fuzzed' + SUFFIXES[content[0] % len(SUFFIXES) if content else 0])
        with open(path, 'wb') as file:
            file.write(content[1:])
        with BagFile(path) as opened:
            for count, message in enumerate(opened.messages()):
                try:
                    message.read()
                except FacialEmotionError:
                    pass  # one of a recording's messages is damaged; the rest is read
                if count > 100:
                    break

    return seeds, read


def truth(folder):
    """Fuzz the reader of truth from CSV files."""
    from facial_emotion_ros.recordings.evaluation.ground_truth import Intervals

    seeds = [
        b'start,end,face,emotion\n0,1.5,any,happy\n2,3,abcde,sad\n',
        b'start,end,valence,arousal\n0,1,0.5,-0.25\n',
        b'Time,Subject,Behavior,Status\n0,a,happy,START\n1.5,a,happy,STOP\n',
        b'\xef\xbb\xbfface,start,end,emotion\n"a ""b""",1e9,2e9,surprise\n',
    ]

    def read(content):
        path = os.path.join(folder, 'truth.csv')
        with open(path, 'wb') as file:
            file.write(content)
        Intervals(path)

    return seeds, read


def ferplus(folder):
    """Fuzz the reader of FER+ from npz files."""
    import cv2
    import numpy as np

    from facial_emotion_ros.training.data.ferplus_files import read_ferplus

    coded = [cv2.imencode('.png', np.full((48, 48), shade, np.uint8))[1].ravel() for shade in (50, 200)]
    arrays = {
        'png': np.concatenate(coded),
        'offsets': np.cumsum([0] + [len(each) for each in coded]),
        'votes': np.full((2, 10), 1, np.uint8),
        'names': np.array(['0.png', '1.png'], 'S14'),
    }
    seeds = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **arrays)
        seeds.append(stream.getvalue())

    def read(content):
        path = os.path.join(folder, 'faces.npz')
        with open(path, 'wb') as file:
            file.write(_whole(content))
        read_ferplus(path)

    return seeds, read


def _whole(content):
    """Give a zip whose checksums fit, so that its arrays are reached; other bytes come back as they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as found:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, 'w') as made:
                for entry in found.infolist():
                    if entry.file_size > MOST_BYTES:
                        return content
                    with found.open(entry) as part:
                        part._expected_crc = None
                        made.writestr(entry.filename, part.read())
            return stream.getvalue()
    except Exception:
        return content


TARGETS = {each.__name__: each for each in (picture, bundle, bag, truth, ferplus)}


def run(target, folder, words):
    """Fuzz in this process, which ends with it.

    :param words: libFuzzer's own options.
    """
    import atheris

    # To instrument what a target does not read with costs seconds, and slows it down.
    readers = ['rosbags', 'mcap'] if target == 'bag' else []
    # The stores hold the messages of each distribution, and no code.
    with atheris.instrument_imports(include=['facial_emotion_ros', *readers], exclude=['rosbags.typesys.stores']):
        seeds, read = TARGETS[target](folder)
    corpus = os.path.join(folder, 'corpus')
    os.makedirs(corpus, exist_ok=True)
    for place, seed in enumerate(seeds):
        assert len(seed) <= MOST_BYTES, len(seed)
        read(seed)  # what is right has to be read
        with open(os.path.join(corpus, 'seed_%d' % place), 'wb') as file:
            file.write(seed)
    atheris.Setup([sys.argv[0], *words, corpus], lambda content: _tolerant(read, content))
    atheris.Fuzz()


def _tolerant(read, content):
    from facial_emotion_ros.core.errors import FacialEmotionError

    try:
        read(content)
    except FacialEmotionError:
        pass


def main(arguments=None):
    """Run a target in a process of its own, whose files are gone at the end.

    :returns: 0 if nothing was found.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('target', choices=sorted(TARGETS))
    parser.add_argument('--seconds', type=int, default=60, help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=1, help='of chance; default: %(default)s')
    parser.add_argument('--file', metavar='FINDING', help='read this one input, and no other')
    parser.add_argument('--findings', metavar='DIR', default='fuzz_findings', help='default: %(default)s')
    options = parser.parse_args(arguments)
    if options.file:
        with tempfile.TemporaryDirectory() as folder, open(options.file, 'rb') as file:
            _tolerant(TARGETS[options.target](folder)[1], file.read())
        return 0
    os.makedirs(options.findings, exist_ok=True)
    prefix = os.path.join(os.path.abspath(options.findings), options.target + '-')
    words = [
        '-max_total_time=%d' % options.seconds,
        '-seed=%d' % options.seed,
        '-timeout=%d' % TIMEOUT_S,
        '-rss_limit_mb=%d' % MEMORY_MB,
        '-max_len=%d' % MOST_BYTES,
        '-artifact_prefix=' + prefix,
        '-print_final_stats=1',
    ]
    with tempfile.TemporaryDirectory() as folder:
        code = 'import sys; sys.path.insert(0, %r); from fuzz import run; run(*sys.argv[1:3], sys.argv[3:])'
        ran = subprocess.run(
            [sys.executable, '-c', code % os.path.dirname(os.path.abspath(__file__)), options.target, folder, *words],
            check=False,
        )
    return 1 if ran.returncode else 0


if __name__ == '__main__':
    sys.exit(main())
