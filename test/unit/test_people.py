"""Who is in recordings: faces merge into persons, decisions are honoured, and figures are those of frames.csv."""

import csv
import itertools
import json
import os
import random
from dataclasses import replace

import bag_faces
import numpy as np
import pytest
import test_study
from documented_fields import undocumented
from html_page import Page, loads_nothing
from in_process import in_this_process, models_opened_once  # noqa: F401
from stand_in_evaluation import evaluate as evaluate_nothing

from facial_emotion_ros.cli import evaluate_recording as command_line
from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.perception.face_appearance import SIZE
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet
from facial_emotion_ros.recordings.batch.result_store import LocalStore
from facial_emotion_ros.recordings.evaluation.annotation_files import GroundTruth
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import WORDS
from facial_emotion_ros.recordings.evaluation.tables import FRAMES, CsvTable, ParquetTable, frame_rows
from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag
from facial_emotion_ros.recordings.people import likeness
from facial_emotion_ros.recordings.people import people as people_module
from facial_emotion_ros.recordings.people.face_views import FACE_VIEWS, FaceKey, FaceViews, SeenFace, read_face_views
from facial_emotion_ros.recordings.people.identity import Decision, persons_of
from facial_emotion_ros.recordings.people.likeness import CERTAIN, UNCERTAIN, certain
from facial_emotion_ros.recordings.people.merges import MERGE_COLUMNS, merge_rows, merges_text, read_merges
from facial_emotion_ros.recordings.people.people import PEOPLE, person_figures, write_people
from facial_emotion_ros.recordings.study.face_rows import SHARES, read_face_rows
from facial_emotion_ros.recordings.study.manifest import read_study
from facial_emotion_ros.recordings.study.results import Result

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

tree = test_study.tree

LOOKS = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, 8)))[0].T.astype(np.float32)


def seen(name, look, seconds=1.0, persons=None, beside=(), like=1.0):
    """Make a face 'recording/face' that looks like one of eight persons, as far as `like` says."""
    recording, face = name.split('/')
    exemplar = like * LOOKS[look] + np.sqrt(1 - like**2) * LOOKS[7]
    return SeenFace(FaceKey(recording, '/camera', face), seconds, persons or {}, beside, exemplar[None], '')


def key(name):
    return FaceKey(name.split('/')[0], '/camera', name.split('/')[1])


def decide(one, other, same, line=2):
    return Decision(*sorted((key(one), key(other))), same, line)


def groups(persons):
    """List who is one person, as names of faces."""
    found = {}
    for face, person in persons.of_face.items():
        found.setdefault(person, set()).add(f'{face.recording}/{face.face}')
    return found


def test_faces_merge_by_truth_then_manifest_then_appearance_and_never_within_an_image():
    faces = [
        seen('a/x', 0, 5.0, {'bob': 3}),
        seen('b/x', 1, 5.0, {'bob': 3, 'eve': 1}),  # bob, whatever it looks like
        seen('b/y', 2, 3.0, {'7': 2}),
        seen('c/x', 2, 9.0, {'8': 2}),  # a number counts in its recording only
        seen('d/x', 3, 9.0),  # p1's, by the manifest
        seen('e/x', 4, 9.0),
        seen('e/y', 5, 2.0, beside=['z']),
        seen('e/z', 5, 1.0, beside=['y']),  # two people in one image
        seen('f/x', 5, 4.0, like=0.99),  # p2's, and alike e/y and e/z
        seen('g/x', 6, 4.0),
        seen('h/x', 6, 1.0, like=0.6),  # perhaps one person
    ]
    participants = {'d': 'p1', 'e': 'p1', 'f': 'p2', 'a': 'p3'}
    found = persons_of(faces, participants)
    assert groups(found) == {
        'bob': {'a/x', 'b/x'},
        'p1': {'d/x', 'e/x'},
        'p2': {'f/x', 'e/y'},
        'person_1': {'b/y', 'c/x'},
        'person_2': {'g/x'},
        'person_3': {'e/z'},
        'person_4': {'h/x'},
    }
    assert found.known_by['bob'] == ['truth', 'manifest'] and found.known_by['p1'] == ['manifest']
    assert found.known_by['p2'] == ['manifest', 'appearance'] and found.known_by['person_2'] == ['tracking']
    assert found.of_name['b', 'eve'] == 'eve'
    assert [(pair.one, pair.other) for pair in found.uncertain] == [(key('g/x'), key('h/x'))]
    for _ in range(5):
        random.shuffle(faces)
        assert persons_of(faces, dict(reversed(participants.items()))) == found


