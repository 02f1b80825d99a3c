"""OpenDR's types: Image, Category and the settings of learners."""

import os
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadImage, BadParameter
from facial_emotion_ros.perception.image_files import read_picture


class WrongType(BadParameter, TypeError):
    """A setting of another type; also a TypeError, as in OpenDR."""


class UsageError(BadParameter, UserWarning):
    """A call in the wrong state; also a UserWarning, as in OpenDR."""


class Image:
    """An image of three planes, RGB.

    (H, W, 3) is BGR as in OpenCV and is converted; (3, H, W) is kept: integers are RGB, floats, as from data sets, BGR.
    """

    def __init__(self, data: Any = None, dtype: Any = None, guess_format: bool = True) -> None:
        """Take an image.

        :param data: (H, W, 3) BGR, (3, H, W), or one plane (H, W, 1) or (1, H, W): array, torch tensor or sequence.
        :param dtype: numpy dtype; None for float32 from floats, else uint8.
        :param guess_format: convert (H, W, 3) to planes; otherwise the array is kept.
        :raises BadImage: if it is no image, or integers are not in 0 to 255.
        """
        if data is None:
            raise BadImage('expected an image, got None; was the file read?')
        pixels = _array(data)
        if pixels.ndim != 3 or not pixels.size:
            raise BadImage(f'expected an image of shape (H, W, 3) or (3, H, W), got {pixels.shape}')
        is_last = guess_format and pixels.shape[2] in (1, 3) and not (pixels.shape[0] == 3 and _is_tensor(data))
        #: Order of the planes: 'rgb' or 'bgr'.
        self.channel_order = 'bgr' if pixels.dtype.kind == 'f' and not is_last else 'rgb'
        if is_last:
            pixels = pixels[:, :, ::-1].transpose(2, 0, 1)
        self.dtype = np.dtype(dtype or (np.float32 if pixels.dtype.kind == 'f' else np.uint8))
        self.data = pixels

    @property
    def data(self) -> np.ndarray:
        """The planes, (3, H, W)."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        pixels = _array(data)
        if pixels.ndim != 3:
            raise BadImage(f'expected an image of three dimensions, got {pixels.shape}')
        if self.dtype == np.uint8 and pixels.dtype != np.uint8:
            whole = pixels.dtype.kind in 'iu'
            if not whole or pixels.min() < 0 or pixels.max() > 255:
                came = f'{pixels.min()} to {pixels.max()}' if whole else str(pixels.dtype)
                raise BadImage(f'expected integers from 0 to 255 for uint8, got {came}; scale them, or set dtype')
        self._data = np.ascontiguousarray(pixels, self.dtype)

    def numpy(self) -> np.ndarray:
        """Return a copy of the planes."""
        return self.data.copy()

    def opencv(self) -> np.ndarray:
        """Return the image as (H, W, 3) BGR, or (H, W, 1)."""
        return self.convert('channels_last', 'bgr')

    def convert(self, format: str = 'channels_first', channel_order: str = 'rgb') -> np.ndarray:
        """Return a copy in another layout.

        :param format: 'channels_first' or 'channels_last'.
        :param channel_order: 'rgb' or 'bgr'.
        :raises BadParameter: for other values.
        """
        if format not in ('channels_first', 'channels_last') or channel_order not in ('rgb', 'bgr'):
            raise BadParameter(
                f'expected channels_first or channels_last, and rgb or bgr, got {format!r} and {channel_order!r}'
            )
        planes = self.data if channel_order == self.channel_order else self.data[::-1]
        return np.ascontiguousarray(planes if format == 'channels_first' else planes.transpose(1, 2, 0)).copy()

    @classmethod
    def open(cls, filename: str | os.PathLike[str]) -> 'Image':
        """Read an image file.

        :raises FileNotFoundError: if there is no such file.
        :raises BadImage: if it is no image.
        """
        if not os.path.exists(filename):
            raise FileNotFoundError(f'{filename}: there is no such file')
        try:
            return cls(read_picture(os.fspath(filename)))
        except BadImage as error:
            raise BadImage(f'{filename}: {error}') from None

    def __str__(self) -> str:
        return str(self.data)


class Category:
    """A class with its confidence.

    data: index in EMOTIONS.
    confidence: score in [0, 1], a scalar tensor; or None.
    description: name of the class, 'Neutral' to 'Contempt'; or None.
    """

    def __init__(
        self,
        prediction: int | None = None,
        description: str | None = None,
        confidence: Any = None,
        data: int | None = None,
    ) -> None:
        """Take the fields, in OpenDR's order; `data` is another name for `prediction`.

        :raises BadParameter: if a field has another type.
        """
        data = prediction if data is None else data
        if isinstance(data, bool) or not isinstance(data, (int, np.integer)):
            raise BadParameter(f'expected the index of a class, got {data!r}')
        if description is not None and not isinstance(description, str):
            raise BadParameter(f'expected the name of a class as description, got {description!r}')
        if isinstance(confidence, str):
            raise BadParameter(
                f'expected a number as confidence, got {confidence!r}; the order is prediction, description, confidence'
            )
        self.data = int(data)
        self.confidence = confidence
        self.description = description

    def __str__(self) -> str:
        named = f' ({self.description})' if self.description else ''
        sure = '' if self.confidence is None else f' with confidence {float(self.confidence):.3f}'
        return f'Class {self.data}{named}{sure}'

    def __repr__(self) -> str:
        return f'<{self}>'


class _Setting:
    """A typed attribute; converts int to float and paths to str."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, learner: Any, owner: type | None = None) -> Any:
        return self if learner is None else learner.__dict__[self._name]

    def __set__(self, learner: Any, value: Any) -> None:
        kind = self._kind
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is str and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise WrongType(f'{self._name}: expected {kind.__name__}, got {value!r}')
        learner.__dict__[self._name] = value


class LearnerSettings:
    """The typed attributes of all OpenDR learners."""

    lr = _Setting(float)
    iters = _Setting(int)
    batch_size = _Setting(int)
    optimizer = _Setting(str)
    lr_schedule = _Setting(str)
    backbone = _Setting(str)
    network_head = _Setting(str)
    checkpoint_after_iter = _Setting(int)
    checkpoint_load_iter = _Setting(int)
    temp_path = _Setting(str)
    device = _Setting(str)
    threshold = _Setting(float)
    scale = _Setting(float)

    def __init__(self, lr: float, batch_size: int, temp_path: str, device: str) -> None:
        """Set the used attributes; the others get OpenDR's defaults."""
        self.lr, self.batch_size, self.temp_path, self.device = lr, batch_size, temp_path, device
        self.iters, self.optimizer, self.lr_schedule = 10, 'sgd', ''
        self.backbone, self.network_head = 'default', ''
        self.checkpoint_after_iter = self.checkpoint_load_iter = 0
        self.threshold, self.scale = 0.0, 1.0


def _is_tensor(data: Any) -> bool:
    return hasattr(data, 'detach')


def _array(data: Any) -> np.ndarray:
    try:
        return np.asarray(data.detach().cpu() if _is_tensor(data) else data)
    except (TypeError, ValueError) as error:
        raise BadImage(f'expected an image, got {type(data).__name__} ({error})') from error
