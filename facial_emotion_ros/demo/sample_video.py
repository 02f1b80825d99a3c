"""Draw the embedded sample video: three public-domain portraits, panned and zoomed in panels as in a video call."""

import math
import os
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.perception.image_files import read_picture

#: Length of the video, which loops without a cut.
LENGTH_S = 24.0

#: Duration of a panel's slide in or out.
SLIDE_S = 1.6

#: Width of a face over its height.
FACE_WIDTH = 0.75

#: Brightness of the blurred picture that fills the rest of a panel.
BACKDROP_GAIN = 0.45


class Portrait(NamedTuple):
    """One picture of the video.

    file: name in the samples folder; center_px: x and y of the face's centre in the picture; face_px: the face's height
    there (hairline to chin); enlargement: of this face relative to the others, so that a close-up fills its panel;
    visible_s: (start, end) pairs between which the panel has its full width.
    """

    file: str
    center_px: Tuple[float, float]
    face_px: float
    enlargement: float
    visible_s: Tuple[Tuple[float, float], ...]


#: Left to right. The astronaut returns at the end, for a loop without a cut.
CAST = (
    Portrait('astronaut.jpg', (224.0, 126.0), 111.0, 1.0, ((-SLIDE_S, 14.5), (20.0, LENGTH_S + SLIDE_S))),
    Portrait('president.jpg', (422.0, 247.0), 203.0, 1.0, ((6.2, 20.6),)),
    Portrait('vice_president.jpg', (644.0, 490.0), 640.0, 1.25, ((10.8, LENGTH_S - SLIDE_S),)),
)


class SampleVideo:
    """Draw frames: deterministic for the same time and version of OpenCV."""

    def __init__(self, width: int = 640, height: int = 480, folder: str = ''):
        """Load the portraits.

        :param width: width of the frames in px.
        :param height: height of the frames in px.
        :param folder: folder of the portraits; '' for the embedded samples.
        :raises BadImage: if a portrait is missing or cannot be decoded.
        """
        self.width, self.height = width, height
        self._pictures: Dict[str, Tuple[np.ndarray, np.ndarray]] = {}
        folder = folder or find_shared('samples')
        for portrait in CAST:
            path = os.path.join(folder, portrait.file)
            try:
                picture = read_picture(path)
            except BadImage as fault:
                raise BadImage(
                    'expected the sample portrait %s, but it is missing or damaged (%s); install the '
                    'package or check out its samples folder again' % (path, fault)
                ) from None
            self._pictures[portrait.file] = (picture, _blurred(picture))

    def frame(self, time_s: float) -> np.ndarray:
        """Draw one frame.

        :param time_s: since the start; the video repeats beyond its length.
        :returns: (height, width, 3) uint8 BGR.
        """
        time_s = time_s % LENGTH_S
        frame = np.zeros((self.height, self.width, 3), np.uint8)
        for number, left, right in self._panels(time_s):
            first, last = int(round(left)), int(round(right))
            if last > first:
                frame[:, first:last] = self._panel(CAST[number], number, time_s, right - left)[:, : last - first]
                if first > 0:
                    frame[:, max(first - 2, 0) : first + 1] = 24  # a seam, as between the windows of a video call
        return frame

    def boxes(self, time_s: float) -> List[Tuple[str, Tuple[float, float, float, float]]]:
        """Return the ground-truth face boxes of a frame.

        :param time_s: see `frame`.
        :returns: (portrait's file, box x0 y0 x1 y1 in px) of each face with most of its width visible.
        """
        time_s = time_s % LENGTH_S
        found = []
        for number, left, right in self._panels(time_s):
            portrait = CAST[number]
            scale, x, y = self._placement(portrait, number, time_s, right - left)
            middle_x, middle_y = (scale * each for each in portrait.center_px)
            half_height = 0.5 * scale * portrait.face_px
            half_width = FACE_WIDTH * half_height
            x0, x1 = max(left + x + middle_x - half_width, left), min(left + x + middle_x + half_width, right)
            y0, y1 = max(y + middle_y - half_height, 0.0), min(y + middle_y + half_height, float(self.height))
            if x1 - x0 >= 1.2 * half_width and y1 > y0:
                found.append((portrait.file, (x0, y0, x1, y1)))
        return found

    def _panels(self, time_s: float) -> List[Tuple[int, float, float]]:
        """Return each portrait's panel in px: (number in CAST, left, right)."""
        shares = [_share(portrait, time_s) for portrait in CAST]
        edges = np.concatenate([[0.0], np.cumsum(shares)]) * self.width / sum(shares)
        return [(number, float(edges[number]), float(edges[number + 1])) for number in range(len(CAST))]

    def _placement(
        self, portrait: Portrait, number: int, time_s: float, panel_width: float
    ) -> Tuple[float, float, float]:
        """Return the scale of a portrait, and x and y of its corner in its panel."""
        picture = self._pictures[portrait.file][0]
        turn = 2 * math.pi * time_s / LENGTH_S
        zoom = 1.0 + 0.11 * math.sin(3 * turn + 2.1 * number)
        # Faces of 120 to 255 px at a height of 480: large for every detector, small enough for a third of the frame.
        face_px = portrait.enlargement * zoom * self.height * (0.21 + 0.17 * min(panel_width / self.width * 2, 1.0))
        scale = face_px / portrait.face_px
        face_x = panel_width / 2 + 0.05 * min(panel_width, self.height) * math.sin(2 * turn + 1.3 * number)
        face_y = self.height * (0.46 + 0.035 * math.sin(3 * turn + 0.7 * number))
        x = _slide_inside(face_x - scale * portrait.center_px[0], scale * picture.shape[1], panel_width)
        y = _slide_inside(face_y - scale * portrait.center_px[1], scale * picture.shape[0], self.height)
        return scale, x, y

    def _panel(self, portrait: Portrait, number: int, time_s: float, panel_width: float) -> np.ndarray:
        """Draw a portrait in its panel, with the face near the middle, slowly panned and zoomed."""
        picture, backdrop = self._pictures[portrait.file]
        columns = int(math.ceil(panel_width)) + 1
        scale, x, y = self._placement(portrait, number, time_s, panel_width)
        panel = cv2.resize(backdrop, (columns, self.height), interpolation=cv2.INTER_LINEAR)
        placement = np.array([[scale, 0, x], [0, scale, y]], np.float32)
        # Warps do not support INTER_AREA: shrink first if the portrait is shown at less than half its size.
        if scale < 0.5:
            picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            placement[:, :2] *= 2
        return cv2.warpAffine(
            picture,
            placement,
            (columns, self.height),
            dst=panel,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )


def _share(portrait: Portrait, time_s: float) -> float:
    """Return how far a portrait's panel is open, 0 to 1."""
    opening = 0.0
    for start, end in portrait.visible_s:
        into, out_of = (time_s - start) / SLIDE_S + 1, (end - time_s) / SLIDE_S + 1
        ramp = min(max(min(into, out_of), 0.0), 1.0)
        opening = max(opening, ramp * ramp * (3 - 2 * ramp))
    return opening


def _slide_inside(offset: float, length: float, window: float) -> float:
    """Limit an offset so that a picture covers its window; a shorter one is centred."""
    if length <= window:
        return (window - length) / 2
    return min(max(offset, window - length), 0.0)


def _blurred(picture: np.ndarray) -> np.ndarray:
    """Return a small, dark, blurred copy: colours remain, faces do not."""
    small = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
    return (cv2.GaussianBlur(small, (0, 0), 6) * BACKDROP_GAIN).astype(np.uint8)
