"""The embedded detector, opened once for all unit tests."""

import pytest


@pytest.fixture(scope='session')
def centerface():
    """Return the embedded detector's bundle."""
    from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

    return ModelBundle.open(embedded_bundle('centerface'))


@pytest.fixture(scope='session')
def detector(centerface):
    """Return a detector with its default options."""
    from facial_emotion_ros.perception.face_detector import FaceDetector

    return FaceDetector(centerface)
