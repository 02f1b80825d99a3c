"""Find faces in an image: boxes, scores and five landmarks, by CenterFace or by YuNet."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, NamedTuple, Sequence, Union

import cv2
import numpy as np

from facial_emotion_ros.engines import open_model
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.execution_providers import CPU, Provider, ProviderPlan
from facial_emotion_ros.image import check_image
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.process_memory import give_memory_back

#: Boxes of one face overlap more than this (intersection over union), those of two faces less.
MAX_OVERLAP = 0.3

#: More than this many boxes before suppression are noise; the best stay.
MAX_CANDIDATES = 1000


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one image, by falling score.

    :param boxes: (N, 4) float32, x0 y0 x1 y1 in pixels of the image, inside it.
    :param scores: (N,) float32 in [0, 1].
    :param landmarks: (N, 5, 2) float32, x y in pixels: the eye on the viewer's left, the other eye, nose, the corner of
        the mouth on the viewer's left, the other corner. They may lie outside an image that cuts the face.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self):
        """Return the number of faces N."""
        return len(self.scores)


class Candidates(NamedTuple):
    """Boxes before suppression, in pixels of the network's input."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


class FaceDetector(ABC):
    """What all detectors share; an architecture adds its outputs, its colour order and how to decode."""

    #: Scores below are no face, unless the caller says otherwise.
    MIN_SCORE = 0.5
    #: Only images smaller than this are enlarged, up to this and no more than twice. Measured: of 300 FER+ pictures
    #: (48 px, all face) 86% are found as they are, 97% enlarged twice, no more of them enlarged further.
    SMALL_SIDE_PX = 128

    def __init__(self, bundle: ModelBundle, min_score: float = None, long_side_px: int = 480, threads: int = 1,
                 providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,)):
        """Open the bundle's model.

        :param bundle: an opened bundle of this detector's architecture.
        :param min_score: in (0, 1]; None takes the architecture's own, which was measured.
        :param long_side_px: the image's long side is brought to this before detection; at least 32. More finds smaller
            faces and takes longer: time grows with its square.
        :param threads: of ONNX Runtime, at least 1.
        :param providers: execution providers, the wanted one first; or a ProviderPlan, which brings its own threads.
        :raises BadParameter: for a value of another type or range.
        :raises BadModel: if the model does not load, or has not the outputs of its architecture.
        """
        self.min_score = self.MIN_SCORE if min_score is None else min_score
        self.long_side_px = long_side_px
        if isinstance(self.min_score, bool) or not isinstance(self.min_score, (int, float)) \
                or not 0 < self.min_score <= 1:
            raise BadParameter(f'expected a least face score above 0 and up to 1, got {min_score!r}')
        if isinstance(long_side_px, bool) or not isinstance(long_side_px, int) or not 32 <= long_side_px <= 8192:
            raise BadParameter(f'expected a long side of 32 to 8192 pixels, got {long_side_px!r}')
        self._model = open_model(bundle, providers, threads)
        give_memory_back()  # what loading leaves
        self._input = bundle.manifest['input']
        self._outputs = self._output_names(bundle.manifest['outputs'])
        missing = sorted({self._input['name'], *self._outputs.values()} - self._model.names)
        if missing:
            raise BadModel(f'Model bundle {bundle.folder!r}: expected inputs and outputs {missing}, the model has '
                           f'{sorted(self._model.names)}; its manifest belongs to another model')

    @property
    def bundle(self) -> ModelBundle:
        """What runs, without its model's bytes once they are in memory as weights."""
        return self._model.bundle

    @property
    def provider(self) -> str:
        """The execution provider that really runs the model."""
        return self._model.provider

    @property
    def degraded(self) -> str:
        """Why that is not the one asked for; '' while it is."""
        return self._model.degraded

    def detect(self, image: np.ndarray, min_score: float = None) -> Faces:
        """Find the faces.

        :param image: (H, W, 3) uint8 BGR, H and W at least 1.
        :param min_score: in (0, 1]; None takes the detector's own.
        :returns: Faces, by falling score; none gives arrays of shape (0, 4), (0,), (0, 5, 2).
        :raises BadImage: if it is no such image.
        :raises BadModel: if the model's outputs are not finite, or have other shapes than its architecture's.
        """
        image = check_image(image)
        tensor, factors = self._fit(image)
        names = list(self._outputs)
        arrays = self._model.run([self._outputs[name] for name in names], {self._input['name']: tensor})
        for name, array in zip(names, arrays):
            if not np.isfinite(array).all():
                raise BadModel(f'{self.bundle.name} on {self.provider}: expected finite numbers in {name}, got NaN or '
                               'infinity; the model or the execution provider is faulty: try CPUExecutionProvider')
        with np.errstate(over='ignore', invalid='ignore'):  # infinity is caught below
            found = self._decode(dict(zip(names, arrays)), tensor.shape[2:],
                                 self.min_score if min_score is None else min_score)
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.landmarks).all()):
            raise BadModel(f'{self.bundle.name} on {self.provider}: expected finite face boxes, got infinite ones; '
                           'the model or the execution provider is faulty: try CPUExecutionProvider')
        return _into_image(strongest(found), factors, image.shape)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Make the network's input of an image, as :meth:`detect` does.

        :param image: (H, W, 3) uint8 BGR, H and W at least 1.
        :returns: (1, 3, h, w) float32, h and w whole multiples of what the manifest says.
        :raises BadImage: if it is no such image.
        """
        return self._fit(check_image(image))[0]

    def _fit(self, image: np.ndarray):
        """Resize the image to the long side that is wanted and pad it to whole multiples with black.

        :returns: (1, 3, h, w) float32, and the (x, y) factors from its pixels to the image's.
        """
        height, width = image.shape[:2]
        long_side = float(max(height, width))
        factor = min(self.long_side_px / long_side, max(1.0, min(2.0, self.SMALL_SIDE_PX / long_side)))
        fitted_width, fitted_height = max(1, int(round(width * factor))), max(1, int(round(height * factor)))
        if (fitted_height, fitted_width) != (height, width):
            # Down to half, linear interpolation skips no pixel and takes a tenth of the time (0.2 ms from 640 to 480).
            interpolation = cv2.INTER_AREA if factor < 0.5 else cv2.INTER_LINEAR
            image = cv2.resize(image, (fitted_width, fitted_height), interpolation=interpolation)
        multiple = self._input['multiple']
        sides = self._canvas(fitted_height, fitted_width) if self._model.face_batch else (fitted_height, fitted_width)
        padded = [-(-side // multiple) * multiple for side in sides]
        tensor = np.zeros([1, 3] + padded, np.float32)
        planes = image.transpose(2, 0, 1)
        tensor[0, :, :fitted_height, :fitted_width] = planes[::-1] if self._input['color'] == 'rgb' else planes
        if self._input['scale'] != 1:
            tensor *= np.float32(self._input['scale'])
        return tensor, (width / float(fitted_width), height / float(fitted_height))

    def _canvas(self, height: int, width: int):
        """Return the height and width that an image is padded to where shapes are fixed: one of three, for all images.

        TensorRT builds an engine anew for a new shape. Lying images of 4:3 and wider share one, standing ones another.
        """
        short_side = -(-3 * self.long_side_px // 4)
        if height <= short_side:
            return short_side, self.long_side_px
        return self.long_side_px, short_side if width <= short_side else self.long_side_px

    @abstractmethod
    def _output_names(self, outputs: Dict[str, str]) -> Dict[str, str]:
        """Return our name -> the model's name of each output."""

    @abstractmethod
    def _decode(self, arrays: Dict[str, np.ndarray], size, min_score: float) -> Candidates:
        """Return every box of `min_score` or more, in pixels of the network's input of `size` (h, w)."""

    def _shaped(self, arrays, name, shape):
        array = arrays[name]
        if array.shape != shape:
            raise BadModel(f'{self.bundle.name}: expected output {name} of shape {shape}, got {array.shape}; '
                           f'is this a {self.bundle.architecture} model?')
        return array


