"""What a study adds to the results of many recordings: tables by recording, condition and comparison."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.recordings.batch.in_threads import TABLES, Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.study.conditions import (
    ComparisonRow,
    ConditionRow,
    cells_of,
    comparison_rows,
    condition_rows,
    number,
)
from facial_emotion_ros.recordings.study.face_rows import MEASURES
from facial_emotion_ros.recordings.study.manifest import Study
from facial_emotion_ros.recordings.study.results import Faces, Result
from facial_emotion_ros.recordings.study.study_tables import (
    COMPARISONS,
    CONDITIONS,
    DICTIONARY,
    FIGURES,
    dictionary,
    recordings_columns,
    write_table,
)


class GroupSummary(NamedTuple):
    """The figures of one network: rows of conditions.csv and of comparisons.csv, without the bundle."""

    bundle: str
    conditions: list[ConditionRow]
    comparisons: list[ComparisonRow]


def write_study(
    store: Store,
    study: Study,
    results: Sequence[Result],
    faces_of: Faces,
    others: Sequence[str] = (),
    stage: Stage = silent,
    measures: Sequence[str] = (),
) -> list[GroupSummary]:
    """Write the tables of a study and the dictionary of their columns.

    :param store: of the results; it gets recordings, conditions and comparisons, as CSV and Parquet, and columns.md.
    :param study: the manifest.
    :param results: of all recordings and networks.
    :param faces_of: gives the faces that count.
    :param others: further tables that the dictionary explains.
    :param stage: shows the progress.
    :param measures: in which conditions are compared; () for the scores, valence and arousal.
    :returns: what the groups show, for each network.
    """
    rows: list[tuple[Any, ...]] = []
    averages: dict[str, list[Any]] = {}

    def profile_of(result):
        faces = faces_of(result)
        return None if faces is None else faces.profile()

    for result, profile in zip(results, in_threads(stage, 'tables of frames', profile_of, results, TABLES)):
        if profile is None:
            continue
        figures = (result.figures.get(each) for each in FIGURES)
        figures = (number(each) if isinstance(each, float) else each for each in figures)
        rows.append((*result.head, *figures, *map(number, profile)))
        averages.setdefault(result.bundle, []).append((result.condition, result.participant, profile))
    found = []
    for name, each in averages.items():
        cells = cells_of(each)
        found.append(GroupSummary(name, condition_rows(cells), comparison_rows(cells, measures or MEASURES)))
    write_table(store, 'recordings', recordings_columns(study.types), rows)
    write_table(store, 'conditions', CONDITIONS, [(of.bundle, *row) for of in found for row in of.conditions])
    write_table(store, 'comparisons', COMPARISONS, [(of.bundle, *row) for of in found for row in of.comparisons])
    sections = ('recordings.csv', 'conditions.csv', 'comparisons.csv', *others, 'frames/', 'frames.csv')
    store.write(DICTIONARY, dictionary(sections, study.types, study.path).encode('utf-8'))
    return found
