# Tracks faces in a video file or webcam and prints a line whenever the emotion of a face changes. Stop with Ctrl-C.
#     python3 video.py FILE        or, for the first webcam,        python3 video.py 0
# Needs no ROS: install the package with `pip install .`, colcon or scripts/setup.
"""Print how the emotions of faces change over time."""

import argparse
import time

import cv2

from facial_emotion_ros import EmotionPipeline


def frames(source):
    """Yield (seconds, image) of a camera number or a video file."""
    camera = source.isdecimal()
    capture = cv2.VideoCapture(int(source) if camera else source)
    if not capture.isOpened():
        raise SystemExit(f'{source} cannot be opened')
    while True:
        arrived, image = capture.read()
        if not arrived:
            return
        yield time.monotonic() if camera else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image


def main():
    """Track the faces until the video ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='video file, or the number of a camera')
    options = parser.parse_args()

    # One pipeline per stream: with the time of each image, it keeps ids and smooths over time.
    pipeline = EmotionPipeline()
    shown = {}
    first = None
    for seconds, image in frames(options.source):
        first = seconds if first is None else first
        for face in pipeline.estimate(image, seconds):
            if shown.get(face.face_id) != face.emotion:
                shown[face.face_id] = face.emotion
                print(f'{seconds - first:6.2f} s  {face.face_id}  {face.emotion}', flush=True)
    print(f'{len(shown)} face(s)')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        pass
