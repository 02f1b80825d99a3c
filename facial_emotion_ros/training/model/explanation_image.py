"""Draws the Grad-CAM maps of one face."""

import io
import math

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.visualization import COLORS
from facial_emotion_ros.training.model.explanation import FaceReading

_GROUND, _WHITE, _GRAY, _RAIL = '#1e2024', '#f2f2f2', '#a8adb3', '#3a3e45'
_HEAT = colormaps['inferno']
#: Side of a branch's tile and of the ensemble's, text line, bar, and spacing, in inches of 100 px.
_TILE, _FRONT, _WORDS, _BAR, _GAP, _MARGIN = 1.9, 3.9, 0.34, 0.29, 0.22, 0.4
_DPI = 100


def draw_explanation(reading: FaceReading, title: str, emotion: str | None = None) -> bytes:
    """Draw a face, the ensemble's heat map and scores, and each branch's emotion and heat map.

    Each map is scaled to its own maximum; the ensemble's is the mean of the branches' for its emotion.

    :param reading: FaceReading.
    :param title: headline, such as the file name.
    :param emotion: one of EMOTIONS to explain; None for each branch's own.
    :returns: a PNG file.
    """
    branches = len(reading.branch_scores)
    columns = math.ceil(math.sqrt(branches)) if branches < 13 else 5
    rows = math.ceil(branches / columns)
    grid_width = columns * (_TILE + _GAP) - _GAP
    width = 2 * _MARGIN + 2 * _FRONT + 3 * _GAP + grid_width
    grid_height = rows * (_TILE + _WORDS + _GAP) - _GAP
    height = 2 * _MARGIN + 0.5 + max(grid_height, _WORDS + _FRONT + 0.3 + len(EMOTIONS) * _BAR)
    figure = Figure((width, height), dpi=_DPI, facecolor=_GROUND)
    FigureCanvasAgg(figure)
    page = _Page(figure, width, height)
    top = _MARGIN + 0.5
    page.words(_MARGIN, _MARGIN + 0.1, _shortened(title, int(7 * (width - 5))), 13, _WHITE, 'bold')
    kind = f'evidence for {emotion}' if emotion else "evidence for each branch's own emotion"
    page.words(width - _MARGIN, _MARGIN + 0.1, f'Grad-CAM: {kind}', 10, _GRAY, align='right')
    _draw_front(page, reading, emotion, top)
    left = _MARGIN + 2 * _FRONT + 3 * _GAP
    for branch, scores in enumerate(reading.branch_scores):
        shown = EMOTIONS.index(emotion) if emotion else int(scores.argmax())
        x = left + (branch % columns) * (_TILE + _GAP)
        y = top + (branch // columns) * (_TILE + _WORDS + _GAP)
        page.words(x, y + 0.12, f'{EMOTIONS[shown]} {100 * scores[shown]:.0f}%', 11, _color(EMOTIONS[shown]), 'bold')
        page.words(x + _TILE, y + 0.12, str(branch + 1), 10, _GRAY, align='right')
        page.picture(x, y + _WORDS, _TILE, _overlaid(reading.face, reading.heat[branch, shown]))
    png = io.BytesIO()
    figure.savefig(png, format='png', facecolor=_GROUND)
    return png.getvalue()


class _Page:
    """A figure with positions in inches from its upper left corner."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def words(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        color: str | tuple[float, float, float],
        weight: str = 'normal',
        align: str = 'left',
    ) -> None:
        """Write a line centred at height y."""
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            size=size,
            color=color,
            weight=weight,
            ha=align,
            va='center',
            parse_math=False,
        )

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add empty axes."""
        place = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        return axes

    def picture(self, x: float, y: float, side: float, image: np.ndarray) -> None:
        """Show a square RGB image."""
        self.axes(x, y, side, side).imshow(image, interpolation='bilinear', aspect='auto')


def _draw_front(page: _Page, reading: FaceReading, emotion: str | None, top: float) -> None:
    """Draw the crop, the ensemble's heat map, its scores, and the colour scale."""
    shown = EMOTIONS.index(emotion) if emotion else int(reading.scores.argmax())
    second = _MARGIN + _FRONT + _GAP
    page.words(_MARGIN, top + 0.12, 'face crop', 11, _GRAY)
    page.picture(_MARGIN, top + _WORDS, _FRONT, reading.face[:, :, ::-1])
    words = f'{EMOTIONS[shown]} {100 * reading.scores[shown]:.0f}%'
    page.words(second, top + 0.12, words, 14, _color(EMOTIONS[shown]), 'bold')
    page.words(second + _FRONT, top + 0.12, f'ensemble of {len(reading.branch_scores)}', 10, _GRAY, align='right')
    page.picture(second, top + _WORDS, _FRONT, _overlaid(reading.face, reading.heat[:, shown].mean(0)))
    below = top + _WORDS + _FRONT + 0.3
    _draw_scores(page, reading.scores, below)
    scale = page.axes(second, below + 0.1, _FRONT, 0.14)
    scale.imshow(_HEAT(np.linspace(0, 1, 256))[None, :, :3], aspect='auto')
    page.words(second, below + 0.4, 'low', 9, _GRAY)
    page.words(second + _FRONT, below + 0.4, 'maximum of the map', 9, _GRAY, align='right')
    choices = [EMOTIONS[scores.argmax()] for scores in reading.branch_scores]
    for place, choice in enumerate(sorted(set(choices), key=lambda each: (-choices.count(each), each))):
        count = choices.count(choice)
        words = f'{count} branch{"es" if count > 1 else ""}: {choice}'
        page.words(second, below + 0.85 + 0.24 * place, words, 10, _color(choice))


def _draw_scores(page: _Page, scores: np.ndarray, top: float) -> None:
    """Draw the ensemble's scores as bars."""
    rail = _FRONT - 1.45
    axes = page.axes(_MARGIN + 0.9, top, rail, _BAR * len(EMOTIONS))
    axes.set_xlim(0, 1)
    axes.set_ylim(len(EMOTIONS) - 0.5, -0.5)
    for place, (emotion, score) in enumerate(zip(EMOTIONS, scores)):
        axes.barh(place, 1, 0.42, color=_RAIL)
        axes.barh(place, score, 0.42, color=_color(emotion))
        middle = top + (place + 0.5) * _BAR
        strong = _WHITE if score == max(scores) else _GRAY
        page.words(_MARGIN, middle, emotion, 10, strong)
        page.words(_MARGIN + _FRONT, middle, f'{100 * score:.0f}%', 10, strong, align='right')


def _overlaid(face: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Overlay heat on the gray face, transparent where there is none."""
    gray = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) / 255.0
    strength = cv2.resize(heat.astype(np.float32), face.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    strength = np.clip(strength / max(strength.max(), np.finfo(np.float32).tiny), 0, 1)
    opacity = 0.75 * strength[:, :, None] ** 0.7
    return (1 - opacity) * gray * 0.85 + opacity * _HEAT(strength)[:, :, :3]


def _shortened(title: str, most: int) -> str:
    """Elide the middle of a long title."""
    return title if len(title) <= most else f'{title[: most // 2 - 2]}...{title[-(most // 2 - 1) :]}'


def _color(emotion: str) -> tuple[float, float, float]:
    """Return the demo's colour of an emotion as RGB."""
    blue, green, red = COLORS[emotion]
    return red / 255, green / 255, blue / 255
