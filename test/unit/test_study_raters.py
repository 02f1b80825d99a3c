"""Several raters: what their tools write is read, and their agreement is that of the textbooks."""

import json
from itertools import combinations

import numpy as np
import pytest
from bag_faces import face, frame
from documented_fields import undocumented
from html_page import Page
from in_process import models_opened_once

from facial_emotion_ros.cli import evaluate_recording as command_line
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.recordings.batch.truths import options_of_each
from facial_emotion_ros.recordings.evaluation.annotation_files import GroundTruth, read_intervals
from facial_emotion_ros.recordings.evaluation.ground_truth import Intervals, NullGroundTruth
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.raters import (
    Raters,
    RaterSums,
    fleiss_kappa,
    names_of,
    pooled_raters,
)
from facial_emotion_ros.recordings.evaluation.summary_text import rater_lines
from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('plotly', reason='plotly is not installed: scripts/setup does that')

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1500"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="4000"/></TIME_ORDER>
<TIER TIER_ID="ann"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>happy</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="ann_valence"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>0.5</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="bob"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>Angry</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="words"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>good morning</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""

PLAIN = (
    'emotion\tAnn\t00:00:00.000\t0.0\t0\t00:00:01.500\t1.5\t1500\t00:00:01.500\t1.5\t1500\thappy\n'
    'emotion\tAnn\t00:00:01.500\t1.5\t1500\t00:01:04.000\t64.0\t64000\t00:01:02.500\t62.5\t62500\tangry\n'
    'speech\tAnn\t00:00:01.500\t1.5\t1500\t00:01:04.000\t64.0\t64000\t00:01:02.500\t62.5\t62500\tgood morning\n'
)
NUMBERED = 'emotion\t7\t00:00:00.000\t00:00:01.500\t00:00:01.500\thappy\tone.eaf\nemotion\t7\t1.5\t64.0\t62.5\tangry\n'
NOBODY = 'emotion\t0.0\t1.5\t1.5\thappy\nemotion\t1.5\t64.0\t62.5\tangry\n'
SHORT = 'emotion\t\t0\t1500\thappy\nemotion\t\t1500\t64000\tangry\n'
TIERS = 'Begin Time - ss.msec\tEnd Time - ss.msec\temotion\tspeech\n0.0\t1.5\thappy\t\n1.5\t64.0\tangry\thi\n'
BORIS = (
    '"Observation id","one"\n"Media file(s)"\n\nTime,Media file path,Total length,FPS,Subject,Behavior,'
    'Behavioral category,Comment,Status\n0,a.mp4,70,25,No focal subject,happy,,,START\n'
    '0.7,a.mp4,70,25,No focal subject,waves,,,POINT\n1.5,a.mp4,70,25,No focal subject,happy,,,STOP\n'
    '1.5,a.mp4,70,25,No focal subject,angry,,,START\n64,a.mp4,70,25,No focal subject,angry,,,STOP\n'
)
AGGREGATED = (
    'Observation id,Subject,Behavior,Behavior type,Start (s),Stop (s),Duration (s)\n'
    'one,No focal subject,happy,STATE,0,1.5,1.5\none,No focal subject,angry,STATE,1.5,64,62.5\n'
    'one,No focal subject,happy,POINT,9,9,0\n'
)
TWO = AGGREGATED.replace('one,No focal', 'p00,kid').replace('p00,kid subject,angry', 'p01,kid subject,angry')
SUBDIVIDED = """<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2"/><TIME_SLOT TIME_SLOT_ID="other" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts3"/>
<TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/></TIME_ORDER>
<TIER TIER_ID="parts" PARENT_REF="emotion"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b2" ANNOTATION_REF="a1"
PREVIOUS_ANNOTATION="b1"><ANNOTATION_VALUE>two</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b1" ANNOTATION_REF="a1"><ANNOTATION_VALUE>one</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="emotion">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>happy</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>sad</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>fear</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"""


def read(tmp_path, name, text, tier=''):
    (tmp_path / name).write_text(text)
    return read_intervals(str(tmp_path / name) + tier)


