"""The eight emotion classes: order, ROS names, coordinates in the valence/arousal plane."""

from typing import Dict, Tuple

#: Class order of ESR's outputs. Source: Siqueira et al., AAAI 2020, published code (AffectNet order).
EMOTIONS = ('neutral', 'happy', 'sad', 'surprise', 'fear', 'disgust', 'anger', 'contempt')

#: Published where the quality gate rejects a face.
UNKNOWN = 'unknown'

#: FER+ vote column of each class of EMOTIONS. Source: header of FER+'s label.csv (Barsoum et al., ICMI 2016).
FERPLUS_VOTE_COLUMNS = (0, 1, 3, 2, 6, 5, 4, 7)

#: Word of hri_msgs/Expression for each class; contempt has none. Source: REP-155, hri_msgs/msg/Expression.
EXPRESSION_WORDS: Dict[str, str] = {
    'neutral': 'neutral',
    'happy': 'happy',
    'sad': 'sad',
    'surprise': 'surprised',
    'fear': 'scared',
    'disgust': 'disgusted',
    'anger': 'angry',
}

#: (valence, arousal) of each class, in [-1, 1]. Source: Russell and Mehrabian, "Evidence for a three-factor theory of
#: emotions", J. Research in Personality 11, 1977 (pleasure and arousal of the emotion terms). Contempt's pair is weakly
#: sourced. FER+ has no ratings of valence and arousal: what is derived from votes by these coordinates is labelled so.
AFFECT_COORDINATES: Dict[str, Tuple[float, float]] = {
    'neutral': (0.00, 0.00),
    'happy': (0.81, 0.51),
    'sad': (-0.63, -0.27),
    'surprise': (0.40, 0.67),
    'fear': (-0.64, 0.60),
    'disgust': (-0.60, 0.35),
    'anger': (-0.51, 0.59),
    'contempt': (-0.23, 0.31),
}