def test_participants_who_look_like_one_person_are_named_until_a_decision_says_that_they_are_two():
    faces = [seen('a/x', 0, 5.0), seen('b/x', 0, 5.0, like=0.99), seen('c/x', 0, 5.0, like=0.97), seen('d/x', 1, 5.0)]
    participants = {'a': 'p1', 'b': 'p1', 'c': 'p2', 'd': 'p3'}
    found = persons_of(faces, participants)
    assert [(pair.one, pair.other) for pair in found.look_alikes] == [(key('b/x'), key('c/x'))]
    assert groups(found) == {'p1': {'a/x', 'b/x'}, 'p2': {'c/x'}, 'p3': {'d/x'}}
    assert not persons_of(faces, participants, [decide('a/x', 'c/x', False)]).look_alikes


def test_a_number_of_the_ground_truth_joins_and_separates_within_its_recording_only():
    faces = [
        seen('a/x', 0, 9.0, {'1': 5}),
        seen('a/y', 1, 2.0, {'1': 3}),
        seen('a/z', 0, 1.0, {'2': 3}),  # alike x, and somebody else
        seen('a/w', 0, 1.0, {'eve': 3}),
        seen('b/x', 2, 9.0, {'1': 5}),
        seen('c/x', 3, 9.0, {'3': 5}),
        seen('d/x', 4, 9.0, {'4': 5}),
        seen('e/x', 5, 9.0, {'1': 5}),
    ]
    found = persons_of(faces, {'a': 'ann', 'b': 'ann'}, [decide('c/x', 'd/x', True)])
    assert groups(found) == {
        'ann': {'a/x', 'a/y', 'b/x'},
        'a/2': {'a/z'},
        'eve': {'a/w'},
        'person_1': {'c/x', 'd/x'},
        'e/1': {'e/x'},
    }
    assert found.of_name == {
        ('a', '1'): 'ann',
        ('a', '2'): 'a/2',
        ('a', 'eve'): 'eve',
        ('b', '1'): 'ann',
        ('c', '3'): 'person_1',
        ('d', '4'): 'person_1',
        ('e', '1'): 'e/1',
    }
    assert found.known_by == {
        'ann': ['manifest'],
        'a/2': ['truth'],
        'eve': ['truth'],
        'person_1': ['decision'],
        'e/1': ['truth'],
    }
    against = [decide('a/x', 'a/z', True)]
    assert persons_of(faces, {}, against).not_followed == against
    # By decisions, whoever is 1 in one recording is not 2 there, by way of another recording either.
    against = [decide('a/x', 'e/x', True), decide('e/x', 'a/z', True, 3)]
    assert persons_of(faces, {}, against).not_followed == against[1:]


def test_the_same_likeness_is_not_enough_when_very_many_faces_are_compared():
    assert certain(10) == certain(10_000) == CERTAIN > UNCERTAIN and certain(10**9) > 1
    faces = [seen('a/x', 0), seen('b/x', 0, like=CERTAIN + 0.01)]
    assert len(groups(persons_of(faces))) == 1
    crowd = [seen(f'c/{number}', 1 + number % 6, beside=('x',)) for number in range(300)]
    found = persons_of(faces + crowd)
    assert found.of_face[key('a/x')] != found.of_face[key('b/x')] and found.uncertain


