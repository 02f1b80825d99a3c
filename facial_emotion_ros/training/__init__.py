"""Training: needs torch, imports nothing of ROS.

`from facial_emotion_ros.training import FacialEmotionLearner` replaces OpenDR's import. Names are imported on first
use, so that code without torch can import this package.
"""

import importlib
from typing import Any

#: Location of each name that OpenDR's users import.
_LOCATIONS = {
    'FacialEmotionLearner': 'opendr.learner.FacialEmotionLearner',
    'ESR': 'opendr.network.OpenDrEsr',
    'Image': 'opendr.types.Image',
    'Category': 'opendr.types.Category',
    'datasets': 'data.datasets',
    'image_processing': 'opendr.image_processing',
    'plotting': 'opendr.plotting',
}

__all__ = ['Category', 'ESR', 'FacialEmotionLearner', 'Image', 'datasets', 'image_processing', 'plotting']


def __getattr__(name: str) -> Any:
    if name not in _LOCATIONS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    folder, module, *attribute = _LOCATIONS[name].split('.')
    found = importlib.import_module(f'{__name__}.{folder}.{module}')
    return getattr(found, attribute[0]) if attribute else found


def __dir__() -> list[str]:
    return sorted([*globals(), *_LOCATIONS])
