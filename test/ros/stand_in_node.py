"""emotion_node on execution providers that this machine lacks: STAND_IN says which, and where they fail.

See stand_in_provider.py. Everything else is the real thing.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import stand_in_provider  # noqa: E402

from facial_emotion_ros.ros import emotion_node  # noqa: E402

stand_in_provider.install(os.environ['STAND_IN'])
sys.exit(emotion_node.main())
