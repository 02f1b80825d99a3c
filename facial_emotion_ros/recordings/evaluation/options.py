"""Options of the evaluation of a recording."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.tensorrt_cache import EngineCache

#: The embedded bundles, the node's defaults.
ESR, DETECTOR = 'esr_9_ferplus', 'centerface'

#: Ranges, equal to those of the node's parameters.
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
    """Options of an evaluation, besides the recording.

    :param topics: camera topics; () for all cameras of the recording.
    :param bundles: ESR bundles, by name or path, used as they are; several are compared. () for the node's default: the
        embedded one, in int8 on CPUs that run it faster.
    :param operating_point: name of the bundles' operating point; '' for their default.
    :param detector: bundle of the detector, by name or path; '' for the node's default.
    :param engine: 'onnxruntime' or 'openvino'.
    :param providers: execution providers of ONNX Runtime in order of preference; () for the CPU.
    :param precision: auto, fp32, fp16, bf16 or int8, as the node's inference.precision.
    :param face_batch: fixed batch size on a GPU; 0 for dynamic, as the node's inference.face_batch.
    :param truth: annotation topic of the recording, path of a file of intervals, or ''.
    :param more_truths: ground truths of further raters.
    :param raters: names of the raters; () to derive them from files or topics.
    :param recorded: topic of recorded detections to compare with; '' for the first with emotions.
    :param write_bag: write our messages as a recording.
    :param video: write the annotated video.
    :param blur_faces: blur faces in all written pictures.
    :param people: merge face ids into persons; the results then contain appearance descriptors.
    :param max_faces: maximum number of faces, the largest first; 0 for all.
    :param long_side_px: long side of the detector's input image.
    :param every_n: detect faces in every n-th image and track them in between, like the node.
    :param estimate_every_n: estimate faces in every n-th image and repeat the estimates in between.
    :param rotate_deg: 0, 90, 180, 270 or -1, as the node's input.rotate_deg.
    :param max_age_s: a face unseen for longer loses its id, as the node's tracker.max_age_s.
    :param remember_s: a recognised face gets its id back within this time, as the node's tracker.remember_s.
    :param threads: threads per operator.
    :param events: CSV file of events, or a topic of the recording, TOPIC or TOPIC:FIELD; '' for none.
    :param event_window: start, end (s from the event) and rate (Hz) of event-related averages; () to write only the
        list of events.
    :param baseline: start and end (s from the event) of the baseline to subtract; () for none.
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
                    f'expected {name.replace(_SMOOTHING, "smoothing.")} in [{low}, {high}], got {getattr(self, name)}'
                )
        self.plan()
        names = self.folder_names()
        if len(set(names)) < len(names) or set(names) & {'.', '..'}:
            raise BadParameter(
                f'expected bundles with different names, which name their folders, got {", ".join(self.bundles)}'
            )

    def folder_names(self) -> list[str]:
        """Return the name of each bundle's results folder in the output; [''] for a single bundle."""
        return [os.path.basename(os.path.abspath(each)) for each in self.bundles] if len(self.bundles) > 1 else ['']

    def truths(self) -> list[str]:
        """Return the ground truths of all raters; [] for none."""
        return [each for each in (self.truth, *self.more_truths) if each]

    def plan(self) -> ProviderPlan:
        """Return the settings for inference."""
        return ProviderPlan(
            self.providers or (CPU,), self.threads, self.precision, self.face_batch, EngineCache(), self.engine
        )

    def smoothing(self) -> dict[str, Any]:
        """Return the arguments of TemporalFilter."""
        return {name[len(_SMOOTHING) :]: value for name, value in vars(self).items() if name.startswith(_SMOOTHING)}

    def text(self) -> str:
        """Format as JSON, deterministically."""
        return json.dumps(asdict(self), sort_keys=True)
