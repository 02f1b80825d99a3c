"""Which processes the demo consists of: the one description that demo.launch.py and `scripts/demo` both start from."""
import os
from collections import OrderedDict
from typing import Any, Dict, Mapping, NamedTuple, Tuple

from facial_emotion_ros.installed_files import find_shared

#: Variables that name a profile of Fast DDS: version 2 (Humble, Jazzy) reads the first, version 3 the second.
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')

#: Distributions that know ROS_LOCALHOST_ONLY and not yet ROS_AUTOMATIC_DISCOVERY_RANGE. Their rmw_fastrtps only adds a
#: transport of its own to those of a profile, and a profile's UDP transport goes on speaking to the network.
OLD_DISTRIBUTIONS = ('foxy', 'galactic', 'humble')
LOCALHOST_VARIABLES = ('ROS_LOCALHOST_ONLY', 'ROS_AUTOMATIC_DISCOVERY_RANGE')


class NodeProcess(NamedTuple):
    """
    One process with one node.

    executable: its name among the installed executables; module: the same for `python -m`; parameter_files: paths,
    later ones win; parameters: win over the files; remappings: (from, to) pairs.
    """

    name: str
    executable: str
    module: str
    parameter_files: Tuple[Any, ...]
    parameters: Mapping[str, Any]
    remappings: Tuple[Tuple[str, Any], ...]


def demo_processes(source: Mapping[str, Any], output_folder: Any = '', image_topic: Any = 'image',
                   params_file: Any = None, common: Mapping[str, Any] = None) -> Tuple[NodeProcess, ...]:
    """
    Describe the demo.

    Values are handed on as they are, so that a launch file may give substitutions.

    :param source: parameters of the media source that differ from demo.yaml, such as source.kind.
    :param output_folder: where the console view writes; '' for nowhere.
    :param image_topic: name of the image topic between source and node.
    :param params_file: parameter file of the emotion node; None takes the embedded one.
    :param common: parameters of all three, such as use_sim_time.
    :returns: media source, emotion node, console view, in this order.
    """
    demo_file = find_shared('config', 'demo.yaml')
    node_file = find_shared('config', 'emotion_node.yaml') if params_file is None else params_file
    image = (('image', image_topic),)

    def process(name, parameter_file, parameters, remappings):
        return NodeProcess(name, name, 'facial_emotion_ros.ros.' + name, (parameter_file,),
                           OrderedDict(list((common or {}).items()) + list(parameters.items())), remappings)

    return (
        process('media_source', demo_file, source, image),
        process('emotion_node', node_file, {}, image),
        process('console_view', demo_file, {'output.folder': output_folder},
                image + (('annotated', 'emotion_node/debug/image'),)),
    )


def transport_environment(environ: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """
    Say which variables give a process a shared-memory segment that large images fit into.

    :param environ: the environment so far; whoever names a profile there keeps it.
    :returns: variables to add; none on a distribution where a profile undoes `localhost_environment`.
    """
    if environ.get('ROS_DISTRO') in OLD_DISTRIBUTIONS or any(environ.get(name) for name in PROFILE_VARIABLES):
        return {}
    return OrderedDict((name, find_shared('config', 'fastdds_shared_memory.xml')) for name in PROFILE_VARIABLES)


def localhost_environment(environ: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """
    Say which variable keeps what a process publishes on this machine.

    :param environ: the environment so far; whoever sets there the variable that his distribution reads has chosen.
    :returns: variables to add, maybe none.
    """
    if environ.get('ROS_DISTRO') in OLD_DISTRIBUTIONS:
        name, value = 'ROS_LOCALHOST_ONLY', '1'  # later ones warn of it
    else:
        name, value = 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST'
    return {} if environ.get(name) else {name: value}
