"""Table of the node's parameters: source of their declaration, config/emotion_node.yaml and docs/parameters.md.

Only `declare` needs ROS. :mod:`facial_emotion_ros.ros.parameter_files` generates the two files.
"""

import math
import re
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.ros.parameter_checks import qos_faults, unknown_names, unknown_overrides

#: Words of hri_msgs/Expression; none for contempt. Source: hri_msgs, REP-155.
HRI_WORDS = tuple(
    'neutral angry sad happy surprised disgusted scared pleading vulnerable despaired guilty disappointed embarrassed '
    'horrified skeptical annoyed furious suspicious rejected bored tired asleep confused amazed excited'.split()
)


class Parameter(NamedTuple):
    """One row of the table. A live parameter takes effect when it is set; the others are read-only.

    `form` of a string: a regular expression that it must match, and its description. `off`: a value outside the limits
    that disables it.
    """

    name: str
    default: Any
    description: str
    limits: Optional[Tuple[float, float]] = None
    choices: Tuple[Any, ...] = ()
    unit: str = ''
    live: bool = False
    form: Tuple[str, str] = ('', '')
    off: Optional[float] = None


#: Prefixes of the parameters without effect in input.mode humans.
_IMAGE_ONLY = (
    'input.transport',
    'detector.every_n',
    'tracker.',
    'inference.reuse_below',
    'output.face_',
    'output.head_frames',
    'output.opendr',
)

_PREFIX = (
    r'(/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*/?)?\Z',
    "a topic name like '/humans' or '/front/humans', or ''",
)

