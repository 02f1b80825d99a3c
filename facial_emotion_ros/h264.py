"""H.264, which every browser plays, by an ffmpeg program: a process of its own, fed with images through a pipe."""
import errno
import functools
import os
import shutil
import subprocess
import tempfile

import numpy as np

#: So long ffmpeg may take to list its encoders, or to end.
_PATIENCE_S = 60.0


@functools.lru_cache(maxsize=None)
def h264_program() -> str:
    """
    Find an ffmpeg that encodes H.264 by libx264: that of the package imageio-ffmpeg, else the system's.

    :returns: its path, '' where there is none.
    """
    for program in (_packaged(), shutil.which('ffmpeg')):
        try:
            if program and b'libx264 ' in subprocess.check_output(
                    [program, '-hide_banner', '-loglevel', 'error', '-encoders'], stderr=subprocess.DEVNULL,
                    stdin=subprocess.DEVNULL, env=_environment(), timeout=_PATIENCE_S):
                return program
        except (OSError, subprocess.SubprocessError):
            continue
    return ''


class H264Writer:
    """Encodes images into an mp4 file that can be played while it is still being fetched."""

    def __init__(self, program, path, rate_hz, size):
        """
        Begin it.

        :param program: path of an ffmpeg.
        :param path: of the file, which ends in .mp4.
        :param rate_hz: images a second.
        :param size: width and height of all images, px; odd ones get a black row or column, for H.264 takes even ones.
        :raises OSError: if the program cannot be started.
        """
        self._told = tempfile.TemporaryFile()
        # One thread: the same bytes on every machine. A session of its own: Ctrl-C is meant for others.
        self._process = subprocess.Popen(
            [program, '-hide_banner', '-loglevel', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'bgr24',
             '-video_size', '%dx%d' % size, '-framerate', repr(float(rate_hz)), '-i', 'pipe:0',
             '-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'veryfast',
             '-crf', '23', '-threads', '1', '-movflags', '+faststart', '-fflags', '+bitexact', path],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._told, env=_environment(),
            start_new_session=True)

    def write(self, image):
        """
        Add an image.

        :param image: (height, width, 3) uint8 BGR.
        :raises OSError: if the encoder has ended, such as for a full disk.
        """
        try:
            self._process.stdin.write(np.ascontiguousarray(image).data)
        except BrokenPipeError:
            self._end()

    def release(self):
        """
        Finish the file.

        :raises OSError: if the disk did not take it.
        """
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._end()

    def discard(self):
        """End without finishing the file."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._told.close()

    def _end(self):
        """Wait for the encoder, and say what went wrong where something did."""
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._told.seek(0)
        said = ' '.join(self._told.read()[-2000:].decode('utf-8', 'replace').split())
        if code != 0 or said:
            number = errno.ENOSPC if 'No space left' in said else errno.EIO
            raise OSError(number, 'ffmpeg could not write the film (%s)' % (said[-200:] or 'it ended with %d' % code))


def _packaged():
    """Give the program of the package imageio-ffmpeg; None where that is not installed."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def _environment():
    """Give the environment without a path of libraries, which is meant for this process and no other program."""
    return {name: value for name, value in os.environ.items() if name != 'LD_LIBRARY_PATH'}
