"""The annotated films of a recording, one a camera."""

from facial_emotion_ros.annotated_film import AnnotatedFilm


def film_names(cameras):
    """Name the films.

    :param cameras: topics; of several, each film has its camera in its name.
    :returns: dict of topic to name without suffix.
    """
    words = {camera: camera.strip('/').replace('_', '__').replace('/', '_') for camera in cameras}
    return {camera: f'annotated_{word}' if len(cameras) > 1 else 'annotated' for camera, word in words.items()}


class Films:
    """Writes what each camera saw, with the faces' estimates drawn.

    names: of the files that are complete; notes: what there is to say of them.
    """

    def __init__(self, folder, cameras):
        """Begin.

        :param folder: for the films.
        :param cameras: topics.
        """
        self.names, self.notes = set(), []
        self._films = {camera: AnnotatedFilm(folder, name) for camera, name in film_names(cameras).items()}

    def add(self, camera, picture, time_s):
        """Add a frame: (H, W, 3) uint8 BGR, time in seconds."""
        self._films[camera].add(picture, time_s)

    def close(self):
        """Finish all films.

        :raises OSError: if the disk did not take one.
        """
        for film in self._films.values():
            name = film.close()
            self.names |= {name} - {''}
            self.notes += [f'{name}: {film.note}'] if film.note else []

    def discard(self):
        """Delete what was begun."""
        for film in self._films.values():
            film.discard()
