"""Write people.csv (expression statistics per person) and merges.csv (pairs of faces to join)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import WORDS
from facial_emotion_ros.recordings.evaluation.tables import columns
from facial_emotion_ros.recordings.people.face_views import FACE_VIEWS, FaceKey, FaceViews, SeenFace, read_face_views
from facial_emotion_ros.recordings.people.identity import TRACKING, Decision, Persons, persons_of
from facial_emotion_ros.recordings.people.merges import MERGES, merge_rows, merges_text, read_merges, with_lines
from facial_emotion_ros.recordings.study.face_rows import SHARES, FaceRows, as_in_csv, places_by, weights_of
from facial_emotion_ros.recordings.study.results import Faces, Result
from facial_emotion_ros.recordings.study.study_tables import head_columns, write_table

#: Columns of people.csv, after the leading columns of recordings.csv.
PEOPLE = (
    *columns('string', 'person', 'known_by'),
    *columns('double', 'seconds_seen'),
    *columns('int64', 'face_ids', 'views', 'flips'),
    *columns('double', *SHARES, 'valence', 'valence_sd', 'arousal', 'arousal_sd', 'confidence'),
)

#: File names.
PEOPLE_TABLES = ('people.csv', 'people.parquet', MERGES)

#: Decimal places: fewer than float64 has, so that sums in another order give the same text.
_DIGITS = 12


class People(NamedTuple):
    """persons: result of the clustering; faces: of all recordings; totals: {person: (seconds visible, number of
    recordings)}; merges: content of the new merges.csv.
    """

    persons: Persons
    faces: list[SeenFace]
    totals: dict[str, tuple[float, int]]
    merges: bytes


def write_people(
    store: Store,
    results: Sequence[Result],
    faces_of: Faces,
    faces: Sequence[SeenFace],
    decisions: Sequence[Decision],
    types: Mapping[str, str] | None = None,
) -> People:
    """Write people.csv and people.parquet; the caller writes merges.csv unless it was edited meanwhile.

    :param store: results store.
    :param results: results of all recordings and networks.
    :param faces_of: returns the table of frames of a result.
    :param faces: faces of all recordings, each once.
    :param decisions: the user's decisions.
    :param types: {column: type} of a study's manifest.
    """
    participants = {each.recording: as_in_csv(each.participant) for each in results if each.participant}
    persons = persons_of(faces, participants, decisions)
    head = head_columns(types or {})
    rows: list[tuple[Any, ...]] = []
    seen_s: dict[str, dict[str, float]] = {}
    for result in results:
        found = faces_of(result)
        figures = person_figures(found, result.recording, persons) if found is not None else {}
        for person, cells in sorted(figures.items()):
            rows.append((*result.head, person, ' '.join(persons.known_by.get(person, [TRACKING])), *cells))
            seen_s.setdefault(person, {})[result.recording] = cells[0]
    write_table(store, 'people', (*head, *PEOPLE), rows)
    merges = merge_rows(persons, decisions, faces)
    persons = persons._replace(not_followed=with_lines(persons.not_followed, merges))
    totals = {person: (math.fsum(each.values()), len(each)) for person, each in seen_s.items()}
    return People(persons, list(faces), totals, merges_text(merges))


def person_figures(rows: FaceRows, recording: str, persons: Persons) -> dict[str, tuple[Any, ...]]:
    """Compute expression statistics for each person of a recording.

    A face in an image belongs to the person that the ground truth names there, or else to the person of its face id.
    Shares, means and standard deviations are weighted by each image's duration.

    :param rows: table of frames.
    :param recording: name of its results folder.
    :param persons: result of the clustering.
    :returns: {person: cells of PEOPLE from seconds_seen on}.
    """
    who, lengths_s = _who(rows, recording, persons), rows.durations()
    places = places_by(who, np.flatnonzero(rows.face_ids != ''))
    return {person: _figures(rows, lengths_s, each) for person, each in places.items()}


def faces_of_participant(persons: Persons, result: Result) -> FaceRows | None:
    """Read the table of frames, and blank the faces of everybody but the participant.

    :param persons: result of the clustering.
    :param result: result in a study.
    :returns: None if the table is missing.
    """
    rows, name = result.faces(), as_in_csv(result.participant)
    if rows is None:
        return None
    is_own = _who(rows, result.recording, persons) == persons.of_participant.get(name, name)
    words, face_ids, names = (np.where(is_own, each, '') for each in (rows.words, rows.face_ids, rows.persons))
    values = np.where(is_own[:, None], rows.values, np.nan)
    confidences = np.where(is_own, rows.confidences, np.nan)
    return rows._replace(words=words, values=values, face_ids=face_ids, persons=names, confidences=confidences)


def _who(rows, recording, persons):
    """Return the person of each row, (N,) of str; '' without a face."""
    who = np.full(len(rows.face_ids), '', object)
    for place in np.flatnonzero(rows.face_ids != ''):
        if rows.persons[place]:
            who[place] = persons.of_name[recording, rows.persons[place]]
        else:
            key = FaceKey(recording, rows.cameras[place], rows.face_ids[place])
            who[place] = persons.of_face.get(key, '/'.join(key))
    return who


def _figures(rows, lengths_s, places):
    words, affect, count = rows.words[places], rows.values[places][:, -2:], len(places)
    weights = weights_of(lengths_s[places])
    means = weights @ affect
    sds = np.sqrt(weights @ (affect - means) ** 2 * count / (count - 1)) if count > 1 else (None, None)
    of_cameras = places_by(rows.cameras, places).values()
    return (
        _number(rows.seconds(lengths_s, places)),
        len(set(zip(rows.cameras[places], rows.face_ids[places]))),
        len(places),
        sum(_flips(rows.words[each[np.argsort(rows.frames[each], kind='stable')]]) for each in of_cameras),
        *(_number(weights @ (words == word)) for word in WORDS),
        *(_number(value) for pair in zip(means, sds) for value in pair),
        _number(weights @ rows.confidences[places]),
    )


def _flips(words):
    """Count changes of the emotion, ignoring `unknown`."""
    known = words[words != UNKNOWN]
    return int((known[1:] != known[:-1]).sum())


def _number(value):
    """Round a figure, without -0; None if it is not finite."""
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS) + 0.0


def gather_people(store: Store, results: Sequence[Result], types: Mapping[str, str]) -> tuple[People, bool]:
    """Find the persons of many recordings, and write their tables.

    :param store: results store.
    :param results: results of all recordings and networks.
    :param types: {column: type} of a study's manifest.
    :returns: People, and whether merges.csv was edited meanwhile and therefore kept.
    :raises BadDataset: if decisions cannot be read or contradict each other.
    """
    one_of_each = {each.recording: each for each in results}.values()  # all networks get the same faces
    faces = [face for each in one_of_each for face in _seen_in(each)]
    content = store.read(MERGES)
    people = write_people(store, results, Result.faces, faces, read_merges(content), types)
    is_edited = store.read(MERGES) != content
    if not is_edited:
        store.write(MERGES, people.merges)
    return people, is_edited


def _seen_in(result):
    """List the faces of a recording."""
    content = result.store.read(result.path(FACE_VIEWS))
    if content is None:  # the user deleted the descriptors: ground truth and manifest still apply
        rows = result.faces()
        content = b'' if rows is None else FaceViews().content(rows, {})
    return read_face_views(content, result.recording, result.home) if content else []
