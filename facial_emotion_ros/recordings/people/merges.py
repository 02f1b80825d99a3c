"""Read and write merges.csv: pairs of faces that were joined or are uncertain, with the user's decisions."""

from collections.abc import Iterable, Sequence
from typing import Any

from facial_emotion_ros.core.csv_rows import number_of, read_csv
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.recordings.evaluation.tables import columns, csv_content
from facial_emotion_ros.recordings.people.face_views import FaceKey, SeenFace
from facial_emotion_ros.recordings.people.identity import DECISION, Decision, Pair, Persons

MERGES = 'merges.csv'

#: Message for the case that the file was edited during the run.
EDITED = f'{MERGES} was edited meanwhile and is kept; run the same command again to apply its decisions'

_SIDES = ('recording', 'camera', 'face')

#: Columns of merges.csv; docs/columns.md explains them.
MERGE_COLUMNS = (
    *columns('string', 'same'),
    *columns('double', 'likeness'),
    *columns('string', 'joined_by'),
    *columns('string', *(f'{name}_{side}' for side in ('a', 'b') for name in ('person', *_SIDES, 'picture'))),
)

_YES, _NO = ('yes', 'y', 'true', '1'), ('no', 'n', 'false', '0')


def read_merges(content: bytes | None) -> list[Decision]:
    """Parse the user's decisions.

    :param content: of merges.csv, separated by commas or semicolons; None if there is no such file.
    :raises BadDataset: if a line cannot be read, or decisions contradict each other.
    """
    if content is None:
        return []
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise BadDataset(f'{MERGES}: expected a CSV file in UTF-8, got other bytes ({error})') from error
    needed = ['same', *(f'{name}_{side}' for side in ('a', 'b') for name in _SIDES)]
    table = read_csv(text, MERGES, needed, ('likeness',))
    if not set(needed) <= set(table.names):
        raise BadDataset(
            f'{MERGES}: expected a header line with the columns {", ".join(needed)}, got '
            f'{",".join(table.names) or "nothing"}; correct it, or delete the file with all decisions'
        )
    found: dict[tuple[FaceKey, FaceKey], Decision] = {}
    for line, row in table.rows:
        decision = _decision(row, line)
        if decision is None:
            continue
        former = found.setdefault((decision.one, decision.other), decision)
        if former.same != decision.same:
            raise BadDataset(
                f'{MERGES}, lines {former.line} and {decision.line}: expected one decision for these two faces, got '
                'yes and no'
            )
    decisions = list(found.values())
    _check(decisions)
    return decisions


def _decision(row: dict[str, str], line: int) -> Decision | None:
    word = row['same'].lower()
    if not word:
        return None
    if word not in (*_YES, *_NO):
        raise BadDataset(
            f'{MERGES}, line {line}: expected yes, no or an empty cell in the column same, got {row["same"]!r}'
        )
    one, other = sorted(FaceKey(*(row[f'{name}_{side}'] for name in _SIDES)) for side in ('a', 'b'))
    if one == other or not all((*one, *other)):
        raise BadDataset(
            f'{MERGES}, line {line}: expected two faces, each with its recording and camera, got {one} and {other}'
        )
    text, where = row.get('likeness', '').replace(',', '.'), f'{MERGES}, line {line}'
    likeness = number_of(text, where, 'a likeness, or an empty cell') if text else None
    return Decision(one, other, word in _YES, line, likeness)


def _check(decisions: Sequence[Decision]) -> None:
    """Reject a no between faces that other lines join by yes."""
    way: dict[FaceKey, dict[FaceKey, int]] = {}
    for each in decisions:
        if each.same:
            way.setdefault(each.one, {})[each.other] = each.line
            way.setdefault(each.other, {})[each.one] = each.line
    for each in decisions:
        lines = None if each.same else _path(way, each.one, each.other)
        if lines:
            raise BadDataset(
                f'{MERGES}, line {each.line}: got "no" for two faces that are one person by "yes" in '
                f'{"lines" if len(lines) > 1 else "line"} {", ".join(map(str, lines))}; change one of them'
            )


def _path(way, begin, end) -> list[int] | None:
    """Find the shortest chain of lines that connects two faces."""
    before: dict[FaceKey, tuple[FaceKey, int] | None] = {begin: None}
    waiting = [begin]
    for face in waiting:
        for other, line in way.get(face, {}).items():
            if other not in before:
                before[other] = face, line
                waiting.append(other)
    lines = []
    step = before.get(end)
    while step is not None:
        lines.append(step[1])
        step = before[step[0]]
    return sorted(lines) or None


def merge_rows(persons: Persons, decisions: Iterable[Decision], faces: Sequence[SeenFace]) -> list[tuple[Any, ...]]:
    """Create the rows of merges.csv.

    First the uncertain pairs by descending likeness, then the joined pairs by ascending likeness, then the decisions on
    other faces.

    :param persons: result of the clustering.
    :param decisions: the user's decisions; all are kept.
    :param faces: faces of all recordings.
    """
    open_decisions = {(each.one, each.other): each for each in decisions}
    pictures = {face.key: face.picture for face in faces}
    joined = sorted(persons.joined, key=lambda pair: (pair.likeness is not None, pair.likeness or 0.0, pair[:2]))
    rows: list[tuple[Any, ...]] = []
    for pair in (*persons.uncertain, *joined):
        one, other = sorted((pair.one, pair.other))
        decision = open_decisions.pop((one, other), None)
        if decision in persons.not_followed:  # kept for the faces it was made on, which this likeness identifies
            pair = pair._replace(likeness=decision.likeness)
        rows.append(_row(pair, decision, persons, pictures))
    for each in open_decisions.values():
        is_followed = each.same and each not in persons.not_followed
        pair = Pair(each.one, each.other, each.likeness, DECISION if is_followed else '')
        rows.append(_row(pair, each, persons, pictures))
    return rows


def with_lines(decisions: Iterable[Decision], rows: Iterable[Sequence[Any]]) -> list[Decision]:
    """Set the line of each decision to that of its row in :func:`merge_rows`, and sort by line."""
    lines = {frozenset((FaceKey(*row[4:7]), FaceKey(*row[9:12]))): line for line, row in enumerate(rows, 2)}
    found = [each._replace(line=lines[frozenset((each.one, each.other))]) for each in decisions]
    return sorted(found, key=lambda each: each.line)


def not_followed_text(lines: Sequence[int]) -> str:
    """Describe the decisions that were not applied, by their lines; '' for none."""
    numbers = ', '.join(map(str, lines))
    reason = 'because the appearance of the faces has changed or the ground truth contradicts them'
    return f'not applied, {reason}: line{"s" * (len(lines) > 1)} {numbers} of {MERGES}' if lines else ''


def _row(pair, decision, persons, pictures):
    word = '' if decision is None else 'yes' if decision.same else 'no'
    sides = (text for key in pair[:2] for text in (persons.of_face.get(key, ''), *key, pictures.get(key, '')))
    return word, pair.likeness, pair.by, *sides


def merges_text(rows: Iterable[Sequence[Any]]) -> bytes:
    """Format merges.csv."""
    return csv_content([column.name for column in MERGE_COLUMNS], rows)
