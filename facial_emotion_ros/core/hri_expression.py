"""The word of hri_msgs/Expression for a face's scores."""

from collections import OrderedDict
from typing import Dict, Mapping, Tuple

from facial_emotion_ros.core.emotions import EXPRESSION_WORDS


def expression_word(scores: Mapping[str, float], contempt_as: str, emotion: str = '') -> Tuple[str, float]:
    """Choose the word of hri_msgs/Expression.

    :param scores: class -> score, in the order of EMOTIONS.
    :param contempt_as: a word of hri_msgs/Expression, or 'drop'.
    :param emotion: the published class, which may not have the best score; '' for the best one.
    :returns: (word, confidence in [0, 1]); ('', 0.0) if only a dropped class has a score.
    """
    words: Dict[str, float] = OrderedDict()
    for each, score in scores.items():
        word = EXPRESSION_WORDS.get(each, contempt_as)
        if word != 'drop':
            words[word] = words.get(word, 0.0) + min(max(float(score), 0.0), 1.0)
    total = sum(words.values())
    if total <= 1e-6:
        return '', 0.0
    word = EXPRESSION_WORDS.get(emotion, contempt_as if emotion else '')
    if word not in words:
        word = max(words, key=lambda each: words[each])
    return word, min(max(words[word] / total, 0.0), 1.0)
