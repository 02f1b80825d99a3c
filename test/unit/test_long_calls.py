"""Programs that wait for a stream end soon after Ctrl-C, whatever hangs."""

import signal
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest

PICTURE = cv2.imencode('.jpg', np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8))[1].tobytes()
STREAM = b'HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n' + 20 * (
    b'--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n' % (len(PICTURE), PICTURE)
)


def is_asleep(process):
    """Tell whether a process's main thread waits, as native code does for a stream."""
    with open('/proc/%d/stat' % process.pid, encoding='ascii') as file:
        return file.read().rpartition(')')[2].split()[0] == 'S'


@pytest.mark.skipif(
    cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends(), reason='this OpenCV was built without FFmpeg'
)
@pytest.mark.parametrize('begun', [False, True])
def test_a_program_ends_soon_after_ctrl_c_when_the_server_of_its_stream_is_silent(tmp_path, begun):
    with socket.create_server(('127.0.0.1', 0)) as server:
        program = subprocess.Popen(
            [sys.executable, '-m', 'facial_emotion_ros.cli.collect_faces', '--output', str(tmp_path / 'faces')]
            + ['--person', 'ann', '--consent', 'yes', '--camera', 'http://127.0.0.1:%d/live' % server.getsockname()[1]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        stream, _ = server.accept()
        if begun:
            stream.sendall(STREAM)
            assert program.stdout.readline().startswith('neutral')
        while not is_asleep(program):
            pass
        program.send_signal(signal.SIGINT)
        output = program.communicate(timeout=6)[0]
    assert program.returncode == 130 and 'Traceback' not in output, output
    assert not begun or '0 pictures were taken into' in output
