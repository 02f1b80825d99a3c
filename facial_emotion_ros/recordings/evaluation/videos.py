"""The annotated videos of a recording, one a camera."""

from collections.abc import Iterable

import numpy as np

from facial_emotion_ros.demo.video_writer import AnnotatedVideo
from facial_emotion_ros.recordings.report.timeline import Film


def video_names(cameras: Iterable[str]) -> dict[str, str]:
    """Name the video of each camera, without suffix; of several cameras, each has its topic in the name."""
    topics = list(cameras)
    if len(topics) == 1:
        return {topics[0]: 'annotated'}
    return {topic: 'annotated_' + topic.strip('/').replace('_', '__').replace('/', '_') for topic in topics}


class AnnotatedVideos:
    """Writes what each camera saw, with the estimates drawn.

    notes: remarks on their files; films: {camera: Film} of those that browsers play.
    """

    def __init__(self, folder: str, cameras: Iterable[str]):
        """Begin the videos in a folder."""
        self.notes: list[str] = []
        self.films: dict[str, Film] = {}
        self._videos = {camera: AnnotatedVideo(folder, name) for camera, name in video_names(cameras).items()}

    def add(self, camera: str, picture: np.ndarray, time_s: float) -> None:
        """Add a frame: (H, W, 3) uint8 BGR, time in seconds."""
        self._videos[camera].add(picture, time_s)

    def close(self) -> None:
        """Complete all videos.

        :raises OSError: if the disk did not take one.
        """
        for camera, video in self._videos.items():
            name = video.close()
            if video.note:
                self.notes.append(f'{name}: {video.note}')
            elif name:
                self.films[camera] = Film(name, video.size, video.pieces)

    def discard(self) -> None:
        """Delete what was written."""
        for video in self._videos.values():
            video.discard()
