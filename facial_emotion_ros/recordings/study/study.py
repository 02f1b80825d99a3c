"""What a study adds to the results of many recordings: tables by recording, condition and comparison."""

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.core.errors import BadDataset
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
from facial_emotion_ros.recordings.study.face_rows import MEASURES, FaceRows, read_face_rows
from facial_emotion_ros.recordings.study.manifest import Study
from facial_emotion_ros.recordings.study.study_tables import (
    COMPARISONS,
    CONDITIONS,
    DICTIONARY,
    FIGURES,
    dictionary,
    recordings_columns,
    write_table,
)

#: Gives the table of frames of a (bag, result), as in fleet.json; None where it is not there.
Read = Callable[[Mapping[str, Any], Mapping[str, Any]], FaceRows | None]


class GroupSummary(NamedTuple):
    """The figures of one network: rows of conditions.csv and of comparisons.csv, without the bundle."""

    bundle: str
    conditions: list[ConditionRow]
    comparisons: list[ComparisonRow]


def write_study(
    store: Store,
    study: Study,
    bags: Sequence[Mapping[str, Any]],
    read: Read,
    others: Sequence[str] = (),
    stage: Stage = silent,
    measures: Sequence[str] = (),
) -> list[GroupSummary]:
    """Write the tables of a study and the dictionary of their columns.

    :param store: of the results; it gets recordings, conditions and comparisons, as CSV and Parquet, and columns.md.
    :param study: the manifest.
    :param bags: as in fleet.json, each with `study`: what the manifest says of it.
    :param read: gives the table of frames of a recording and network, such as :func:`faces_of`.
    :param others: further tables that the dictionary explains.
    :param stage: shows the progress.
    :param measures: in which conditions are compared; () for the scores, valence and arousal.
    :returns: what the groups show, for each network.
    """
    rows: list[tuple[Any, ...]] = []
    averages: dict[str, list[Any]] = {}
    each_result = [(bag, result) for bag in bags for result in bag['results']]

    def profile_of(pair):
        faces = read(*pair)
        return None if faces is None else faces.profile()

    profiles = in_threads(stage, 'tables of frames', profile_of, each_result, TABLES)
    for (bag, result), profile in zip(each_result, profiles):
        if profile is None:
            continue
        words, name = bag['study'], (result['bundle'] or {}).get('name') or ''
        figures = (result.get(each) for each in FIGURES)
        figures = (number(each) if isinstance(each, float) else each for each in figures)
        rows.append((bag['folder'], name, *words.values(), *figures, *map(number, profile)))
        averages.setdefault(name, []).append((words.get('condition') or '', words['participant'], profile))
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


def faces_of(store: Store, bag: Mapping[str, Any], result: Mapping[str, Any]) -> FaceRows | None:
    """Read the frames of a recording.

    :param store: of the results.
    :param bag, result: as in fleet.json.
    :returns: None where its table is not there.
    :raises BadDataset: if it is damaged.
    """
    place = f'bags/{bag["folder"]}/{result["summary"].replace("summary.json", "frames.csv")}'
    content = store.read(place)
    try:
        return None if content is None else read_face_rows(content)
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise BadDataset(
            f'{place}: expected a table of frames, it cannot be read ({error or "it is empty"}); delete the folder '
            'of its results, and run the same command again'
        ) from error
