"""Options of an evaluation."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.tensorrt_cache import EngineCache

#: The embedded bundles, which the node runs where none is named.
ESR, DETECTOR = 'esr_9_ferplus', 'centerface'

#: Ranges of the numbers, those of the node's parameters.
_RANGES = {
    'max_faces': (0, 1000),
    'long_side_px': (32, 4096),
    'every_n': (1, 100),
    'estimate_every_n': (1, 100),
    'face_batch': (0, 64),
    'rotate_deg': (-1, 270),
    'max_age_s': (0, 60),
    'remember_s': (0, 3600),
    'threads': (1, 256),
    'smoothing_scores_s': (0, 10),
    'smoothing_affect_s': (0, 10),
    'smoothing_margin': (0, 1),
    'smoothing_personal_neutral_s': (0, 3600),
}
_SMOOTHING = 'smoothing_'


@dataclass(frozen=True)
class Options:
    """What an evaluation depends on besides the recording.

    :param topics: camera topics; () for those that the recording has.
    :param bundles: ESR bundles, by name or path, which are run as they are; several are compared. () runs what the
        node would: the embedded one, in int8 where the processor is faster with it.
    :param operating_point: of the bundles, by its name; '' for their default.
    :param detector: bundle of the detector, by name or path; '' for the node's.
    :param engine: 'onnxruntime' or 'openvino'.
    :param providers: execution providers of ONNX Runtime in order of preference; () for the CPU.
    :param precision: auto, fp32, fp16, bf16 or int8, as the node's inference.precision.
    :param face_batch: fixed number of faces of a run on a GPU; 0 for any, as the node's inference.face_batch.
    :param truth: annotation topic of the recording, path of a file of intervals, or ''.
    :param more_truths: those of further raters.
    :param raters: names of the raters who have ground truth here; () names them by their files or topics.
    :param recorded: topic of recorded detections to compare with; '' for the first that holds emotions.
    :param write_bag: also write our messages as a recording.
    :param video: also write the annotated video.
    :param blur_faces: blur faces in all pictures that are written.
    :param people: find out which faces are one person; the results then hold what each face looks like.
    :param max_faces: only that many largest faces; 0 for all.
    :param long_side_px: the image's long side as the detector sees it.
    :param every_n: faces are detected in every n-th image and followed in between, as the node does.
    :param estimate_every_n: faces are estimated in every n-th image, and their estimates repeated in between.
    :param rotate_deg: 0, 90, 180, 270 or -1, as the node's input.rotate_deg.
    :param max_age_s: a face that was not seen for longer is gone, as the node's tracker.max_age_s.
    :param remember_s: for so long, a face that is recognised gets its id back, as the node's tracker.remember_s.
    :param threads: of one operator.
    :param events: CSV file of events, or a topic of the recording with them, TOPIC or TOPIC:FIELD; '' for none.
    :param event_window: start, end (s from the event) and rate (Hz) of the averages around events; () writes the list
        of events alone.
    :param baseline: start and end (s from the event) of what is subtracted; () for none.
    :param smoothing_enabled: this and the next four: the node's parameters smoothing.*.
    """

    topics: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()
    operating_point: str = ''
    detector: str = ''
    engine: str = 'onnxruntime'
    providers: tuple[str, ...] = ()
    precision: str = 'auto'
    face_batch: int = 0
    truth: str = ''
    more_truths: tuple[str, ...] = ()
    raters: tuple[str, ...] = ()
    recorded: str = ''
    write_bag: bool = False
    video: bool = False
    blur_faces: bool = False
    people: bool = False
    max_faces: int = 0
    long_side_px: int = 480
    every_n: int = 2
    estimate_every_n: int = 1
    rotate_deg: int = 0
    max_age_s: float = 1.0
    remember_s: float = 30.0
    threads: int = 1
    events: str = ''
    event_window: tuple[float, ...] = (-1.0, 3.0, 10.0)
    baseline: tuple[float, ...] = ()
    smoothing_enabled: bool = True
    smoothing_scores_s: float = 0.25
    smoothing_affect_s: float = 0.3
    smoothing_margin: float = 0.2
    smoothing_personal_neutral_s: float = 0.0

    def __post_init__(self):
        """Check the values.

        :raises BadParameter: naming the one that is out of range.
        """
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise BadParameter(
                    f'expected {name.replace(_SMOOTHING, "smoothing.")} of {low} to {high}, got {getattr(self, name)}'
                )
        self.plan()
        names = self.folder_names()
        if len(set(names)) < len(names) or set(names) & {'.', '..'}:
            raise BadParameter(
                f'expected bundles of different names, for each has a folder of its name, got {", ".join(self.bundles)}'
            )

    def folder_names(self) -> list[str]:
        """Give the folder of each bundle's results, below the output; [''] where there is but one."""
        return [os.path.basename(os.path.abspath(each)) for each in self.bundles] if len(self.bundles) > 1 else ['']

    def truths(self) -> list[str]:
        """List the ground truths of all raters; [] without any."""
        return [each for each in (self.truth, *self.more_truths) if each]

    def plan(self) -> ProviderPlan:
        """Say where the models run."""
        return ProviderPlan(
            self.providers or (CPU,), self.threads, self.precision, self.face_batch, EngineCache(), self.engine
        )

    def smoothing(self) -> dict[str, Any]:
        """Give the arguments of TemporalFilter."""
        return {name[len(_SMOOTHING) :]: value for name, value in vars(self).items() if name.startswith(_SMOOTHING)}

    def text(self) -> str:
        """Write them as JSON, the same for the same options."""
        return json.dumps(asdict(self), sort_keys=True)