@pytest.mark.parametrize('at_most', [1_000_000, 400, 130])
def test_alike_faces_are_found_in_any_number_and_the_best_of_each_where_there_are_too_many(monkeypatch, at_most):
    monkeypatch.setattr(likeness, '_MAX_PAIRS', at_most)
    monkeypatch.setattr(likeness, '_CHUNK', 4)
    faces, draw = [], np.random.default_rng(1)
    for number in range(150):
        views = np.zeros((draw.integers(0, 4), SIZE), np.float32)
        views[:, :6] = draw.integers(-8, 9, (len(views), 6)) / 8  # products are exact, and many are equal
        faces.append(seen(f'a/{number}', 0)._replace(exemplars=views))
    every = itertools.combinations(range(len(faces)), 2)
    told = sorted((-(likeness.likeness_of(faces[one], faces[other]) or 0), one, other) for one, other in every)
    ranks, most, expected = [0] * len(faces), at_most // sum(len(face.exemplars) > 0 for face in faces), []
    for product, one, other in told:
        if -product >= UNCERTAIN:
            expected += [(one, other, -product)] * (min(ranks[one], ranks[other]) < most)
            ranks[one], ranks[other] = ranks[one] + 1, ranks[other] + 1
    assert sum(ranks) > 10 * 400 and likeness.Likeness(faces).pairs == expected
    assert not likeness.Likeness([]).pairs and not likeness.Likeness([seen('a/x', 0)]).pairs


def test_decisions_join_and_separate_persons_and_stay_in_the_file():
    faces = [seen('a/x', 0), seen('b/x', 0, like=0.95), seen('c/x', 0, like=0.9), seen('d/x', 1, 3.0)]
    found = persons_of(faces)
    assert len(groups(found)) == 2 and not found.uncertain
    text = merges_text(merge_rows(found, [], faces)).decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row['joined_by'] for row in rows] == ['appearance'] * 2
    # No to one of the pairs, and yes to two who look different; a spreadsheet may separate by semicolons.
    lines = [('no' if ',c,/camera' in line else '') + line.replace(',', ';') for line in ['sep=,', *text.splitlines()]]
    lines.append(';'.join(['Yes', '', '', '', 'd', '/camera', 'x', '', '', 'c', '/camera', 'x', '']))
    lines.append(';'.join(['no', '', '', '', 'gone', '/camera', 'x', '', '', 'c', '/camera', 'x', '']))
    decisions = read_merges('\n'.join(lines).encode('utf-8-sig'))
    again = persons_of(faces, {}, decisions)
    assert sorted(map(sorted, groups(again).values())) == [['a/x', 'b/x'], ['c/x', 'd/x']]
    assert again.known_by[again.of_face[key('d/x')]] == ['decision']
    written = merges_text(merge_rows(again, decisions, faces))
    assert {(each.one, each.other, each.same) for each in read_merges(written)} == {
        (each.one, each.other, each.same) for each in decisions
    }
    # The ids mean other faces when the recording was evaluated in another way: the decision waits.
    other = [face._replace(exemplars=LOOKS[3:4]) if face.key.recording == 'c' else face for face in faces]
    (changed,) = persons_of(other, {}, decisions).not_followed
    assert not changed.same and changed.likeness


def test_a_decision_that_waits_waits_in_every_further_run():
    # One pair is listed by its new look, one is not any more.
    for now in (0.6, 0.1):
        content = f'{HEAD}\n{line("yes", "a", "b").replace(",", ",0.7", 1)}'.encode()
        faces = [seen('a/x', 0), seen('b/x', 0, like=now)]
        for _ in range(2):
            decisions = read_merges(content)
            found = persons_of(faces, {}, decisions)
            assert len(groups(found)) == 2 and [each.likeness for each in found.not_followed] == [0.7]
            content = merges_text(merge_rows(found, decisions, faces))
            (row,) = csv.DictReader(content.decode().splitlines())
            assert (row['same'], row['likeness'], row['joined_by']) == ('yes', '0.7', '')


HEAD = ','.join(column.name for column in MERGE_COLUMNS)


