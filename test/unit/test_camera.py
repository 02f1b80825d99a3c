"""What is read through detector and crop, varied images, and the sweep of crop geometries."""

import csv
import io
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
from places import DATA, PORTRAITS, SAMPLES

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.evaluation.camera import crop_sweep, end_to_end, robustness
from facial_emotion_ros.evaluation.camera.plots import plot_robustness, plot_sweep
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace, Portraits, pasted_scenes, read_portraits
from facial_emotion_ros.evaluation.camera.text import portraits_text, robustness_text, sweep_text
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.data.ferplus_files import read_ferplus

PNG = b'\x89PNG'


@pytest.fixture(scope='module')
def pipeline():
    """Return a pipeline of the embedded bundles."""
    return EmotionPipeline()


@pytest.fixture(scope='module')
def astronaut(pipeline):
    """Return the one face of a sample that leaves no doubt."""
    return happy_face(pipeline, 'astronaut.jpg')


def happy_face(pipeline, name):
    """Return a sample's one face, labelled happy, in an image small enough to be quick."""
    image = cv2.resize(cv2.imread(os.path.join(SAMPLES, name)), None, fx=0.6, fy=0.6)
    x0, y0, x1, y1 = pipeline.estimate(image)[0].box
    middle, box_px = ((x0 + x1) / 2, (y0 + y1) / 2), float(np.sqrt((x1 - x0) * (y1 - y0)))
    return LabelledFace(name, image, EMOTIONS.index('happy'), middle, box_px)


def read(pipeline, faces, **options):
    """Read faces with a pipeline's models."""
    return end_to_end.read_through_camera(pipeline.engine, pipeline.detector, faces, **options)


def test_a_face_is_read_as_the_pipeline_reads_it(pipeline, astronaut):
    reading = read(pipeline, [astronaut])
    estimate = pipeline.estimate(astronaut.image)[0]
    np.testing.assert_allclose(reading.scores[0, 0], list(estimate.scores.values()), atol=1e-6)
    assert reading.is_found.all() and reading.is_right().all() and reading.besides == 0


def test_the_pipeline_levels_eyes_when_the_bundle_s_geometry_does(pipeline, astronaut):
    turned = robustness.turned(astronaut, np.random.default_rng(0), 25)
    own = pipeline.engine.geometry
    level = end_to_end.Cut(replace(own, level_eyes=True))
    reading = read(pipeline, [turned], cuts=[level, end_to_end.Cut(replace(own, level_eyes=False))])
    # In logarithms: a clear smile has the same score either way, to six digits.
    assert np.abs(np.log(reading.scores[0] / reading.scores[1])).max() > 0.1
    try:
        pipeline.engine.geometry = level.geometry
        scores = list(pipeline.estimate(turned.image)[0].scores.values())
    finally:
        pipeline.engine.geometry = own
    np.testing.assert_allclose(reading.scores[0, 0], scores, atol=1e-6)


def test_a_face_is_not_found_when_the_box_lies_elsewhere_or_has_another_size(pipeline, astronaut):
    elsewhere = replace(astronaut, middle=(5.0, 5.0))
    larger = replace(astronaut, box_px=3 * astronaut.box_px)
    smaller = replace(astronaut, box_px=astronaut.box_px / 3)
    unknown = replace(astronaut, middle=None)
    empty = replace(astronaut, image=np.full((100, 100, 3), 80, np.uint8))
    reading = read(pipeline, [elsewhere, larger, smaller, unknown, empty, astronaut])
    assert list(reading.is_found) == [False] * 5 + [True] and reading.besides == 4
    assert list(reading.is_right()) == [False] * 5 + [True]
    assert np.isnan(reading.scores[0, :5]).all() and np.isfinite(reading.scores[0, 5]).all()


def test_no_face_gives_empty_arrays(pipeline):
    reading = read(pipeline, [], direct=True)
    assert reading.scores.shape == (1, 0, 8) and reading.besides == 0 and len(reading.names) == 0


