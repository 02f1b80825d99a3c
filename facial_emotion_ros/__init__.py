"""Emotion recognition for robots: faces, emotion categories, valence and arousal from a camera image."""

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, List

__version__ = '0.2.0'

#: Variables that turn off telemetry. Libraries read them on import, so they are set before any other import here; a
#: user's own values stay.
TELEMETRY_OFF = {
    'ORT_DISABLE_TELEMETRY': '1',  # ONNX Runtime from 1.29 on; disable_telemetry_events() comes too late
    'RAY_USAGE_STATS_ENABLED': '0',
}

if 'onnxruntime' in sys.modules and 'ORT_DISABLE_TELEMETRY' not in os.environ:
    warnings.warn(
        'onnxruntime was imported before facial_emotion_ros: from version 1.29 on it sends telemetry. Import '
        'facial_emotion_ros first, or start with ORT_DISABLE_TELEMETRY=1',
        RuntimeWarning,
        stacklevel=2,
    )
for _name, _value in TELEMETRY_OFF.items():
    os.environ.setdefault(_name, _value)
# OpenVINO has no such variable: it reports each import if the package openvino_telemetry can be imported.
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from facial_emotion_ros.core.emotions import EMOTIONS
    from facial_emotion_ros.core.errors import BadBag, BadDataset, BadImage, BadModel, BadParameter, FacialEmotionError
    from facial_emotion_ros.core.estimates import FaceEstimate
    from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

__all__ = (
    'EMOTIONS',
    'BadBag',
    'BadDataset',
    'BadImage',
    'BadModel',
    'BadParameter',
    'EmotionPipeline',
    'FaceEstimate',
    'FacialEmotionError',
)

#: Modules of the public names except errors. They are imported on first use, so that launch files and small nodes can
#: import this package without numpy, OpenCV and ONNX Runtime.
_MODULES = {
    'EMOTIONS': 'core.emotions',
    'EmotionPipeline': 'pipeline.emotion_pipeline',
    'FaceEstimate': 'core.estimates',
}


class _LazyPackage(ModuleType):
    """The package as a module that imports its public names on first use; Python 3.6 has no module `__getattr__`."""

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError('module %r has no attribute %r' % (self.__name__, name))
        value = getattr(import_module('%s.%s' % (self.__name__, _MODULES.get(name, 'core.errors'))), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        return sorted(set(super().__dir__()) | set(__all__))


sys.modules[__name__].__class__ = _LazyPackage
