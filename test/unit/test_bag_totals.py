"""Figures of a recording follow from sums of its stretches; changes are called so only beyond chance."""

import json

import numpy as np
import pytest
from bag_faces import face, frame
from scipy import stats

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation import markdown
from facial_emotion_ros.recordings.evaluation.camera_run import MAX_STRETCHES, CameraRun
from facial_emotion_ros.recordings.evaluation.compare import ALIKE, BETTER, WORSE, compare, read_summary
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    SufficientStatistics,
    add,
    compared_figures,
    figures,
    intervals,
    truth_figures,
)
from facial_emotion_ros.recordings.evaluation.summary import losses_of
from facial_emotion_ros.recordings.report.formatting import uneven_rate


class StillPipeline:
    """Stands for a pipeline: answers nothing, and counts how often it was told to forget."""

    resets = 0

    def begin_anew(self):
        self.resets += 1


def run_of(*frames):
    run = CameraRun(StillPipeline(), frames[0])
    for each in frames:
        run.count(run.advance(each), [], 0)
    return run


def figures_of(*seen, missed=0, matched=None):
    """Give the figures, and those against the truth, of images that hold one face: (time in s, estimate, truth)."""
    run = CameraRun(StillPipeline(), frame())
    for number, (time_s, estimate, truth) in enumerate(seen):
        run.count(run.advance(frame(number, time_s)), [(estimate, truth)], missed, matched)
    return figures(run.totals().values), truth_figures(run.totals().values)


def test_figures_are_those_of_the_faces_when_words_and_truths_are_told():
    sums = SufficientStatistics()
    for told, true in (('happy', 'happy'), ('happy', 'sad'), ('sad', 'sad'), (UNKNOWN, 'sad')):
        sums.add_face(face(told), GroundTruth(true))
    sums.add_face(face('fear'), None)
    sums.count('matched', 4)
    sums.count('missed', 1)
    found, truth = figures(sums.values), truth_figures(sums.values)
    assert found['face_frames'] == 5 and found['unknown_share'] == 0.2 and found['emotions']['happy'] == 0.4
    assert (truth['n'], truth['answered'], truth['accuracy'], truth['right_of_all']) == (4, 0.75, 2 / 3, 0.5)
    assert truth['found'] == 0.8 and truth['confusion'][2][1] == 1 and truth['unknown']['sad'] == 1
    labels, answers = [1, 2, 2], [1, 1, 2]
    matrix = metrics.confusion(labels, answers)
    assert truth['macro_f1'] == pytest.approx(metrics.macro_f1(matrix))
    assert truth['macro_f1_all'] == pytest.approx(metrics.macro_f1_all(matrix))
    assert truth['kappa'] == pytest.approx(metrics.cohen_kappa(matrix))
    assert truth['macro_recall'] == pytest.approx(metrics.macro_recall(matrix))


def test_affect_figures_are_those_of_the_metrics_when_they_are_made_of_sums():
    generator = np.random.default_rng(3)
    true, told = generator.uniform(-1, 1, (2, 200)), generator.uniform(-1, 1, (2, 200))
    parts = [SufficientStatistics() for _ in range(4)]
    for row in range(200):
        parts[row % 4].add_face(
            face(valence=told[0, row], arousal=told[1, row]), GroundTruth('', true[0, row], true[1, row])
        )
    affect = truth_figures(add(parts).values)['affect']
    for side, name in enumerate(('valence', 'arousal')):
        for figure in ('rmse', 'ccc', 'pcc', 'sagr'):
            assert affect[name][figure] == pytest.approx(getattr(metrics, figure)(true[side], told[side]))


def test_nothing_is_said_of_truth_when_there_is_none():
    sums = SufficientStatistics()
    sums.add_face(face(), None)
    assert truth_figures(sums.values) is None and compared_figures(sums.values)['accuracy'] is None


def test_sums_come_back_the_same_when_they_went_through_json():
    sums = SufficientStatistics()
    sums.add_face(face(valence=1 / 3), GroundTruth('sad', 0.25, -0.5))
    again = SufficientStatistics(json.loads(json.dumps(sums.sparse())))
    assert np.allclose(again.values, sums.values, atol=1e-8) and len(sums.sparse()) < 30


