"""Write the tables of a study: recordings, conditions and comparisons."""

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
    """One network's rows of conditions.csv and comparisons.csv, without the column bundle."""

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
    """Write the tables of a study (CSV and Parquet) and columns.md, which explains their columns.

    :param store: results store.
    :param study: the manifest.
    :param results: results of all recordings and networks.
    :param faces_of: returns the faces of a result to evaluate.
    :param others: further tables to explain in columns.md.
    :param stage: progress display.
    :param measures: measures to compare conditions in; () for the scores, valence and arousal.
    :returns: a summary per network.
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
