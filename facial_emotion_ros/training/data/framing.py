"""Detects labelled folders that hold whole photographs instead of face crops."""

import math
import os

import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.inference.model_bundle import opened_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.data.labelled_folder import LabelledFolder

#: Minimum ratio of the face box's side to the image's side, median over the sample; face crops have 0.7 to 1.
_LEAST_SHARE = 0.5

#: Number of images to check.
_SAMPLE = 12


def framing_warning(faces: FaceSet) -> str:
    """Detect faces in a sample of a folder's images, and warn if they are much smaller than the images.

    :param faces: a set; only a LabelledFolder is checked, since other sets have a known framing.
    :returns: a sentence with what to do; '' if nothing is wrong, or no face is found.
    """
    if not isinstance(faces, LabelledFolder) or not len(faces):
        return ''
    detector, shares = FaceDetector(opened_bundle('centerface')), []
    for row in np.linspace(0, len(faces) - 1, min(_SAMPLE, len(faces))).astype(int):
        try:
            image = read_picture(os.path.join(faces.root, faces.files[row]))
        except BadImage:
            continue  # already counted when the set was opened
        boxes = detector.detect(image).boxes
        sides = [math.sqrt(max(0.0, float((x1 - x0) * (y1 - y0)))) for x0, y0, x1, y1 in boxes]
        if sides:
            shares.append(max(sides) / min(image.shape[:2]))
    if not shares or np.median(shares) >= _LEAST_SHARE:
        return ''
    return (
        f'{faces.name}: expected face crops, these seem to be whole photographs: the largest face is '
        f'{100 * np.median(shares):.0f}% as wide as its picture (median of {len(shares)}), face crops have more than '
        '70%. The centre square of each picture is used, not the face: crop the faces, and name the crops in a column '
        '`crop` of labels.csv (docs/datasets.md)'
    )
