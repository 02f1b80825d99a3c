"""Detect faces in an image with CenterFace: boxes, scores and five landmarks."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.inference.execution_providers import CPU, Provider, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnxruntime_backend import ModelRunner, open_model
from facial_emotion_ros.perception.image_decoding import check_image
from facial_emotion_ros.system.memory import give_memory_back

#: Non-maximum suppression: of boxes with a larger intersection over union, the best is kept.
MAX_OVERLAP = 0.3

#: Maximum number of boxes for non-maximum suppression; those with the highest scores are kept.
MAX_CANDIDATES = 1000

#: Default score threshold. Measured at a long side of 480 px: on 31 pictures, each original, mirrored, dark, blurred,
#: noisy, as poor JPEG, small and rotated (110 faces in 310): missed 0, false 1 (at 0.35: 0 and 7). Of 400 FER+ faces of
#: 160 px: missed 12 (at 0.35: 7). Shrunk faces are all found down to 20 px.
MIN_SCORE = 0.45

#: Smaller images are enlarged up to this, by a factor of 2 at most. Measured: of 300 FER+ pictures (48 px, all face),
#: 86% are found at original and 97% at double size; further enlargement finds no more.
_SMALL_SIDE_PX = 128

#: Output stride: input pixels for each cell of the output maps.
_STRIDE_PX = 4


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one image, in order of descending score.

    :param boxes: (N, 4) float32, x0 y0 x1 y1 in pixels of the image, inside it.
    :param scores: (N,) float32 in [0, 1].
    :param landmarks: (N, 5, 2) float32, x y in pixels: the eye on the viewer's left, the other eye, nose, the corner of
        the mouth on the viewer's left, the other corner. They may lie outside the image if its edge cuts the face.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


class FaceDetector(ModelRunner):
    """CenterFace: faces are peaks of a heat map; further maps give size, subpixel centre and landmarks.

    Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", sections 3.1 and 3.2.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        min_score: float = MIN_SCORE,
        long_side_px: int = 480,
        threads: int = 1,
        providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,),
    ):
        """Open the bundle's model.

        :param bundle: an opened bundle of architecture 'centerface'.
        :param min_score: minimum score of a face, in (0, 1].
        :param long_side_px: the image is scaled to this long side before detection; at least 32. A larger one finds
            smaller faces; the time grows with its square.
        :param threads: threads of one operator, at least 1.
        :param providers: execution providers in order of preference; or a ProviderPlan, which has its own threads.
        :raises BadParameter: for a value of another type or range.
        :raises BadModel: if the bundle is not a detector, or its model does not load or lacks an input or output.
        """
        if bundle.architecture != 'centerface':
            raise BadModel(
                f'Model bundle {bundle.folder!r}: expected a face detector (centerface), got {bundle.architecture!r}; '
                'use another bundle'
            )
        if isinstance(min_score, bool) or not isinstance(min_score, (int, float)) or not 0 < min_score <= 1:
            raise BadParameter(f'expected a minimum face score above 0 and up to 1, got {min_score!r}')
        if isinstance(long_side_px, bool) or not isinstance(long_side_px, int) or not 32 <= long_side_px <= 8192:
            raise BadParameter(f'expected an integer of 32 to 8192 pixels as the long side, got {long_side_px!r}')
        self.min_score = min_score
        self.long_side_px = long_side_px
        self._model = open_model(bundle, ProviderPlan.of(providers, threads))
        give_memory_back()  # that loading needed
        self._input = bundle.manifest['input']
        #: Manifest key -> the model's name of each output.
        self._outputs: Dict[str, str] = {
            name: bundle.manifest['outputs'][name] for name in ('heatmap', 'scale', 'offset', 'landmarks')
        }
        missing = sorted({self._input['name'], *self._outputs.values()} - self._model.names)
        if missing:
            raise BadModel(
                f'Model bundle {bundle.folder!r}: expected inputs and outputs {missing}, the model has '
                f'{sorted(self._model.names)}; use the manifest of this model'
            )

    def detect(self, image: np.ndarray, min_score: Optional[float] = None) -> Faces:
        """Detect the faces in an image.

        :param image: (H, W, 3) uint8 BGR, H and W at least 1.
        :param min_score: in (0, 1]; None for the detector's own.
        :returns: Faces, by descending score; without faces, arrays of shape (0, 4), (0,), (0, 5, 2).
        :raises BadImage: for any other image.
        :raises BadModel: if the model's outputs are not finite or have another shape.
        """
        image = check_image(image)
        tensor, factors = self._fit(image)
        names = list(self._outputs)
        arrays = self._model.run([self._outputs[name] for name in names], {self._input['name']: tensor})
        for name, array in zip(names, arrays):
            if not np.isfinite(array).all():
                raise self._not_finite(f'finite numbers in {name}, got NaN or infinity')
        with np.errstate(over='ignore', invalid='ignore'):  # infinity is caught below
            found = self._decode(
                dict(zip(names, arrays)), tensor.shape[2:], self.min_score if min_score is None else min_score
            )
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.landmarks).all()):
            raise self._not_finite('finite face boxes, got infinite ones')
        return _into_image(nms(found), factors, image.shape)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Convert an image to the network's input, as :meth:`detect` does.

        :param image: (H, W, 3) uint8 BGR, H and W at least 1.
        :returns: (1, 3, h, w) float32, h and w multiples of the manifest's `input.multiple`.
        :raises BadImage: for any other image.
        """
        return self._fit(check_image(image))[0]

    def _not_finite(self, words: str) -> BadModel:
        return BadModel(
            f'{self.bundle.name} on {self.provider}: expected {words}; the model or the execution provider is faulty: '
            'try CPUExecutionProvider'
        )

    def _fit(self, image: np.ndarray) -> Tuple[np.ndarray, Tuple[float, float]]:
        """Scale an image to the long side, and pad it with black to multiples.

        :returns: (1, 3, h, w) float32, and the (x, y) factors from its pixels to the image's.
        """
        height, width = image.shape[:2]
        long_side = float(max(height, width))
        factor = min(self.long_side_px / long_side, max(1.0, min(2.0, _SMALL_SIDE_PX / long_side)))
        fitted_width, fitted_height = max(1, int(round(width * factor))), max(1, int(round(height * factor)))
        if (fitted_height, fitted_width) != (height, width):
            # Down to half size, linear interpolation skips no pixel and is ten times faster (0.2 ms from 640 to 480).
            interpolation = cv2.INTER_AREA if factor < 0.5 else cv2.INTER_LINEAR
            image = cv2.resize(image, (fitted_width, fitted_height), interpolation=interpolation)
        multiple = self._input['multiple']
        sides = self._canvas(fitted_height, fitted_width) if self._model.face_batch else (fitted_height, fitted_width)
        padded = [-(-side // multiple) * multiple for side in sides]
        tensor = np.zeros([1, 3] + padded, np.float32)
        tensor[0, :, :fitted_height, :fitted_width] = image.transpose(2, 0, 1)[::-1]  # RGB
        if self._input['scale'] != 1:
            tensor *= np.float32(self._input['scale'])
        return tensor, (width / float(fitted_width), height / float(fitted_height))

    def _canvas(self, height: int, width: int) -> Tuple[int, int]:
        """Return the height and width that an image is padded to where shapes are fixed: one of only three.

        TensorRT builds another engine for each shape. Landscape images of 4:3 and wider share one, portrait images
        another.
        """
        short_side = -(-3 * self.long_side_px // 4)
        if height <= short_side:
            return short_side, self.long_side_px
        return self.long_side_px, short_side if width <= short_side else self.long_side_px

    def _decode(self, maps: Dict[str, np.ndarray], size: Sequence[int], min_score: float) -> Faces:
        """Decode the output maps to unordered boxes of at least `min_score`, in pixels of the input, `size` (h, w)."""
        rows, columns = size[0] // _STRIDE_PX, size[1] // _STRIDE_PX
        for name, planes in (('heatmap', 1), ('scale', 2), ('offset', 2), ('landmarks', 10)):
            if maps[name].shape != (1, planes, rows, columns):
                raise BadModel(
                    f'{self.bundle.name}: expected output {name} of shape {(1, planes, rows, columns)}, got '
                    f'{maps[name].shape}; is this a {self.bundle.architecture} model?'
                )
        heat = maps['heatmap'][0, 0]
        row, column = np.nonzero(heat >= min_score)
        # The maps have y before x; boxes and landmarks here x before y.
        cells = np.stack([column, row], 1).astype(np.float32)
        centers = (cells + 0.5 + maps['offset'][0, ::-1, row, column]) * _STRIDE_PX
        sizes = np.exp(maps['scale'][0, ::-1, row, column]) * _STRIDE_PX
        corners = centers - sizes / 2
        points = maps['landmarks'][0, :, row, column].reshape(-1, 5, 2)[:, :, ::-1]
        landmarks = points * sizes[:, None] + corners[:, None]
        return Faces(np.concatenate([corners, corners + sizes], 1), heat[row, column], landmarks)


def nms(found: Faces) -> Faces:
    """Greedy non-maximum suppression: keep the best of overlapping boxes.

    :param found: N boxes in any order.
    :returns: those kept, by descending score; of equal scores the earlier comes first.
    """
    # cv2.dnn.NMSBoxes rounds boxes to whole pixels before OpenCV 4.4; Ubuntu 20.04 and JetPack 4 have such versions.
    order = np.argsort(-found.scores, kind='stable')[:MAX_CANDIDATES]
    boxes = found.boxes[order]
    sizes = boxes[:, 2:] - boxes[:, :2]
    areas = sizes[:, 0] * sizes[:, 1]
    kept: List[int] = []
    waiting: np.ndarray = np.arange(len(order))
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        overlap = np.minimum(boxes[waiting, 2:], boxes[best, 2:]) - np.maximum(boxes[waiting, :2], boxes[best, :2])
        overlap = overlap.clip(0)
        shared = overlap[:, 0] * overlap[:, 1]
        waiting = waiting[shared <= MAX_OVERLAP * (areas[waiting] + areas[best] - shared)]
    chosen = order[kept]
    return Faces(found.boxes[chosen], found.scores[chosen], found.landmarks[chosen])


def _into_image(found: Faces, factors: Tuple[float, float], shape: Sequence[int]) -> Faces:
    """Scale to the image's pixels, clip the boxes to it, and drop empty ones."""
    scale = np.array(factors, np.float32)
    corners = (found.boxes.reshape(-1, 2, 2) * scale).clip(0, np.array([shape[1], shape[0]], np.float32))
    inside = (corners[:, 1] > corners[:, 0]).all(axis=1)
    return Faces(
        corners.reshape(-1, 4)[inside].astype(np.float32),
        found.scores[inside].clip(0, 1).astype(np.float32),
        (found.landmarks * scale)[inside].astype(np.float32),
    )
