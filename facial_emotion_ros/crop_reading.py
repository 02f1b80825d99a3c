"""Read a face that somebody else has found and cut out, framed in a way of his own."""

from dataclasses import replace

import cv2
import numpy as np

from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.face_crop import cut_planes
from facial_emotion_ros.face_estimate import FaceEstimate, Reading
from facial_emotion_ros.image import check_image

#: A border of this share of the crop's longer side is put around it, since a detector wants to see more than a face.
BORDER = 0.25

#: A crop has no longer side than this, in pixels, and its sides differ by no more than this factor: the border of a
#: strip would take a hundred thousand times its memory.
MAX_SIDE_PX, MAX_ASPECT = 4096, 8

#: Where eyes, nose and mouth lie in a crop that is a face and nothing besides, upright, as shares of its sides.
_LANDMARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)


def read_crop(pipeline, crop, face_id, stamp_s):
    """Look for the face again, as the crop's frame says nothing of where eyes and chin are, and read it.

    Where none is found, which is common in crops that end at the chin, the whole crop counts as the face.

    :param pipeline: EmotionPipeline; its tracker is left alone.
    :param crop: (H, W, 3) uint8 BGR: one face, and not much besides.
    :param face_id: whose it is; the smoothing remembers it.
    :param stamp_s: when the image was taken, in seconds.
    :returns: FaceEstimate with the box in pixels of the crop; of several faces that which is nearest to its middle.
    :raises BadImage: if the crop is no such array, larger than MAX_SIDE_PX or narrower than MAX_ASPECT allows.
    :raises BadModel: if a model gives something that is not finite or of another shape.
    """
    crop = check_image(crop)
    check_size(*crop.shape[:2])
    face = _find(pipeline, crop) or _take_whole(pipeline, crop)
    smooth, doubts = pipeline.smoothing.smooth(face_id, face.raw, face.doubts, stamp_s)
    return replace(face, face_id=face_id, doubts=doubts, **vars(smooth))


def check_size(height, width):
    """Refuse a crop that can be no face, for its size alone.

    :param height, width: px.
    :raises BadImage: naming what was expected and what came.
    """
    if max(height, width) > min(MAX_SIDE_PX, MAX_ASPECT * min(height, width)):
        raise BadImage(f'expected the crop of a face, of at most {MAX_SIDE_PX} pixels a side and sides in a ratio of '
                       f'{MAX_ASPECT} at most, got {width} x {height}; correct the node that cuts faces out')


def _find(pipeline, crop):
    border = int(round(BORDER * max(crop.shape[:2])))
    # A picture on its own: ids are the others' affair.
    found = pipeline.estimate(cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE))
    if not found:
        return None
    middle = border + 0.5 * np.array(crop.shape[1::-1])
    face = min(found, key=lambda each: float(np.abs(np.reshape(each.box, (2, 2)).mean(0) - middle).max()))
    return replace(face, box=tuple(edge - border for edge in face.box), landmarks=face.landmarks - np.float32(border))


def _take_whole(pipeline, crop):
    pipeline.on_stage('reading emotions')
    sides = np.array(crop.shape[1::-1], np.float32)
    box, landmarks = (0.0, 0.0, float(sides[0]), float(sides[1])), _LANDMARKS * sides
    ensemble = pipeline.engine.estimate(cut_planes(crop, np.array([box], np.float32), pipeline.engine.geometry,
                                                   landmarks[None]))
    scores = dict((emotion, float(score)) for emotion, score in zip(EMOTIONS, ensemble.scores[0]))
    best = max(scores, key=scores.get)
    agreement = float(ensemble.agreement[0])
    doubts = pipeline.doubts.of_face(crop, box, landmarks, scores[best], agreement, is_detected=False)
    raw = Reading(emotion=UNKNOWN if doubts else best, scores=scores, valence=float(ensemble.valence[0]),
                  arousal=float(ensemble.arousal[0]), confidence=scores[best], agreement=agreement)
    return FaceEstimate(face_id='', box=box, box_score=0.0, landmarks=landmarks, doubts=doubts, raw=raw, **vars(raw))
