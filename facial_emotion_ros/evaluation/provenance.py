"""Provenance of results: time and package versions."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version


def made_at() -> str:
    """Return the current UTC time, such as 2026-11-29T19:41:39Z."""
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, this package, numpy, OpenCV, ONNX Runtime, and of further packages by name."""
    import cv2
    import numpy
    import onnxruntime

    from facial_emotion_ros import __version__

    found = {
        'facial_emotion_ros': __version__,
        'python': platform.python_version(),
        'numpy': numpy.__version__,
        'opencv': cv2.__version__,
        'onnxruntime': onnxruntime.__version__,
    }
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
