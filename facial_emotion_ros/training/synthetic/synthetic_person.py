"""Synthetic identities."""

from dataclasses import dataclass

import numpy as np

from facial_emotion_ros.training.synthetic.head_model import HeadModel, macro_weights

#: Skin, hair and eye colours, BGR from 0 to 1; skin from fair to dark.
# fmt: off
_SKINS = np.array([
    [0.72, 0.80, 0.95], [0.60, 0.70, 0.90], [0.45, 0.58, 0.80],
    [0.32, 0.43, 0.64], [0.20, 0.28, 0.45], [0.13, 0.18, 0.30],
])
_HAIRS = np.array([
    [0.04, 0.04, 0.05], [0.07, 0.09, 0.13], [0.10, 0.16, 0.26],
    [0.25, 0.42, 0.60], [0.10, 0.18, 0.42], [0.62, 0.64, 0.66],
])
_EYES = np.array([
    [0.08, 0.13, 0.22], [0.10, 0.20, 0.34], [0.25, 0.38, 0.36],
    [0.48, 0.42, 0.32], [0.58, 0.50, 0.42],
])
# fmt: on

#: Identity shapes that resemble an expression, and are used more weakly.
_EXPRESSION_LIKE = (
    'eyebrows-angle',
    'eyebrows-trans',
    'mouth-angles',
    'mouth-laugh',
    'lip-ext',
    'lip-middle',
    'eye-corner',
    'eye-height',
    'mouth-trans',
    'lip-height',
    'eyefold-angle',
)


@dataclass(frozen=True)
class Person:
    """An identity; vertices are (V, 3) float32 without expression."""

    vertices: np.ndarray
    age: float
    male: float
    tone: float
    skin: np.ndarray
    hair: np.ndarray
    eyes: np.ndarray
    hair_length: float
    hair_volume: float
    hairline: float
    brows: float
    beard: float
    glasses: float
    make_up: float
    seed: int


def draw_person(model: HeadModel, generator: np.random.Generator) -> Person:
    """Sample an identity."""
    male = float(np.clip(generator.choice([0.05, 0.95]) + generator.normal(0, 0.12), 0, 1))
    age = float(
        generator.choice(
            [generator.uniform(6, 18), generator.uniform(18, 45), generator.uniform(45, 85)], p=[0.15, 0.6, 0.25]
        )
    )
    origins = dict(zip(('african', 'asian', 'caucasian'), generator.dirichlet([0.5, 0.5, 0.7])))
    weights = macro_weights(age, male, generator.uniform(0.2, 0.8), np.clip(generator.normal(0.5, 0.2), 0, 1), origins)
    for pair in model.details:
        share = generator.normal(0, 0.25)
        if any(name in pair[0] for name in _EXPRESSION_LIKE):
            share *= 0.3
        if generator.random() < 0.6:
            weights[pair[int(share > 0)]] = min(abs(share), 0.8)
    tone = np.clip(
        5 * (0.85 * origins['african'] + 0.35 * origins['asian'] + 0.2 * origins['caucasian'])
        + generator.normal(0, 0.6),
        0,
        5,
    )
    dark_haired = origins['caucasian'] < 0.6
    gray = age > 40 and generator.random() < (age - 35) / 50
    hair = _HAIRS[5] * generator.uniform(0.5, 1) if gray else _HAIRS[generator.integers(0, 2 if dark_haired else 5)]
    adult_man = male > 0.5 and age > 18
    long = 0.75 if male < 0.5 else 0.08
    return Person(
        vertices=model.moved(model.vertices, weights),
        age=age,
        male=male,
        tone=float(tone),
        skin=np.array([np.interp(tone, np.arange(6), _SKINS[:, band]) for band in range(3)])
        * generator.uniform(0.92, 1.05, 3),
        hair=hair * generator.uniform(0.7, 1.2),
        eyes=_EYES[generator.integers(0, 2 if dark_haired else 5)] * generator.uniform(0.7, 1.2),
        hair_length=float(generator.random() < long),
        hair_volume=generator.uniform(0.03, 0.3) * (1 if male < 0.5 else 0.7),
        # receding, or with a fringe
        hairline=generator.normal(0, 0.05)
        + (generator.random() < 0.25) * (generator.uniform(0.1, 0.6) if adult_man else -generator.uniform(0.1, 0.4)),
        brows=np.clip(generator.normal(0.65 if male > 0.5 else 0.5, 0.2), 0.15, 1),
        beard=adult_man * (generator.random() < 0.45) * generator.uniform(0.15, 1),
        glasses=(generator.random() < 0.15) * generator.uniform(0.2, 1),
        make_up=(male < 0.5 and age > 16) * (generator.random() < 0.5) * generator.uniform(0.2, 1),
        seed=int(generator.integers(2**31)),
    )
