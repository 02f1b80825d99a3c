"""The one table of the node's parameters: it feeds the declaration, config/emotion_node.yaml and the documentation.

Neither the table nor its checks need ROS; only `declare` speaks to a node. :mod:`.parameter_files` writes the rest.
"""

import difflib
import math
import re
from typing import Any, NamedTuple, Optional, Tuple

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.ros.qos_overrides import PREFIX, qos_faults

#: Words that a face of contempt may be published as: hri_msgs/Expression has none for it. Source: hri_msgs, REP-155.
HRI_WORDS = ('neutral', 'angry', 'sad', 'happy', 'surprised', 'disgusted', 'scared', 'pleading', 'vulnerable',
             'despaired', 'guilty', 'disappointed', 'embarrassed', 'horrified', 'skeptical', 'annoyed', 'furious',
             'suspicious', 'rejected', 'bored', 'tired', 'asleep', 'confused', 'amazed', 'excited')


class Parameter(NamedTuple):
    """One row of the table. A live parameter acts at once when it is set; the others are read-only.

    `form` of a text: a regular expression that it matches, and the same in words.
    """

    name: str
    default: Any
    description: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: Tuple[str, ...] = ()
    unit: str = ''
    live: bool = False
    form: Tuple[str, str] = ('', '')


#: A regular expression, and what it says.
_PREFIX = (r'(/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*/?)?\Z',
           "a topic name like '/humans' or '/front/humans', or ''")