TABLE = (
    Parameter('autostart', True, 'Configure and activate at startup. Set to false if a lifecycle manager does that.'),
    Parameter(
        'bond.heartbeat_period_s',
        0.25,
        "Period of the heartbeats to a lifecycle manager that uses bonds, such as Nav2's (bond_timeout), while the "
        'node is active. None are sent with autostart, or without the package bond. 0.0 disables this.',
        limits=(0.01, 60.0),
        unit='s',
        off=0.0,
    ),
    Parameter(
        'enable.persist',
        False,
        'Store the state of ~/enable below ROS_HOME (~/.ros): a disabled node stays disabled after a respawn or '
        'restart, until ~/enable is called with true. If the file cannot be read and written, the node starts '
        'disabled and logs why.',
    ),
    Parameter(
        'input.mode',
        'image',
        'image: detect faces in a camera image. humans: process the face crops that another ROS4HRI node publishes '
        'under output.humans_prefix, and publish only their expressions. These parameters then have no effect, and '
        'cannot be changed while the node runs: input.transport, detector.every_n, tracker.*, inference.reuse_below, '
        'output.face_*, output.head_frames and output.opendr.',
        choices=('image', 'humans'),
    ),
    Parameter(
        'input.transport',
        'auto',
        'Image type to subscribe to. raw: sensor_msgs/Image on image. compressed: sensor_msgs/CompressedImage (JPEG '
        'or PNG) on image/compressed, or on image itself. auto: raw if it has a publisher, else compressed.',
        choices=('auto', 'raw', 'compressed'),
    ),
    Parameter(
        'input.reliability',
        'auto',
        'Reliability of the image subscription. auto follows the publishers: with best effort, the default middleware '
        'loses most images of VGA size.',
        choices=('auto', 'reliable', 'best_effort'),
        live=True,
    ),
    Parameter('input.lazy', True, 'Subscribe to the image only while an output has a subscriber.', live=True),
    Parameter(
        'input.idle_release_s',
        3.0,
        'With input.lazy, unsubscribe this long after the last subscriber has gone.',
        limits=(0.0, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'input.rate_hz',
        0.0,
        'Process at most this many images per second, to save power; with input.mode humans, this many crops of all '
        'faces together. The newest image is processed; the others count as replaced. 0.0 processes all.',
        limits=(0.0, 1000.0),
        unit='Hz',
        live=True,
    ),
    Parameter(
        'input.max_age_s',
        0.0,
        'Drop images that are older than this when they would be processed, and count them as expired; 0.0 drops '
        'none. Images whose stamp is 0, repeated or in the future have no age.',
        limits=(0.0, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'input.used_bits',
        0,
        'Significant bits of mono16, rgb16, bgr16 and bayer_*16 images, for sensors that fill only the low bits. 0 '
        'detects them from the brightest pixels of the stream (10, 12, 14 or 16); 1 to 7 are treated as 8.',
        limits=(0, 16),
        live=True,
    ),
    Parameter(
        'input.rotate_deg',
        0,
        'Rotate images clockwise by this angle before detection, for a camera that is mounted sideways or upside '
        'down. Boxes and crops stay in pixels of the original image. -1 finds the angle: while no upright face was '
        'found for 2 s, it tries another one every 0.5 s.',
        choices=(0, 90, 180, 270, -1),
        unit='degrees',
        live=True,
    ),
    Parameter(
        'input.timeout_s',
        2.0,
        'Diagnostics report an error when no image has arrived for this long while an output has a subscriber.',
        limits=(0.1, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'input.max_faces',
        64,
        'With input.mode humans: follow at most this many listed faces, those already followed first. The others are '
        'ignored and counted (refused_ids).',
        limits=(1, 1000),
        live=True,
    ),
    Parameter(
        'detector.bundle',
        'centerface',
        'Face detector: the name of an embedded model bundle, or the path of a bundle folder.',
    ),
    Parameter(
        'detector.min_score',
        0.0,
        "Lowest detector score of a face; 0.0: the detector's own default.",
        limits=(0.0, 1.0),
    ),
    Parameter(
        'detector.long_side_px',
        480,
        'Downscale images to this long side for face detection. Smaller is faster and misses small faces.',
        limits=(32, 4096),
        unit='px',
    ),
    Parameter(
        'detector.every_n',
        2,
        'Run the detector on every n-th image, and at least 4 times per second; in between, faces are tracked by '
        'template matching, in a twentieth of the time. 1 runs it on every image.',
        limits=(1, 30),
        live=True,
    ),
    Parameter(
        'tracker.max_age_s',
        1.0,
        'A face that reappears near its last place within this time keeps its id; until then, its id stays in '
        'faces/tracked.',
        limits=(0.0, 60.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'tracker.remember_s',
        30.0,
        'A face that returns within this time gets its id back, wherever it reappears, if its appearance is '
        'recognised. The appearance is kept in memory only, for this time or tracker.max_age_s, whichever is longer. '
        '0.0 disables this: a face lost for longer than tracker.max_age_s gets a new id.',
        limits=(0.0, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'tracker.first_face',
        -1,
        'Number of the first face id: the same number gives the same ids for the same images. -1 draws a random one '
        'at each configuration, so ids are not reused across restarts.',
        limits=(-1, 3199999),
    ),
    Parameter(
        'tracker.min_iou',
        0.3,
        'Smallest overlap (intersection over union) of a face box with the predicted box of its track.',
        limits=(0.01, 1.0),
        live=True,
    ),
    Parameter(
        'tracker.continue_score',
        0.25,
        'Detections with a score between this and detector.min_score continue a track but do not start one; 1.0 '
        'disables this.',
        limits=(0.01, 1.0),
        live=True,
    ),
    Parameter(
        'smoothing.enabled',
        True,
        'Smooth scores, valence, arousal and agreement over time; detections/raw is never smoothed.',
        live=True,
    ),
    Parameter(
        'smoothing.scores_s',
        0.25,
        'Time constant of the scores: the weight of a prediction falls by a factor of e per time constant.',
        limits=(0.0, 10.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'smoothing.affect_s',
        0.3,
        'Time constant of valence, arousal and agreement, about equal to their delay.',
        limits=(0.0, 10.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'smoothing.margin',
        0.2,
        'Hysteresis: the emotion changes when the smoothed score of another class exceeds its score by this much.',
        limits=(0.0, 1.0),
        live=True,
    ),
    Parameter(
        'smoothing.personal_neutral_s',
        0.0,
        'Time constant, in seconds of calm predictions, of the correction for people whose neutral face resembles an '
        'expression; 60.0 suits people who stay for minutes. It also removes faint expressions that last as long. 0.0 '
        'disables this.',
        limits=(0.0, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'unknown.enabled',
        True,
        'Publish unknown instead of an emotion when one of the following limits is violated.',
        live=True,
    ),
    Parameter(
        'unknown.min_face_px',
        24.0,
        'Smallest face size (square root of width times height); 0.0 disables this.',
        limits=(0.0, 4096.0),
        unit='px',
        live=True,
    ),
    Parameter(
        'unknown.min_sharpness',
        0.09,
        'Lowest sharpness: energy of the Laplacian over the variance, of the face scaled to 32 px; 0.0 disables this.',
        limits=(0.0, 10.0),
        live=True,
    ),
    Parameter(
        'unknown.max_cut',
        0.25,
        'Largest share of the face outside the image; 1.0 disables this.',
        limits=(0.0, 1.0),
        live=True,
    ),
    Parameter(
        'unknown.min_contrast',
        24.0,
        'Lowest contrast: 5th to 95th percentile of the gray values of the face, of 255; 0.0 disables this.',
        limits=(0.0, 255.0),
        live=True,
    ),
    Parameter(
        'unknown.max_clipped',
        0.35,
        'Largest share of white (overexposed) pixels in the face, or of black ones; 1.0 disables this.',
        limits=(0.0, 1.0),
        live=True,
    ),
    Parameter(
        'unknown.max_occlusion',
        0.5,
        'Highest probability that the mouth is covered (mask, scarf, hand); 1.0 disables this.',
        limits=(0.0, 1.0),
        live=True,
    ),
    Parameter(
        'unknown.min_confidence',
        -1.0,
        'Lowest score of the best class; 0.0 disables this, a negative value: the limit of the operating point.',
        limits=(-1.0, 1.0),
        live=True,
    ),
    Parameter(
        'unknown.min_agreement',
        -1.0,
        'Lowest agreement of the branches; 0.0 disables this, a negative value: the limit of the operating point.',
        limits=(-1.0, 1.0),
        live=True,
    ),
    Parameter(
        'inference.bundle',
        'esr_9_ferplus',
        'Emotion network: the name of an embedded model bundle, or the path of a bundle folder.',
    ),
    Parameter(
        'inference.operating_point',
        '',
        'Operating point of the bundle, by name: the class frequencies that the scores assume. esr_9_ferplus has '
        'balanced (its default), which finds rare expressions more often, and ferplus, the frequencies of its '
        "training set. Empty: the bundle's default.",
        live=True,
    ),
    Parameter(
        'inference.prior',
        '',
        "Class frequencies at the robot's site, instead of those of the operating point: eight numbers, for neutral, "
        "happy, sad, surprise, fear, disgust, anger and contempt, such as '4 2 1 1 1 1 1 1'. Empty takes those of the "
        'operating point.',
        live=True,
    ),
    Parameter(
        'inference.engine',
        'onnxruntime',
        'Inference engine. onnxruntime: on inference.providers. openvino: for x86, if installed; similar in int8, and '
        'it has bf16. auto: measures the installed ones, once per machine and model, and stores the choice next to '
        'inference.engine_cache.',
        choices=('onnxruntime', 'openvino', 'auto'),
    ),
    Parameter(
        'inference.providers',
        ['CPUExecutionProvider'],
        'ONNX Runtime execution providers in order of preference. If one is missing or fails, the node logs a warning '
        'and uses the next.',
    ),
    Parameter(
        'inference.threads',
        2,
        'Threads per inference. Four faces take a third less time with two threads than with one; on a busy or '
        'single-core CPU, the second one costs almost nothing.',
        limits=(1, 64),
    ),
    Parameter(
        'inference.spin',
        False,
        'Let idle threads of ONNX Runtime spin: about a millisecond less for a single face on an idle CPU, but a '
        'delay for everything else that needs the CPU.',
    ),
    Parameter(
        'inference.precision',
        'auto',
        'Numeric precision. auto: int8 on processors with VNNI or Arm dot-product instructions, if there are bundles '
        'named like inference.bundle and detector.bundle with _int8 appended, else that of the bundles. int8: these '
        'bundles everywhere. fp16: for TensorRT. bf16: for OpenVINO. fp32: exact. Jetson TX2 has no int8.',
        choices=('auto', 'fp32', 'fp16', 'bf16', 'int8'),
    ),
    Parameter(
        'inference.face_batch',
        0,
        'Fixed number of faces per inference on a GPU, padded if there are fewer; the detector then uses one of three '
        'image sizes. Without it, TensorRT rebuilds its engine, for minutes, for every new shape. 0 lets shapes '
        'follow the image. The CPU never pads.',
        limits=(0, 64),
    ),
    Parameter(
        'inference.engine_cache',
        '',
        'Folder for TensorRT engines, with a subfolder per model, runtime and board. Empty: '
        "facial_emotion_ros/engines in the user's cache folder (XDG_CACHE_HOME or ~/.cache).",
    ),
    Parameter(
        'inference.max_faces',
        8,
        'Process at most this many faces at a time: tracked ones first, then the largest; a new face of four times '
        'the area of the smallest replaces it. Two cores process eight faces at 30 Hz. 0 processes all.',
        limits=(0, 1000),
    ),
    Parameter(
        'inference.deadline_ms',
        0.0,
        'Latency budget per image, from its stamp to its result: when time is short, only three or six of the nine '
        'branches run, at a cost of up to one percentage point of accuracy. On the CPU, with an int8 bundle. 0.0 runs '
        'all.',
        limits=(0.0, 10000.0),
        unit='ms',
    ),
    Parameter(
        'inference.reuse_below',
        0.0,
        'Reuse the last prediction of a face while its crop changes by less than this (mean absolute difference, of '
        '255). At 4.0, half of the inferences on still faces are saved, and one or two in a hundred unsmoothed '
        'categories differ. 0.0 disables this.',
        limits=(0.0, 64.0),
        live=True,
    ),
    Parameter(
        'output.humans_prefix',
        '/humans',
        'Prefix of the ROS4HRI topics; give each node its own. libhri only looks under /humans. Empty disables them.',
        form=_PREFIX,
    ),
    Parameter(
        'output.face_width_px',
        128,
        'Width of the crops on faces/<id>/cropped (/humans/faces/width of REP-155). A face is scaled to fit, centred, '
        'and padded with black.',
        limits=(16, 1024),
        unit='px',
        live=True,
    ),
    Parameter(
        'output.face_height_px',
        128,
        'Height of the crops (/humans/faces/height of REP-155).',
        limits=(16, 1024),
        unit='px',
        live=True,
    ),
    Parameter(
        'output.contempt_as',
        'drop',
        'Word to publish for contempt, which hri_msgs/Expression lacks. drop: publish the class with the next best '
        'score, and distribute the score of contempt over the other classes.',
        choices=('drop',) + HRI_WORDS,
        live=True,
    ),
    Parameter(
        'output.head_frames',
        False,
        'Broadcast the head pose of every face on /tf as face_<id> and gaze_<id> (REP-155); needs camera_info. /tf '
        'does not count for input.lazy: another output needs a subscriber. The topic head_pose does not need this.',
    ),
    Parameter('output.opendr', False, "Also publish the largest face on the topics of OpenDR's facial emotion node."),
    Parameter(
        'power.report',
        False,
        'Report the power consumption in the diagnostics: INA3221 on Jetsons, RAPL on other processors.',
    ),
    Parameter('power.root', '/sys', 'Where sysfs is mounted, for containers.'),
    Parameter('diagnostics.period_s', 1.0, 'Period of the diagnostics.', limits=(0.1, 60.0), unit='s'),
    Parameter(
        'diagnostics.hang_timeout_s',
        5.0,
        'Diagnostics report an error when one image has been in work for longer than this.',
        limits=(0.1, 3600.0),
        unit='s',
        live=True,
    ),
    Parameter(
        'diagnostics.freeze_timeout_s',
        30.0,
        'A process that is frozen for this long (native code holds the GIL, for example in a deadlock of the '
        'middleware) dumps its stack traces and exits, after a grace period of a third of this, at least 1 s, so that '
        'launch can respawn it. Loading models does not count, nor does being stopped, paused or suspended. 0.0 '
        'disables this, for a debugger.',
        limits=(1.0, 3600.0),
        unit='s',
        off=0.0,
    ),
)


def without_effect(values: Mapping[str, Any]) -> List[str]:
    """List the parameters that differ from their defaults and have no effect with input.mode humans.

    :param values: of all or some parameters.
    """
    rows = [row for row in TABLE if row.name.startswith(_IMAGE_ONLY)]
    return [row.name for row in rows if values.get(row.name, row.default) != row.default]


#: Maximum length of a value in an error message.
_QUOTED_LENGTH = 200


def check_value(parameter: Parameter, value: Any) -> Any:
    """Check a value against its row of a table.

    :param parameter: the row.
    :param value: bool, int, float, str or a list of str; an int is accepted for a float.
    :returns: the value, with the type of the default.
    :raises BadParameter: with what was expected and what came.
    """
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
    if fits and parameter.limits:
        low, high = parameter.limits
        fits = value == parameter.off or math.isfinite(value) and low <= value <= high
    if not fits:
        text = repr(value)
        if len(text) > _QUOTED_LENGTH:  # any node may have set it
            text = text[:_QUOTED_LENGTH] + '... (%d characters)' % len(text)
        raise BadParameter('Parameter %s must be %s, but is %s.' % (parameter.name, expected(parameter), text))
    return value


def expected(parameter: Parameter) -> str:
    """Describe the valid values of a parameter, for example 'a float from 0.0 to 60.0 (s)'."""
    words = {bool: 'true or false', int: 'an integer', float: 'a float', str: 'a string', list: 'a list of strings'}
    text = parameter.form[1] or words[type(parameter.default)]
    if parameter.choices:
        text = 'one of ' + ', '.join(str(each) for each in parameter.choices)
    if parameter.limits:
        text += ' from %s to %s' % parameter.limits
    if parameter.off is not None:
        text = '%s or %s' % (parameter.off, text)
    return text + (' (%s)' % parameter.unit if parameter.unit else '')


def declare(
    node: Any,
    table: Sequence[Parameter] = TABLE,
    why_refused: Callable[[Sequence[Any]], str] = lambda settings: '',
) -> List[BadParameter]:
    """Declare a table of parameters on a node, with descriptors, and check later settings against it.

    For an invalid value, the default is declared and the error returned, so that the node stays reachable.

    :param node: rclpy node that has declared none of these names.
    :param table: of its parameters.
    :param why_refused: returns why later settings (rclpy Parameters) that match the table are refused, or ''.
    :returns: an error for every invalid value.
    """
    from rcl_interfaces.msg import SetParametersResult

    by_name = {parameter.name: parameter for parameter in table}
    # Private, see docs/architecture.md. An rclpy without it fails here instead of dropping what the user has set.
    given = node._parameter_overrides
    faults = qos_faults({name: override.value for name, override in given.items()})
    for parameter in table:
        value = parameter.default
        if parameter.name in given:
            try:
                value = check_value(parameter, given[parameter.name].value)
            except BadParameter as fault:
                faults.append(fault)
        node.declare_parameter(parameter.name, value, _descriptor(parameter), ignore_override=True)
    _warn_unknown(node, unknown_names(given, by_name), '--help lists the parameters.')

    def check(settings):
        try:
            for setting in settings:
                if setting.name in by_name:
                    check_value(by_name[setting.name], setting.value)
        except BadParameter as fault:
            return SetParametersResult(successful=False, reason=str(fault))
        reason = why_refused(settings)
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
    return faults


def warn_unknown_overrides(node: Any, later: Sequence[str]) -> None:
    """Log a warning for each given QoS override that no topic has; the node's outputs must exist.

    :param node: rclpy node, after `declare`.
    :param later: names that the input's subscription will declare.
    """
    known = ['qos_overrides.' + name for name in node.get_parameters_by_prefix('qos_overrides')] + list(later)
    found = unknown_overrides(node._parameter_overrides, known)
    _warn_unknown(node, found, 'docs/parameters.md lists the topics that have overrides.')


def _warn_unknown(node, unknown, hint):
    for name, near in unknown:
        words = 'did you mean %s?' % near if near else hint
        node.get_logger().warning('Parameter %s is unknown and has no effect; %s' % (name, words))


def _descriptor(parameter):
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(
        description=parameter.description,
        read_only=not parameter.live,
        additional_constraints='Must be %s.' % expected(parameter),
    )
    if parameter.limits:
        low, high = parameter.limits
        low = low if parameter.off is None else min(low, parameter.off)  # `check` refuses values in between
        if type(parameter.default) is float:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return descriptor