def line(word, one, other):
    return f'{word},,,,{one},/camera,x,,,{other},/camera,x,'


@pytest.mark.parametrize(
    'lines, said',
    [
        ([HEAD, line('yes', 'a', 'b'), line('yes', 'b', 'c'), line('no', 'c', 'a')], 'line 4: .* lines 2, 3'),
        ([HEAD, line('yes', 'a', 'b'), line('no', 'b', 'a')], 'lines 2 and 3'),
        ([HEAD, line('perhaps', 'a', 'b')], "line 2: expected yes, no or an empty cell.*'perhaps'"),
        ([HEAD, line('yes', 'a', 'a')], 'line 2: expected two faces'),
        ([HEAD, 'yes,much' + line('', 'a', 'b')[1:]], 'line 2: expected a likeness'),
        (['same,face'], 'header line with the columns'),
    ],
)
def test_the_line_is_named_when_decisions_cannot_be_followed(lines, said):
    with pytest.raises(BadDataset, match=said):
        read_merges('\n'.join(lines).encode())


def test_a_decision_is_kept_and_not_followed_when_it_contradicts_the_ground_truth(tmp_path):
    faces = [seen('a/x', 0, persons={'bob': 1}), seen('b/x', 0, persons={'eve': 1}), seen('c/x', 0, persons={'bob': 1})]
    decisions = [decide('a/x', 'b/x', True), decide('a/x', 'c/x', False)]
    found = persons_of(faces, {}, decisions)
    assert groups(found) == {'bob': {'a/x', 'c/x'}, 'eve': {'b/x'}} and found.not_followed == decisions
    people = write_people(LocalStore(str(tmp_path)), [], Result.faces, faces, decisions)
    told, written = people.persons.not_followed, people.merges
    rows = list(csv.DictReader(written.decode().splitlines()))
    assert [(row['same'], row['joined_by']) for row in rows] == [('yes', ''), ('no', '')]
    assert told == read_merges(written), 'with the lines of the file that is there now'


def table_of_frames():
    """Write a table of two cameras, with gaps, several ids and persons, images without a face and of equal times."""
    generator, lines = np.random.default_rng(5), []
    for camera, step in (('/one', 0.1), ('/two', 0.25)):
        time = 0.0
        for number in range(120):
            time += {40: 7.0, 41: 0.0}.get(number, step * generator.uniform(0.8, 1.2))
            faces = generator.permutation(['b', 'c', 'd'])[: generator.integers(0, 3)]
            for face in faces if len(faces) else ['']:
                row = {'camera': camera, 'frame': number, 'stamp_ns': round(1e9 * time), 'time_s': round(time, 6)}
                if face:
                    values = generator.uniform(-1, 1, 3).round(6)
                    row.update(zip(('valence', 'arousal', 'confidence'), values), face_id=face)
                    row.update({f'score_{each}': 0.125 for each in EMOTIONS})
                    row['emotion'] = (*EMOTIONS[:3], UNKNOWN)[generator.integers(0, 4)]
                    row['person'] = ('eve' if number > 100 else 'bob' if number < 5 else '') if face == 'd' else ''
                lines.append(row)
    # Somebody is seen once, with a mean that is written as 0.
    return [*lines, dict(lines[-1], face_id='e', emotion='sad', person='', valence=-1e-13, arousal=0.5, confidence=0.5)]