@pytest.mark.parametrize(
    'name, text',
    [
        ('elan.txt', PLAIN),
        ('numbered.txt', NUMBERED),
        ('nobody.txt', NOBODY),
        ('short.txt', SHORT),
        ('tiers.txt', TIERS),
        ('boris.csv', BORIS),
        ('boris.tsv', BORIS.replace(',', '\t')),
        ('semicolons.csv', BORIS.replace(',', ';').replace('1.5', '1,5')),
        ('aggregated.csv', AGGREGATED),
        ('ours.csv', 'start,end,emotion\n0,1.5,happy\n1.5,64,anger\n'),
    ],
)
def test_the_same_intervals_are_read_whatever_tool_wrote_them(tmp_path, name, text):
    rows, *_ = read(tmp_path, name, text)
    assert [(row[0], row[1], row[3].emotion) for row in rows] == [(0, 1.5, 'happy'), (1.5, 64, 'anger')]


def test_a_tier_is_a_rater_when_elan_has_several(tmp_path):
    rows, left_out, _ = read(tmp_path, 'both.eaf', EAF, '#ann')
    assert rows == [(0, 1.5, '', GroundTruth('happy')), (0, 1.5, '', GroundTruth(valence=0.5))] and not left_out
    truth = Intervals(str(tmp_path / 'both.eaf#ann')).of(frame(), 1.0, [face()])[0][0]
    assert truth == GroundTruth('happy', 0.5)
    assert read_intervals(str(tmp_path / 'both.eaf#bob'))[0] == [(1.5, 4, '', GroundTruth('anger'))]
    with pytest.raises(BadDataset, match='one tier .*got ann, bob; choose one with .*#ann'):
        read_intervals(str(tmp_path / 'both.eaf'))
    rows, left_out, _ = read(tmp_path, 'one.eaf', EAF.replace('Angry', 'fine'))
    assert [row[3].emotion for row in rows] == ['happy', ''] and left_out.endswith('without emotions: bob, words')


@pytest.mark.parametrize(
    'name, text, tier, said',
    [
        ('bad.eaf', '<ANNOTATION_DOC', '', 'cannot be read'),
        ('none.eaf', EAF, '#carl', 'carl, got ann, ann_valence, bob, words'),
        ('words.eaf', EAF, '#words', "tier words at 0 s: expected one of .*'good morning'"),
        ('time.txt', 'emotion\t\t0\tx\thappy\n', '', 'line 1: expected tier, .* times in ELAN'),
        ('back.txt', 'emotion\t\t3.0\t1.0\t2.0\thappy\n', '', 'an end after the begin'),
        ('slot.eaf', SUBDIVIDED.replace('TIME_VALUE="4000"', ''), '', 'tier emotion at 0 s: expected .* got no time'),
        ('two.csv', TWO, '', 'one observation, .*got p00, p01; choose one with .*#p00'),
        ('cells.csv', AGGREGATED.replace('POINT,9', 'POINT'), '', 'line 4: expected 7 cells'),
        ('open.csv', BORIS.replace('STOP', 'START'), '', 'line 7: expected alternating starts and stops of happy'),
        ('unclosed.csv', BORIS[: BORIS.rindex('64,a')], '', 'got none for angry'),
    ],
)
def test_what_is_wrong_is_said_when_annotations_cannot_be_read(tmp_path, name, text, tier, said):
    with pytest.raises(BadDataset, match=said):
        read(tmp_path, name, text, tier)


def test_annotations_without_times_of_their_own_divide_those_of_the_whole(tmp_path):
    rows, *_ = read(tmp_path, 'divided.eaf', SUBDIVIDED)
    ends = [end for row in rows for end in row[:2]]
    assert ends == pytest.approx([0, 4 / 3, 4 / 3, 8 / 3, 8 / 3, 4])
    rows, *_ = read(tmp_path, 'parts.eaf', SUBDIVIDED.replace('>one<', '>sad<').replace('>two<', '>fear<'), '#parts')
    assert [(row[0], row[3].emotion) for row in sorted(rows, key=lambda row: row[0])] == [
        (0, 'sad'),
        (pytest.approx(2 / 3), 'fear'),
    ]
    assert max(row[1] for row in rows) == pytest.approx(4 / 3)


