# Loads what `evaluate_recording` found into pandas: how long each face showed which emotion, mean affect.
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
    faces = frames.dropna(subset=['face_id'])  # an image without a face has a row without an id
    image = ['camera', 'frame']
    print(f'{len(frames.drop_duplicates(image))} images, {len(faces.drop_duplicates(image))} with a face')

    print('\nShare of each emotion')
    print(pandas.crosstab(faces['face_id'], faces['emotion'], normalize='index').round(2))

    print('\nMean valence and arousal, and time in view')
    table = faces.groupby('face_id').agg({'valence': 'mean', 'arousal': 'mean', 'time_s': ['min', 'max']})
    print(table.round(2))


if __name__ == '__main__':
    main()
