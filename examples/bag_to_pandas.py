# Loads the results of `evaluate_recording` into pandas: seconds of each emotion and mean affect per face.
#     ros2 run facial_emotion_ros evaluate_recording BAG --output out     and then     python3 bag_to_pandas.py out
# Needs pandas (`pip install pandas`). The columns of frames.csv: docs/columns.md.
"""Summarise the faces of a recording with pandas."""

import argparse
import pathlib

import pandas


def main():
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', type=pathlib.Path, help='output folder of evaluate_recording')
    options = parser.parse_args()

    frames = pandas.read_csv(options.results / 'frames.csv')
    image = ['camera', 'frame']
    images = frames.drop_duplicates(image)[[*image, 'time_s']]
    frames = frames.merge(images.assign(seconds=seconds_of(images))[[*image, 'seconds']])
    faces = frames.dropna(subset=['face_id'])  # an image without a face has a row without an id
    print(f'{len(images)} images, {len(faces.drop_duplicates(image))} with a face')

    print('\nSeconds of each emotion')
    print(faces.pivot_table(index='face_id', columns='emotion', values='seconds', aggfunc='sum', fill_value=0).round(2))

    print('\nMean valence and arousal over the time in view, in seconds')
    weighed = faces[['valence', 'arousal']].mul(faces['seconds'], axis=0).assign(seconds=faces['seconds'])
    sums = weighed.groupby(faces['face_id']).sum()
    print(sums.assign(valence=sums['valence'] / sums['seconds'], arousal=sums['arousal'] / sums['seconds']).round(2))


def seconds_of(images):
    """Return the time until the camera's next image; before a gap and at the end, that of the previous image."""
    times = images.groupby('camera')['time_s']
    steps = times.shift(-1) - images['time_s']
    usual = steps.groupby(images['camera']).transform('median')
    known = steps.where(steps <= (3 * usual).clip(lower=1) + 1e-5)
    return known.groupby(images['camera']).ffill().fillna(usual).fillna(0)


if __name__ == '__main__':
    main()