def test_the_figures_of_a_person_are_those_that_pandas_finds(tmp_path):
    import pandas

    frames = pandas.DataFrame(table_of_frames())
    frames.to_csv(tmp_path / 'frames.csv', index=False)
    content = (tmp_path / 'frames.csv').read_bytes()
    rows = read_face_rows(content)
    faces = read_face_views(FaceViews().content(rows, {}), 'rec')
    # b and c are one person, who is seen by both cameras at a time.
    yes = [decide_faces(*pair) for pair in itertools.pairwise(each.key for each in faces if each.key.face in 'bc')]
    persons = persons_of(faces, {}, yes)
    found = person_figures(rows, 'rec', persons)
    names = [column.name for column in PEOPLE[2:]]
    images = frames.drop_duplicates(['camera', 'frame'])[['camera', 'frame', 'time_s']].copy()
    images['length'] = images.groupby('camera').time_s.shift(-1) - images.time_s
    usual = images.groupby('camera').length.transform('median')
    is_long = images.length.isna() | (images.length > np.maximum(1, 3 * usual))
    images['length'] = images.length.where(~is_long).groupby(images.camera).ffill().fillna(usual)
    views = frames[frames.face_id.notna() & (frames.face_id != '')].merge(images)
    views['who'] = [
        row.person or persons.of_face[FaceKey('rec', row.camera, row.face_id)]
        for row in views.fillna({'person': ''}).itertuples()
    ]
    assert set(found) == set(views.who) >= {'eve', 'bob'}
    for who, of in views.groupby('who'):
        told = dict(zip(names, found[who]))
        reach, seconds = -np.inf, 0.0
        for begin, end in sorted(zip(of.time_s, of.time_s + of.length)):
            seconds, reach = seconds + max(end - max(begin, reach), 0.0), max(reach, end)
        known = of[of.emotion != UNKNOWN].sort_values(['camera', 'frame'], kind='stable')
        before = known.groupby('camera').emotion.shift()
        expected = {
            'seconds_seen': seconds,
            'face_ids': len(of[['camera', 'face_id']].drop_duplicates()),
            'views': len(of),
            'flips': ((known.emotion != before) & before.notna()).sum(),
            **{share: of.length[of.emotion == word].sum() / of.length.sum() for share, word in zip(SHARES, WORDS)},
            **{name: np.average(of[name], weights=of.length) for name in ('valence', 'arousal', 'confidence')},
            **{f'{name}_sd': sd_of(of[name], of.length) for name in ('valence', 'arousal')},
        }
        assert told.keys() == expected.keys()
        given = [np.nan if told[name] is None else told[name] for name in names]
        assert given == pytest.approx([expected[name] for name in names], abs=1e-9, nan_ok=True)
        assert '-0.0' not in map(str, told.values())


def sd_of(values, lengths):
    count = len(values)
    return np.sqrt(np.cov(values, aweights=lengths, ddof=0) * count / (count - 1)) if count > 1 else np.nan


def decide_faces(one, other):
    return Decision(*sorted((one, other)), True, 2)


def test_participants_are_persons_by_the_manifest_in_any_order_when_nothing_says_what_faces_look_like(tree):
    import pandas

    manifest, found = tree / 'study.csv', []
    lines = [f'bags/{name}/{each}.mcap,{name},{each}' for name in test_study.PEOPLE for each in ('baseline', 'task')]
    for out, order in (('out', lines), ('again', lines[::-1])):
        manifest.write_text('\n'.join(['path,participant,condition', *order]))
        study = read_study(str(manifest))
        told = evaluate_fleet([], str(tree / out), Options(people=True), evaluate=test_study.evaluate, study=study)
        assert told['run']['people'] == {
            'persons': 4,
            'to_confirm': 0,
            'not_followed': [],
            'look_alikes': [],
            'edited': False,
        }
        assert not undocumented('fleet.json', told)[0]
        found.append(pandas.read_parquet(tree / out / 'people.parquet').sort_values('bag', ignore_index=True))
        assert '## merges.csv' in (tree / out / 'columns.md').read_text()
    assert (found[0].person == found[0].participant).all() and set(found[0].known_by) == {'manifest'}
    assert found[0].equals(found[1])
    assert (tree / 'out' / 'merges.csv').read_bytes() == (tree / 'again' / 'merges.csv').read_bytes()


