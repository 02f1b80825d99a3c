"""Estimate the emotion of a face that another node has detected and cropped."""

from dataclasses import replace
from typing import Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.face_stream import FoundFaces
from facial_emotion_ros.perception.image_decoding import check_image
from facial_emotion_ros.perception.image_rotation import rotated, rotated_back
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

#: Border around the crop, as a share of its longer side: detectors need some context.
BORDER = 0.25

#: Maximum of a crop's longer side, in pixels, and of its aspect ratio: the border of a narrow strip would take 100,000
#: times its memory.
MAX_SIDE_PX, MAX_ASPECT = 4096, 8

#: Landmarks in an upright crop equal to the face's box, as shares of its sides. Source: rounded means of the detector's
#: landmarks in its boxes of FER+ faces (docs/camera.md).
_LANDMARKS = np.array([[0.3, 0.38], [0.7, 0.38], [0.5, 0.6], [0.35, 0.76], [0.65, 0.76]], np.float32)


def estimate_crop(
    pipeline: EmotionPipeline, crop: np.ndarray, face_id: str, stamp_s: float, until_s: Optional[float] = None
) -> FaceEstimate:
    """Detect the face in its crop again, since another detector's boxes differ from ours, and estimate it.

    If none is found, which is common in crops that end at the chin, the whole crop is the face, without the black bars
    with which ROS4HRI pads crops.

    :param pipeline: its tracker is not used.
    :param crop: (H, W, 3) uint8 BGR: one face, and little else.
    :param face_id: the id for smoothing.
    :param stamp_s: acquisition time in seconds.
    :param until_s: deadline of an anytime pipeline, by time.monotonic().
    :returns: FaceEstimate with the box in pixels of the crop; of several faces the one closest to its centre.
    :raises BadImage: for another array, or one larger than MAX_SIDE_PX or narrower than MAX_ASPECT allows.
    :raises BadModel: if a model's outputs are not finite or have another shape.
    """
    crop = check_image(crop)
    check_size(*crop.shape[:2])
    face = _detected_face(pipeline, crop, until_s) or _whole_crop(pipeline, crop, until_s)
    return pipeline.smoothed(face, face_id, stamp_s)


def check_size(height: int, width: int) -> None:
    """Refuse a crop that is too large or too narrow for a face.

    :param height, width: px.
    :raises BadImage: naming what was expected and what came.
    """
    if max(height, width) > min(MAX_SIDE_PX, MAX_ASPECT * min(height, width)):
        raise BadImage(
            f'expected the crop of a face, with sides of at most {MAX_SIDE_PX} pixels and an aspect ratio of '
            f'at most {MAX_ASPECT}, got {width} x {height}; correct the node that crops faces'
        )


def with_border(crop: np.ndarray) -> Tuple[np.ndarray, int]:
    """Add a border: without one, a detector misses faces that fill the crop.

    :param crop: (H, W, 3) uint8.
    :returns: the larger picture, and the width of the border in pixels.
    """
    border = int(round(BORDER * max(crop.shape[:2])))
    return cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE), border


def _detected_face(pipeline: EmotionPipeline, crop: np.ndarray, until_s: Optional[float]) -> Optional[FaceEstimate]:
    bordered, border = with_border(crop)
    found = pipeline.estimate(bordered, until_s=until_s)
    if not found:
        return None
    middle = border + 0.5 * np.array(crop.shape[1::-1])
    face = min(found, key=lambda each: float(np.abs(np.reshape(each.box, (2, 2)).mean(0) - middle).max()))
    x0, y0, x1, y1 = (edge - border for edge in face.box)
    return replace(face, box=(x0, y0, x1, y1), landmarks=face.landmarks - np.float32(border))


def _whole_crop(pipeline: EmotionPipeline, crop: np.ndarray, until_s: Optional[float]) -> FaceEstimate:
    degrees = pipeline.orientation.degrees
    upright = rotated(crop, degrees)
    boxes = np.array([_unpadded(upright)], np.float32)
    corner, sides = boxes[0, :2], boxes[0, 2:] - boxes[0, :2]
    found = FoundFaces([''], boxes, np.zeros(1, np.float32), (corner + _LANDMARKS * sides)[None])
    return rotated_back(pipeline.estimate_found(upright, found, False, until_s)[0], degrees, upright)


def _unpadded(crop: np.ndarray) -> Tuple[int, int, int, int]:
    """Return the box without zero padding; the whole crop if all is zero."""
    left, top, width, height = cv2.boundingRect(crop.max(axis=2))
    return (left, top, left + width, top + height) if width else (0, 0, crop.shape[1], crop.shape[0])
