"""Cluster faces into persons by ground truth, the user's decisions, appearance, and the study's manifest.

Later steps do not undo earlier ones. Faces in the same image are different persons.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.recordings.people.face_views import FaceKey, SeenFace
from facial_emotion_ros.recordings.people.likeness import Likeness, certain, likeness_of
from facial_emotion_ros.recordings.study.face_rows import places_by

#: Maximum number of uncertain pairs listed for the user to decide, in all and per person.
MAX_LISTED, MAX_LISTED_OF_ONE = 200, 3

#: Evidence by which faces are one person.
TRUTH, DECISION, MANIFEST, APPEARANCE, TRACKING = 'truth', 'decision', 'manifest', 'appearance', 'tracking'


class Decision(NamedTuple):
    """The user's decision whether two faces are one person; line: in merges.csv; likeness: as shown there, or None."""

    one: FaceKey
    other: FaceKey
    same: bool
    line: int
    likeness: float | None = None


class Pair(NamedTuple):
    """Two faces; likeness: similarity of their most similar views, None if unknown; by: evidence that they are one
    person, '' if they are not joined.
    """

    one: FaceKey
    other: FaceKey
    likeness: float | None
    by: str


class Persons(NamedTuple):
    """The result of clustering.

    of_face: {face: person}; of_participant: {participant: person}, for participants that were found; of_name:
    {(recording, name in its ground truth): person}; known_by: {person: evidence, strongest first}; joined: pairs joined
    by manifest or appearance; uncertain: pairs that may be one person, by descending likeness; left_out: number of
    further such pairs; not_followed: decisions on faces whose appearance has changed, or that contradict the ground
    truth; look_alikes: for two participants whose faces match by appearance, their most similar pair.
    """

    of_face: dict[FaceKey, str]
    of_participant: dict[str, str]
    of_name: dict[tuple[str, str], str]
    known_by: dict[str, list[str]]
    joined: list[Pair]
    uncertain: list[Pair]
    left_out: int
    not_followed: list[Decision]
    look_alikes: list[Pair]


class _Clusters:
    """Disjoint sets of faces (union-find), with cannot-link constraints."""

    def __init__(self, count: int):
        self._root = list(range(count))
        self.members = {place: {place} for place in range(count)}
        self._apart: dict[int, set[int]] = {}
        #: Name of each cluster, by ground truth and by manifest; two names of a kind are two persons.
        self.names: dict[str, dict[int, str]] = {TRUTH: {}, MANIFEST: {}}
        #: Ground-truth name of each cluster in each recording; two names in a recording are two persons.
        self.ids: dict[int, dict[str, str]] = {}
        self.ways: dict[int, set[str]] = {}

    def root(self, place: int) -> int:
        return self._root[place]

    def clash(self, one: int, other: int) -> bool:
        """Return whether names of their clusters differ."""
        one, other = self._root[one], self._root[other]
        for names in self.names.values():
            if one in names and other in names and names[one] != names[other]:
                return True
        ids = self.ids.get(one, {}), self.ids.get(other, {})
        return any(ids[0][each] != ids[1][each] for each in ids[0].keys() & ids[1])

    def are_apart(self, one: int, other: int) -> bool:
        """Return whether a decision, or an image with both, keeps their clusters apart."""
        return not self._apart.get(self._root[one], set()).isdisjoint(self.members[self._root[other]])

    def may_join(self, one: int, other: int) -> bool:
        return self._root[one] != self._root[other] and not self.are_apart(one, other) and not self.clash(one, other)

    def join(self, one: int, other: int, way: str) -> None:
        first, second = sorted((self._root[one], self._root[other]))
        self.ways.setdefault(first, set()).add(way)
        if first == second:
            return
        for place in self.members[second]:
            self._root[place] = first
        self.members[first] |= self.members.pop(second)
        if second in self._apart:
            self._apart.setdefault(first, set()).update(self._apart.pop(second))
        self.ways[first] |= self.ways.pop(second, set())
        for names in self.names.values():
            if second in names:
                names.setdefault(first, names.pop(second))
        if second in self.ids:
            self.ids.setdefault(first, {}).update(self.ids.pop(second))

    def keep_apart(self, one: int, other: int) -> None:
        one_root, other_root = self._root[one], self._root[other]
        if one_root != other_root:
            self._apart.setdefault(one_root, set()).add(other)
            self._apart.setdefault(other_root, set()).add(one)