def evaluate_two(path, output, options, progress=None):
    """Pretend that a recording shows its participant, whose valence grows by what the file says, for longer somebody
    else, whom the ground truth names in a foreign way, and a fragment of the participant's track.
    """
    with open(path) as file:
        valence = float(file.read().split()[1]) / 1000
    evaluate_nothing(path, output, options)
    name = '=' + os.path.basename(path) + '\u200f\t'
    for kind, ending in ((CsvTable, 'csv'), (ParquetTable, 'parquet')):
        table = kind(os.path.join(output, f'frames.{ending}'), FRAMES)
        for number in range(9):
            faces = [(bag_faces.face(valence=valence + number / 100), None)] * (0 < number < 7)
            faces += [(bag_faces.face('sad', 'ghjkl', valence=-0.9), GroundTruth('sad', person=name))] * (number > 3)
            faces += [(bag_faces.face('sad', 'mnpqr', valence=0.9), None)] * (number == 8)
            table.add(frame_rows(bag_faces.frame(number, number / 10), number / 10, faces))
        table.close()
    with open(os.path.join(output, 'frames.csv'), 'rb') as table, open(os.path.join(output, FACE_VIEWS), 'wb') as file:
        file.write(FaceViews().content(read_face_rows(table.read()), {}))


@pytest.mark.usefixtures('in_this_process')
def test_only_the_faces_of_participants_are_averaged_when_the_command_says_so(tree):
    import pandas

    assert command_line.main([str(tree / 'bags'), '--study-template', str(tree / 'study.csv')]) == 0
    (tree / 'events.csv').write_text('time,name,recording\n0.5,smile,\n')
    study, out = read_study(str(tree / 'study.csv')), tree / 'out'
    options = Options(people=True, events=str(tree / 'events.csv'), event_window=(-0.1, 0.1, 10.0))
    for is_own in (False, True):
        told = evaluate_fleet(
            [], str(out), options, evaluate=evaluate_two, study=study, participants_only=is_own, force=True
        )
        assert told['counts']['done'] == (0 if is_own else 8) and told['run']['participants_only'] == is_own
        assert not undocumented('fleet.json', told)[0]
        page = Page((out / 'index.html').read_text()).text
        assert page.count('Only the participants’ faces are included') == 2 * is_own
        frames = pandas.read_parquet(out / 'frames').query('face_id.notna()')
        assert set(frames.face_id) == {'bcdfg', 'ghjkl', 'mnpqr'}
        frames = frames.query("face_id == 'bcdfg'") if is_own else frames
        means = frames.groupby('path')[['valence', 'score_sad']].mean()
        recordings = pandas.read_csv(out / 'recordings.csv').set_index('path')
        assert np.allclose(recordings[means.columns], means.loc[recordings.index], atol=1e-6)
        assert np.allclose(recordings.share_sad, 0 if is_own else 6 / 12)
        cases = recordings.groupby('condition').valence
        conditions = pandas.read_csv(out / 'conditions.csv').query("measure == 'valence'").set_index('condition')
        assert np.allclose(conditions['mean'], cases.mean()[conditions.index], atol=1e-6)
        at_event = frames.query('frame == 5').groupby(['condition', 'path']).valence.mean().groupby('condition').mean()
        courses = pandas.read_csv(out / 'event_averages.csv').query("measure == 'valence' and offset_s == 0")
        assert np.allclose(courses['mean'], at_event[courses.condition], atol=1e-6)
    # Foreign names are the same in both tables of frames, and in what faces look like.
    people = pandas.read_csv(out / 'people.csv')
    assert {"'=task.mcap\\u200f\\x09", *test_study.PEOPLE} <= set(people.person)
    row = people[people.person == people.participant]
    assert len(row) == 8 and set(row.known_by) == {'manifest'}


@pytest.mark.parametrize('more', [[], ['--study', 'study.csv'], ['--people'], ['--people', '--workers', '2']])
def test_participants_only_is_wrong_usage_when_no_study_or_no_persons_are_wanted(tree, capsys, more):
    (tree / 'study.csv').write_text('path,participant\nbags/p00/task.mcap,p00\n')
    more = [str(tree / each) if each == 'study.csv' else each for each in more]
    command = [str(tree / 'bags/p00/task.mcap'), '--output', str(tree / 'out'), '--participants-only', *more]
    assert command_line.main(command) == 2 and '--participants-only needs --study' in capsys.readouterr().err