def test_an_observation_is_chosen_when_boris_has_several(tmp_path):
    assert [row[:2] for row in read(tmp_path, 'two.csv', TWO, '#p01')[0]] == [(1.5, 64)]
    assert [row[:2] for row in read(tmp_path, 'two.csv', TWO, '#p00#kid subject')[0]] == [(0, 1.5)]
    path, places = str(tmp_path / 'two.csv'), ['x/p00.mcap', '/y/p01/', 'z/p02']
    assert [each.truth for each in options_of_each(Options(truth=path), places)] == [f'{path}#p00', f'{path}#p01', '']
    assert options_of_each(Options(truth=f'{path}#kid'), places[:1])[0].truth == f'{path}#p00#kid'
    with pytest.raises(BadParameter, match='such as p02, got p00, p01'):
        options_of_each(Options(truth=path), places[2:])
    with pytest.raises(BadParameter, match='share this file'):
        options_of_each(Options(truth=path), ['x/p00', 'y/p00'])


def test_boxes_are_found_or_missed_by_the_raters_who_have_some(tmp_path):
    class Box(NullGroundTruth):
        has_boxes = True

        def of(self, image, time_s, faces):
            return [GroundTruth('happy'), *[None] * (len(faces) - 1)], 1

    (tmp_path / 'ann.csv').write_text('start,end,emotion\n0,9,happy\n')
    raters = Raters(['/t', 'ann.csv'], [Box(), Intervals(str(tmp_path / 'ann.csv'))])
    found, missed = raters.of(frame(), 1.0, [face(), face(face_id='no_box')])
    assert (raters.matched(found), missed, len(found)) == (1, 1, 2)
    assert raters.matched([None]) == 0 and Raters(['x'], [Intervals(str(tmp_path / 'ann.csv'))]).matched(found) is None


def test_agreement_is_that_of_the_published_examples():
    # Shrout and Fleiss 1979, table 2: ICC(2,1) = .29.
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    for cases, expected in ((ratings, pytest.approx(0.2897638, abs=1e-6)), ([[1] * 4] * 2, None)):
        sums = RaterSums('abcd')
        for row in cases:
            sums.add(face(), [GroundTruth(valence=value) for value in row])
        assert sums.figures()['icc']['valence'] == {'n': len(cases), 'icc': expected}
    assert fleiss_kappa([[5, 0], [0, 5]]) == 1 and fleiss_kappa([[1, 1], [1, 1]]) == -1
    assert np.isnan(fleiss_kappa([[3, 0], [3, 0]]))


def test_sums_of_recordings_give_the_agreement_that_pandas_finds():
    import pandas

    generator = np.random.default_rng(5)
    count, names = 400, ['ann', 'bob', 'carl']
    alike = generator.random((count, 3)) < 0.6
    said = np.where(alike, generator.integers(0, 4, (count, 1)), generator.integers(0, 4, (count, 3)))
    rated = np.clip(generator.normal(0, 0.4, (count, 1)) + generator.normal(0, 0.2, (count, 3)), -1, 1)
    ours = generator.integers(0, 4, count)
    parts = [RaterSums(names), RaterSums(names)]
    for number in range(count):
        votes = [GroundTruth(EMOTIONS[label], float(v)) for label, v in zip(said[number], rated[number])]
        parts[number % 2].add(face(EMOTIONS[ours[number]]), votes)
    for part in parts:
        part.add(face('sad'), [GroundTruth('happy'), None, GroundTruth('sad')])  # not all of them say something
    found = pooled_raters([json.loads(json.dumps(part.figures())) for part in parts])
    assert found['n'] == found['icc']['valence']['n'] == count and found['icc']['arousal'] == {'n': 0, 'icc': None}
    table = pandas.DataFrame(said, columns=names)
    assert found['alike'] == pytest.approx((table.nunique(axis=1) == 1).mean())
    assert found['no_majority'] == (table.nunique(axis=1) == 3).sum() + 2, 'and those with a vote each way'
    for one, two in combinations(names, 2):
        crossed = pandas.crosstab(table[one], table[two], normalize=True).reindex(range(4), axis=1, fill_value=0)
        expected = crossed.sum(axis=1).to_numpy() @ crossed.sum(axis=0).to_numpy()
        kappa = (np.trace(crossed) - expected) / (1 - expected)
        assert found['cohen_kappa'][f'{one} / {two}'] == pytest.approx(kappa, abs=1e-6)
    long = table.melt(ignore_index=False).reset_index()
    counts = long.groupby(['index', 'value']).size().unstack(fill_value=0)
    observed = (counts * (counts - 1)).sum(axis=1).mean() / 6
    expected = ((counts.sum() / counts.sum().sum()) ** 2).sum()
    assert found['fleiss_kappa'] == pytest.approx((observed - expected) / (1 - expected), abs=1e-6)
    long = pandas.DataFrame(rated).melt(ignore_index=False).reset_index()
    cases = 3 * long.groupby('index').value.mean().var()
    raters = count * long.groupby('variable').value.mean().var()
    error = (long.value.var() * (3 * count - 1) - cases * (count - 1) - raters * 2) / (2 * (count - 1))
    expected = (cases - error) / (cases + 2 * error + 3 * (raters - error) / count)
    assert found['icc']['valence']['icc'] == pytest.approx(expected, abs=1e-6)
    assert found['against']['bob']['accuracy'] == pytest.approx((table.bob == ours).mean())


