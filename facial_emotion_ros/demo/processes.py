"""Describe the demo's processes, which both demo.launch.py and `scripts/demo` start."""

import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.system.subprocesses import private_environment


class NodeProcess(NamedTuple):
    """A process with one node.

    :param name: of the node, and of its executable.
    :param module: the same for `python -m`.
    :param parameter_files: paths; later ones override earlier ones.
    :param parameters: override the files.
    :param remappings: (from, to) pairs.
    """

    name: str
    module: str
    parameter_files: Tuple[Any, ...]
    parameters: Mapping[str, Any]
    remappings: Tuple[Tuple[str, Any], ...]


def demo_processes(
    source: Mapping[str, Any],
    output_folder: Any = '',
    image_topic: Any = 'image',
    params_file: Any = None,
    common: Optional[Mapping[str, Any]] = None,
) -> Tuple[NodeProcess, ...]:
    """Return media source, emotion node and console view, in this order. Values may be launch substitutions.

    :param source: parameters of the media source that differ from demo.yaml, such as source.kind.
    :param output_folder: of the console view; '' for none.
    :param image_topic: name of the image topic between source and node.
    :param params_file: parameter file of the emotion node; None for the embedded one.
    :param common: parameters of all three, such as use_sim_time.
    """
    demo_file = find_shared('config', 'demo.yaml')
    node_file = find_shared('config', 'emotion_node.yaml') if params_file is None else params_file
    image = (('image', image_topic),)
    annotated = (('annotated', 'emotion_node/debug/image'),)

    def process(name: str, folder: str, files: Any, parameters: Mapping[str, Any], remappings: Any) -> NodeProcess:
        merged = {**(common or {}), **parameters}
        return NodeProcess(name, 'facial_emotion_ros.ros.%s%s' % (folder, name), files, merged, remappings)

    return (
        process('media_source', 'demo.', (demo_file,), source, image),
        process('emotion_node', '', (demo_file, node_file), {}, image),
        process('console_view', 'demo.', (demo_file,), {'output.folder': output_folder}, image + annotated),
    )


def node_environment(domain: int, log_folder: Any) -> Dict[str, str]:
    """Return the environment of nodes limited to this machine and domain, with the same code as this process.

    :param domain: ROS domain id.
    :param log_folder: for the logs of ROS.
    """
    environ = private_environment(os.environ, domain)
    environ.update(ROS_LOG_DIR=str(log_folder), RCUTILS_COLORIZED_OUTPUT='0', PYTHONUNBUFFERED='1')
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    environ['PYTHONPATH'] = os.pathsep.join(filter(None, (checkout, environ.get('PYTHONPATH'))))
    return environ
