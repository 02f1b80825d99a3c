"""A study of twelve recordings, from films and bags to tables and pages, against an independent computation."""

import json

import av
import cv2
import numpy as np
import pandas
import pytest
from chromium import NARROW, OUTSIDE, WIDE, asked_for, charts_of, show, start_browser, until
from test_render_faces import needs_anny

from facial_emotion_ros.cli import evaluate_recording
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, DETECTIONS, detection, header, make
from facial_emotion_ros.recordings.io.writer import BagWriter
from facial_emotion_ros.training.synthetic.action_units import draw_actions
from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
from facial_emotion_ros.training.synthetic.head_model import read_head_model
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('plotly', reason='plotly is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

pytestmark = needs_anny

PEOPLE, RATE_HZ, SMILE_S, LENGTH_S = (1, 2, 4, 6), 8, 1.0, 2.5
START_NS = 1_790_000_000 * 10**9
MEASURES = [f'score_{each}' for each in EMOTIONS] + ['valence', 'arousal']


def portraits():
    """Render each person twice: {person: (neutral, smiling)}, (240, 240, 3) uint8 BGR."""
    renderer = FaceRenderer(read_head_model())
    found = {}
    for seed in PEOPLE:
        person = draw_person(renderer.model, np.random.default_rng(seed))
        pictures = [
            renderer.draw(
                person, draw_actions(word, 1.0, np.random.default_rng(3)), np.random.default_rng(seed), (3, 2, 2)
            )[0]
            for word in ('neutral', 'happy')
        ]
        found[seed] = [cv2.resize(picture, (240, 240), interpolation=cv2.INTER_AREA) for picture in pictures]
    return found


def scenes(pictures, smiles, phase):
    """Show a person who sways, and smiles from SMILE_S on: (time in s, image, portrait's left side in px, word)."""
    for number in range(round(LENGTH_S * RATE_HZ)):
        time_s = number / RATE_HZ
        left = round(40 + 20 * np.sin(phase + 2 * time_s))
        image = np.full((240, 320, 3), 90, np.uint8)
        smiling = smiles and time_s >= SMILE_S
        image[:, left : left + 240] = pictures[smiling]
        yield time_s, image, left, 'happy' if smiling else 'neutral'


def write_bag(path, shown, storage, name):
    """Write images, their truth, and the event as a topic."""
    with BagWriter(path, storage) as bag:
        for time_s, image, left, word in shown:
            stamp_ns = START_NS + round(time_s * 1e9)
            head = header(stamp_ns, 'camera')
            jpeg = cv2.imencode('.jpg', image)[1].reshape(-1)
            bag.add('/image/compressed', stamp_ns, make(COMPRESSED_IMAGE, header=head, format='jpeg', data=jpeg))
            box = left + 60, 40, left + 180, 190
            faces = [detection(head, name, box, [(word, 1.0)])]
            bag.add('/truth', stamp_ns, make(DETECTIONS, header=head, detections=faces))
            if time_s == SMILE_S and word == 'happy':
                bag.add('/events', stamp_ns, make('std_msgs/msg/String', data='smile'))


def write_film(path, shown):
    with av.open(path, 'w') as film:
        stream = film.add_stream('ffv1', rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 320, 240, 'bgr0'
        for _, image, _, _ in shown:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='bgr24')))
        film.mux(stream.encode())


browser = pytest.fixture(scope='module')(start_browser)


@pytest.fixture(scope='module')
def study(tmp_path_factory):
    """Return the folder of a study that was evaluated with one command: 4 persons, 8 bags in 2 conditions, 4 films."""
    folder = tmp_path_factory.mktemp('study')
    for place, (seed, pictures) in enumerate(portraits().items()):
        home = folder / 'data' / f'p{seed:02d}'
        home.mkdir(parents=True)
        for condition in ('baseline', 'task'):
            storage = 'mcap' if place % 2 else 'sqlite3'
            write_bag(str(home / condition), scenes(pictures, condition == 'task', place), storage, home.name)
        (home / 'again').mkdir()
        write_film(str(home / 'again' / 'task.mkv'), scenes(pictures, True, place + 3))
    assert evaluate_recording.main([str(folder / 'data'), '--study-template', str(folder / 'study.csv')]) == 0
    given = [
        '--study',
        str(folder / 'study.csv'),
        '--output',
        str(folder / 'out'),
        '--workers',
        '2',
        '--video',
        '--people',
    ]
    given += ['--truth', '/truth', '--events', '/events', '--event-window', '-0.5,1', '--event-rate', '8']
    assert evaluate_recording.main([*given, '--baseline', '-0.5,0']) == 0
    return folder


def table_of(folder, name):
    return pandas.read_csv(folder / 'out' / f'{name}.csv', keep_default_na=True)


