"""Worker processes that detect and estimate the faces of a recording, with images in shared memory."""

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

#: Images per batch of the network: for one face per image, it takes 3.3 ms per face instead of 4.7 (3.0 with 8 images).
TOGETHER = 4

#: Size of an image slot, 33 megapixels; larger images are sent by pipe. Unused memory is not allocated.
_PART_BYTES = 100_000_000


#: Placeholder for a shared image.
_ELSEWHERE = np.empty((0, 0, 3), np.uint8)

_Found = TypeVar('_Found')


def timed(function: Callable[[Any], _Found], given: Any) -> tuple[_Found, float]:
    """Call a function; return its result and duration in s."""
    began_s = time.perf_counter()
    return function(given), time.perf_counter() - began_s


class _Place(NamedTuple):
    """An image's slot in shared memory, its height and width."""

    part: int
    height: int
    width: int


#: An image for another process: its _Place, or the image itself if it has none.
SharedImage = Any


class _SharedMemory:
    """Shared memory for images; anonymous, so that it is freed with the last process that uses it."""

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
        """Copy an image into a free slot, if it fits."""
        if image.nbytes > _PART_BYTES or not self._free:
            return image
        place = _Place(self._free.pop(), *image.shape[:2])
        np.copyto(self.image(place), image)
        return place

    def image(self, shared: SharedImage) -> np.ndarray:
        """Return a shared image."""
        if not isinstance(shared, _Place):
            return shared
        part, height, width = shared
        pixels = np.frombuffer(self._memory, np.uint8, height * width * 3, part * _PART_BYTES)
        return pixels.reshape(height, width, 3)

    def free(self, shared: SharedImage) -> None:
        """Free an image's slot."""
        if isinstance(shared, _Place):
            self._free.append(shared.part)


def _opened(parts, file):
    return _SharedMemory(parts, file.detach())


class PerceptionPool:
    """Processes with the models of an evaluation.

    detecting, estimating: number of images and of batches to keep in flight, so that no process is idle.
    """

    def __init__(self, options: Options, processes: int):
        """Start the processes; use with `with`.

        :param options: options of the evaluation.
        :param processes: their number, at least 1.
        :raises FacialEmotionError: if they cannot share memory or cannot be started.
        """
        self.detecting, self.estimating = processes + 3, processes // 2 + 2
        with starting('--processes'):  # starts Python's resource tracker
            try:
                self._memory = _SharedMemory(self.detecting + (self.estimating + 2) * TOGETHER + 1)
                self._executor = ProcessPoolExecutor(processes, CONTEXT, _begin, (self._memory, options))
            except (OSError, ImportError) as error:  # such as no /dev/shm, or a memory limit
                raise FacialEmotionError(f'cannot create shared memory ({error}); leave out --processes') from error
        try:
            with starting('--processes'):
                for _ in range(processes):
                    self._executor.submit(_pipelines)
        except BaseException:
            self._end(at_once=True)
            raise

    def _end(self, at_once: bool) -> None:
        with ctrl_c_waits():  # an executor interrupted during shutdown leaves processes that never end
            if at_once:
                for process in list((getattr(self._executor, '_processes', None) or {}).values()):
                    process.kill()
            with suppress(RuntimeError):  # its thread could not be started
                self._executor.shutdown(cancel_futures=True)
            self._memory.close()

    def __enter__(self) -> 'PerceptionPool':
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *rest: Any) -> None:
        """Stop the processes.

        :raises FacialEmotionError: if one of them has crashed.
        """
        self._end(at_once=error is not None)
        if isinstance(error, BrokenProcessPool):
            raise FacialEmotionError(
                'a worker process was killed or crashed (possibly out of memory); run the same command again, with '
                'fewer --processes if memory was short'
            ) from error

    def share(self, image: np.ndarray) -> SharedImage:
        """Share an image with the processes, until :meth:`free`."""
        return self._memory.put(image)

    def free(self, shared: SharedImage) -> None:
        """Release a shared image."""
        self._memory.free(shared)

    def detect(self, shared: SharedImage) -> 'Future[tuple[Faces, float]]':
        """Submit EmotionPipeline.detect; the result includes its duration in s."""
        return self._executor.submit(_detect, shared)

    def estimate(
        self, bundle: int, images: Sequence[tuple[SharedImage, TrackedImage]]
    ) -> 'Future[tuple[list[list[FaceEstimate]], float]]':
        """Submit EmotionPipeline.estimate_tracked; the result includes its duration in s.

        :param bundle: index of the network in the options.
        :param images: images, not rotated, with their faces.
        """
        return self._executor.submit(
            _estimate, bundle, [(shared, tracked._replace(image=_ELSEWHERE)) for shared, tracked in images]
        )


# The following functions run in the worker processes.

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
        logging.disable(logging.WARNING)  # the main process has already logged them
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
