# Detects every face in a picture file, prints its emotion, and saves an annotated copy of the picture.
#     python3 picture.py PICTURE [ANNOTATED.jpg]
# Needs no ROS: install the package with `pip install .`, colcon or scripts/setup.
"""Estimate the emotions in one picture."""

import argparse

import cv2

from facial_emotion_ros import EmotionPipeline


def main():
    """Estimate and draw the faces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('picture', help='image file')
    parser.add_argument('annotated', nargs='?', help='where to save the annotated picture')
    options = parser.parse_args()

    image = cv2.imread(options.picture)
    if image is None:
        parser.error(f'{options.picture} is not a picture that OpenCV can read')

    faces = EmotionPipeline().estimate(image)
    for face in faces:
        x0, y0, x1, y1 = (round(edge) for edge in face.box)
        print(f'{face.emotion:8} {face.confidence:4.0%}  valence {face.valence:+.2f}  arousal {face.arousal:+.2f}')
        cv2.rectangle(image, (x0, y0), (x1, y1), (0, 255, 0), 2)
        cv2.putText(image, face.emotion, (x0, max(20, y0 - 8)), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 255, 0), 2)
    print(f'{len(faces)} face(s)')

    if options.annotated and not cv2.imwrite(options.annotated, image):
        parser.error(f'{options.annotated} cannot be written')


if __name__ == '__main__':
    main()
