"""The results of one network for one recording, as input of the tables over many recordings."""

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.study.face_rows import FaceRows, read_face_rows


class Result(NamedTuple):
    """The results of one network for one recording.

    store: results store; recording: name of the recording's results folder; home: path of the network's results in the
    store; bundle: name of the network; record, figures: the recording's and the network's entries in fleet.json.
    """

    store: Store
    recording: str
    home: str
    bundle: str
    record: Mapping[str, Any]
    figures: Mapping[str, Any]

    @property
    def words(self) -> Mapping[str, Any]:
        """The recording's row in the study's manifest; {} without a study."""
        return self.record.get('study') or {}

    @property
    def head(self) -> tuple[Any, ...]:
        """Leading cells of table rows, see :func:`.head_columns`."""
        return self.recording, self.bundle, *self.words.values()

    @property
    def condition(self) -> str:
        """By the manifest; '' if none."""
        return self.words.get('condition') or ''

    @property
    def participant(self) -> str:
        """By the manifest; '' without a study."""
        return self.words.get('participant') or ''

    def path(self, name: str) -> str:
        """Return the path of a file in the store."""
        return f'{self.home}/{name}'.lstrip('/')

    def faces(self) -> FaceRows | None:
        """Read the table of frames.

        :returns: None if it is missing.
        :raises BadDataset: if it is damaged.
        """
        path = self.path('frames.csv')
        content = self.store.read(path)
        try:
            return None if content is None else read_face_rows(content)
        except (ValueError, IndexError, StopIteration, csv.Error) as error:
            raise BadDataset(
                f'{path}: expected a table of frames, got one that cannot be read ({error or "it is empty"}); delete '
                'its results folder and run the same command again'
            ) from error


#: Function that returns the faces of a result to evaluate, such as Result.faces; None if its table is missing.
Faces = Callable[[Result], FaceRows | None]


def results_of(store: Store, bags: Sequence[Mapping[str, Any]]) -> list[Result]:
    """List the results of many recordings.

    :param store: results store.
    :param bags: `bags` of fleet.json.
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