def test_an_interval_holds_the_figure_and_is_wider_when_images_are_alike_than_if_each_were_drawn():
    generator = np.random.default_rng(0)
    hard = generator.random(30) < 0.3
    parts = [SufficientStatistics() for _ in hard]
    for part, is_hard in zip(parts, hard):
        for _ in range(20):
            part.add_face(face('sad' if is_hard else 'happy'), GroundTruth('happy'))
    low, high = intervals(parts)['accuracy']
    share = 1 - hard.mean()
    if_each_were_drawn = 2 * 1.96 * np.sqrt(share * (1 - share) / 600)
    assert low < share < high and high - low > 3 * if_each_were_drawn
    assert 'accuracy' not in intervals(parts[:1])


@pytest.mark.parametrize('rights', [[9, 4], [5, 6, 8], [9, 9, 8, 3, 10, 9, 7, 8]])
def test_intervals_of_alike_recordings_are_student_s_and_those_that_say_nothing_do_not_count(rights):
    parts = [SufficientStatistics(sums) for sums in summary_of(rights)['stretches']['/camera']['sums'].values()]
    shares = np.array(rights) / 10
    low, high = stats.t.interval(0.95, len(rights) - 1, shares.mean(), stats.sem(shares))
    silent = SufficientStatistics()
    silent.count('frames', 1000)
    for each in (parts, [*parts, silent, silent, silent]):
        assert intervals(each)['accuracy'] == pytest.approx([max(low, 0), min(high, 1)])
    assert 'accuracy' not in intervals([parts[0], silent, silent])
    assert 'accuracy' not in intervals(parts[:1] * 4), 'who are all alike do not say how others differ'
    assert intervals(parts * 300)['accuracy'] == pytest.approx([shares.mean()] * 2, abs=0.04)


def test_intervals_are_wide_enough_when_recordings_are_few_and_differ_in_length():
    generator, hit = np.random.default_rng(0), 0
    for _ in range(200):
        parts = [SufficientStatistics() for _ in range(3)]
        for part in parts:
            count, share = int(generator.integers(5, 60)), generator.beta(6, 2)
            for right in range(count):
                part.add_face(face('happy' if right < count * share else 'sad'), GroundTruth('happy'))
        low, high = intervals(parts)['accuracy']
        hit += low <= 0.76 <= high
    assert hit > 0.9 * 200, 'a percentile bootstrap holds some 140'


def summary_of(rights, sha='a', flips=0):
    """A summary of stretches with ten labelled faces each, so many of them right."""
    sums = {}
    for place, right in enumerate(rights):
        part = SufficientStatistics()
        for row in range(10):
            part.add_face(face('happy' if row < right else 'sad'), GroundTruth('happy'))
        part.count('face_s', 2.0)
        part.count('flips', flips)
        sums[str(place)] = part.sparse()
    return {'format': 1, 'bag': {'sha256': sha}, 'stretches': {'/camera': {'seconds': 2.0, 'sums': sums}}}


def verdicts(before, now):
    return {change.figure: change.verdict for change in compare(before, now)}


def test_better_is_called_better_only_when_it_is_more_than_chance():
    swinging = [9, 2, 8, 3, 9, 1, 7, 4, 9, 2]
    more = [min(right + 1, 10) for right in swinging]
    assert verdicts(summary_of(swinging), summary_of(more))['accuracy'] == BETTER
    assert verdicts(summary_of(more), summary_of(swinging))['accuracy'] == WORSE
    # Of another recording nobody knows whether its stretches were harder.
    assert verdicts(summary_of(swinging), summary_of(more, 'b'))['accuracy'] == ALIKE
    assert verdicts(summary_of(swinging), summary_of(swinging))['accuracy'] == ALIKE


def test_a_change_is_given_in_standard_deviations_and_corrected_for_the_number_of_figures():
    before, now = [4, 5, 6, 5, 4, 6, 5, 5], [6, 7, 5, 6, 6, 6, 5, 6]
    (change,) = [each for each in compare(summary_of(before), summary_of(now, 'b')) if each.figure == 'accuracy']
    deviation = np.sqrt((np.var(before, ddof=1) + np.var(now, ddof=1)) / 2)
    assert change.effect_size == pytest.approx((np.mean(now) - np.mean(before)) / deviation)
    welch = stats.ttest_ind(now, before, equal_var=False).confidence_interval()
    assert (change.low, change.high) == pytest.approx((welch.low / 10, welch.high / 10))
    assert change.low > 0 and change.p > 0.05 and change.verdict == ALIKE, 'one of seven figures differs by chance'