def test_all_cuts_are_of_the_same_boxes_and_blur_takes_sharpness(pipeline, astronaut):
    own = end_to_end.Cut(pipeline.engine.geometry)
    wide = end_to_end.Cut(replace(pipeline.engine.geometry, margin=2.5))
    reading = read(pipeline, [astronaut], cuts=[own, wide, replace(own, blur_px=3.0), own])
    assert reading.scores.shape == (4, 1, 8)
    np.testing.assert_array_equal(reading.scores[0], reading.scores[3])
    for place in (1, 2):
        assert (reading.scores[place] != reading.scores[0]).any()


def reading_of(labels, found, through, direct):
    """Make a reading whose first classes are these."""
    eye = np.eye(8, dtype=np.float32)
    is_found = np.array(found, bool)
    scores = eye[through][None].copy()
    scores[:, ~is_found] = np.nan
    return end_to_end.CameraReading(
        np.array([str(row) for row in range(len(labels))]),
        np.array(labels),
        is_found,
        scores,
        eye[direct],
        1,
    )


def test_points_lost_are_those_of_the_faces_that_were_found():
    reading = reading_of(labels=[0, 1, 2, 3, 1], found=[1, 1, 1, 1, 0], through=[0, 1, 2, 0, 0], direct=[0, 1, 2, 3, 1])
    figures = end_to_end.scene_figures(reading)
    assert (figures['n'], figures['found'], figures['detection_rate']) == (5, 4, 0.8)
    assert figures['accuracy_through_camera'] == 0.75 and figures['accuracy_direct'] == 1.0
    assert figures['points_lost'] == 25 and not figures['holds'] and figures['same_category_as_direct'] == 0.75
    low, high = figures['points_lost_interval']
    assert low == 0 and 25 < high <= 100
    assert figures['per_class']['happy'] == {'n': 2, 'found': 1, 'right': 1}
    reading = reading_of(labels=[0, 1], found=[1, 1], through=[0, 1], direct=[1, 1])
    assert end_to_end.scene_figures(reading)['holds']


def test_nine_of_ten_portraits_are_enough_and_eight_are_not():
    for right, holds in ((9, True), (8, False)):
        labels = np.zeros(10, int)
        through = np.where(np.arange(10) < right, 0, 4)
        figures = end_to_end.portrait_figures(reading_of(labels, np.ones(10), through, labels), Portraits([], 8, 0))
        assert (figures['right'], figures['holds']) == (right, holds)
        assert f'{right} of 10 right' in portraits_text(figures)


@pytest.mark.parametrize('variation', robustness.VARIATIONS)
def test_a_varied_face_is_found_where_the_variation_says(pipeline, astronaut, variation):
    before = astronaut.image.copy()
    seen = next(robustness.varied([astronaut], robustness.VARIATIONS[variation]))
    np.testing.assert_array_equal(astronaut.image, before)
    assert seen.image.dtype == np.uint8 and seen.image.ndim == 3 and (seen.label, seen.name) == (1, 'astronaut.jpg')
    assert seen.image.shape != before.shape or (seen.image != before).any()
    if variation != 'noise of deviation 20':
        assert read(pipeline, [seen]).is_found.all()


def test_a_variation_does_what_it_is_called(astronaut):
    generator = np.random.default_rng(0)
    by_name = {name: vary(astronaut, generator) for name, vary in robustness.VARIATIONS.items()}
    np.testing.assert_array_equal(by_name['mirrored'].image[:, ::-1], astronaut.image)
    assert by_name['darker: values x 1/2'].image.mean() == pytest.approx(astronaut.image.mean() / 2, abs=0.5)
    assert by_name['brighter: values x 2'].image.max() == 255
    assert by_name['smaller: box of 24 px'].box_px == pytest.approx(24, abs=0.1)
    assert by_name['smaller: box of 24 px'].image.shape == (480, 640, 3)
    noise = by_name['noise of deviation 10'].image.astype(float) - astronaut.image
    assert noise[(astronaut.image > 60) & (astronaut.image < 190)].std() == pytest.approx(10, abs=0.5)


