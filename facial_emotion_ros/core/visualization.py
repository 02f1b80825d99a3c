"""Draw estimates on an image."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN

#: BGR of each class.
COLORS: Dict[str, Tuple[int, int, int]] = {
    'neutral': (215, 215, 215),
    'happy': (50, 205, 255),
    'sad': (245, 160, 80),
    'surprise': (230, 130, 255),
    'fear': (235, 110, 160),
    'disgust': (95, 200, 100),
    'anger': (80, 80, 255),
    'contempt': (130, 180, 205),
    UNKNOWN: (160, 160, 160),
}
_WHITE, _GRAY, _DARK = (255, 255, 255), (185, 185, 185), (40, 36, 34)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

#: Side in px to which a face is reduced for anonymisation.
_BLURRED_PX = 6


class _Box(NamedTuple):
    """A rectangle of whole pixels; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    def overlap(self, other: '_Box') -> int:
        """Return the number of shared pixels."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(0, width) * max(0, height)


_Color = Tuple[int, int, int]


class _Canvas:
    """An image to draw on; lengths are in pixels of a 640 x 480 image and scaled to this one."""

    def __init__(self, image: np.ndarray):
        self.image = image.copy()
        self.height, self.width = image.shape[:2]
        self.unit = min(max(math.sqrt(self.width * self.height / (640.0 * 480.0)), 0.6), 5.0)

    def px(self, length: float) -> int:
        """Return a length in this image's pixels."""
        return max(1, int(round(length * self.unit)))

    def text_width(self, text: str, size: float) -> int:
        """Return the width of a text whose capitals are `size` high."""
        return int(cv2.getTextSize(text, _FONT, self._scale(size), self.px(size / 11))[0][0])

    def text(self, text: str, x: int, baseline: int, size: float, color: _Color) -> None:
        """Write from (x, baseline); `size` is the height of capitals."""
        cv2.putText(self.image, text, (x, baseline), _FONT, self._scale(size), color, self.px(size / 11), cv2.LINE_AA)

    def shade(self, box: _Box, opacity: float = 0.78) -> None:
        """Darken a rectangle, so that text on it is readable."""
        part = self.image[box.y0 : box.y1, box.x0 : box.x1]
        if part.size:
            cv2.addWeighted(part, 1 - opacity, np.full_like(part, _DARK), opacity, 0, dst=part)

    def fill(self, x0: int, y0: int, x1: int, y1: int, color: _Color) -> None:
        """Fill a rectangle; x1 and y1 are exclusive."""
        self.image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = color

    def fitted(self, x0: int, y0: int, width: int, height: int) -> Optional[_Box]:
        """Return a rectangle, shifted into the image; None if it does not fit."""
        if width > self.width or height > self.height:
            return None
        x0, y0 = min(max(x0, 0), self.width - width), min(max(y0, 0), self.height - height)
        return _Box(x0, y0, x0 + width, y0 + height)

    def _scale(self, size: float) -> float:
        return size * self.unit / 21.0  # capitals of Hershey's simplex font are 21 high at scale 1


def draw_estimates(image: np.ndarray, estimates: Sequence[Any]) -> np.ndarray:
    """Draw each face's box, id, emotion and confidence, and its scores and affect where there is room.

    :param image: (H, W, 3) uint8 BGR; not modified.
    :param estimates: FaceEstimate, or objects with its `face_id`, `box`, `emotion`, `confidence`, `scores`, `valence`
        and `arousal`; earlier ones get room first. 'unknown' is drawn gray, without confidence.
    :returns: (H, W, 3) uint8 BGR, a copy.
    """
    canvas = _Canvas(image)
    frames = [_frame(canvas, estimate.box) for estimate in estimates]
    # Boxes first, so that no box crosses another face's label.
    for frame, estimate in zip(frames, estimates):
        _draw_frame(canvas, frame, _color(estimate))
    plates: List[_Box] = []
    for frame, estimate in zip(frames, estimates):
        plate = _draw_label(canvas, frame, estimate, frames, plates)
        if plate:
            plates.append(plate)
    taken = frames + plates
    for frame, estimate in zip(frames, estimates):
        panel = _place_panel(canvas, frame, taken)
        if panel:
            _draw_panel(canvas, panel, estimate)
            taken.append(panel)
    return canvas.image


