"""What code written for OpenDR hands to a learner and gets from it: Image, Category, and a learner's settings."""

import os

import numpy as np

from facial_emotion_ros.errors import BadImage, BadParameter
from facial_emotion_ros.pictures import read_picture


class WrongType(BadParameter, TypeError):
    """A setting of another type; a TypeError too, because that is what OpenDR raises."""


class Misuse(BadParameter, UserWarning):
    """A method that makes no sense now; a UserWarning too, because that is what OpenDR raises."""


class Image:
    """A picture: three planes, red first, as OpenDR keeps it.

    (H, W, 3) is taken for OpenCV's order and turned round; (3, H, W) is taken as it is: whole numbers for red first,
    and floats, which only data sets give, for blue first, as these give them.
    """

    def __init__(self, data=None, dtype=None, guess_format=True):
        """Take a picture.

        :param data: (H, W, 3) blue first, (3, H, W), or one plane (H, W, 1) or (1, H, W): an array, a torch tensor or
            what numpy makes an array of.
        :param dtype: numpy's type to convert to; None keeps floats as float32 and makes all else uint8.
        :param guess_format: turn (H, W, 3) into planes; without it the array is kept as it is.
        :raises BadImage: if it is no picture, or whole numbers do not lie in 0 to 255.
        """
        if data is None:
            raise BadImage('a picture expected, got None; was the file read at all?')
        pixels = _array(data)
        if pixels.ndim != 3 or not pixels.size:
            raise BadImage(f'a picture of shape (H, W, 3) or (3, H, W) expected, got {pixels.shape}')
        is_last = guess_format and pixels.shape[2] in (1, 3) and not (pixels.shape[0] == 3 and _is_tensor(data))
        #: What the first plane is: 'rgb' or 'bgr'.
        self.channel_order = 'bgr' if pixels.dtype.kind == 'f' and not is_last else 'rgb'
        if is_last:
            pixels = pixels[:, :, ::-1].transpose(2, 0, 1)
        self.dtype = np.dtype(dtype or (np.float32 if pixels.dtype.kind == 'f' else np.uint8))
        self.data = pixels

    @property
    def data(self):
        """The planes, (3, H, W) of the type `dtype`."""
        return self._data

    @data.setter
    def data(self, data):
        pixels = _array(data)
        if pixels.ndim != 3:
            raise BadImage(f'a picture of three dimensions expected, got {pixels.shape}')
        if self.dtype == np.uint8 and pixels.dtype != np.uint8:
            whole = pixels.dtype.kind in 'iu'
            if not whole or pixels.min() < 0 or pixels.max() > 255:
                came = f'{pixels.min()} to {pixels.max()}' if whole else str(pixels.dtype)
                raise BadImage(f'whole numbers from 0 to 255 expected for uint8, got {came}; scale them, or give dtype')
        self._data = np.ascontiguousarray(pixels, self.dtype)

    def numpy(self):
        """Return a copy of the planes."""
        return self.data.copy()

    def opencv(self):
        """Return the picture as OpenCV wants it: (H, W, 3), blue first, or (H, W, 1)."""
        return self.convert('channels_last', 'bgr')

    def convert(self, format='channels_first', channel_order='rgb'):
        """Return the picture in the order that is wanted.

        :param format: 'channels_first' or 'channels_last'.
        :param channel_order: 'rgb' or 'bgr'.
        :returns: array of its own.
        :raises BadParameter: if either is something else.
        """
        if format not in ('channels_first', 'channels_last') or channel_order not in ('rgb', 'bgr'):
            raise BadParameter(
                f'channels_first or channels_last, and rgb or bgr, expected, got {format!r} and {channel_order!r}'
            )
        planes = self.data if channel_order == self.channel_order else self.data[::-1]
        return np.ascontiguousarray(planes if format == 'channels_first' else planes.transpose(1, 2, 0)).copy()

    @classmethod
    def open(cls, filename):
        """Read a picture file.

        :param filename: path.
        :returns: Image.
        :raises FileNotFoundError: if there is no such file.
        :raises BadImage: if it is no picture.
        """
        if not os.path.exists(filename):
            raise FileNotFoundError(f'{filename}: a picture expected, there is no such file')
        try:
            return cls(read_picture(os.fspath(filename)))
        except BadImage as error:
            raise BadImage(f'{filename}: {error}') from None

    def __str__(self):
        return str(self.data)


class Category:
    """A class, and how sure it is.

    data: place in EMOTIONS.
    confidence: the class's score, a tensor without dimensions in [0, 1] (`float()` makes it a number); or None.
    description: the class's name, 'Neutral' to 'Contempt'; or None.
    """

    def __init__(self, prediction=None, description=None, confidence=None, data=None):
        """Take the fields, by position in OpenDR's order.

        :param prediction: place in EMOTIONS.
        :param description: the class's name, or None.
        :param confidence: the class's score, a number or a tensor of one; or None.
        :param data: another name for `prediction`.
        :raises BadParameter: if the prediction is no whole number, the description no text or the confidence no number.
        """
        data = prediction if data is None else data
        if isinstance(data, bool) or not isinstance(data, (int, np.integer)):
            raise BadParameter(f'the number of a class expected, got {data!r}')
        if description is not None and not isinstance(description, str):
            raise BadParameter(f"a class's name expected as description, got {description!r}")
        if isinstance(confidence, str):
            raise BadParameter(f'a number expected as confidence, got {confidence!r}; the order is prediction, '
                               'description, confidence')
        self.data = int(data)
        self.confidence = confidence
        self.description = description

    def __str__(self):
        named = f' ({self.description})' if self.description else ''
        sure = '' if self.confidence is None else f' with confidence {float(self.confidence):.3f}'
        return f'Class {self.data}{named}{sure}'

    def __repr__(self):
        return f'<{self}>'


class _Setting:
    """An attribute of one type; what loses nothing is converted: 1 to 1.0, a path to a text."""

    def __init__(self, kind):
        self._kind = kind

    def __set_name__(self, owner, name):
        self._name = name

    def __get__(self, learner, owner=None):
        return self if learner is None else learner.__dict__[self._name]

    def __set__(self, learner, value):
        kind = self._kind
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is str and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise WrongType(f'{self._name}: a {kind.__name__} expected, got {value!r}')
        learner.__dict__[self._name] = value


class LearnerSettings:
    """The attributes that every learner of OpenDR has, with their types."""

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

    def __init__(self, lr, batch_size, temp_path, device):
        """Take those that this learner reads, and give the others, which it does not, OpenDR's defaults."""
        self.lr, self.batch_size, self.temp_path, self.device = lr, batch_size, temp_path, device
        self.iters, self.optimizer, self.lr_schedule = 10, 'sgd', ''
        self.backbone, self.network_head = 'default', ''
        self.checkpoint_after_iter = self.checkpoint_load_iter = 0
        self.threshold, self.scale = 0.0, 1.0


def _is_tensor(data):
    return hasattr(data, 'detach')


def _array(data):
    try:
        return np.asarray(data.detach().cpu() if _is_tensor(data) else data)
    except (TypeError, ValueError) as error:
        raise BadImage(f'a picture expected, got {type(data).__name__}, which is no array ({error})') from error
