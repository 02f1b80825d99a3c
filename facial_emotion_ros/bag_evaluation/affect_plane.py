"""The plane of valence and arousal: where the faces of a recording were, and for how long."""

import base64

import numpy as np

from facial_emotion_ros.affect_coordinates import AFFECT_COORDINATES
from facial_emotion_ros.evaluation.svg import EMOTION_COLORS, Axes, Drawing

#: Where each landmark's word stands beside its ring: anchor, x and y in pixels.
_BESIDE = {'neutral': ('start', 9, 14), 'happy': ('middle', 0, 18), 'sad': ('middle', 0, 18),
           'surprise': ('middle', 0, -10), 'fear': ('end', -9, -2), 'disgust': ('end', -9, 5),
           'anger': ('start', 9, -2), 'contempt': ('start', 9, 4)}

#: Words of the corners: (valence, arousal, anchor, words).
_CORNERS = ((-0.97, 0.91, 'start', 'tense'), (0.97, 0.91, 'end', 'excited'), (-0.97, -0.95, 'start', 'gloomy'),
            (0.97, -0.95, 'end', 'at ease'))

#: Cells of the density in each direction, and points of a path.
_CELLS, _PATH_POINTS = 26, 16

#: Faces that get a path and their portrait in the plane.
MAX_PATHS = 3

_PORTRAIT_PX = 38


def affect_plane(faces):
    """Draw how much time was spent where, the paths of the faces that were seen longest, and their portraits.

    :param faces: list of FaceStory, those seen longest first.
    :returns: str, text of an <svg> element.
    """
    drawing = Drawing(500, 462, 'Valence and arousal of all faces: where they were, and the paths of the most seen.')
    axes = Axes(drawing, 62, 12, 426, 400, (-1.0, 1.0), (-1.0, 1.0))
    ticks = (-1, -0.5, 0, 0.5, 1)
    axes.grid(ticks, ticks, 'valence: negative to positive', 'arousal: calm to excited')
    drawing.line(axes.x(0), axes.y(-1), axes.x(0), axes.y(1))
    drawing.line(axes.x(-1), axes.y(0), axes.x(1), axes.y(0))
    _density(axes, [step for face in faces for step in face.steps.values()])
    shown = [face for face in faces if face.steps][:MAX_PATHS]
    for place, face in enumerate(shown):
        _path(axes, face, ('one', 'two', 'ink')[place])
    # The most seen face lies on top.
    for place, face in reversed(list(enumerate(shown))):
        _portrait(axes, face, place)
    _landmarks(axes)
    return drawing.svg()


def _density(axes, steps):
    """Shade each cell of the plane by the frames that fell into it."""
    if not steps:
        return
    values = np.clip([step.mean('affect')[:2] for step in steps], -1, 1)
    frames = [step.frames for step in steps]
    counts, _, _ = np.histogram2d(values[:, 0], values[:, 1], bins=_CELLS, range=((-1, 1), (-1, 1)), weights=frames)
    side, total = 2.0 / _CELLS, counts.sum()
    for column, row in zip(*np.nonzero(counts)):
        # A cell with few frames must be seen as well.
        strength = 0.12 + 0.58 * float(np.sqrt(counts[column, row] / counts.max()))
        axes.drawing.add('rect', x=axes.x(-1 + column * side), y=axes.y(-1 + (row + 1) * side),
                         width=axes.width / _CELLS, height=axes.height / _CELLS, class_='fill one density',
                         fill_opacity=strength, hover=f'{100 * counts[column, row] / total:.1f}% of all views of faces')


def _landmarks(axes):
    """Mark where people place each emotion's word."""
    for emotion, (valence, arousal) in AFFECT_COORDINATES.items():
        x, y = float(axes.x(valence)), float(axes.y(arousal))
        anchor, right, down = _BESIDE[emotion]
        axes.drawing.add('circle', cx=x, cy=y, r=4, class_='ring', stroke=EMOTION_COLORS[emotion])
        axes.drawing.text(x + right, y + down, emotion, 'strong halo', anchor)
    for valence, arousal, anchor, words in _CORNERS:
        axes.drawing.text(axes.x(valence), axes.y(arousal), words, 'soft halo', anchor)


def _path(axes, face, color):
    """Draw where a face went, as a line through means of neighbouring steps."""
    groups = np.array_split(np.array([step.mean('affect')[:2] for step in face.steps.values()]),
                            min(_PATH_POINTS, len(face.steps)))
    points = np.clip([group.mean(0) for group in groups], -1, 1)
    axes.drawing.path(axes.x(points[:, 0]), axes.y(points[:, 1]), f'line {color} path')


def _portrait(axes, face, place):
    """Put a face's portrait where it was in the middle of its time."""
    steps = list(face.steps.values())
    valence, arousal = np.clip(np.median([step.mean('affect')[:2] for step in steps], axis=0), -1, 1)
    half = _PORTRAIT_PX / 2
    # A circle of a portrait at the edge stays inside of the plane.
    x = float(np.clip(axes.x(valence), axes.left + half, axes.left + axes.width - half))
    y = float(np.clip(axes.y(arousal), axes.top + half, axes.top + axes.height - half))
    color, hover = ('var(--one)', 'var(--two)', 'var(--ink)')[place], f'face {face.face_id}, half way of all its views'
    if face.portrait:
        axes.drawing.add('image', x=x - half, y=y - half, width=_PORTRAIT_PX, height=_PORTRAIT_PX,
                         preserveAspectRatio='xMidYMid slice', class_='round',
                         href='data:image/jpeg;base64,' + base64.b64encode(face.portrait).decode())
    axes.drawing.add('circle', cx=x, cy=y, r=half, fill='transparent' if face.portrait else color, stroke=color,
                     stroke_width=2.5, class_='portrait', hover=hover)
