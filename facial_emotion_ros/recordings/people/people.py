"""people.csv: what each person of one or many recordings showed; merges.csv: who may be the same."""

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

#: Of people.csv, after the columns of recordings.csv's beginning.
PEOPLE = (
    *columns('string', 'person', 'known_by'),
    *columns('double', 'seconds_seen'),
    *columns('int64', 'face_ids', 'views', 'flips'),
    *columns('double', *SHARES, 'valence', 'valence_sd', 'arousal', 'arousal_sd', 'confidence'),
)

#: Files that are written.
PEOPLE_TABLES = ('people.csv', 'people.parquet', MERGES)

#: Digits behind the point: less than numbers of 64 bits have, so that sums in another order give the same text.
_DIGITS = 12


class People(NamedTuple):
    """What was found: who is who; the faces of all recordings; totals: {person: (seconds seen, recordings)}; merges:
    content of a new merges.csv.
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
    """Write people.csv and people.parquet; merges.csv is written by who knows whether somebody has edited it meanwhile.

    :param store: of the results.
    :param results: of all recordings and networks.
    :param faces_of: gives the table of frames of one.
    :param faces: of all recordings, each once.
    :param decisions: of the user.
    :param types: of the columns of a study.
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
    """Compute what each person of a recording showed.

    A face belongs to the person that the ground truth names in that image, and else to its own. Shares, means and
    standard deviations weigh each view by the time for which its image stands.

    :param rows: table of frames.
    :param recording: name of its results' folder.
    :param persons: who is who.
    :returns: {person: cells of PEOPLE from seconds_seen on}.
    """
    who, lengths_s = _who(rows, recording, persons), rows.durations()
    places = places_by(who, np.flatnonzero(rows.face_ids != ''))
    return {person: _figures(rows, lengths_s, each) for person, each in places.items()}


def faces_of_participant(persons: Persons, result: Result) -> FaceRows | None:
    """Read the table of frames without anybody but the participant; images without them have no face then.

    :param persons: who is who.
    :param result: of a study.
    :returns: None where the table is not there.
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
    """Say whose face is in each row, (N,) of str; '' without a face."""
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
    """Count changes from one emotion to another, `unknown` apart."""
    known = words[words != UNKNOWN]
    return int((known[1:] != known[:-1]).sum())


def _number(value):
    """Round a figure; 0 has no sign."""
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS) + 0.0


def gather_people(store: Store, results: Sequence[Result], types: Mapping[str, str]) -> tuple[People, bool]:
    """Find the persons of many recordings, and write the tables about them.

    :param store: of the results.
    :param results: of all recordings and networks.
    :param types: of the columns of a study.
    :returns: what was found; whether merges.csv stays as somebody has edited it meanwhile.
    :raises BadDataset: for decisions that cannot be read or contradict others.
    """
    one_of_each = {each.recording: each for each in results}.values()  # every network sees the same faces
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
    if content is None:  # somebody deleted what faces look like: ground truth and manifest still hold
        rows = result.faces()
        content = b'' if rows is None else FaceViews().content(rows, {})
    return read_face_views(content, result.recording, result.home) if content else []