def test_recordings_of_other_raters_are_left_out_and_named_when_sums_are_pooled():
    parts = [RaterSums(names) for names in (['ann', 'bob'], ['ann', 'bob', 'carl'], ['ann', 'bob'])]
    for part in parts:
        part.add(face('sad'), [GroundTruth('sad')] * len(part.names))
    found = pooled_raters([None, *(part.figures() for part in parts)], alone=1)
    left_out = [[['ann', 'bob', 'carl'], 1], [['a single rater'], 1]]
    assert (found['names'], found['n'], found['left_out']) == (['ann', 'bob'], 2, left_out)
    assert '    recordings left out, rated by ann, bob, carl: 1' in rater_lines(found)


def test_the_majority_is_the_truth_when_more_than_half_agree(tmp_path):
    for name, rows in (('ann', '0,9,happy,0.6'), ('bob', '0,9,happy,0.2'), ('carl', '0,5,sad,')):
        (tmp_path / f'{name}.csv').write_text(f'start,end,emotion,valence\n{rows}\n')
    paths = [str(tmp_path / f'{name}.csv') for name in ('ann', 'bob', 'carl')]
    raters = Raters(names_of(paths), [Intervals(path) for path in paths])
    (truth,), _ = raters.of(frame(), 1.0, [face()])
    assert (truth.emotion, truth.valence, [vote.emotion for vote in truth.votes]) == (
        'happy',
        pytest.approx(0.4),
        ['happy', 'happy', 'sad'],
    )
    split = Raters(names_of(paths[1:]), [Intervals(path) for path in paths[1:]])
    assert split.of(frame(), 1.0, [face()])[0][0].emotion == '' and split.names == ['bob', 'carl']
    assert split.of(frame(), 99.0, [face()])[0] == [None]
    assert names_of(['t/ann/p0/a.eaf', 't/bob/a.csv']) == names_of(['t/ann/a.eaf', 't/bob/a.csv']) == [
        'ann',
        'bob',
    ] and names_of(['x.eaf#A', 'x.eaf#B']) == [
        'A',
        'B',
    ]


def test_raters_are_told_of_everywhere_when_a_recording_has_several(tmp_path, capsys):
    write_sample_bag(str(tmp_path / 'bag'), 0.5, 10, width=320, height=240)
    (tmp_path / 'ann.csv').write_text('start,end,emotion\n0,0.2,happy\n0.2,7,sad\n')
    (tmp_path / 'bob.csv').write_text('start,end,emotion\n0,0.3,happy\n0.3,1,sad\n')
    given = [each for name in ('ann', 'bob') for each in ('--truth', str(tmp_path / f'{name}.csv'))]
    with models_opened_once():
        assert command_line.main([str(tmp_path / 'bag'), '--output', str(tmp_path / 'out'), *given]) == 0
    told = capsys.readouterr()
    assert 'kappa of ann / bob' in told.out and 'ours against bob' in told.out
    assert 'ann.csv: 1 interval ends after the recording, at 7 s' in told.err and 'bob.csv: 1' not in told.err
    found = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    lacking, surplus = undocumented('summary.json', found)
    assert not lacking and not [each for each in surplus if each.startswith('raters.')], 'docs/columns.md'
    views = found['raters']['n']
    assert views and found['truth']['n'] == pytest.approx(found['raters']['alike'] * views)
    undecided = views - found['truth']['n']
    assert undecided == found['raters']['no_majority'] and f'in images (no majority: {undecided})' in told.out
    page = Page((tmp_path / 'out' / 'report.html').read_text())
    assert f'no majority: {undecided} views' in page.text
    assert 'Agreement of the raters' in page.text and 'Confusion matrix against bob' in page.text
