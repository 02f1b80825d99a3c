"""Read a face that somebody else has found and cut out, framed in a way of his own."""

from dataclasses import replace

import cv2
import numpy as np

from facial_emotion_ros.image import check_image

#: A border of this share of the crop's longer side is put around it, since a detector wants to see more than a face.
BORDER = 0.25


def read_crop(pipeline, crop, face_id, stamp_s):
    """Look for the face again, as the crop's frame says nothing of where eyes and chin are, and read it.

    :param pipeline: EmotionPipeline; its tracker is left alone.
    :param crop: (H, W, 3) uint8 BGR: one face, and not much besides.
    :param face_id: whose it is; the smoothing remembers it.
    :param stamp_s: when the image was taken, in seconds.
    :returns: FaceEstimate with the box in pixels of the crop, of the face that is nearest to its middle; None where
        none is found.
    :raises BadImage: if the crop is no such array.
    :raises BadModel: if a model gives something that is not finite or of another shape.
    """
    crop = check_image(crop)
    border = int(round(BORDER * max(crop.shape[:2])))
    # A picture on its own: ids are the others' affair.
    found = pipeline.estimate(cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE))
    if not found:
        return None
    middle = border + 0.5 * np.array(crop.shape[1::-1])
    face = min(found, key=lambda each: float(np.abs(np.reshape(each.box, (2, 2)).mean(0) - middle).max()))
    smooth, doubts = pipeline.smoothing.smooth(face_id, face.raw, face.doubts, stamp_s)
    return replace(face, face_id=face_id, box=tuple(edge - border for edge in face.box),
                   landmarks=face.landmarks - np.float32(border), doubts=doubts, **vars(smooth))
