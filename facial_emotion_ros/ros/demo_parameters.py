"""The parameters of the demo's two small nodes, media source and console view; all are read-only."""

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.media import KINDS
from facial_emotion_ros.ros.parameters import Parameter, expected

MEDIA_SOURCE = (
    Parameter('source.kind', 'sample', 'What is played as a camera.', choices=KINDS),
    Parameter('source.path', '', 'Folder or file of images, file of a video, device or address of a camera.'),
    Parameter('source.camera', 0, 'Number of the camera, where no path is given.', low=0, high=99),
    Parameter('source.seconds_each', 2.0, 'How long each picture of a folder is shown.', low=0.1, high=3600.0,
              unit='s'),
    Parameter('source.width', 640, 'Width of the images; a video keeps its own, a camera may too.', low=16, high=8192,
              unit='px'),
    Parameter('source.height', 480, 'Height of the images; a video keeps its own, a camera may too.', low=16, high=8192,
              unit='px'),
    Parameter('source.max_side_px', 0, 'Larger frames of a video are scaled down to this; 0 leaves them.', low=0,
              high=8192, unit='px'),
    Parameter('rate_hz', 0.0, 'Images per second; 0 takes what suits the source.', low=0.0, high=240.0, unit='Hz'),
    Parameter('loop', False, 'Start again at the end.'),
    Parameter('duration_s', 0.0, 'End after this time; 0 plays to the end.', low=0.0, high=1e6, unit='s'),
    Parameter('frame_id', 'camera', "The images' header.frame_id."),
    Parameter('name_in_frame_id', False,
              "Add '/' and the picture's file name to the frame_id while a picture of a folder is shown, so that every "
              'answer says which picture it answers.'),
    Parameter('reliability', 'reliable', 'Reliability that the publisher offers.', choices=('reliable', 'best_effort')),
    Parameter('wait_for_subscriber', False, 'Show the first image only when someone has subscribed.'),
)

CONSOLE_VIEW = (
    Parameter('output.folder', '', 'Folder for annotated.mp4, annotated.jpg and summary.json; empty writes nothing.'),
    Parameter('period_s', 1.0, 'Time between two blocks of lines.', low=0.1, high=3600.0, unit='s'),
    Parameter('end_with_source', False, 'End when nobody publishes the image any more and the last answer has come.'),
    Parameter('quiet_s', 1.5, 'With end_with_source: no answer for this long means that the last one has come. Longer '
              'than diagnostics.period_s of the node, so that its last counters are seen.', low=0.1, high=60.0,
              unit='s'),
    Parameter('give_up_s', 0.0, 'End with an error when no answer has come this long after the start, or as soon as a '
              'diagnostic says before that something failed; 0 waits.',
              low=0.0, high=3600.0, unit='s'),
    Parameter('color', 'auto', 'Colours in the lines; auto has them on a terminal.',
              choices=('auto', 'always', 'never')),
)


def declare(node, table):
    """Declare a table on a node and read what was given.

    :param node: an rclpy node.
    :param table: MEDIA_SOURCE or CONSOLE_VIEW.
    :returns: dict of name -> value.
    :raises BadParameter: a value does not fit, with what was expected and what came.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException
    values = {}
    for row in table:
        descriptor = ParameterDescriptor(description=row.description, read_only=True,
                                         additional_constraints='Must be %s.' % expected(row))
        # An integer where a float is meant is not a mistake: 10 on a command line means 10.0.
        descriptor.dynamic_typing = isinstance(row.default, float)
        try:
            value = node.declare_parameter(row.name, row.default, descriptor).value
        except InvalidParameterTypeException:
            value = None
        if isinstance(row.default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(row.default) or row.choices and value not in row.choices or (
                row.low is not None and not row.low <= value <= row.high):
            raise BadParameter('Parameter %s must be %s, but is %s: correct it in the parameter file or on the command '
                               'line.' % (row.name, expected(row), 'of another type' if value is None else repr(value)))
        values[row.name] = value
    return values
