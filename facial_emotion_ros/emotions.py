"""The eight emotion classes, their order and their ROS names: the only place where they are written."""

#: Class order of ESR's outputs. Source: Siqueira et al., AAAI 2020, published code (AffectNet order).
EMOTIONS = ('neutral', 'happy', 'sad', 'surprise', 'fear', 'disgust', 'anger', 'contempt')

#: Published in place of a class when the node does not know.
UNKNOWN = 'unknown'

#: FER+ vote column of each class of EMOTIONS. Source: header of FER+'s label.csv (Barsoum et al., ICMI 2016).
FERPLUS_VOTE_COLUMNS = (0, 1, 3, 2, 6, 5, 4, 7)

#: Word of hri_msgs/Expression for each class; contempt has none there. Source: REP-155, hri_msgs/msg/Expression.
EXPRESSION_WORDS = {
    'neutral': 'neutral',
    'happy': 'happy',
    'sad': 'sad',
    'surprise': 'surprised',
    'fear': 'scared',
    'disgust': 'disgusted',
    'anger': 'angry',
}