TABLE = (
    Parameter('autostart', True,
              'Configure and activate without being asked. Turn it off where a lifecycle manager does that.'),
    Parameter('input.mode', 'image',
              "What is worked on: image finds the faces of a camera's image; humans reads the faces that another "
              'ROS4HRI node finds and cuts out under output.humans_prefix, and publishes their expression only.',
              choices=('image', 'humans')),
    Parameter('input.transport', 'auto',
              'Which images are subscribed to: raw (sensor_msgs/Image on image), compressed '
              '(sensor_msgs/CompressedImage, JPEG or PNG, on image/compressed, where image_transport puts it, or on '
              'image itself), or auto: raw where someone publishes it, else compressed.',
              choices=('auto', 'raw', 'compressed')),
    Parameter('input.reliability', 'auto',
              'Reliability of the image subscription; auto follows what the publishers offer, since plain best effort '
              'loses most images of VGA size in the default middleware.',
              choices=('auto', 'reliable', 'best_effort'), live=True),
    Parameter('input.lazy', True,
              'Subscribe to the image only while someone reads an output.', live=True),
    Parameter('input.idle_release_s', 3.0,
              'A lazy subscription is released this long after the last reader has gone.',
              low=0.0, high=3600.0, unit='s', live=True),
    Parameter('input.max_age_s', 0.0,
              'An image older than this when its turn comes is dropped and counted as expired; 0.0 keeps all. An image '
              'whose stamp is 0, that of the image before, or ahead of the clock has no age.',
              low=0.0, high=3600.0, unit='s', live=True),
    Parameter('input.used_bits', 0,
              'How many of the 16 bits of mono16, rgb16, bgr16 and bayer_*16 the camera uses: a sensor of 10 bits that '
              'fills the low ones would give black pictures. 0 finds out from the brightest pixels of the stream '
              '(10, 12, 14 or 16); 1 to 7 count as 8.', low=0, high=16, live=True),
    Parameter('input.timeout_s', 2.0,
              'Diagnostics report an error when no image came for this long although someone reads an output.',
              low=0.1, high=3600.0, unit='s', live=True),
    Parameter('input.max_faces', 64,
              'With input.mode humans: at most this many faces of a list are followed, those that are followed already '
              'before new ones; the others are left out and counted (refused_ids).', low=1, high=1000, live=True),
    Parameter('detector.bundle', 'centerface',
              'Face detector: the name of an embedded model bundle, or the path of a bundle folder.'),
    Parameter('detector.min_score', 0.0,
              "Faces that the detector scores lower are not reported; 0.0 takes the detector's own default.",
              low=0.0, high=1.0),
    Parameter('detector.long_side_px', 480,
              'The image is scaled down to this long side before faces are sought: smaller is faster and misses '
              'small faces.', low=32, high=4096, unit='px'),
    Parameter('detector.every_n', 2,
              'Faces are detected in every n-th image, and at least 4 times a second; in between they are followed by '
              'their pixels, which takes a twentieth of the time. 1 detects in every image.',
              low=1, high=30, live=True),
    Parameter('tracker.max_age_s', 1.0,
              'A face that is lost for less than this keeps its id.', low=0.0, high=60.0, unit='s', live=True),
    Parameter('tracker.first_face', -1,
              'Which id the first face gets: the same number gives the same ids for the same images. -1 draws one each '
              'time that the node is configured, so that nobody takes a stranger for who had an id before a restart.',
              low=-1, high=3199999),
    Parameter('tracker.min_iou', 0.3,
              'The box of a face overlaps at least by this (intersection over union) with where it is expected.',
              low=0.01, high=1.0, live=True),
    Parameter('tracker.continue_score', 0.25,
              'Boxes of less than detector.min_score, down to this, continue a face that was in sight, and begin none; '
              '1.0 turns that off.', low=0.01, high=1.0, live=True),
    Parameter('smoothing.enabled', True,
              'Smooth scores, valence, arousal and agreement over time; detections/raw is never smoothed.', live=True),
    Parameter('smoothing.scores_s', 0.25,
              'Time constant of the scores: older readings count less by e for each such time.',
              low=0.0, high=10.0, unit='s', live=True),
    Parameter('smoothing.affect_s', 0.3,
              'Time constant of valence, arousal and agreement: about how late they are.',
              low=0.0, high=10.0, unit='s', live=True),
    Parameter('smoothing.margin', 0.2,
              'Another category is told when its smoothed score leads by this much.', low=0.0, high=1.0, live=True),
    Parameter('unknown.enabled', True,
              'Tell unknown in place of a category where one of the next bounds is passed.', live=True),
    Parameter('unknown.min_face_px', 24.0,
              'A face of a smaller side (root of width times height) is unknown; 0.0 turns that off.',
              low=0.0, high=4096.0, unit='px', live=True),
    Parameter('unknown.min_sharpness', 0.09,
              'A more blurred face is unknown: energy of the Laplacian over the variance, of the face shrunk to 32 px; '
              '0.0 turns that off.', low=0.0, high=10.0, live=True),
    Parameter('unknown.max_cut', 0.25,
              "A face of which a larger share lies beyond the image's edge is unknown; 1.0 turns that off.",
              low=0.0, high=1.0, live=True),
    Parameter('unknown.min_contrast', 24.0,
              'A face of lower contrast (from the 5th to the 95th percentile of its gray values, of 255) is unknown: '
              'too dark, or foggy; 0.0 turns that off.', low=0.0, high=255.0, live=True),
    Parameter('unknown.max_clipped', 0.35,
              'A face of which a larger share is white (overexposed) or black is unknown; 1.0 turns that off.',
              low=0.0, high=1.0, live=True),
    Parameter('unknown.max_occlusion', 0.5,
              'A face whose mouth is covered with a higher probability (mask, scarf, hand) is unknown; 1.0 turns that '
              'off.', low=0.0, high=1.0, live=True),
    Parameter('unknown.min_confidence', 0.45,
              'A face whose best score is lower is unknown; 0.0 turns that off.', low=0.0, high=1.0, live=True),
    Parameter('unknown.min_agreement', 0.73,
              'A face on which the branches agree less is unknown; 0.0 turns that off.', low=0.0, high=1.0, live=True),
    Parameter('inference.bundle', 'esr_9_ferplus',
              'Emotion network: the name of an embedded model bundle, or the path of a bundle folder.'),
    Parameter('inference.engine', 'onnxruntime',
              'What runs the models: onnxruntime, on the providers below; openvino, the faster one on x86 where it is '
              'installed; auto measures those that are there, once for each machine and model, and remembers the '
              'choice beside inference.engine_cache.', choices=('onnxruntime', 'openvino', 'auto')),
    Parameter('inference.providers', ['CPUExecutionProvider'],
              'ONNX Runtime execution providers, in order of preference; one that is missing or fails is told in one '
              'warning, and the next one runs.'),
    Parameter('inference.threads', 2,
              'Threads inside one inference. Two answer four faces a third sooner than one; where the processor is '
              'busy, or has one core, they cost next to nothing.', low=1, high=64),
    Parameter('inference.spin', False,
              'Whether threads of ONNX Runtime keep their processor busy while they wait: a single face is read a '
              'millisecond or so sooner where nobody else wants it, and all of them later where camera or reader do.'),
    Parameter('inference.precision', 'auto',
              'What models compute in. auto: int8 on a processor that multiplies it (VNNI, Arm dot product), with the '
              'bundles called like inference.bundle and detector.bundle with _int8 behind, else as these say. int8 '
              'takes those bundles everywhere; fp16 is for TensorRT, bf16 for OpenVINO; fp32 is exact. Of the '
              'boards, Jetson TX2 has no int8.', choices=('auto', 'fp32', 'fp16', 'bf16', 'int8')),
    Parameter('inference.face_batch', 0,
              'Faces that are read at once on a GPU, padded where there are fewer; the detector sees one of three '
              'sizes then. TensorRT builds its engine anew, for minutes, when a shape is new. 0 lets shapes follow '
              'the image; the CPU never pads.', low=0, high=64),
    Parameter('inference.engine_cache', '',
              'Folder where TensorRT keeps the engines that it has built, below it one for each model, runtime and '
              "board; empty takes facial_emotion_ros/engines in the user's cache folder (XDG_CACHE_HOME or ~/.cache)."),
    Parameter('inference.max_faces', 0,
              'At most this many faces of an image are read, the largest first; 0 reads all.', low=0, high=1000),
    Parameter('inference.deadline_ms', 0.0,
              'An answer shall be out when its image is so old: where time is short, three or six of the nine branches '
              'are asked, which costs a point of accuracy at most. On the CPU, with a bundle in int8. 0.0 asks all.',
              low=0.0, high=10000.0, unit='ms'),
    Parameter('inference.reuse_below', 0.0,
              'A face whose crop differs by less than so many levels of 255 from the one that was read (mean of the '
              'absolute differences) is not read again: at 4.0, half of the readings of faces that keep still; one or '
              'two raw categories in a hundred are then others. 0.0 reads every face.', low=0.0, high=64.0, live=True),
    Parameter('output.humans_prefix', '/humans',
              'ROS4HRI topics are published under this prefix (one publisher a prefix; libhri looks under /humans '
              'only); an empty one turns them off.', form=_PREFIX),
    Parameter('output.contempt_as', 'drop',
              'Word of hri_msgs/Expression for contempt, which has none; drop publishes the next best word and shares '
              'out the score.', choices=('drop',) + HRI_WORDS, live=True),
    Parameter('output.opendr', False,
              "Publish the largest face on the topics of OpenDR's facial emotion node too."),
    Parameter('power.report', False,
              'Report the power that the board draws in the diagnostics: INA3221 of Jetsons, RAPL of other '
              'processors.'),
    Parameter('power.root', '/sys',
              'Where sysfs is mounted; another place in a container that sees that of the machine elsewhere.'),
    Parameter('diagnostics.period_s', 1.0,
              'Time between two messages on /diagnostics.', low=0.1, high=60.0, unit='s'),
    Parameter('diagnostics.hang_timeout_s', 5.0,
              'Diagnostics report an error when one image is in work for longer than this.',
              low=0.1, high=3600.0, unit='s', live=True),
    Parameter('diagnostics.freeze_timeout_s', 30.0,
              'A process in which native code holds the GIL for longer, a deadlock of the middleware for example, '
              'dumps its stacks and exits after a grace period of a third of this, at least 1 s; launch starts it '
              'again (respawn). Loading models does not count, nor does a process that was stopped, paused or '
              'suspended and runs again. 0.0 turns that off, for a debugger.', low=0.0, high=3600.0, unit='s'),
)

