"""Parameters of the demo's two nodes, media source and console view; all are read-only."""

from typing import Any, Dict, Sequence

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.demo.frame_sources import KINDS
from facial_emotion_ros.ros.parameters import Parameter, declare

MEDIA_SOURCE = (
    Parameter('source.kind', 'sample', 'What is played as a camera.', choices=KINDS),
    Parameter('source.path', '', 'Folder or file of images, video file, or device or address of a camera.'),
    Parameter('source.camera', 0, 'Number of the camera, without a path.', limits=(0, 99)),
    Parameter(
        'source.seconds_each', 2.0, 'How long each picture of a folder is shown.', limits=(0.1, 3600.0), unit='s'
    ),
    Parameter(
        'source.width', 640, 'Image width; videos, and some cameras, have their own.', limits=(16, 8192), unit='px'
    ),
    Parameter(
        'source.height', 480, 'Image height; videos, and some cameras, have their own.', limits=(16, 8192), unit='px'
    ),
    Parameter(
        'source.max_side_px',
        0,
        'Downscale larger frames of a video to this long side; 0 keeps their size.',
        limits=(0, 8192),
        unit='px',
    ),
    Parameter('rate_hz', 0.0, "Images per second; 0: the source's default.", limits=(0.0, 240.0), unit='Hz'),
    Parameter('loop', False, 'Restart at the end.'),
    Parameter('duration_s', 0.0, 'End after this time; 0 plays to the end.', limits=(0.0, 1e6), unit='s'),
    Parameter('frame_id', 'camera', 'header.frame_id of the images.'),
    Parameter(
        'name_in_frame_id',
        False,
        "Append '/' and the file name of a folder's picture to the frame_id, so that every answer names its picture.",
    ),
    Parameter('reliability', 'reliable', 'Reliability that the publisher offers.', choices=('reliable', 'best_effort')),
    Parameter('wait_for_subscriber', False, 'Publish the first image when someone has subscribed.'),
)

CONSOLE_VIEW = (
    Parameter('output.folder', '', 'Folder for annotated.mp4, annotated.jpg and summary.json; empty saves nothing.'),
    Parameter('period_s', 1.0, 'Time between two blocks of lines.', limits=(0.1, 3600.0), unit='s'),
    Parameter('end_with_source', False, 'End after the image has lost its publisher and the last answer has arrived.'),
    Parameter(
        'quiet_s',
        1.5,
        'With end_with_source: silence after which the last answer has arrived. Longer than diagnostics.period_s of '
        'the node, to receive its final counters.',
        limits=(0.1, 60.0),
        unit='s',
    ),
    Parameter(
        'give_up_s',
        0.0,
        'End with an error if no answer has arrived this long after the start, or as soon as diagnostics report that '
        'inference failed; 0 waits.',
        limits=(0.0, 3600.0),
        unit='s',
    ),
    Parameter('color', 'auto', 'Coloured lines; auto: on a terminal.', choices=('auto', 'always', 'never')),
)


def declared_values(node: Any, table: Sequence[Parameter]) -> Dict[str, Any]:
    """Declare a table on a node and return the values.

    :param node: rclpy node.
    :param table: MEDIA_SOURCE or CONSOLE_VIEW.
    :returns: name -> value.
    :raises BadParameter: for invalid values, with what was expected and what came.
    """
    faults = declare(node, table)
    if faults:
        text = ' '.join(str(fault) for fault in faults)
        raise BadParameter(text + ' Correct it in the parameter file or on the command line.')
    return {row.name: node.get_parameter(row.name).value for row in table}
