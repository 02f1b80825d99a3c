"""Cache of TensorRT engines, which take minutes to build: one folder for each model, runtime and board."""

import ctypes
import logging
import os
import platform
import re
import tempfile
from typing import TYPE_CHECKING

import onnxruntime

from facial_emotion_ros.core.resources import cache_folder

if TYPE_CHECKING:
    from facial_emotion_ros.inference.model_bundle import ModelBundle

#: TensorRT's library, in the versions of Jetsons and current desktops.
_LIBRARIES = ('libnvinfer.so.10', 'libnvinfer.so.8', 'libnvinfer.so.7', 'libnvinfer.so')
#: The board's name, also readable in containers. An engine runs on one kind of GPU only.
_BOARD_FILE = '/proc/device-tree/model'

_log = logging.getLogger(__name__)


def tensorrt_version() -> str:
    """Return the version of TensorRT's library on this machine, like '8201'; '' where there is none."""
    for library in _LIBRARIES:
        try:
            return str(int(ctypes.CDLL(library).getInferLibVersion()))
        except (OSError, AttributeError):
            continue
    return ''


def board(path: str = _BOARD_FILE) -> str:
    """Return the board's name, like 'nvidia-jetson-agx-xavier'; without one, the processor's architecture."""
    try:
        with open(path, 'rb') as stream:
            text = stream.read(256).decode('ascii', 'replace')
    except OSError:
        text = ''
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-') or platform.machine() or 'unknown'


class EngineCache:
    """A root folder with one folder for each combination of model, runtime and board."""

    def __init__(self, root: str = ''):
        """Set the root; nothing is made yet.

        :param root: absolute or relative path, ~ is the user's home; '' for the user's cache folder.
        """
        self.root = os.path.abspath(os.path.expanduser(root)) if root else cache_folder('engines')
        self._has_warned = False

    def folder(self, bundle: 'ModelBundle', precision: str, face_batch: int) -> str:
        """Make the folder of a model's engines.

        :param bundle: the model; its hash is part of the folder's name.
        :param precision: TensorRT's precision.
        :param face_batch: the fixed batch, 0 for none.
        :returns: its path; '' if it is not writable: engines are then built at each start, with one warning.
        """
        path = os.path.join(self.root, self.key(bundle, precision, face_batch))
        try:
            os.makedirs(path, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                _log.warning(
                    'Folder %s is not writable (%s): TensorRT builds its engines at every start, which takes '
                    'minutes; correct inference.engine_cache',
                    path,
                    error.strerror,
                )
            return ''

    @staticmethod
    def key(bundle: 'ModelBundle', precision: str, face_batch: int) -> str:
        """Return the folder's name: the model's hash, ONNX Runtime, TensorRT, the board, precision and batch."""
        return '%s-%s-ort%s-trt%s-%s-%s-b%d' % (
            re.sub(r'[^A-Za-z0-9_.]+', '_', bundle.name)[:64],
            bundle.sha256[:16],
            onnxruntime.__version__,
            tensorrt_version() or 'none',
            board(),
            precision,
            face_batch,
        )


def kept_engines(folder: str) -> int:
    """Count the engines in a folder; 0 where there is none."""
    try:
        return sum(name.endswith('.engine') for name in os.listdir(folder))
    except OSError:
        return 0
