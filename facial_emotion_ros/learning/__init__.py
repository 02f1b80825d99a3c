"""Training: torch and nothing of ROS.

`from facial_emotion_ros.learning import FacialEmotionLearner` takes the place of OpenDR's import. It and the classes
that it works with are imported when they are asked for: what needs no torch loads none.
"""

import importlib

#: Where each name that OpenDR's users import lies.
_PLACES = {
    'FacialEmotionLearner': 'learner.FacialEmotionLearner', 'ESR': 'opendr_network.OpenDrEsr',
    'Image': 'opendr_types.Image', 'Category': 'opendr_types.Category', 'datasets': 'datasets',
    'image_processing': 'image_processing', 'plotting': 'plotting',
}

__all__ = ['Category', 'ESR', 'FacialEmotionLearner', 'Image', 'datasets', 'image_processing', 'plotting']


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, _, attribute = _PLACES[name].partition('.')
    found = importlib.import_module(f'{__name__}.{module}')
    return getattr(found, attribute) if attribute else found


def __dir__():
    return sorted([*globals(), *_PLACES])