class CenterFaceDetector(FaceDetector):
    """A face is a peak of a heat map; the other maps say its size, its exact centre and its landmarks there.

    Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", sections 3.1 and 3.2.
    """

    # Measured at a long side of 480. On 31 pictures, each as it is, mirrored, dark, blurred, noisy, as poor JPEG, small
    # and turned (110 faces in 310): missed 0, invented 1 (0.35: 0 and 7). Of 400 FER+ faces of 160 px: missed 12 (0.35:
    # 7). Shrunk faces are all found down to 20 px.
    MIN_SCORE = 0.45
    STRIDE_PX = 4

    def _output_names(self, outputs):
        return {name: outputs[name] for name in ('heatmap', 'scale', 'offset', 'landmarks')}

    def _decode(self, arrays, size, min_score):
        rows, columns = size[0] // self.STRIDE_PX, size[1] // self.STRIDE_PX
        heat = self._shaped(arrays, 'heatmap', (1, 1, rows, columns))[0, 0]
        logarithms = self._shaped(arrays, 'scale', (1, 2, rows, columns))[0]
        offsets = self._shaped(arrays, 'offset', (1, 2, rows, columns))[0]
        points = self._shaped(arrays, 'landmarks', (1, 10, rows, columns))[0]
        row, column = np.nonzero(heat >= min_score)
        # All maps come as y before x; we go by x before y.
        cells = np.stack([column, row], 1).astype(np.float32)
        centers = (cells + 0.5 + offsets[::-1, row, column].T) * self.STRIDE_PX
        sizes = np.exp(logarithms[::-1, row, column].T) * self.STRIDE_PX
        corners = centers - sizes / 2
        landmarks = points[:, row, column].T.reshape(-1, 5, 2)[:, :, ::-1] * sizes[:, None] + corners[:, None]
        return Candidates(np.concatenate([corners, corners + sizes], 1), heat[row, column], landmarks)