def blur_faces(image: np.ndarray, boxes: Sequence[Tuple[float, float, float, float]]) -> np.ndarray:
    """Anonymise faces: each is reduced to 6 x 6 pixels and enlarged again.

    :param image: (H, W, 3) uint8 BGR; not modified.
    :param boxes: x0, y0, x1, y1 of each face in px; a margin of a fifth is blurred too.
    :returns: (H, W, 3) uint8 BGR, a copy.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    for x0, y0, x1, y1 in boxes:
        more_x, more_y = 0.2 * (x1 - x0), 0.2 * (y1 - y0)
        left, right = int(max(x0 - more_x, 0)), int(math.ceil(max(min(x1 + more_x, width), 0)))
        top, bottom = int(max(y0 - more_y, 0)), int(math.ceil(max(min(y1 + more_y, height), 0)))
        part = canvas[top:bottom, left:right]
        if part.size:
            few = cv2.resize(part, (_BLURRED_PX, _BLURRED_PX), interpolation=cv2.INTER_AREA)
            part[...] = cv2.resize(few, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    return canvas


def _color(estimate: Any) -> _Color:
    return COLORS.get(estimate.emotion, COLORS[UNKNOWN])


def _frame(canvas: _Canvas, box: Tuple[float, float, float, float]) -> _Box:
    sides = (canvas.width, canvas.height, canvas.width, canvas.height)
    return _Box(*(int(min(max(round(float(value)), 0), side)) for value, side in zip(box, sides)))


def _draw_frame(canvas: _Canvas, frame: _Box, color: _Color) -> None:
    """Draw a thin box with thick corners and a dark outline, visible on any background."""
    corner = max(2, min(frame.x1 - frame.x0, frame.y1 - frame.y0) // 5)
    x1, y1 = frame.x1 - 1, frame.y1 - 1
    strokes = []
    for x, towards_x in ((frame.x0, 1), (x1, -1)):
        for y, towards_y in ((frame.y0, 1), (y1, -1)):
            strokes += [((x, y), (x + towards_x * corner, y)), ((x, y), (x, y + towards_y * corner))]
    for rim, shade in ((canvas.px(1.2), _DARK), (0, color)):
        cv2.rectangle(canvas.image, (frame.x0, frame.y0), (x1, y1), shade, canvas.px(0.8) + rim, cv2.LINE_AA)
        for start, end in strokes:
            cv2.line(canvas.image, start, end, shade, canvas.px(2.2) + rim, cv2.LINE_AA)


def _draw_label(
    canvas: _Canvas, frame: _Box, estimate: Any, frames: List[_Box], plates: Sequence[_Box]
) -> Optional[_Box]:
    """Write emotion, confidence (or rejection reasons) and id on a plate near the box; None if it does not fit."""
    words, note = estimate.emotion, estimate.face_id
    if estimate.emotion != UNKNOWN and math.isfinite(estimate.confidence):
        words += f' {100 * estimate.confidence:.0f}%'
    elif getattr(estimate, 'rejection_reasons', ()):
        note = ' '.join([', '.join(estimate.rejection_reasons), estimate.face_id]).strip()
    pad, gap, height = canvas.px(5), canvas.px(8), canvas.px(20)
    words_width = canvas.text_width(words, 11)
    width = 2 * pad + words_width
    if note:
        width += gap + canvas.text_width(note, 8)
    plate = _place_plate(canvas, frame, width, height, frames, plates)
    if not plate:
        return None
    canvas.shade(plate, 0.8)
    canvas.fill(plate.x0, plate.y0, plate.x0 + canvas.px(2.5), plate.y1, _color(estimate))
    baseline = plate.y0 + (height + canvas.px(10)) // 2
    canvas.text(words, plate.x0 + pad, baseline, 11, _WHITE)
    if note:
        canvas.text(note, plate.x0 + pad + words_width + gap, baseline, 8, _GRAY)
    return plate


def _place_plate(
    canvas: _Canvas, frame: _Box, width: int, height: int, frames: List[_Box], plates: Sequence[_Box]
) -> Optional[_Box]:
    """Find the position of a plate that hides least: above, below or inside the box, or further away."""
    above, below, inside = frame.y0 - height - canvas.px(3), frame.y1 + canvas.px(3), frame.y0
    far = height + canvas.px(2)
    tops = [above, below, inside]
    for step in range(1, 6):
        tops += [above - step * far, below + step * far, inside + step * far]
    places = [canvas.fitted(x0, y0, width, height) for y0 in tops for x0 in (frame.x0, frame.x1 - width)]
    # Plates count far more than faces.
    return min(
        (place for place in places if place),
        default=None,
        key=lambda place: (
            sum(place.overlap(other) for other in frames) + 50 * sum(place.overlap(plate) for plate in plates)
        ),
    )


_ROW, _BAR, _WORDS = 13, 62, 60  # of a panel: height of a row, length of a bar, width of its label


def _place_panel(canvas: _Canvas, frame: _Box, taken: List[_Box]) -> Optional[_Box]:
    """Find a free place for a panel beside, below or above a box; None if there is none."""
    width = canvas.px(_WORDS + _BAR + 18)
    height = canvas.px(_ROW * (len(EMOTIONS) + 2) + 12)
    gap = canvas.px(6)
    below = canvas.px(26)
    for x0, y0 in (
        (frame.x1 + gap, frame.y0),
        (frame.x0 - gap - width, frame.y0),
        (frame.x0, frame.y1 + below),
        (frame.x0, frame.y0 - below - height),
    ):
        panel = canvas.fitted(x0, y0, width, height)
        if panel and not any(panel.overlap(box) for box in taken):
            return panel
    return None


def _draw_panel(canvas: _Canvas, panel: _Box, estimate: Any) -> None:
    """Draw eight scores, valence and arousal, each as a word and a bar."""
    canvas.shade(panel)
    left, bar_left = panel.x0 + canvas.px(7), panel.x0 + canvas.px(_WORDS + 9)
    row = canvas.px(_ROW)
    for index, emotion in enumerate(EMOTIONS):
        top = panel.y0 + canvas.px(4) + index * row
        chosen = emotion == estimate.emotion
        canvas.text(emotion, left, top + canvas.px(10), 7.5, _WHITE if chosen else _GRAY)
        _draw_bar(canvas, bar_left, top, 0.0, estimate.scores.get(emotion, 0.0), COLORS[emotion])
    for index, (word, value) in enumerate((('valence', estimate.valence), ('arousal', estimate.arousal))):
        top = panel.y0 + canvas.px(8) + (len(EMOTIONS) + index) * row
        canvas.text(word, left, top + canvas.px(10), 7.5, _GRAY)
        _draw_bar(canvas, bar_left, top, 0.5, value / 2.0, _WHITE)


def _draw_bar(canvas: _Canvas, left: int, top: int, origin: float, length: float, color: _Color) -> None:
    """Draw a bar on its rail; origin and length are shares of the rail. NaN draws the rail only."""
    top, bottom, rail = top + canvas.px(4), top + canvas.px(10), canvas.px(_BAR)
    canvas.fill(left, top, left + rail, bottom, (92, 88, 86))
    if math.isfinite(length):
        start, end = sorted((origin, min(max(origin + length, 0.0), 1.0)))
        canvas.fill(left + int(round(start * rail)), top, left + int(round(end * rail)), bottom, color)
    if origin:
        middle = left + int(round(origin * rail))
        canvas.fill(middle, top - canvas.px(1), middle + canvas.px(1), bottom + canvas.px(1), _GRAY)
