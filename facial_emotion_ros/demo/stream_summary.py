"""Accumulate the detections of a stream of images, and summarise them per face and picture. No ROS."""

import array
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS


class SeenFace(NamedTuple):
    """One face in one image: box x0 y0 x1 y1 in px, scores in EMOTIONS order, affect in [-1, 1] or NaN if missing."""

    face_id: str
    box: Tuple[float, float, float, float]
    scores: Tuple[float, ...]
    valence: float = float('nan')
    arousal: float = float('nan')
    known: bool = True

    @property
    def emotion(self) -> str:
        """The class with the highest score; '' where the node published unknown."""
        return EMOTIONS[int(np.argmax(self.scores))] if self.known else ''

    @property
    def confidence(self) -> float:
        """The highest score."""
        return max(self.scores)


class _Sums:
    """Running sums of one face."""

    def __init__(self, at_s: float):
        self.frames, self.known_frames, self.affect_frames = 0, 0, 0
        self.first_s, self.last_s = at_s, at_s
        self.scores = np.zeros(len(EMOTIONS))
        self.affect = np.zeros(2)
        self.box = np.zeros(4)

    def add(self, face: SeenFace, at_s: float) -> None:
        self.frames += 1
        self.last_s = at_s
        self.box += face.box
        if face.known:
            self.known_frames += 1
            self.scores += face.scores
        if np.isfinite(face.valence) and np.isfinite(face.arousal):
            self.affect_frames += 1
            self.affect += (face.valence, face.arousal)

    def summary(self, face_id: str) -> Dict[str, Any]:
        scores = self.scores / max(self.known_frames, 1)
        mean_affect = self.affect / self.affect_frames if self.affect_frames else (None, None)
        valence, arousal = (None if value is None else round(float(value), 3) for value in mean_affect)
        return {
            'id': face_id,
            'emotion': EMOTIONS[int(np.argmax(scores))] if self.known_frames else 'unknown',
            'confidence': round(float(scores.max()), 3),
            'valence': valence,
            'arousal': arousal,
            'frames': self.frames,
            'seen_s': round(self.last_s - self.first_s, 2),
            'mean_box_px': [round(float(edge), 1) for edge in self.box / self.frames],
            'mean_scores': dict(zip(EMOTIONS, (round(float(score), 3) for score in scores))),
        }


def _sums_at_position(entries: List[Tuple[str, _Sums]], face: SeenFace, at_s: float) -> _Sums:
    """Find a still picture's face by its position: on a slow machine, its id changes."""
    x0, y0, x1, y1 = face.box
    for _, sums in entries:
        center_x, center_y = (sums.box[:2] + sums.box[2:]) / (2 * sums.frames)
        if x0 < center_x < x1 and y0 < center_y < y1:
            return sums
    entries.append((face.face_id, _Sums(at_s)))
    return entries[-1][1]


class StreamSummary:
    """Count images and accumulate every face, over the whole stream and for every picture by name."""

    def __init__(self) -> None:
        """Start empty."""
        self.frames = 0
        self.frames_with_faces = 0
        self.first_arrival_s: Optional[float] = None
        self.last_arrival_s = 0.0
        self._ages_s = array.array('d')  # 20 MB per day
        self._faces: Dict[str, _Sums] = {}
        self._pictures: Dict[str, Dict[str, Any]] = {}

    def add(self, arrival_s: float, age_s: float, faces: Iterable[SeenFace], picture: str = '') -> None:
        """Add the detections of one image.

        :param arrival_s: when they arrived, by a monotonic clock.
        :param age_s: age of the image at that time.
        :param faces: the faces in it.
        :param picture: file name of the picture in the image; '' for none.
        """
        if self.first_arrival_s is None:
            self.first_arrival_s = arrival_s
        self.last_arrival_s = arrival_s
        self.frames += 1
        self._ages_s.append(age_s)
        faces = list(faces)
        self.frames_with_faces += bool(faces)
        shown = None
        if picture:
            shown = self._pictures.setdefault(picture, {'frames': 0, 'faces': []})
            shown['frames'] += 1
        for face in faces:
            self._faces.setdefault(face.face_id, _Sums(arrival_s)).add(face, arrival_s)
            if shown is not None:
                _sums_at_position(shown['faces'], face, arrival_s).add(face, arrival_s)

    @property
    def seconds(self) -> float:
        """Time from the first detections to the last; 0 without any."""
        return 0.0 if self.first_arrival_s is None else self.last_arrival_s - self.first_arrival_s

    def summary(self) -> Dict[str, Any]:
        """Return the summary as a JSON object.

        :returns: frames, frames_with_faces, seconds, frames_per_second, age_ms (p50, p99, max), faces (in the order of
            their appearance) and pictures (name -> frames and faces from left to right); undefined numbers are None.
        """
        seconds = self.seconds
        ages_ms = np.array(self._ages_s) * 1e3
        age_ms = {
            name: round(float(np.percentile(ages_ms, rank)), 1) if self.frames else None
            for name, rank in (('p50', 50), ('p99', 99), ('max', 100))
        }
        pictures: Dict[str, Any] = {}
        for name, shown in self._pictures.items():
            faces = [sums.summary(face_id) for face_id, sums in shown['faces']]
            faces.sort(key=lambda face: face['mean_box_px'][0])
            pictures[name] = {'frames': shown['frames'], 'faces': faces}
        return {
            'frames': self.frames,
            'frames_with_faces': self.frames_with_faces,
            'seconds': round(seconds, 2),
            'frames_per_second': round((self.frames - 1) / seconds, 2) if seconds > 0 else None,
            'age_ms': age_ms,
            'faces': [sums.summary(face_id) for face_id, sums in self._faces.items()],
            'pictures': pictures,
        }


def image_score(faces: Sequence[SeenFace], width: float) -> Tuple[int, int, float]:
    """Score how well a picture serves as an example: number of faces, then space between them, then confidence.

    :param faces: in the picture.
    :param width: of the picture in px.
    :returns: sort key, larger is better; the confidence is the lowest of the faces'.
    """
    boxes = sorted(face.box for face in faces)
    gaps_px = zip([0.0] + [box[2] for box in boxes], [box[0] for box in boxes] + [float(width)])
    space_px = min(right - left for left, right in gaps_px)
    return len(boxes), int(min(max(space_px, 0.0), 40.0) // 10), min([face.confidence for face in faces] or [0.0])