class YuNetDetector(FaceDetector):
    """Each cell of three grids speaks for one box: its class and object scores, offset, size and landmarks.

    Source: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023, section 3.
    """

    # Measured as CenterFace's: of 110 faces missed 0, invented 7; of 400 FER+ faces missed about 15; all found down to
    # 24 px.
    MIN_SCORE = 0.65
    STRIDES_PX = (8, 16, 32)

    def _output_names(self, outputs):
        return {name: name for name in (f'{kind}_{stride}' for kind in ('cls', 'obj', 'bbox', 'kps')
                                        for stride in self.STRIDES_PX)}

    def _decode(self, arrays, size, min_score):
        parts = [self._decode_grid(arrays, size, stride, min_score) for stride in self.STRIDES_PX]
        return Candidates(*(np.concatenate(same) for same in zip(*parts)))

    def _decode_grid(self, arrays, size, stride, min_score) -> Candidates:
        columns = size[1] // stride
        count = size[0] // stride * columns
        # The scores are products of sigmoids, but rounding may take them just beyond.
        classes = self._shaped(arrays, f'cls_{stride}', (1, count, 1)).clip(0, 1)
        objects = self._shaped(arrays, f'obj_{stride}', (1, count, 1)).clip(0, 1)
        scores = np.sqrt(classes * objects)[0, :, 0]
        chosen = np.nonzero(scores >= min_score)[0]
        boxes = self._shaped(arrays, f'bbox_{stride}', (1, count, 4))[0, chosen]
        points = self._shaped(arrays, f'kps_{stride}', (1, count, 10))[0, chosen].reshape(-1, 5, 2)
        cells = np.stack([chosen % columns, chosen // columns], 1).astype(np.float32)
        centers = (cells + boxes[:, :2]) * stride
        sizes = np.exp(boxes[:, 2:]) * stride
        landmarks = (cells[:, None] + points) * stride
        return Candidates(np.concatenate([centers - sizes / 2, centers + sizes / 2], 1), scores[chosen], landmarks)


_DETECTORS = {'centerface': CenterFaceDetector, 'yunet': YuNetDetector}


def open_detector(bundle: ModelBundle, **options) -> FaceDetector:
    """Make the detector that a bundle is for.

    :param bundle: an opened bundle of architecture 'centerface' or 'yunet'.
    :param options: as FaceDetector takes them.
    :returns: the detector.
    :raises BadModel: for another architecture, or as FaceDetector does.
    """
    if bundle.architecture not in _DETECTORS:
        raise BadModel(f'Model bundle {bundle.folder!r}: expected a face detector, one of {sorted(_DETECTORS)}, '
                       f'got {bundle.architecture!r}; name another bundle')
    return _DETECTORS[bundle.architecture](bundle, **options)


def strongest(found: Candidates, max_overlap: float = MAX_OVERLAP) -> Candidates:
    """Of boxes that overlap, keep the one with the highest score (greedy suppression).

    :param found: N candidates in any order.
    :param max_overlap: intersection over union up to which two boxes are two faces.
    :returns: those kept, by falling score; of equal scores the earlier comes first.
    """
    order = np.argsort(-found.scores, kind='stable')[:MAX_CANDIDATES]
    boxes, scores, landmarks = (array[order] for array in found)
    sizes = boxes[:, 2:] - boxes[:, :2]
    areas = sizes[:, 0] * sizes[:, 1]
    kept = []
    waiting = np.arange(len(order))
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        overlap = np.minimum(boxes[waiting, 2:], boxes[best, 2:]) - np.maximum(boxes[waiting, :2], boxes[best, :2])
        overlap = overlap.clip(0)
        shared = overlap[:, 0] * overlap[:, 1]
        waiting = waiting[shared <= max_overlap * (areas[waiting] + areas[best] - shared)]
    return Candidates(boxes[kept], scores[kept], landmarks[kept])


def _into_image(found: Candidates, factors, shape) -> Faces:
    """Scale to the image's pixels, clip the boxes to it, and drop those of which nothing is left."""
    factors = np.array(factors, np.float32)
    corners = found.boxes.reshape(-1, 2, 2) * factors
    corners = corners.clip(0, np.array([shape[1], shape[0]], np.float32))
    inside = (corners[:, 1] > corners[:, 0]).all(axis=1)
    return Faces(corners.reshape(-1, 4)[inside].astype(np.float32), found.scores[inside].clip(0, 1).astype(np.float32),
                 (found.landmarks * factors)[inside].astype(np.float32))
