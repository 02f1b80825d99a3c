"""Reading human emotion on robots: faces, emotion categories, valence and arousal from a camera image."""

import os
import sys
import warnings

__version__ = '0.1.0'

#: Telemetry of libraries that read their switch while they are imported: it is off before anything of this package can
#: import them. A user who sets one of these variables has decided for himself.
TELEMETRY_OFF = {
    'ORT_DISABLE_TELEMETRY': '1',  # ONNX Runtime from 1.29 on; disable_telemetry_events() comes too late
    'RAY_USAGE_STATS_ENABLED': '0',
}

if 'onnxruntime' in sys.modules and 'ORT_DISABLE_TELEMETRY' not in os.environ:
    warnings.warn('onnxruntime was imported before facial_emotion_ros: from version 1.29 on it sends telemetry. Import '
                  'facial_emotion_ros first, or start with ORT_DISABLE_TELEMETRY=1', RuntimeWarning, stacklevel=2)
for _name, _value in TELEMETRY_OFF.items():
    os.environ.setdefault(_name, _value)
# OpenVINO has no such variable: it reports each import if the package openvino_telemetry, which it depends on, can be
# imported, and runs as well without it.
sys.modules.setdefault('openvino_telemetry', None)