def test_a_number_that_rounds_to_zero_has_no_minus_sign():
    written = [markdown.number(-0.001, form) for form in ('.2f', '+.2f', '.1%', '.3g')] + [
        markdown.number(-0.01, '.2f')
    ]
    assert written == ['0.00', '+0.00', '-0.1%', '-0.001', '-0.01']


def test_fewer_changes_of_the_word_are_better():
    for count, verdict in ((10, BETTER), (3, ALIKE)):
        changes = verdicts(summary_of([5] * count, flips=2), summary_of([5] * count, flips=1))
        assert changes['flips_per_minute'] == verdict, 'three stretches are too few to say so'


@pytest.mark.parametrize('count, other, p', [(2, 2, 1 / 3), (2, 6, 1 / 14), (4, 4, 1 / 35)])
def test_a_change_without_variance_is_as_likely_as_chance_makes_it(count, other, p):
    for sha, before, expected in (('b', [10] * count, p), ('a', [10] * other, 2 / 2**other)):
        changes = compare(summary_of(before), summary_of([0] * other, sha))
        (change,) = (each for each in changes if each.figure == 'accuracy')
        assert (change.low, change.effect_size) == (None, None)
        # The other figures that change at all do so by the same: Holm's method multiplies p by their number.
        assert change.p == pytest.approx(min(expected * sum(each.p is not None for each in changes), 1))


@pytest.mark.parametrize(
    'text', ['', '[]', '{"format": 99, "bag": {}, "stretches": {}}', '{"format": 1}', '{"format": 1, "stretches": {}}']
)
def test_a_file_that_is_no_summary_is_refused(tmp_path, text):
    path = tmp_path / 'summary.json'
    path.write_text(text)
    with pytest.raises(BadDataset, match='summary.json of an evaluation'):
        read_summary(str(path))


def test_a_change_of_mind_is_counted_when_the_word_changes_and_not_when_it_was_unknown_between():
    words = ['happy', 'happy', UNKNOWN, 'happy', 'sad', UNKNOWN, 'happy']
    found, _ = figures_of(*((number / 10, face(word), None) for number, word in enumerate(words)))
    assert found['flips'] == 2 and found['faces'] == 1 and found['flips_per_minute'] == pytest.approx(60 * 2 / 0.6)
    assert found['unknown_share'] == pytest.approx(2 / 7)


def test_an_id_switch_is_counted_when_a_person_gets_another_id_and_not_after_an_absence():
    ann, ids = GroundTruth('happy', person='ann'), ((0.0, 'a'), (0.1, 'a'), (0.2, 'b'), (5.0, 'c'))
    seen = [(time_s, face(face_id=face_id), ann) for time_s, face_id in ids]
    found, truth = figures_of(*seen, missed=1, matched=1)
    assert found['id_switches'] == 1 and found['faces'] == 3 and truth['found'] == 0.5


def test_faces_are_found_or_not_only_where_truth_has_boxes():
    assert figures_of((0.0, face(), GroundTruth('', 0.5, 0.5)), missed=1, matched=1)[1]['found'] == 0.5
    found, truth = figures_of((0.0, face(), GroundTruth('happy')))
    assert truth['found'] is None and found['id_switches'] is None


def test_a_face_counts_as_seen_for_no_more_than_a_second_between_two_images():
    found, _ = figures_of((0.0, face('happy'), None), (30.0, face('sad'), None))
    assert found['flips_per_minute'] == 60


@pytest.mark.parametrize('late', [0, 1])
def test_time_is_exact_when_many_steps_add_up(late):
    run = run_of(*(frame(number, number / 10 - late * (number % 7 == 3) * 0.15) for number in range(101)))
    assert run.time_s == 10.0


@pytest.mark.parametrize(
    'times_s, steps_s, is_told',
    [
        ([*np.arange(90) / 30, *(3 + np.arange(30) / 5)], [0.033333333, 0.2], True),
        ([each / 30 for each in range(300) if each % 5], [0.033333333, 0.066666667], False),
        ([0.0, 1.0, 2.0, 50.0], [1.0, 1.0], False),
        ([0.0], None, False),
    ],
)
def test_what_counts_images_and_not_time_is_told_when_images_are_uneven_in_time(times_s, steps_s, is_told):
    run = run_of(*(frame(number, float(time_s)) for number, time_s in enumerate(times_s)))
    told = run.cadence.figures()
    assert told['steps_s'] == steps_s and bool(uneven_rate('/camera', told)) == is_told