def test_tables_of_a_study_agree_with_what_pandas_finds_in_its_frames(study, capsys):
    frames = pandas.read_parquet(study / 'out' / 'frames')
    faces = frames[frames.face_id.notna()]
    recordings, count = table_of(study, 'recordings'), round(LENGTH_S * RATE_HZ)
    assert len(recordings) == 12 and len(frames) >= 12 * count and list(recordings.frames) == [count] * 12
    by = faces.groupby('path')
    wanted = by[MEASURES].mean()
    for word in (*EMOTIONS, 'unknown'):
        wanted[f'share_{word}'] = by.emotion.agg(lambda words, word=word: (words == word).mean())
    told = recordings.set_index('path')
    assert np.allclose(told[wanted.columns], wanted.loc[told.index], atol=1e-6, rtol=0)

    # Each participant's recordings of a condition count as one case.
    cases = wanted.groupby([told.condition, told.participant]).mean()
    conditions = table_of(study, 'conditions').set_index(['measure', 'condition'])
    for condition in ('baseline', 'task'):
        assert np.allclose(
            conditions.xs(condition, level=1).loc[wanted.columns, 'mean'], cases.loc[condition].mean(), atol=2e-6
        )
        sd = conditions.xs(condition, level=1).loc[wanted.columns, 'sd']
        assert np.allclose(sd, cases.loc[condition].std(ddof=1), atol=2e-6)
    gaps = cases.loc['task', MEASURES] - cases.loc['baseline', MEASURES]
    compared = table_of(study, 'comparisons').set_index('measure')
    assert (
        set(compared.condition) == {'task'}
        and list(compared.design.unique()) == ['within']
        and list(compared.participants.unique()) == [4]
    )
    assert np.allclose(compared.loc[MEASURES, 'difference'], gaps.mean(), atol=2e-6)
    assert np.allclose(compared.loc[MEASURES, 'effect_size'], gaps.mean() / gaps.std(ddof=1), rtol=1e-4)
    assert gaps.score_happy.mean() > 0.2  # they smiled


def test_events_of_a_topic_agree_with_what_pandas_finds_in_the_frames(study):
    frames = pandas.read_parquet(study / 'out' / 'frames')
    faces = frames[frames.face_id.notna() & (frames.condition == 'task') & (frames.session.isna())]
    lines = faces.groupby(['participant', 'time_s'])[MEASURES].mean()
    offsets, courses = np.arange(-4, 9) / 8, []
    for _, line in lines.groupby(level=0):
        line = line.droplevel(0)
        course = np.stack([np.interp(SMILE_S + offsets, line.index, line[each]) for each in MEASURES], 1)
        courses.append(course - course[offsets <= 0].mean(0))
    told = table_of(study, 'event_averages')
    assert list(told.event.unique()) == ['smile'] and list(told.n.unique()) == [4] and len(told) == 13 * 10
    wide = told.pivot(index='offset_s', columns='measure', values='mean')
    assert np.allclose(wide[MEASURES], np.mean(courses, 0), atol=1e-6, rtol=0)
    assert wide.score_happy.iloc[-1] > 0.4


def test_persons_of_a_study_are_its_participants_and_their_figures_those_of_pandas(study):
    people = table_of(study, 'people').set_index('path')
    assert len(people) == 12 and list(people.person) == list(people.participant) and set(people.face_ids) == {1}
    faces = pandas.read_parquet(study / 'out' / 'frames').query('face_id.notna()').groupby('path')
    for word in (*EMOTIONS, 'unknown'):
        shares = faces.emotion.agg(lambda words, word=word: (words == word).mean())
        assert np.allclose(people[f'share_{word}'], shares[people.index], atol=1e-6, rtol=0)
    for side in ('valence', 'arousal'):
        assert np.allclose(people[side], faces[side].mean()[people.index], atol=1e-6, rtol=0)
        assert np.allclose(people[f'{side}_sd'], faces[side].std()[people.index], atol=1e-6, rtol=0)
    assert np.allclose(people.seconds_seen, LENGTH_S, atol=1e-6)


def test_accuracy_of_a_study_is_that_of_its_labelled_faces(study):
    frames = pandas.read_parquet(study / 'out' / 'frames')
    labelled = frames[frames.true_emotion.notna() & frames.face_id.notna()]
    told = json.loads((study / 'out' / 'fleet.json').read_text())['overall'][0]['truth']
    assert told['n'] == len(labelled) == 8 * round(LENGTH_S * RATE_HZ)
    assert (
        told['accuracy'] == pytest.approx((labelled.true_emotion == labelled.emotion).mean()) and told['accuracy'] > 0.9
    )
    crossed = pandas.crosstab(labelled.true_emotion, labelled.emotion)
    right = pandas.Series({word: crossed.at[word, word] for word in crossed.index})
    f1 = 2 * right / (crossed.sum(axis=1) + crossed.sum()[crossed.index])
    assert told['macro_f1'] == pytest.approx(f1.mean()) and told['macro_recall'] == pytest.approx(
        (right / crossed.sum(axis=1)).mean()
    )


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_pages_of_a_study_are_drawn_and_its_films_play_to_their_end(browser, study, width):
    show(browser, (study / 'out' / 'index.html').as_uri(), width)
    drawn = charts_of(browser)
    assert len(drawn) >= 4 and all(each['filled'] and each['inside'] and each['marks'] for each in drawn), drawn
    words = browser.find_element('tag name', 'main').text
    assert 'The study' in words and 'Around events' in words
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width
    assert browser.execute_script(OUTSIDE) == []
    assert browser.get_log('browser') == []
    browser.find_element('css selector', '.fleet td a').click()
    until(browser, lambda: browser.execute_script("return document.querySelector('video').readyState >= 1"))
    browser.execute_script("const film = document.querySelector('video'); film.muted = true; film.play()")
    until(browser, lambda: browser.execute_script("return document.querySelector('video').ended"))
    assert [each for each in asked_for(browser) if not each.startswith(('file:', 'data:'))] == []