def persons_of(
    faces: Iterable[SeenFace], participants: Mapping[str, str] | None = None, decisions: Sequence[Decision] = ()
) -> Persons:
    """Cluster faces into persons; independent of the order of the faces.

    :param faces: faces of all recordings, each once.
    :param participants: {recording: participant} of a study: the person visible longest in it.
    :param decisions: the user's decisions, without contradictions; those on unknown faces are ignored.
    """
    known = sorted(faces, key=lambda face: face.key)
    places = {face.key: place for place, face in enumerate(known)}
    clusters, participants = _Clusters(len(known)), participants or {}
    _join_by_truth(clusters, known)
    not_followed = _follow(clusters, decisions, places, known)
    for place, face in enumerate(known):
        for name in face.beside:
            other = places.get(face.key._replace(face=name))
            if other is not None:
                clusters.keep_apart(place, other)
    likeness = Likeness(known)
    joined = []
    for of in places_by(np.array([face.key.recording for face in known], object), range(len(known))).values():
        joined += _join_alike(clusters, known, likeness.within(of), certain(likeness.compared(of)))
    joined += _join_by_manifest(clusters, known, participants)
    least = certain(likeness.compared(range(len(known))))
    joined += _join_alike(clusters, known, likeness.pairs, least)
    uncertain = list(_uncertain(clusters, known, likeness.pairs))
    names = _names(clusters, known)
    of_name = {
        (face.key.recording, name): truth_name(face.key.recording, name) for face in known for name in face.persons
    }
    for root, ids in clusters.ids.items():
        of_name.update({each: names[root] for each in ids.items()})
    known_by = {name: [TRUTH] for name in of_name.values()}
    known_by.update((names[root], _ways(clusters, root)) for root in clusters.members)
    return Persons(
        {face.key: names[clusters.root(place)] for place, face in enumerate(known)},
        {participant: names[root] for root, participant in clusters.names[MANIFEST].items()},
        of_name,
        known_by,
        joined,
        uncertain[:MAX_LISTED],
        len(uncertain[MAX_LISTED:]),
        not_followed,
        list(_look_alikes(clusters, known, likeness.pairs, least)),
    )


def truth_name(recording: str, name: str) -> str:
    """Return the person of a ground-truth name: a number identifies a person only within its recording."""
    return f'{recording}/{name}' if name.isdigit() else name


def _join_by_truth(clusters, known):
    first: dict[str, int] = {}
    for place, face in enumerate(known):
        if face.persons:
            most = min(face.persons, key=lambda name: (-face.persons[name], name))
            name = truth_name(face.key.recording, most)
            clusters.ids[place] = {face.key.recording: most}
            if name == most:
                clusters.names[TRUTH][place] = name
            # A number joins faces, but names nobody.
            clusters.join(first.setdefault(name, place), place, TRUTH if name == most else '')


def _follow(clusters, decisions, places, known):
    """Apply the user's decisions; return those on faces with changed appearance, or against the ground truth."""
    left, followed = [], []
    for each in decisions:
        if each.one in places and each.other in places:
            one, other = places[each.one], places[each.other]
            now = likeness_of(known[one], known[other])
            if each.likeness is not None and (now is None or abs(now - each.likeness) > 0.05):
                left.append(each)
            else:
                followed.append((each, one, other))
    for each, one, other in followed:
        if each.same and clusters.clash(one, other):
            left.append(each)
        elif each.same:
            clusters.join(one, other, DECISION)
    for each, one, other in followed:
        if not each.same and clusters.root(one) == clusters.root(other):
            left.append(each)
        elif not each.same:
            clusters.keep_apart(one, other)
    return left


def _join_alike(clusters, known, pairs, least):
    """Join pairs of at least this likeness, by descending likeness."""
    joined = []
    for one, other, likeness in pairs:
        if likeness < least:
            break
        if clusters.may_join(one, other):
            clusters.join(one, other, APPEARANCE)
            joined.append(Pair(known[one].key, known[other].key, likeness, APPEARANCE))
    return joined


