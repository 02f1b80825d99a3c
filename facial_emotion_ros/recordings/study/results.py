"""Results of networks for recordings, as tables of many are made of them."""

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.study.face_rows import FaceRows, read_face_rows


class Result(NamedTuple):
    """What one network found in one recording.

    store: of all results; recording: folder of the recording's results, which names it; home: path of the network's
    in the store; bundle: name of the network; record, figures: of the recording and of the network, as in fleet.json.
    """

    store: Store
    recording: str
    home: str
    bundle: str
    record: Mapping[str, Any]
    figures: Mapping[str, Any]

    @property
    def words(self) -> Mapping[str, Any]:
        """What the manifest of a study says of the recording; {} without one."""
        return self.record.get('study') or {}

    @property
    def head(self) -> tuple[Any, ...]:
        """The cells of :func:`.head_columns`."""
        return self.recording, self.bundle, *self.words.values()

    @property
    def condition(self) -> str:
        """By the manifest; '' where it says none."""
        return self.words.get('condition') or ''

    @property
    def participant(self) -> str:
        """By the manifest; '' without one."""
        return self.words.get('participant') or ''

    def path(self, name: str) -> str:
        """Give the path of a file in the store."""
        return f'{self.home}/{name}'.lstrip('/')

    def faces(self) -> FaceRows | None:
        """Read the table of frames.

        :returns: None where it is not there.
        :raises BadDataset: if it is damaged.
        """
        path = self.path('frames.csv')
        content = self.store.read(path)
        try:
            return None if content is None else read_face_rows(content)
        except (ValueError, IndexError, StopIteration, csv.Error) as error:
            raise BadDataset(
                f'{path}: expected a table of frames, it cannot be read ({error or "it is empty"}); delete the folder '
                'of its results, and run the same command again'
            ) from error


#: Gives the faces of a result that count, such as Result.faces; None where its table is not there.
Faces = Callable[[Result], FaceRows | None]


def results_of(store: Store, bags: Sequence[Mapping[str, Any]]) -> list[Result]:
    """List the results of many recordings.

    :param store: that has them.
    :param bags: as in fleet.json.
    """
    return [
        Result(
            store,
            bag['folder'],
            f'bags/{bag["folder"]}/{figures["summary"]}'.rpartition('/')[0],
            (figures['bundle'] or {}).get('name') or '',
            bag,
            figures,
        )
        for bag in bags
        for figures in bag['results']
    ]
