"""The word of hri_msgs/Expression for a face's scores: ROS4HRI knows other words, and none for contempt."""

from collections import OrderedDict

from facial_emotion_ros.emotions import EXPRESSION_WORDS


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
