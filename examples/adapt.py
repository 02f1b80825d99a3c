# Compares the accuracy of the shipped network with one that `adapt` fine-tuned for your people.
#     ros2 run facial_emotion_ros adapt --faces FACES --output MINE       and then        python3 adapt.py OTHERS MINE
# FACES and OTHERS contain pictures and labels.csv (docs/adapt.md). OTHERS must be of other people than FACES.
"""Compare an adapted model bundle with the shipped one."""

import argparse
import pathlib

import cv2

from facial_emotion_ros import EMOTIONS, EmotionPipeline, FacialEmotionError
from facial_emotion_ros.training.data.labelled_folder import read_labelled_folder


def main():
    """Evaluate both networks on every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pictures', type=pathlib.Path, help='folder with labels.csv, or one folder for each class')
    parser.add_argument('bundle', help='folder that adapt wrote')
    options = parser.parse_args()

    try:
        known = read_labelled_folder(str(options.pictures), crops=False)  # whole pictures, like adapt
    except FacialEmotionError as error:
        parser.error(str(error))
    labels = {name: EMOTIONS[label] for name, label in zip(known.names, known.labels) if label >= 0}
    pipelines = {'shipped': EmotionPipeline(), 'adapted': EmotionPipeline(options.bundle)}
    right = dict.fromkeys(pipelines, 0)
    for name, emotion in labels.items():
        image = cv2.imread(str(options.pictures / name))
        if image is None:
            parser.error(f'{name} is not a picture that OpenCV can read')
        for which, pipeline in pipelines.items():
            faces = pipeline.estimate(image)  # the largest first
            right[which] += bool(faces) and max(faces[0].scores, key=faces[0].scores.get) == emotion
    for which, count in right.items():
        print(f'{which}: {count} of {len(labels)} right')


if __name__ == '__main__':
    main()
