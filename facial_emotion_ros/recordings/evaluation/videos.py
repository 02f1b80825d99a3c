"""Write the annotated videos of a recording, one per camera."""

from collections.abc import Iterable

import numpy as np

from facial_emotion_ros.demo.video_writer import AnnotatedVideo
from facial_emotion_ros.recordings.report.timeline import Film


def video_names(cameras: Iterable[str]) -> dict[str, str]:
    """Return the file name of each camera's video, without suffix; with several cameras, it includes the topic."""
    topics = list(cameras)
    if len(topics) == 1:
        return {topics[0]: 'annotated'}
    return {topic: 'annotated_' + topic.strip('/').replace('_', '__').replace('/', '_') for topic in topics}


class AnnotatedVideos:
    """Writes annotated videos; notes: for the user; films: {camera: Film} of those that browsers can play."""

    def __init__(self, folder: str, cameras: Iterable[str]):
        """Create the videos in a folder."""
        self.notes: list[str] = []
        self.films: dict[str, Film] = {}
        self._videos = {camera: AnnotatedVideo(folder, name) for camera, name in video_names(cameras).items()}

    def add(self, camera: str, picture: np.ndarray, time_s: float) -> None:
        """Add a frame: (H, W, 3) uint8 BGR, time in seconds."""
        self._videos[camera].add(picture, time_s)

    def close(self) -> None:
        """Complete all videos.

        :raises OSError: if writing failed.
        """
        for camera, video in self._videos.items():
            name = video.close()
            if video.note:
                self.notes.append(f'{name}: {video.note}')
            elif name:
                self.films[camera] = Film(name, video.size, video.pieces)

    def discard(self) -> None:
        """Delete the videos."""
        for video in self._videos.values():
            video.discard()