def _join_by_manifest(clusters, known, participants):
    """Assign each participant to the person visible longest in the participant's recordings."""
    longest: dict[str, list[int]] = {}
    of_recording = places_by(np.array([face.key.recording for face in known], object), range(len(known)))
    for recording, places in of_recording.items():
        if recording in participants:
            roots = places_by(np.array([clusters.root(place) for place in places]), range(len(places)))
            seen_s = {root: math.fsum(known[places[each]].seconds for each in of) for root, of in roots.items()}
            root = min(seen_s, key=lambda each: (-seen_s[each], each))
            # The face visible longest represents that person in this recording.
            face = min((places[each] for each in roots[root]), key=lambda place: (-known[place].seconds, place))
            longest.setdefault(participants[recording], []).append(int(face))
    everybody, joined = set(participants.values()), []
    truths, taken = clusters.names[TRUTH], clusters.names[MANIFEST]
    for participant in sorted(longest):
        own = sorted(longest[participant], key=lambda place: (-known[place].seconds, place))
        named = {truths.get(clusters.root(place)) for place in own} - {None}
        # The ground truth may name another participant, or different people.
        wrong = named - {participant} if len(named) > 1 else named & (everybody - {participant})
        own = [place for place in own if truths.get(clusters.root(place)) not in wrong]
        own = [place for place in own if clusters.root(place) not in taken]
        if not own:
            continue
        own = [root for root, name in truths.items() if name == participant] + own
        for place in own[1:]:
            if clusters.may_join(own[0], place):
                likeness = likeness_of(known[own[0]], known[place])
                joined.append(Pair(known[own[0]].key, known[place].key, likeness, MANIFEST))
            if clusters.may_join(own[0], place) or clusters.root(place) == clusters.root(own[0]):
                clusters.join(own[0], place, MANIFEST)
        clusters.join(own[0], own[0], MANIFEST)
        taken[clusters.root(own[0])] = participant
    return joined


def _uncertain(clusters, known, pairs) -> Iterator[Pair]:
    """List pairs of persons that may be one, with their most similar faces."""
    listed: dict[int, int] = {}
    seen = set()
    for one, other, likeness in pairs:
        roots = tuple(sorted((clusters.root(one), clusters.root(other))))
        if roots in seen or not clusters.may_join(one, other):
            continue
        seen.add(roots)
        if max(listed.get(root, 0) for root in roots) < MAX_LISTED_OF_ONE:
            for root in roots:
                listed[root] = listed.get(root, 0) + 1
            yield Pair(known[one].key, known[other].key, likeness, '')


def _look_alikes(clusters, known, pairs, least) -> Iterator[Pair]:
    """List each two participants whom only the manifest keeps apart, once."""
    names, seen = clusters.names[MANIFEST], {('', '')}
    for one, other, likeness in pairs:
        if likeness < least:
            break
        both = tuple(sorted(names.get(clusters.root(each), '') for each in (one, other)))
        if both[0] not in ('', both[1]) and both not in seen and not clusters.are_apart(one, other):
            seen.add(both)
            yield Pair(known[one].key, known[other].key, likeness, '')


def _names(clusters, known):
    """Name each person: by ground truth, by manifest, by its ground-truth number if it is in one recording only, or
    else person_N by descending visibility.
    """
    names = dict(clusters.names[TRUTH])
    given = set(names.values())
    names = {**{root: name for root, name in clusters.names[MANIFEST].items() if name not in given}, **names}
    for root, ids in clusters.ids.items():
        if root not in names and len({known[place].key.recording for place in clusters.members[root]}) == 1:
            names[root] = truth_name(*next(iter(ids.items())))
            clusters.ways[root].add(TRUTH)
    seen_s = {root: math.fsum(known[place].seconds for place in of) for root, of in clusters.members.items()}
    taken, number = set(names.values()), 0
    for root in sorted(clusters.members.keys() - names.keys(), key=lambda each: (-seen_s[each], each)):
        number += 1
        while f'person_{number}' in taken:
            number += 1
        names[root] = f'person_{number}'
    return names


def _ways(clusters, root):
    return [way for way in (TRUTH, DECISION, MANIFEST, APPEARANCE) if way in clusters.ways.get(root, ())] or [TRACKING]
