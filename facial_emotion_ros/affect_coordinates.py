"""Where each emotion lies in the valence/arousal plane: how votes for categories become affect.

FER+ has no ratings of valence and arousal. What the network learns from these coordinates is *derived from votes*, and
every place that shows it says so.

Source: Russell and Mehrabian, "Evidence for a three-factor theory of emotions", J. Research in Personality 11, 1977
(pleasure and arousal of the emotion terms). Contempt's pair is weakly sourced.
"""

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS

#: (valence, arousal) of each class, in [-1, 1].
AFFECT_COORDINATES = {
    'neutral': (0.00, 0.00),
    'happy': (0.81, 0.51),
    'sad': (-0.63, -0.27),
    'surprise': (0.40, 0.67),
    'fear': (-0.64, 0.60),
    'disgust': (-0.60, 0.35),
    'anger': (-0.51, 0.59),
    'contempt': (-0.23, 0.31),
}


def affect_of(distributions):
    """Project distributions over the classes into the valence/arousal plane.

    :param distributions: (N, 8) float, rows that sum to 1, in the order of EMOTIONS.
    :returns: (N, 2) float32: valence, arousal; N = 0 gives (0, 2).
    """
    table = np.array([AFFECT_COORDINATES[emotion] for emotion in EMOTIONS], np.float32)
    return np.asarray(distributions, np.float32).reshape(-1, len(EMOTIONS)) @ table
