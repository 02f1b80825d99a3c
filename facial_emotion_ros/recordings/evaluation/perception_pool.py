"""Processes that detect and estimate the faces of a recording's images, which lie in memory that they share."""

import logging
import mmap
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import reduction
from tempfile import TemporaryFile
from typing import Any, NamedTuple, TypeVar

import numpy as np

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.face_detector import Faces
from facial_emotion_ros.perception.image_rotation import rotated
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline, TrackedImage
from facial_emotion_ros.recordings.evaluation.evaluator import open_pipeline
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.worker_processes import CONTEXT, begin_worker, ctrl_c_waits, starting

#: The faces of so many images are estimated together: with one face in each, the network takes 3.3 ms for it in place
#: of 4.7, and 3.0 for eight.
TOGETHER = 4

#: Images of up to this size are shared, 33 million pixels: of the memory, only what is used is taken.
_PART_BYTES = 100_000_000


#: In place of an image that is shared.
_ELSEWHERE = np.empty((0, 0, 3), np.uint8)

_Found = TypeVar('_Found')


def timed(function: Callable[[Any], _Found], given: Any) -> tuple[_Found, float]:
    """Call a function; give what it returned, and its seconds."""
    began_s = time.perf_counter()
    return function(given), time.perf_counter() - began_s


class _Place(NamedTuple):
    """Where an image lies: number of its part of the memory, and its height and width."""

    part: int
    height: int
    width: int


#: An image for another process: its place; the image itself where there is none for it.
SharedImage = Any


class _SharedMemory:
    """Memory for images, which every process sees. It has no name, and is gone with the last process that uses it."""

    def __init__(self, parts: int, file: int | None = None):
        self._parts, self._free = parts, list(range(parts))
        if file is None:
            file = os.memfd_create('images') if hasattr(os, 'memfd_create') else os.dup(TemporaryFile().fileno())
            os.ftruncate(file, parts * _PART_BYTES)
        self._file, self._memory = file, mmap.mmap(file, parts * _PART_BYTES)

    def __reduce__(self):
        return _opened, (self._parts, reduction.DupFd(self._file))

    def close(self):
        os.close(self._file)

    def put(self, image: np.ndarray) -> SharedImage:
        """Copy an image into the memory, where it is small enough."""
        if image.nbytes > _PART_BYTES or not self._free:
            return image
        place = _Place(self._free.pop(), *image.shape[:2])
        np.copyto(self.image(place), image)
        return place

    def image(self, shared: SharedImage) -> np.ndarray:
        """Give an image that another process has put."""
        if not isinstance(shared, _Place):
            return shared
        part, height, width = shared
        pixels = np.frombuffer(self._memory, np.uint8, height * width * 3, part * _PART_BYTES)
        return pixels.reshape(height, width, 3)

    def free(self, shared: SharedImage) -> None:
        """Have another image take its place."""
        if isinstance(shared, _Place):
            self._free.append(shared.part)


def _opened(parts, file):
    return _SharedMemory(parts, file.detach())


class PerceptionPool:
    """Processes with the models of an evaluation.

    detecting, estimating: number of images to detect in, and of groups to estimate, at a time, so that no process
    waits.
    """

    def __init__(self, options: Options, processes: int):
        """Start them; to be used with `with`.

        :param options: of the evaluation.
        :param processes: their number, at least 1.
        :raises FacialEmotionError: if they cannot share memory, or be started.
        """
        self.detecting, self.estimating = processes + 3, processes // 2 + 2
        with starting('--processes'):  # Python's tracker of resources
            try:
                self._memory = _SharedMemory(self.detecting + (self.estimating + 2) * TOGETHER + 1)
                self._executor = ProcessPoolExecutor(processes, CONTEXT, _begin, (self._memory, options))
            except (OSError, ImportError) as error:  # such as no /dev/shm, or a limit of memory
                raise FacialEmotionError(
                    f'the processes cannot share memory here ({error}); leave out --processes'
                ) from error
        try:
            with starting('--processes'):
                for _ in range(processes):
                    self._executor.submit(_pipelines)
        except BaseException:
            self._end(at_once=True)
            raise

    def _end(self, at_once: bool) -> None:
        with ctrl_c_waits():  # an executor that is interrupted while it ends leaves processes that never do
            if at_once:
                for process in list((getattr(self._executor, '_processes', None) or {}).values()):
                    process.kill()
            with suppress(RuntimeError):  # of its thread, which the system did not start
                self._executor.shutdown(cancel_futures=True)
            self._memory.close()

    def __enter__(self) -> 'PerceptionPool':
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *rest: Any) -> None:
        """End them.

        :raises FacialEmotionError: if one of them has crashed.
        """
        self._end(at_once=error is not None)
        if isinstance(error, BrokenProcessPool):
            raise FacialEmotionError(
                'one of the processes that work on the recording was killed or crashed (was there enough memory?); '
                'run the same command again, with fewer --processes if it was memory'
            ) from error

    def share(self, image: np.ndarray) -> SharedImage:
        """Show an image to the processes, until :meth:`free`."""
        return self._memory.put(image)

    def free(self, shared: SharedImage) -> None:
        """Have no process use an image any more."""
        self._memory.free(shared)

    def detect(self, shared: SharedImage) -> 'Future[tuple[Faces, float]]':
        """Begin EmotionPipeline.detect; the result is with its seconds."""
        return self._executor.submit(_detect, shared)

    def estimate(
        self, bundle: int, images: Sequence[tuple[SharedImage, TrackedImage]]
    ) -> 'Future[tuple[list[list[FaceEstimate]], float]]':
        """Begin EmotionPipeline.estimate_tracked; the result is with its seconds.

        :param bundle: number of the network among those of the options.
        :param images: each, not rotated, with its faces.
        """
        return self._executor.submit(
            _estimate, bundle, [(shared, tracked._replace(image=_ELSEWHERE)) for shared, tracked in images]
        )


# What follows is called in the processes.

_memory: _SharedMemory
_options: Options
_loaded: list[EmotionPipeline] = []


def _begin(memory: _SharedMemory, options: Options) -> None:
    global _memory, _options
    begin_worker(1)
    _memory, _options = memory, options


def _pipelines() -> None:
    if not _loaded:
        loaded: list[EmotionPipeline] = []
        logging.disable(logging.WARNING)  # such as that of a missing provider, which the command has logged
        for bundle in _options.bundles or ('',):
            loaded.append(open_pipeline(bundle, _options, loaded[0].detector if loaded else None))
        logging.disable(logging.NOTSET)
        _loaded.extend(loaded)


def _detect(shared: SharedImage) -> tuple[Faces, float]:
    _pipelines()
    return timed(_loaded[0].detect, _memory.image(shared))


def _estimate(
    bundle: int, images: Sequence[tuple[SharedImage, TrackedImage]]
) -> tuple[list[list[FaceEstimate]], float]:
    _pipelines()
    tracked = [each._replace(image=rotated(_memory.image(shared), each.degrees)) for shared, each in images]
    return timed(_loaded[bundle].estimate_tracked, tracked)
