"""The word of hri_msgs/Expression for a face's scores, and when it is told: ROS4HRI has words and ways of its own."""

from collections import OrderedDict

from facial_emotion_ros.emotions import EXPRESSION_WORDS

#: While a face's expression is unknown, that is repeated this often.
_UNKNOWN_EVERY_S = 1.0


def expression_word(scores, contempt_as, emotion=''):
    """Choose the word of hri_msgs/Expression.

    :param scores: class -> score, in the order of EMOTIONS.
    :param contempt_as: a word of hri_msgs/Expression, or 'drop'.
    :param emotion: the class that is told, which need not have the best score at every moment; '' for the best one.
    :returns: (word, confidence in [0, 1]); ('', 0.0) when all the scores lie on a dropped class.
    """
    words = OrderedDict()
    for each, score in scores.items():
        word = EXPRESSION_WORDS.get(each, contempt_as)
        if word != 'drop':
            words[word] = words.get(word, 0.0) + min(max(float(score), 0.0), 1.0)
    whole = sum(words.values())
    if whole <= 1e-6:
        return '', 0.0
    word = EXPRESSION_WORDS.get(emotion, contempt_as if emotion else '')
    if word not in words:
        word = max(words, key=words.get)
    return word, min(max(words[word] / whole, 0.0), 1.0)


class UnknownRhythm:
    """Lets through what is known, and of what is unknown the first message and then one a second."""

    def __init__(self):
        self._unknown_since_s = {}

    def lets_through(self, face_id, message, now_s):
        """Decide on the next expression of a face.

        :param face_id: whose.
        :param message: hri_msgs/Expression; without a word where it is unknown.
        :param now_s: the time by a clock that goes on whatever stamps say, in seconds.
        :returns: whether to publish it.
        """
        if message.expression:
            self._unknown_since_s.pop(face_id, None)
            return True
        before_s = self._unknown_since_s.get(face_id)
        if before_s is not None and now_s - before_s < _UNKNOWN_EVERY_S:
            return False
        self._unknown_since_s[face_id] = now_s
        return True

    def forget(self, face_id):
        """Drop a face that is gone."""
        self._unknown_since_s.pop(face_id, None)
