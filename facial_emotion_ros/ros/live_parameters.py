"""Apply live parameters of detection, tracking, smoothing, quality gate and scores to a pipeline."""

from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence, Tuple

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.emotion.operating_points import choose_point
from facial_emotion_ros.emotion.quality_gate import QualityGate
from facial_emotion_ros.ros.parameters import TABLE, without_effect

if TYPE_CHECKING:  # the node must start without the inference libraries, to report which are missing
    from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

#: Parameters of the operating point; their valid values depend on the bundle.
POINT = ('inference.operating_point', 'inference.prior')

#: All live parameters of the pipeline. Those of smoothing and quality gate are named like the arguments.
NAMES: Tuple[str, ...] = POINT + ('input.rotate_deg', 'detector.every_n', 'inference.reuse_below')
NAMES += tuple(row.name for row in TABLE if row.live and row.name.startswith(('tracker.', 'smoothing.', 'unknown.')))


def why_refused(settings: Sequence[Any], value: Callable[[str], Any], pipeline: Optional['EmotionPipeline']) -> str:
    """Check new values: operating point or prior against the bundle, and parameters unused in input.mode humans.

    :param settings: list of rclpy Parameter, about to be set.
    :param value: returns the current value of a parameter by its name.
    :param pipeline: None before the node is configured, which then checks them.
    :returns: why they are refused; '' if they are valid.
    """
    given = {setting.name: setting.value for setting in settings}
    unused = [name for name in without_effect(given) if given[name] != value(name)]
    if unused and value('input.mode') == 'humans':
        return '%s has no effect with input.mode humans; leave it unchanged' % ', '.join(unused)
    wanted = {name: given[name] for name in given if name in POINT}
    try:
        if wanted and pipeline is not None:
            choose_point(pipeline.esr_bundle.manifest, *(wanted.get(name, value(name)) for name in POINT))
    except FacialEmotionError as error:
        return str(error)
    return ''


class LiveParameters:
    """Update a pipeline before each image, in the thread that runs it."""

    def __init__(self, value: Callable[[str], Any]):
        """Apply nothing yet.

        :param value: returns the value of a parameter by its name.
        """
        self._value = value
        self._applied: Dict[str, Any] = {}

    def apply(self, pipeline: 'EmotionPipeline') -> None:
        """Apply the parameters if any has changed since the last call.

        :param pipeline: the same one in every call.
        """
        values = {name: self._value(name) for name in NAMES}
        if values == self._applied:
            return
        if any(values[name] != self._applied.get(name) for name in POINT):
            pipeline.use_operating_point(*(values[name] for name in POINT))
        pipeline.rotate(values['input.rotate_deg'])
        pipeline.tracker.adjust(values['tracker.max_age_s'], values['tracker.min_iou'], values['tracker.remember_s'])
        pipeline.finder.adjust(values['detector.every_n'], values['tracker.continue_score'])
        pipeline.smoothing.adjust(**_group(values, 'smoothing.'))
        bounds = _group(values, 'unknown.')
        for bound in ('min_confidence', 'min_agreement'):
            if bounds[bound] < 0:
                bounds[bound] = getattr(pipeline.engine.point, bound)
        pipeline.quality_gate = QualityGate(**bounds)
        pipeline.reuse_below = values['inference.reuse_below']
        self._applied = values


def _group(values, prefix):
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}
