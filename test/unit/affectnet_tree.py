"""A small tree in AffectNet's shape, with drawn faces: the real one may not be passed on."""

import csv
import os

import cv2
import numpy as np

#: Colour (blue, green, red) of the drawn head of each expression, 0 to 10.
COLORS = [
    (200, 200, 200),
    (40, 200, 240),
    (220, 90, 30),
    (240, 40, 200),
    (90, 30, 90),
    (40, 140, 40),
    (30, 30, 220),
    (140, 140, 60),
    (20, 90, 160),
    (100, 10, 10),
    (10, 60, 10),
]

#: Around the heads.
BACKGROUND = (255, 255, 255)

HEADER = [
    'subDirectory_filePath',
    'face_x',
    'face_y',
    'face_width',
    'face_height',
    'facial_landmarks',
    'expression',
    'valence',
    'arousal',
]


def draw_scene(expression, box, width=200, height=120, mouth=0.0):
    """Draw a picture with one head that fills a box.

    :param expression: 0 to 10, which gives the head's colour.
    :param box: x, y, width, height in pixels; may reach beyond the picture.
    :param mouth: -1 (down) to 1 (up).
    :returns: (height, width, 3) uint8 BGR.
    """
    scene = np.full((height, width, 3), BACKGROUND, np.uint8)
    x, y, wide, high = box
    center = (x + wide // 2, y + high // 2)
    cv2.rectangle(scene, (x, y), (x + wide - 1, y + high - 1), COLORS[expression], -1)
    for side in (-1, 1):
        cv2.circle(scene, (center[0] + side * wide // 5, center[1] - high // 6), max(wide // 12, 1), (0, 0, 0), -1)
    ends = (center[0] - wide // 5, center[1] + high // 5), (center[0] + wide // 5, center[1] + high // 5)
    points = np.array([ends[0], (center[0], int(ends[0][1] + mouth * high // 6)), ends[1]], np.int32)
    cv2.polylines(scene, [points], False, (0, 0, 0), 2)
    return scene


def jpeg(picture):
    """Code a picture as JPEG."""
    return cv2.imencode('.jpg', picture)[1].tobytes()


class AffectNetTree:
    """Annotated pictures on the disk: Manually_Annotated_Images/<n>/<name>.jpg, training.csv, validation.csv."""

    def __init__(self, root, images='Manually_Annotated_Images'):
        """Begin an empty tree below a folder."""
        self.root = str(root)
        self.images = os.path.join(self.root, images)
        self.rows = []

    def add(self, expression, affect=(0.0, 0.0), box=(90, 20, 80, 80), content=None, subfolder=None):
        """Add one picture and its row.

        :param content: bytes of its file; None for a drawn face, b'absent' for no file.
        :param box: four numbers, or words for the file.
        :returns: the name in the row.
        """
        number = len(self.rows)
        name = f'{number % 7 if subfolder is None else subfolder}/{number:05d}abc.jpg'.lstrip('/')
        if content is None:
            real = box if all(isinstance(each, int) for each in box) else (90, 20, 80, 80)
            drawn = draw_scene(min(max(int(expression), 0), 10) if str(expression).isdigit() else 0, real)
            content = jpeg(drawn)
        if content != b'absent':
            path = os.path.join(self.images, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as file:
                file.write(content)
        self.rows.append([name, *box, '1.0;2.0;3.0;4.0', expression, *affect])
        return name

    def add_many(self, count, expressions=range(8)):
        """Add faces of several expressions, one after the other, with a rated affect; pictures are drawn once."""
        box = (90, 20, 80, 80)
        drawn = {expression: jpeg(draw_scene(expression, box)) for expression in expressions}
        for place in range(count):
            expression = list(expressions)[place % len(expressions)]
            self.add(expression, (round(-1 + 2 * place / count, 4), 0.57), box, drawn[expression])

    def write(self, table='training.csv', header=True):
        """Write the annotations.

        :returns: the folder that they and the pictures lie in.
        """
        with open(os.path.join(self.root, table), 'w', encoding='utf-8', newline='') as file:
            csv.writer(file).writerows(([HEADER] if header else []) + self.rows)
        return self.root