def test_a_large_image_is_cut_around_the_face_when_it_stays_larger_than_the_camera_s():
    image = np.zeros((3000, 4000, 3), np.uint8)
    image[2880:2920, 3780:3820] = 255
    face = LabelledFace('far', image, 0, (3800.0, 2900.0), 96.0)
    seen = robustness.smaller(face, np.random.default_rng(0), 48)
    assert seen.image.shape == (480, 640, 3)
    x, y = (int(round(each)) for each in seen.middle)
    assert seen.image[y - 5 : y + 5, x - 5 : x + 5].min() == 255


def test_faces_without_a_place_are_passed_on_unvaried(astronaut):
    lost = replace(astronaut, middle=None)
    assert next(robustness.varied([lost], robustness.mirrored)) is lost


def test_robustness_counts_lost_faces_as_not_kept(pipeline, astronaut):
    variations = {
        'same': lambda face, generator: face,
        'black': lambda face, generator: replace(face, image=np.zeros_like(face.image)),
    }
    done = []
    faces, models = [astronaut, replace(astronaut, middle=None)], (pipeline.engine, pipeline.detector)
    table = robustness.measure_robustness(*models, faces, variations, report=lambda *counts: done.append(counts))
    assert [row['variation'] for row in table] == ['as it is', 'same', 'black'] and done == [(1, 2), (2, 2)]
    assert [row['found'] for row in table] == [1, 1, 0] and [row['keeps'] for row in table] == [1, 1, 0]
    assert table[1]['accuracy'] == 1 and np.isnan(table[2]['accuracy']) and np.isnan(table[2]['same'])
    assert 'black' in robustness_text('scenes', table)
    assert plot_robustness({'scenes': table, 'portraits': table}).startswith(PNG)


def test_a_sweep_compares_every_cut_with_the_bundle_s(pipeline, astronaut):
    values = crop_sweep.parse_values(['margin=1.17,2.0', 'level_eyes=true'])
    cuts = crop_sweep.cuts_to_try(end_to_end.CropGeometry(size_px=64), values)
    assert list(cuts) == ["the bundle's", 'margin=2.0', 'level_eyes=True']
    table = crop_sweep.sweep(pipeline.engine, pipeline.detector, cuts, [astronaut], [astronaut], [])
    of_bundle, wide = table["the bundle's"], table['margin=2.0']
    assert of_bundle['scenes']['gain'] == 0 and of_bundle['scenes']['accuracy'] == 1 and of_bundle['views']['n'] == 0
    assert of_bundle['scenes']['macro_recall'] == 1
    gained = wide['scenes']['log_score'] - of_bundle['scenes']['log_score']
    assert wide['scenes']['gain'] == pytest.approx(gained) and wide['turned']['gain'] != 0
    rows = list(csv.DictReader(io.StringIO(crop_sweep.as_csv(table))))
    assert [row['cut'] for row in rows] == list(cuts)
    assert float(rows[1]['scenes_gain']) == pytest.approx(gained, abs=1e-5)
    assert 'margin=2.0' in sweep_text(table) and plot_sweep(table).startswith(PNG)


def test_another_weight_of_the_landmarks_comes_with_ferplus_s_own_place_of_the_face_unless_the_sweep_says_one():
    geometry = end_to_end.CropGeometry()
    values = crop_sweep.parse_values(['landmark_weight=0.0,0.5,1.0', 'margin=1.17,1.1'])
    cuts = crop_sweep.cuts_to_try(geometry, values, True)
    assert [(cut.geometry.landmark_weight, cut.geometry.margin, cut.geometry.center_y) for cut in cuts.values()] == [
        (0, 1.17, 0.513),
        (0, 1.1, 0.513),
        (0.5, 1.17, 0.5465),
        (0.5, 1.1, 0.5465),
        (1, 1.17, 0.58),
        (1, 1.1, 0.58),
    ]
    told = crop_sweep.cuts_to_try(geometry, {'landmark_weight': (1.0,), 'center_y': (0.6,)}, True)
    assert told['landmark_weight=1.0 center_y=0.6'].geometry.center_y == 0.6


