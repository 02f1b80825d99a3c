"""Silence, faults and fall-backs show by themselves as time goes by."""

import math

import pytest

from facial_emotion_ros.perception.image_times import ODD_STAMPS
from facial_emotion_ros.ros.health import ERROR, OK, WARN, inference_health, input_health, percentile, rate
from facial_emotion_ros.ros.latest_slot import LatestSlot


def counts(**changes):
    """Return counts of a node that has just begun, with some changes."""
    book = dict(LatestSlot().snapshot(), stage='decoding')
    book.update(changes)
    return book


def assess_input(
    now_s=100.0,
    subscribed_since_s=90.0,
    publishers=1,
    state='active',
    unread='',
    cameras=(),
    clock_stands=False,
    **changes,
):
    """Assess an input on the topic /image."""
    return input_health(
        now_s,
        counts(**changes),
        '/image',
        subscribed_since_s,
        ['/camera'] * publishers,
        state=state,
        unread=unread,
        cameras=cameras,
        clock_stands=clock_stands,
    )


STEADY = [95.0 + 0.1 * step for step in range(50)]
BAD = {'bad': (97.0, 'expected a step of at least 1920 bytes, got 640')}
OLD = {'expired': (99.0, 'it was 3 s old; compare the clocks of camera and node')}

INPUTS = [
    ('nobody listens', {'subscribed_since_s': None}, OK, 'Idle'),
    ('nobody listens any more, long silence', {'subscribed_since_s': None, 'arrivals_s': [3.0]}, OK, 'Idle'),
    ('inactive', {'subscribed_since_s': None, 'state': 'inactive'}, OK, 'Inactive: no image is processed until'),
    ('unconfigured', {'subscribed_since_s': None, 'state': 'unconfigured'}, OK, 'configured and activated'),
    ('disabled', {'subscribed_since_s': None, 'state': 'disabled'}, OK, 'until ~/enable is called with true'),
    ('just subscribed', {'subscribed_since_s': 99.0}, OK, 'Waiting'),
    ('just subscribed again', {'subscribed_since_s': 99.0, 'arrivals_s': [3.0]}, OK, 'Waiting'),
    ('images come', {'arrivals_s': STEADY}, OK, '10.0 Hz'),
    ('never an image, no publisher', {'publishers': 0}, ERROR, 'nothing publishes on /image'),
    ('never an image, a publisher', {'publishers': 2}, ERROR, '2 publishers on /image; check QoS'),
    (
        'another type is published',
        {'publishers': 0, 'unread': '/image is of another type'},
        ERROR,
        'No image for 10.0 s: /image is of another type.',
    ),
    (
        'two cameras',
        {'arrivals_s': STEADY, 'faults': BAD, 'cameras': ('/front', '/rear')},
        WARN,
        '2 publishers on /image (/front, /rear)',
    ),
    ('two cameras, silence', {'now_s': 104.0, 'arrivals_s': STEADY, 'cameras': ('/a', '/b')}, ERROR, 'No image'),
    ('images stopped', {'now_s': 104.0, 'arrivals_s': STEADY}, ERROR, 'No image for 4.1 s'),
    ('paused', {'now_s': 104.0, 'arrivals_s': STEADY, 'clock_stands': True}, OK, '4.1 s, and /clock has stopped'),
    ('a malformed image', {'arrivals_s': STEADY, 'faults': BAD}, WARN, '3.0 s ago: expected a step'),
    ('a malformed image long ago', {'now_s': 108.0, 'arrivals_s': [107.5, 107.9], 'faults': BAD}, OK, 'Receiving'),
    ('an old image', {'arrivals_s': STEADY, 'faults': OLD}, WARN, 'dropped for its age 1.0 s ago: it was 3 s old'),
    ('both: the latest is reported', {'arrivals_s': STEADY, 'faults': {**BAD, **OLD}}, WARN, 'for its age'),
    ('a fault, then silence', {'now_s': 104.0, 'arrivals_s': STEADY, 'faults': BAD}, ERROR, 'No image'),
    (
        'no stamp',
        {'arrivals_s': STEADY, 'faults': {'unstamped': (98.0, 'correct the driver')}},
        WARN,
        'without a stamp arrived 2.0 s ago: correct the driver',
    ),
    ('a stamp ahead', {'arrivals_s': STEADY, 'faults': {'future': (98.0, 'by 3 s')}}, WARN, 'in the future'),
    (
        'nothing to see',
        {'arrivals_s': STEADY, 'faults': {'flat': (98.0, 'its brightest pixel is 3 of 255')}},
        WARN,
        'without contrast arrived 2.0 s ago: its brightest pixel is 3 of 255',
    ),
    (
        'bit errors',
        {'arrivals_s': STEADY, 'faults': {'corrupt': (98.0, 'Corrupt JPEG data')}},
        WARN,
        'damaged pixels arrived 2.0 s ago: Corrupt JPEG data',
    ),
    (
        'a list of too many faces',
        {'arrivals_s': STEADY, 'faults': {'refused_ids': (98.0, 'got 99')}},
        WARN,
        'ignored 2.0 s ago: got 99',
    ),
    (
        'stamps all alike',
        {'arrivals_s': STEADY, 'faults': {'frozen': (98.0, 'its age is unknown')}},
        WARN,
        'the stamp of the previous one arrived 2.0 s ago: its age is unknown',
    ),
    (
        'stamps that go back',
        {'arrivals_s': STEADY, 'faults': {'backwards': (98.0, 'by 0.001 s')}},
        WARN,
        'image stamps went back 2.0 s ago: by 0.001 s',
    ),
    ('a stamp long past', {'arrivals_s': STEADY, 'faults': {'past': (98.0, 'by 9 s')}}, WARN, 'far in the past'),
    ('failed work is no fault of it', {'arrivals_s': STEADY, 'faults': {'failed': (99.0, 'x')}}, OK, 'Receiving'),
]