@pytest.mark.parametrize('is_url', [False, True])
def test_tables_go_when_a_later_run_does_not_write_them(tree, is_url):
    (tree / 'study.csv').write_text('path,participant\nbags/p00/task.mcap,p00\nbags/p01/task.mcap,p01\n')
    (tree / 'events.csv').write_text('time,name,recording\n0.2,smile,\n')
    study, out = read_study(str(tree / 'study.csv')), tree / 'out'
    options = Options(people=True, events=str(tree / 'events.csv'))
    output = f'file://{out}' if is_url else str(out)
    told = evaluate_fleet([], output, options, evaluate=test_study.evaluate, study=study)
    names = ('recordings', 'conditions', 'comparisons', 'events', 'event_averages', 'people')
    tables = sorted(f'{name}.{ending}' for name in names for ending in ('csv', 'parquet'))
    assert told['run']['files'] == sorted(['columns.md', 'plotly.min.js', *tables])
    # What a fleet.json lists that is no table of ours stays, wherever it lies.
    (tree / 'recordings.csv').write_text('mine')
    (out / 'notes.csv').write_text('mine')
    fleet = json.loads((out / 'fleet.json').read_text())
    fleet['run']['files'] += ['notes.csv', '../recordings.csv', 'merges.csv', 'gone.csv', 'plotly.min.js', 7]
    (out / 'fleet.json').write_text(json.dumps(fleet))
    (out / 'people.parquet').unlink()  # somebody was faster
    bags = [str(tree / 'bags' / name / 'task.mcap') for name in ('p00', 'p01')]
    told = evaluate_fleet(bags, output, replace(options, people=False), evaluate=test_study.evaluate)
    assert told['run']['files'] == [*(name for name in tables if name.startswith('event')), 'plotly.min.js']
    assert {name for name in os.listdir(out) if name.endswith(('.csv', '.parquet', '.md', '.js'))} == {
        'merges.csv',
        'notes.csv',
        *told['run']['files'],
    }
    assert (tree / 'recordings.csv').exists()
    evaluate_fleet(bags, output, Options(), evaluate=test_study.evaluate)
    assert {name for name in os.listdir(out) if name.endswith(('.csv', '.parquet', '.md'))} == {
        'merges.csv',
        'notes.csv',
    }


@pytest.mark.usefixtures('in_this_process')
def test_persons_of_real_recordings_are_found_confirmed_and_undone(tmp_path, capsys):
    for name, seconds in (('a', 1.0), ('b', 1.4)):
        write_sample_bag(str(tmp_path / 'bags' / name), seconds, 5, width=320, height=240, people=1)
    out, alone = tmp_path / 'out', tmp_path / 'alone'
    command = [str(tmp_path / 'bags'), '--output', str(out), '--people', '--workers', '1']
    with models_opened_once():
        assert command_line.main(command) == 0
        table = (out / 'people.csv').read_text()
        rows = list(csv.DictReader(table.splitlines()))
        assert [row['person'] for row in rows] == ['person_1'] * 2
        assert [float(row['seconds_seen']) for row in rows] == pytest.approx([1.0, 1.4])
        merges = out / 'merges.csv'
        (pair,) = csv.DictReader(merges.read_text().splitlines())
        assert pair['joined_by'] == 'appearance' and (out / pair['picture_b']).read_bytes()[:2] == b'\xff\xd8'
        page = (out / 'index.html').read_text()
        assert loads_nothing(page, 'plotly.min.js') and 'Who: 1 person' in Page(page).text
        # Undone; nothing is evaluated again, and the decision stays.
        merges.write_text(merges.read_text().replace('\n,', '\nno,'))
        assert command_line.main(command) == 0 and '2 up to date' in capsys.readouterr().out
        assert {row['person'] for row in csv.DictReader((out / 'people.csv').read_text().splitlines())} == {
            'person_1',
            'person_2',
        }
        assert merges.read_text().splitlines()[1].startswith('no,')
        merges.write_text(merges.read_text().replace('\nno,', '\nyes,'))
        assert command_line.main(command) == 0
        assert [row['known_by'] for row in csv.DictReader((out / 'people.csv').read_text().splitlines())] == [
            'decision'
        ] * 2
        merges.write_text(merges.read_text().replace('\nyes,', '\nperhaps,'))
        capsys.readouterr()
        assert command_line.main(command) == 1
        told = capsys.readouterr().err
        assert 'merges.csv, line 2' in told and 'up to date' not in told, 'before any recording is looked at'
        # One recording alone; without --people, nothing of what faces look like is left.
        one = [str(tmp_path / 'bags' / 'a'), '--output', str(alone)]
        assert command_line.main([*one, '--people', '--blur-faces']) == 0
        assert (alone / 'people.csv').read_text().splitlines()[1].startswith('a-')
        assert 'exemplars' in (alone / 'face_views.json').read_text() and not (alone / 'face_pictures').exists()
        assert command_line.main(one) == 0
    assert {'face_views.json', 'people.csv'}.isdisjoint(os.listdir(alone)) and 'merges.csv' in os.listdir(alone)