def test_a_photograph_is_read_in_views_that_count_as_one_face(pipeline, monkeypatch):
    monkeypatch.setattr(crop_sweep, '_VIEWS', 3)
    president = happy_face(pipeline, 'president.jpg')  # whose smile is faint: no score is 0 or 1
    cuts = crop_sweep.cuts_to_try(pipeline.engine.geometry, {'blur_px': (1.0,)})
    other = replace(president, name='the same, called sad', label=EMOTIONS.index('sad'))
    alone, both = (
        crop_sweep.sweep(pipeline.engine, pipeline.detector, cuts, portraits=faces)['blur_px=1.0']['views']
        for faces in ([president], [president, other])
    )
    assert alone['n'] == 3 and alone['gain_low'] == alone['gain_high'] == pytest.approx(alone['gain'])
    assert both['n'] == 6 and both['gain_low'] < both['gain'] < both['gain_high']
    assert alone['gain'] == pytest.approx(both['gain_low']) or alone['gain'] == pytest.approx(both['gain_high'])


def test_a_grid_tries_all_combinations():
    geometry = end_to_end.CropGeometry()
    assert len(crop_sweep.cuts_to_try(geometry, crop_sweep.parse_values(['margin=1.0,1.1', 'via_px=40,48']), True)) == 5
    alone = crop_sweep.cuts_to_try(geometry, crop_sweep.parse_values([]))
    assert {'level_eyes=True', 'color=bgr', 'blur_px=1.0'} <= set(alone)


@pytest.mark.parametrize(
    'word',
    [
        'margin',
        'margin=',
        'sharpness=1',
        'margin=wide',
        'level_eyes=1',
        'via_px=4.5',
        'margin=99',
        'via_px=3',
        'blur_px=-1',
        'color=rgb',
        'landmark_weight=2',
    ],
)
def test_a_sweep_is_refused_when_a_value_cannot_be(word):
    with pytest.raises(BadParameter, match='expected'):
        crop_sweep.cuts_to_try(end_to_end.CropGeometry(), crop_sweep.parse_values([word]))


@pytest.mark.skipif(not os.path.isdir(DATA), reason='FER+ (shared/data beside the checkout) is absent')
def test_most_faces_of_ferplus_are_found_and_read_as_directly(pipeline):
    valid = read_ferplus(os.path.join(DATA, 'ferplus_valid.npz'))
    rows = np.random.default_rng(0).permutation(np.flatnonzero(valid.labels >= 0))[:40]
    scenes = pasted_scenes(valid.faces(rows), valid.names[rows], valid.labels[rows])
    figures = end_to_end.scene_figures(read(pipeline, scenes, direct=True))
    assert figures['detection_rate'] >= 0.9 and figures['same_category_as_direct'] >= 0.8


@pytest.mark.skipif(
    not os.path.isfile(os.path.join(PORTRAITS, 'labels.csv')),
    reason='the labelled photographs (shared/portraits beside the checkout) are absent',
)
def test_labelled_photographs_are_read_rightly_but_for_three_that_are_known(pipeline):
    portraits = read_portraits(PORTRAITS, pipeline.detector)
    figures = end_to_end.portrait_figures(read(pipeline, portraits.faces), portraits)
    assert figures['found'] == figures['n'] == 10 and figures['invented'] == 0
    wrong = {face['name'] for face in figures['faces'] if not face['right']}
    assert wrong <= {'president.jpg', 'robot_view_angry.jpg', 'family.jpg (2 of 3)'}