@pytest.mark.parametrize('case, changes, level, words', INPUTS, ids=[case[0] for case in INPUTS])
def test_input_is_assessed_when(case, changes, level, words):
    found, message, values = assess_input(**changes)
    assert found == level and words in message
    assert values['topic'] == '/image' and 'rate_hz' in values


@pytest.mark.parametrize('ago_s, shows', [(0.0, True), (5.1, True), (9.9, True), (10.1, False)])
def test_a_fault_shows_for_ten_seconds_when_all_is_well_since(ago_s, shows):
    faults = {'bad': (100.0 - ago_s, 'x'), 'failed': (100.0 - ago_s, 'x')}
    assert assess_input(arrivals_s=STEADY, faults=faults)[0] == (WARN if shows else OK)
    assert inference_health(100.0, counts(faults=faults), 'cpu', '')[0] == (ERROR if shows else OK)


def test_every_odd_stamp_is_counted_and_reported():
    for kind in ODD_STAMPS:
        level, message, values = assess_input(arrivals_s=STEADY, faults={kind: (99.0, 'why')}, **{kind: 7})
        assert (level, values[kind]) == (WARN, 7) and message.endswith('why')


def test_counts_are_among_the_values_of_the_input():
    values = assess_input(received=7, processed=3, replaced=2, bad=1, in_work=1, arrivals_s=STEADY)[2]
    assert [
        values[name] for name in ('received', 'processed', 'replaced', 'bad', 'expired', 'failed', 'waiting', 'in_work')
    ] == [7, 3, 2, 1, 0, 0, 0, 1]
    assert values['silence_s'] == pytest.approx(0.1)
    assert math.isnan(assess_input()[2]['silence_s'])


DEGRADED = 'esr runs on CPUExecutionProvider instead of CUDAExecutionProvider: it could not start'
FAILED = {'failed': (98.0, 'expected finite numbers in logits, got NaN')}
BUSY = {'processed': 2, 'works_s': [0.06, 0.08], 'ages_s': [0.07, 0.1]}