@pytest.mark.parametrize(
    'stamps_s, recorded_s, time_s, jumps, still, late',
    [
        ([1.0] * 11, [number / 10 for number in range(11)], 1.0, 0, 10, 0),
        ([number // 10 for number in range(40)], [number / 10 for number in range(40)], 3.9, 0, 36, 0),
        ([0.0, 0.2, 0.1, 0.3], [0.0, 0.1, 0.2, 0.3], 0.3, 0, 0, 1),
        ([0.0, 0.1, 0.099, 0.2, 0.199, 0.3], [number / 10 for number in range(6)], 0.3, 0, 0, 2),
        ([0.0, 0.1, -50.0, -49.9, 3600.0, 3600.1], [number / 10 for number in range(6)], 0.5, 2, 0, 0),
        ([0.0, 3600.0], [0.0, 3600.0], 3600.0, 0, 0, 0),  # the recording paused too
    ],
)
def test_time_goes_on_whatever_the_stamps_are(stamps_s, recorded_s, time_s, jumps, still, late):
    frames = enumerate(zip(stamps_s, recorded_s))
    run = run_of(*(frame(number, float(stamp_s), receive_s=each_s) for number, (stamp_s, each_s) in frames))
    assert run.time_s == pytest.approx(time_s, abs=0.11 if still == 36 else 1e-9)
    assert (run.jumps, run.still, run.late, run.pipeline.resets) == (jumps, still, late, jumps)
    told = ' '.join(losses_of({'/camera': run}))
    assert ('a slightly earlier stamp' in told, 'stamps jumped' in told) == (late > 0, jumps > 0)


def test_damaged_images_are_named_with_their_number_when_they_were_read():
    run = run_of(frame(), *(frame(number, number / 10)._replace(damage='fault %d' % number) for number in (1, 2)))
    assert losses_of({'/camera': run}) == ['/camera: 2 images were read with damaged pixels, the first: fault 1']


def test_a_camera_of_another_clock_begins_when_it_was_recorded():
    first = frame(0, 0.0, receive_s=0.0)
    run = CameraRun(StillPipeline(), first)
    assert run.advance(frame(0, -1e9, camera='/other', receive_s=2.5)) == pytest.approx(2.5) and run.jumps == 1
    early = CameraRun(StillPipeline(), first)
    early.advance(frame(0, -0.5, camera='/other', receive_s=0.1))
    assert early.advance(frame(1, 0.5, camera='/other', receive_s=1.1)) == pytest.approx(0.5) and early.jumps == 0


def test_stretches_of_other_lengths_are_brought_together_when_they_are_compared():
    fine = summary_of([9, 2, 8, 3, 9, 1, 7, 4])
    coarse = json.loads(json.dumps(fine))
    told = coarse['stretches']['/camera']
    parts = [SufficientStatistics(told['sums'][str(place)]) for place in range(8)]
    pairs = (add(parts[place : place + 2]) for place in range(0, 8, 2))
    told['seconds'], told['sums'] = 4.0, {str(place): pair.sparse() for place, pair in enumerate(pairs)}
    (change,) = (each for each in compare(fine, coarse) if each.figure == 'accuracy')
    assert (change.low, change.p, change.verdict) == (None, 1.0, ALIKE), 'stretches that are alike have no interval'


def test_stretches_stay_few_and_nothing_is_lost_when_a_recording_is_long():
    run = run_of(*(frame(number, number * 7.0) for number in range(2000)))
    assert len(run.stretches) <= MAX_STRETCHES and figures(run.totals().values)['frames'] == 2000
    assert run.stretch_s >= 2000 * 7.0 / MAX_STRETCHES


def test_reasons_are_few_when_every_image_is_bad_in_its_own_way():
    run = CameraRun(StillPipeline(), frame())
    for number in range(500):
        fault = f'{number} is wrong' if number < 250 else 'x' * number
        run.lose(frame(number, image=None, fault=fault), number / 10)
    assert sum(count for count, _ in run.losses.values()) == 500 and len(run.losses) <= 11
    assert run.losses['# is wrong'] == (250, '0 is wrong')
    assert figures(run.totals().values)['bad_frames'] == 500
