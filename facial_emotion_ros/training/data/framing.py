"""Finds sets of whole photographs, where faces were expected that are cut out."""

import math
import os

import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.inference.model_bundle import opened_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.data.labelled_folder import LabelledFolder

#: Side of a face's box over that of the picture below which the picture counts as a whole photograph. Cut faces have
#: 0.7 to 1.
_LEAST_SHARE = 0.5

#: Pictures to look at.
_SAMPLE = 12


def framing_warning(faces: FaceSet) -> str:
    """Detect faces in a sample of a folder's pictures, and say so where they are much smaller than the pictures.

    :param faces: a set; only a LabelledFolder is looked at, for other sets have their own framing.
    :returns: a sentence with what to do; '' where nothing is wrong, or no face is found.
    """
    if not isinstance(faces, LabelledFolder) or not len(faces):
        return ''
    finder, shares = FaceDetector(opened_bundle('centerface')), []
    for row in np.linspace(0, len(faces) - 1, min(_SAMPLE, len(faces))).astype(int):
        try:
            image = read_picture(os.path.join(faces.root, faces.files[row]))
        except BadImage:
            continue  # the reader of the set counts damaged ones
        boxes = finder.detect(image).boxes
        sides = [math.sqrt(max(0.0, float((x1 - x0) * (y1 - y0)))) for x0, y0, x1, y1 in boxes]
        if sides:
            shares.append(max(sides) / min(image.shape[:2]))
    if not shares or np.median(shares) >= _LEAST_SHARE:
        return ''
    return (
        f'{faces.name}: whole photographs, it seems: in {len(shares)} of its pictures the largest face is '
        f'{100 * np.median(shares):.0f}% as wide as the picture (median), where a face that is cut out has more than '
        '70%. The middle square of each picture is read, not the face: cut the faces, and name them in a column `crop` '
        'of labels.csv (docs/datasets.md)'
    )