_BY_NAME = dict((parameter.name, parameter) for parameter in TABLE)

#: A value that does not fit is quoted up to this length.
_QUOTED_LENGTH = 200

#: Parameters that the node has without our table: rclpy's own, and the QoS overrides of its topics.
_FOREIGN = ('use_sim_time', 'start_type_description_service')
def checked(name, value):
    """Check one value against the table.

    :param name: a name in the table.
    :param value: bool, int, float, str or a list of str; an int is taken where a float is expected.
    :returns: the value in the type of the default.
    :raises BadParameter: with what was expected, what came, and the next step.
    """
    parameter = _BY_NAME[name]
    kind = type(parameter.default)
    if kind is float and type(value) is int:
        value = float(value)
    if kind is list:
        fits = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value) and len(value) > 0
        value = list(value) if fits else value
    else:
        fits = type(value) is kind
    if fits and parameter.choices:
        fits = value in parameter.choices
    if fits and parameter.form[0]:
        fits = re.match(parameter.form[0], value) is not None
    if fits and parameter.low is not None:
        fits = math.isfinite(value) and parameter.low <= value <= parameter.high
    if not fits:
        raise BadParameter('Parameter %s must be %s, but is %s.' % (name, expected(parameter), _quoted(value)))
    return value


def _quoted(value):
    """Quote a value, which whoever set it sees again; not at any length, for it may have come over the graph."""
    text = repr(value)
    return text if len(text) <= _QUOTED_LENGTH else text[:_QUOTED_LENGTH] + '... (%d characters)' % len(text)


