"""Facial action units of each emotion, and the blend shapes that render them.

Sources: Ekman and Friesen, "Facial Action Coding System", 1978 (table 11-1) and EMFACS; Du, Tao and Martinez, "Compound
facial expressions of emotion", PNAS 111, 2014 (table 1: units and their frequency); contempt: Ekman and
Friesen, "A new pan-cultural facial expression of emotion", Motivation and Emotion 10, 1986.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.training.data.face_set import affect_of

# fmt: off
#: Blend shapes of each action unit and their weights; names without a side stand for both sides.
ACTION_UNITS = {
    1: {'browInnerUp': 1.2},
    2: {'browOuterUp': 1.2},
    4: {'browDown': 1.3},
    5: {'eyeWide': 1.9},
    6: {'cheekSquint': 1.1, 'eyeSquint': 0.3},
    7: {'eyeSquint': 1.1},
    9: {'noseSneer': 1.5, 'browDown': 0.25, 'eyeSquint': 0.4, 'mouthUpperUp': 0.4, 'cheekSquint': 0.4},
    10: {'mouthUpperUp': 1.1, 'noseSneer': 0.5},
    12: {'mouthSmile': 1.3},
    14: {'mouthDimple': 1.2},
    15: {'mouthFrown': 1.4},
    16: {'mouthLowerDown': 1.0},
    17: {'mouthShrugLower': 1.3, 'mouthShrugUpper': 0.5},
    18: {'mouthPucker': 0.8},
    19: {'tongueOut': 0.7},
    20: {'mouthStretch': 1.5, 'mouthLowerDown': 0.3},
    22: {'mouthFunnel': 0.7},
    23: {'mouthPress': 0.7, 'mouthRollLower': 0.5, 'mouthRollUpper': 0.4},
    24: {'mouthPress': 1.2, 'mouthRollLower': 0.3},
    25: {'mouthLowerDown': 0.35, 'mouthUpperUp': 0.4, 'jawOpen': 0.08},
    26: {'jawOpen': 0.45},
    27: {'jawOpen': 0.9},
    43: {'eyeBlink': 0.6},
    64: {'eyeLookDown': 0.8},
}

#: Factors of these weights for the shapes of scanned_units, which move the face further; 1 for the others.
_SCANNED_SHARES = {
    'browInnerUp': 0.9, 'browOuterUp': 0.85, 'browDown': 0.9, 'cheekSquint': 0.55, 'eyeLookDown': 0.75, 'jawOpen': 0.9,
    'mouthShrugLower': 0.6, 'mouthShrugUpper': 0.7, 'mouthSmile': 0.85, 'mouthStretch': 0.8, 'mouthUpperUp': 0.75,
    'noseSneer': 0.6,
}
SCANNED_ACTION_UNITS = {
    unit: {shape: share * _SCANNED_SHARES.get(shape, 1) for shape, share in shapes.items()}
    for unit, shapes in ACTION_UNITS.items()
}
SCANNED_ACTION_UNITS[6]['cheekRaiser'] = 0.8  # a shape that anny does not have

_SIDED = (
    'browOuterUp', 'browDown', 'eyeWide', 'cheekRaiser', 'cheekSquint', 'eyeSquint', 'noseSneer', 'mouthUpperUp',
    'mouthSmile', 'mouthDimple', 'mouthFrown', 'mouthLowerDown', 'mouthStretch', 'mouthPress', 'eyeBlink',
    'eyeLookDown',
)

#: Ways to show each emotion, equally likely: action unit: (probability, least, most intensity).
RECIPES = {
    'neutral': [
        {17: (0.1, 0.1, 0.3), 24: (0.15, 0.1, 0.3), 12: (0.35, 0.1, 0.35), 15: (0.15, 0.1, 0.25),
         4: (0.15, 0.05, 0.3), 7: (0.2, 0.1, 0.4), 6: (0.1, 0.1, 0.3), 25: (0.15, 0.1, 0.4), 2: (0.1, 0.1, 0.4),
         1: (0.1, 0.1, 0.3)},
        # speech
        {25: (0.9, 0.2, 0.8), 26: (0.7, 0.1, 0.6), 18: (0.2, 0.2, 0.7), 22: (0.2, 0.2, 0.7),
         16: (0.2, 0.1, 0.5), 1: (0.1, 0.1, 0.3), 12: (0.2, 0.1, 0.3), 4: (0.1, 0.1, 0.3), 7: (0.15, 0.1, 0.4)},
    ],
    'happy': [
        {6: (0.9, 0.4, 1), 12: (1, 0.7, 1.1), 25: (0.6, 0.4, 1)},
        {6: (0.9, 0.4, 1), 12: (1, 0.8, 1.2), 25: (1, 0.6, 1.2), 26: (0.7, 0.2, 0.9), 7: (0.3, 0.2, 0.6)},
        {6: (0.9, 0.4, 1), 12: (1, 0.8, 1.2), 25: (1, 0.9, 1.6), 10: (0.4, 0.2, 0.4), 26: (0.4, 0.1, 0.5)},
        {12: (1, 0.7, 1), 14: (0.2, 0.2, 0.5), 6: (0.5, 0.2, 0.5)},
    ],
    'sad': [
        {1: (1, 0.5, 1.1), 4: (0.9, 0.3, 0.8), 15: (1, 0.5, 1.1), 17: (0.5, 0.3, 0.9), 64: (0.4, 0.4, 1),
         43: (0.3, 0.3, 0.7)},
        {1: (0.7, 0.3, 1), 4: (0.7, 0.3, 0.8), 15: (0.9, 0.4, 1), 17: (0.6, 0.4, 1), 6: (0.4, 0.2, 0.6),
         7: (0.4, 0.2, 0.6)},
        {1: (0.8, 0.4, 1), 4: (0.6, 0.2, 0.6), 15: (0.5, 0.2, 0.7), 25: (0.3, 0.1, 0.4), 64: (0.5, 0.4, 1),
         43: (0.4, 0.2, 0.6)},
        # crying
        {1: (0.8, 0.4, 1), 4: (0.9, 0.4, 1), 6: (0.8, 0.5, 1), 7: (0.6, 0.4, 0.9), 15: (0.7, 0.3, 0.9),
         20: (0.6, 0.3, 0.8), 25: (0.9, 0.4, 1), 43: (0.5, 0.5, 1), 17: (0.4, 0.3, 0.8)},
    ],
    'surprise': [
        {1: (1, 0.6, 1.2), 2: (1, 0.6, 1.2), 5: (0.9, 0.4, 1.1), 26: (1, 0.6, 1.2), 25: (0.6, 0.2, 0.6)},
        {1: (1, 0.6, 1.2), 2: (1, 0.6, 1.2), 5: (0.8, 0.4, 1.1), 27: (1, 0.5, 1.1), 22: (0.2, 0.2, 0.6)},
        {1: (0.9, 0.5, 1.1), 2: (0.9, 0.5, 1.1), 5: (0.9, 0.4, 1), 25: (0.8, 0.3, 0.8), 26: (0.5, 0.3, 0.7),
         18: (0.3, 0.3, 0.8)},
        {1: (0.6, 0.3, 0.8), 2: (0.6, 0.3, 0.8), 5: (0.8, 0.4, 1.1), 27: (1, 0.6, 1.1), 12: (0.4, 0.1, 0.5)},
        {1: (0.8, 0.4, 1.1), 2: (0.8, 0.4, 1.1), 5: (0.7, 0.3, 1), 27: (1, 0.7, 1.2), 25: (0.5, 0.2, 0.6)},
    ],
    'fear': [
        {1: (1, 0.6, 1.2), 2: (0.6, 0.2, 0.7), 4: (0.9, 0.4, 0.9), 5: (1, 0.6, 1.3), 20: (1, 0.5, 1.1),
         25: (1, 0.5, 1.1), 26: (0.5, 0.2, 0.7)},
        {1: (1, 0.5, 1), 2: (0.4, 0.2, 0.6), 4: (1, 0.4, 0.9), 5: (1, 0.6, 1.2), 20: (1, 0.5, 1),
         25: (0.9, 0.4, 1), 26: (0.6, 0.2, 0.7), 7: (0.3, 0.2, 0.5)},
        # teeth shown
        {1: (1, 0.6, 1.2), 4: (0.9, 0.4, 0.9), 5: (1, 0.6, 1.3), 20: (1, 0.7, 1.2), 25: (1, 0.6, 1.2),
         16: (0.8, 0.4, 1)},
    ],
    'disgust': [
        {9: (1, 0.7, 1.1), 17: (0.5, 0.3, 0.8), 4: (0.3, 0.2, 0.5), 7: (0.4, 0.3, 0.8), 24: (0.2, 0.3, 0.6),
         15: (0.4, 0.3, 0.8)},
        {9: (0.6, 0.5, 0.9), 10: (1, 0.7, 1.2), 17: (0.6, 0.4, 1), 4: (0.2, 0.2, 0.4), 15: (0.4, 0.3, 0.8),
         6: (0.4, 0.2, 0.6)},
        # disgust with an open mouth and the tongue shown
        {9: (1, 0.7, 1.1), 10: (0.9, 0.6, 1.1), 25: (0.8, 0.2, 0.5), 26: (0.4, 0.1, 0.4), 19: (0.5, 0.4, 1),
         17: (0.3, 0.2, 0.5), 7: (0.6, 0.4, 0.9), 43: (0.4, 0.3, 0.8), 6: (0.4, 0.3, 0.7)},
    ],
    'anger': [
        {4: (1, 0.7, 1.2), 5: (0.5, 0.2, 0.8), 7: (0.8, 0.4, 1), 24: (0.8, 0.4, 1), 23: (0.5, 0.4, 1),
         17: (0.5, 0.3, 0.8)},
        {4: (1, 0.7, 1.2), 7: (0.8, 0.4, 1), 10: (0.5, 0.3, 0.6), 17: (0.4, 0.2, 0.7), 23: (0.3, 0.3, 0.8)},
        # teeth shown, or shouting
        {4: (1, 0.7, 1.2), 5: (0.4, 0.3, 0.9), 7: (0.7, 0.4, 1), 10: (0.8, 0.4, 1), 16: (0.8, 0.5, 1.1),
         25: (1, 0.5, 1.1), 9: (0.4, 0.3, 0.7), 20: (0.3, 0.2, 0.6)},
        {4: (1, 0.7, 1.2), 5: (0.5, 0.3, 0.9), 7: (0.7, 0.4, 1), 10: (0.7, 0.3, 0.8), 16: (0.6, 0.4, 1),
         25: (1, 0.5, 1.1), 26: (0.8, 0.4, 1), 27: (0.3, 0.4, 0.9), 22: (0.4, 0.3, 0.8), 9: (0.3, 0.2, 0.6)},
    ],
    'contempt': [
        # on one side
        {14: (1, 0.6, 1.2), 12: (0.8, 0.2, 0.6), 10: (0.25, 0.1, 0.4), 2: (0.2, 0.2, 0.6), 64: (0.2, 0.2, 0.5)},
    ],
}
# fmt: on

#: Shapes that are one-sided in contempt.
_ONE_SIDED = ('mouthDimple', 'mouthSmile', 'mouthUpperUp', 'noseSneer', 'browOuterUp')


def draw_actions(
    emotion: str,
    intensity: float,
    generator: np.random.Generator,
    action_units: Mapping[int, Mapping[str, float]] = ACTION_UNITS,
) -> dict[str, float]:
    """Sample one way to show an emotion.

    :param emotion: of EMOTIONS.
    :param intensity: factor of all action units.
    :param action_units: ACTION_UNITS or SCANNED_ACTION_UNITS.
    :returns: blend shape weights by face unit.
    """
    recipe = RECIPES[emotion][generator.integers(len(RECIPES[emotion]))]
    shares: dict[str, float] = {}
    slant = generator.normal(0, 0.1)
    one_side = generator.choice([-1, 1])
    for unit, (chance, low, high) in recipe.items():
        strength = intensity * generator.uniform(low, high)
        if generator.random() > chance:
            continue
        unevenness = slant + generator.normal(0, 0.08)
        for shape, part in action_units[unit].items():
            if shape not in _SIDED:
                shares[shape] = shares.get(shape, 0) + part * strength
                continue
            for side, sign in (('Left', 1), ('Right', -1)):
                share = part * strength * (1 + sign * unevenness)
                if emotion == 'contempt' and shape in _ONE_SIDED and sign != one_side:
                    share *= 0.1
                shares[shape + side] = shares.get(shape + side, 0) + share
    return {shape: float(np.clip(share, 0, 2)) for shape, share in shares.items()}


class Expression(NamedTuple):
    """The expression of a rendered face.

    :param actions: blend shape weights by face unit.
    :param scores: (8,) scores of the emotions, with sum 1: a faint expression is partly neutral.
    :param intensity: of the action units, about 1 for a full expression.
    """

    actions: dict
    scores: np.ndarray
    intensity: float

    def labels(self) -> dict[str, str]:
        """Return the columns of a labelled folder; valence and arousal are derived from the scores."""
        valence, arousal = affect_of(self.scores)[0]
        return {
            'emotion': EMOTIONS[int(self.scores.argmax())],
            **{emotion: f'{score:.3f}' for emotion, score in zip(EMOTIONS, self.scores)},
            'valence': f'{valence:.3f}',
            'arousal': f'{arousal:.3f}',
            'intensity': f'{self.intensity:.2f}',
        }


def draw_expression(
    generator: np.random.Generator, action_units: Mapping[int, Mapping[str, float]] = ACTION_UNITS
) -> Expression:
    """Sample an expression: emotions equally likely, one in eight mixed with a second."""
    first, second = generator.permutation(len(EMOTIONS))[:2]
    intensity = float(generator.uniform(0.4, 1.15))
    actions = draw_actions(EMOTIONS[first], intensity, generator, action_units)
    shown = np.eye(len(EMOTIONS))[first]
    if generator.random() < 1 / 8:
        share = generator.uniform(0.3, 0.5)
        others = draw_actions(EMOTIONS[second], intensity, generator, action_units)
        actions = {
            unit: (1 - share) * actions.get(unit, 0) + share * others.get(unit, 0) for unit in {**actions, **others}
        }
        shown = (1 - share) * shown + share * np.eye(len(EMOTIONS))[second]
    faint = np.interp(intensity, [0.4, 0.8], [0.35, 0.02])
    scores = (1 - faint) * shown + faint * np.eye(len(EMOTIONS))[EMOTIONS.index('neutral')]
    return Expression(actions, scores, intensity)