INFERENCES = [
    ('no model', {}, '', '', {}, OK, 'Idle'),
    ('no image yet', {}, 'CPUExecutionProvider', '', {}, OK, 'Ready on CPU'),
    ('working', BUSY, 'CPUExecutionProvider', '', {}, OK, '60 ms per image on CPU'),
    ('in work', dict(BUSY, taken_s=99.9, stage_since_s=99.9), 'CPUExecutionProvider', '', {}, OK, '60 ms'),
    ('in work for long', dict(BUSY, taken_s=95.1, stage_since_s=95.1), 'CPUExecutionProvider', '', {}, OK, '60 ms'),
    ('hanging', dict(BUSY, taken_s=94.0, stage_since_s=94.0), 'CPUExecutionProvider', '', {}, ERROR, 'for 6 s'),
    (
        'hanging for longer',
        dict(BUSY, taken_s=80.0, stage='reading emotions', stage_since_s=83.0),
        'CPUExecutionProvider',
        '',
        {},
        ERROR,
        'in work for 20 s, for 17 s in reading emotions: the model is slow or hangs',
    ),
    (
        'a slow picture',
        dict(BUSY, taken_s=80.0, stage_since_s=80.0),
        'CPUExecutionProvider',
        '',
        {},
        ERROR,
        'for 20 s in decoding: it is very large, or malicious',
    ),
    (
        'every stage has its words',
        dict(BUSY, taken_s=80.0, stage='publishing', stage_since_s=80.0),
        'CPUExecutionProvider',
        '',
        {},
        ERROR,
        'in publishing: the middleware',
    ),
    ('degraded', BUSY, 'CPUExecutionProvider', DEGRADED, {}, WARN, 'instead of CUDA'),
    ('failed', BUSY, 'CPUExecutionProvider', DEGRADED, FAILED, ERROR, '2.0 s ago: expected finite'),
    ('failed long ago', BUSY, 'CPUExecutionProvider', '', {'failed': (80.0, 'x')}, OK, '60 ms'),
    ('bad images are no fault of inference', BUSY, 'CPUExecutionProvider', '', BAD, OK, '60 ms'),
]


@pytest.mark.parametrize(
    'case, changes, provider, degraded, faults, level, words', INFERENCES, ids=[case[0] for case in INFERENCES]
)
def test_inference_is_assessed_when(case, changes, provider, degraded, faults, level, words):
    found, message, values = inference_health(100.0, counts(faults=faults, **changes), provider, degraded)
    assert found == level and words in message
    assert (values['provider'], values['degraded']) == (provider or 'none', degraded or 'no')


def test_ages_are_among_the_values_when_answers_were_given():
    values = inference_health(1.0, counts(ages_s=[step / 1000 for step in range(1, 101)]), 'x', '')[2]
    assert (values['age_p50_ms'], values['age_p99_ms'], values['age_max_ms']) == pytest.approx((50, 99, 100))
    assert math.isnan(values['work_p50_ms'])


@pytest.mark.parametrize(
    'values, share, expected',
    [
        ([3.0], 0.5, 3.0),
        ([3.0], 0.0, 3.0),
        ([1, 2, 3, 4], 0.5, 2),
        ([4, 1, 3, 2], 0.51, 3),
        ([1, 2, 3, 4], 0, 1),
        ([1, 2, 3, 4], 1, 4),
        (list(range(1, 201)), 0.99, 198),
        (list(range(1, 101)), 0.07, 7),
    ],
)
def test_percentile_is_the_nearest_rank_when_asked_for(values, share, expected):
    assert percentile(values, share) == expected


def test_percentile_is_not_a_number_when_there_are_no_values():
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(
    'times_s, now_s, expected',
    [
        ([], 10.0, 0.0),
        ([9.0], 10.0, 0.0),
        ([9.0, 10.0], 10.0, 1.0),
        ([8.0, 9.0, 10.0], 10.0, 1.0),
        ([8.0, 9.0, 10.0], 10.9, 1.0),
        ([8.0, 9.0, 10.0], 12.0, 2 / 3),
        ([8.0, 9.0, 10.0], 16.0, 0.0),
        ([9.0, 9.0], 9.0, 0.0),
    ],
)
def test_rate_falls_when_events_stop(times_s, now_s, expected):
    assert rate(times_s, now_s) == pytest.approx(expected)