def expected(parameter):
    """Say in words which values a parameter takes.

    :param parameter: a row of the table.
    :returns: for example 'a float from 0.0 to 60.0 (s)'.
    """
    words = {bool: 'true or false', int: 'an integer', float: 'a float', str: 'a string', list: 'a list of strings'}
    text = words[type(parameter.default)]
    if parameter.form[1]:
        text = parameter.form[1]
    if parameter.choices:
        text = 'one of ' + ', '.join(parameter.choices)
    if parameter.low is not None:
        text += ' from %s to %s' % (parameter.low, parameter.high)
    return text + (' (%s)' % parameter.unit if parameter.unit else '')


def unknown_names(names):
    """Find parameters that were given but that no one will read.

    :param names: names of the parameters that a file or a command line sets.
    :returns: list of (name, the nearest known name or ''), in order of name.
    """
    strangers = []
    for name in sorted(names):
        if name.startswith(PREFIX) and name.endswith('.subscription.reliability'):
            strangers.append((name, 'input.reliability'))
            continue
        if name in _BY_NAME or name in _FOREIGN or name.startswith(PREFIX):
            continue
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        strangers.append((name, near[0] if near else ''))
    return strangers


def declare(node):
    """Declare the whole table on a node, with descriptors; later settings are checked against the table too.

    A value that does not fit leaves the default in place, so that the node stays reachable; what is wrong is returned.

    :param node: an rclpy node that has declared none of these names.
    :returns: list of BadParameter, one for every given value that does not fit.
    """
    from rcl_interfaces.msg import SetParametersResult
    # rclpy has no public way to see what was given for a name before the name is declared.
    given = getattr(node, '_parameter_overrides', {})
    faults = qos_faults({name: override.value for name, override in given.items()})
    for parameter in TABLE:
        value = parameter.default
        if parameter.name in given:
            try:
                value = checked(parameter.name, given[parameter.name].value)
            except BadParameter as fault:
                faults.append(fault)
        node.declare_parameter(parameter.name, value, _descriptor(parameter), ignore_override=True)
    for name, near in unknown_names(given):
        node.get_logger().warning('Parameter %s is unknown and has no effect%s' % (
            name, '; did you mean %s?' % near if near else ': see docs/parameters.md.'))

    def check(settings):
        try:
            for setting in settings:
                if setting.name in _BY_NAME:
                    checked(setting.name, setting.value)
        except BadParameter as fault:
            return SetParametersResult(successful=False, reason=str(fault))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return faults


def _descriptor(parameter):
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    descriptor = ParameterDescriptor(description=parameter.description, read_only=not parameter.live,
                                     additional_constraints='Must be %s.' % expected(parameter))
    if parameter.low is not None and type(parameter.default) is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
    elif parameter.low is not None:
        descriptor.integer_range = [IntegerRange(from_value=parameter.low, to_value=parameter.high, step=1)]
    return descriptor
