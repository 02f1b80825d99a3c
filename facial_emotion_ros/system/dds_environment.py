"""Environment variables for DDS: shared memory for large images, and discovery on this machine only."""

import os
import shutil
from typing import Dict, Mapping, Sequence

from facial_emotion_ros.core.resources import find_shared

#: Variables with the path of a Fast DDS profile: version 2 (Humble, Jazzy) reads the first; version 3 reads the second
#: and warns of the first.
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')

#: Distributions with ROS_LOCALHOST_ONLY, not ROS_AUTOMATIC_DISCOVERY_RANGE. Their rmw_fastrtps adds a transport to
#: those of a profile, whose UDP transport still uses the network.
OLD_DISTRIBUTIONS = ('foxy', 'galactic', 'humble')
LOCALHOST_VARIABLES = ('ROS_LOCALHOST_ONLY', 'ROS_AUTOMATIC_DISCOVERY_RANGE')

_SHARED_MEMORY = '/dev/shm'
#: Twice the segment size of config/fastdds_shared_memory.xml: each process allocates one segment at start.
_LEAST_FREE_BYTES = 2 * 2**26


def transport_environment(environ: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """Return the variables for a shared-memory segment that large images fit into.

    :param environ: the environment so far; a profile in it stays.
    :returns: variables to add; none on a distribution where a profile undoes `localhost_environment`, and none where
        /dev/shm is too small, as in a container without --ipc or --shm-size: Fast DDS would then not use it at all.
    """
    distribution = environ.get('ROS_DISTRO', '')
    if distribution in OLD_DISTRIBUTIONS or any(environ.get(name) for name in PROFILE_VARIABLES):
        return {}
    try:
        if shutil.disk_usage(_SHARED_MEMORY).free < _LEAST_FREE_BYTES:
            return {}
    except OSError:  # not Linux
        return {}
    names: Sequence[str] = PROFILE_VARIABLES
    if distribution:
        names = names[:1] if distribution in ('iron', 'jazzy') else names[1:]
    return {name: find_shared('config', 'fastdds_shared_memory.xml') for name in names}


def localhost_environment(environ: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """Return the variable that limits discovery to this machine.

    :param environ: the environment so far; the variable of its distribution stays if it is set.
    :returns: variables to add, or none.
    """
    if environ.get('ROS_DISTRO') in OLD_DISTRIBUTIONS:
        name, value = 'ROS_LOCALHOST_ONLY', '1'  # newer distributions warn of it
    else:
        name, value = 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST'
    return {} if environ.get(name) else {name: value}