@pytest.mark.usefixtures('in_this_process')
def test_decisions_are_kept_that_were_made_while_the_recording_was_evaluated(tmp_path):
    write_sample_bag(str(tmp_path / 'bag'), 0.4, 5, width=320, height=240, people=1)
    out, former, typed = tmp_path / 'out', line('no', 'a', 'b'), f'{HEAD}\n{line("yes", "a", "b")}\n'
    out.mkdir()
    with models_opened_once():
        for now in (typed, typed + 'perhaps'):
            (out / 'merges.csv').write_text(f'{HEAD}\n{former}\n')
            (told,) = evaluate_bag(
                str(tmp_path / 'bag'),
                str(out),
                Options(people=True),
                lambda *_, now=now: (out / 'merges.csv').write_text(now),
            )
            notes = [
                each for each in told['run']['notes'] if each.startswith('merges.csv was edited meanwhile and cannot')
            ]
            is_read = now == typed
            assert len(notes) == (not is_read) and ('merges.csv' in told['files']) == is_read
            kept = now.replace('yes,,,,a', 'yes,,decision,,a') if is_read else now
            assert (out / 'merges.csv').read_text() == kept


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.parametrize('command', [['bag'], ['.', '--workers', '1']])
def test_decisions_are_kept_that_are_saved_while_the_results_are_written(tmp_path, monkeypatch, capsys, command):
    write_sample_bag(str(tmp_path / 'bag'), 0.4, 5, width=320, height=240, people=1)
    typed, out = f'{HEAD}\n{line("yes", "a", "b")}\n', tmp_path / 'out'
    look = people_module.merge_rows

    def save(*given):
        (out / 'merges.csv').write_text(typed)
        return look(*given)

    out.mkdir()
    command = [str(tmp_path / command[0]), *command[1:], '--output', str(out), '--people']
    with models_opened_once():
        monkeypatch.setattr(people_module, 'merge_rows', save)
        assert command_line.main(command) == 0
        assert (out / 'merges.csv').read_text() == typed
        assert 'merges.csv was edited meanwhile' in capsys.readouterr().out
        monkeypatch.setattr(people_module, 'merge_rows', look)
        assert command_line.main(command) == 0
        assert (out / 'merges.csv').read_text() == typed.replace('yes,,,,a', 'yes,,decision,,a')


def test_a_table_that_no_evaluation_wrote_is_refused_before_the_work(tmp_path):
    write_sample_bag(str(tmp_path / 'bag'), 0.4, 5, width=320, height=240)
    (tmp_path / 'people.csv').write_text('mine')
    with pytest.raises(BadParameter, match='got people.csv, which would be lost'):
        evaluate_bag(str(tmp_path / 'bag'), str(tmp_path), Options(people=True), lambda *_: pytest.fail('too late'))
