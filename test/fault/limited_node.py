"""emotion_node with little memory. Usage: limited_node.py MIB --ros-args ...

MIB bounds the address space, of which the node at rest takes some 800. Everything else is the real thing.
"""

import resource
import sys

from facial_emotion_ros.ros import emotion_node

if __name__ == '__main__':
    limit = int(sys.argv.pop(1)) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.exit(emotion_node.main())
