"""Faces and images as a recording's evaluation sees them, made by hand for the tests."""

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import EmotionPrediction, FaceEstimate
from facial_emotion_ros.recordings.io.frames import Frame


def face(
    emotion='happy',
    face_id='bcdfg',
    box=(10.0, 10.0, 50.0, 60.0),
    confidence=0.9,
    valence=0.5,
    arousal=0.25,
    agreement=0.8,
):
    """Return an estimate that says so, of itself and of the image alone."""
    best = emotion if emotion != UNKNOWN else 'neutral'
    rest = (1 - confidence) / (len(EMOTIONS) - 1)
    scores = {each: confidence if each == best else rest for each in EMOTIONS}
    reading = EmotionPrediction(emotion, scores, valence, arousal, confidence, agreement)
    return FaceEstimate(
        face_id=face_id,
        box=box,
        box_score=0.9,
        landmarks=np.zeros((5, 2), np.float32),
        rejection_reasons=('blurred',) if emotion == UNKNOWN else (),
        raw=reading,
        **vars(reading),
    )


def frame(number=0, time_s=0.0, image='black', camera='/camera', begin_ns=10**18, receive_s=None, fault=''):
    """Return an image of a recording, 100 x 80 px; image=None is a bad one."""
    stamp_ns = begin_ns + round(time_s * 1e9)
    receive_ns = stamp_ns if receive_s is None else begin_ns + round(receive_s * 1e9)
    pixels = np.zeros((80, 100, 3), np.uint8) if image == 'black' else image
    return Frame(camera, number, stamp_ns, receive_ns, 'eye', pixels, fault, 0.001, 0.002)
