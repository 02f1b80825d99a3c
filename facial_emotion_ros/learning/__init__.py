"""Training: torch and nothing of ROS.

`from facial_emotion_ros.learning import FacialEmotionLearner` takes the place of OpenDR's import. It and the classes
that it works with are imported when they are asked for: what needs no torch loads none.
"""

import importlib

#: Where each name that OpenDR's users import lies.
_PLACES = {'FacialEmotionLearner': 'learner', 'Image': 'opendr_types', 'Category': 'opendr_types'}

__all__ = ['Category', 'FacialEmotionLearner', 'Image']


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_PLACES[name]}'), name)


def __dir__():
    return sorted([*globals(), *_PLACES])
