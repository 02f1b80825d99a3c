"""Report section of persons: who was seen, and pairs of faces to confirm."""

from typing import Any

from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.people.identity import APPEARANCE, DECISION, MANIFEST, TRACKING, TRUTH
from facial_emotion_ros.recordings.people.people import People
from facial_emotion_ros.recordings.report.formatting import duration, many

#: Maximum number of persons shown, and of pairs of each kind.
_MAX_PERSONS, _MAX_PAIRS = 48, 12

_WAYS = {
    TRUTH: 'ground truth',
    DECISION: 'your decision',
    MANIFEST: 'the study’s manifest',
    APPEARANCE: 'appearance',
    TRACKING: '',
}


def people_panel(people: People, store: Store) -> dict[str, Any]:
    """Create the template's data about persons.

    :param people: result of :func:`.write_people`.
    :param store: results store with the pictures.
    """
    pictures, best = {face.key: face.picture for face in people.faces}, {}
    for face in sorted(people.faces, key=lambda each: (each.seconds, each.key)):
        if face.picture:
            best[people.persons.of_face[face.key]] = face.picture
    order = sorted(people.totals, key=lambda person: (-people.totals[person][0], person))
    joined = sorted(
        (pair for pair in people.persons.joined if pair.by == APPEARANCE), key=lambda pair: (pair.likeness, pair[:2])
    )

    def picture(path):
        return (store.read(path) if path else None) or b''

    def side(key):
        return people.persons.of_face[key], f'{key.recording} {key.face}', picture(pictures[key])

    def shown(pairs):
        return [(f'{pair.likeness:.2f}', side(pair.one), side(pair.other)) for pair in pairs[:_MAX_PAIRS]]

    return {
        'persons': len(order),
        'shown': [
            {
                'name': person,
                'picture': picture(best.get(person)),
                'seen': f'{duration(people.totals[person][0])} in {many(people.totals[person][1], "recording")}',
                'by': ', '.join(filter(None, (_WAYS[way] for way in people.persons.known_by.get(person, [TRACKING])))),
            }
            for person in order[:_MAX_PERSONS]
        ],
        'uncertain': shown(people.persons.uncertain),
        'to_confirm': len(people.persons.uncertain),
        'left_out': people.persons.left_out,
        'look_alikes': [
            f'{" and ".join(sorted(people.persons.of_face[key] for key in pair[:2]))} look like one person '
            f'({pair.likeness:.2f}: {pair.one.recording} {pair.one.face}, {pair.other.recording} {pair.other.face})'
            for pair in people.persons.look_alikes[:_MAX_PAIRS]
        ],
        'joined': shown(joined),
        'joined_count': len(joined),
        'not_followed': [each.line for each in people.persons.not_followed],
    }
