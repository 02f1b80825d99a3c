"""What an evaluation depends on besides the recording."""

import json
import os
from dataclasses import asdict, dataclass

from facial_emotion_ros.errors import BadParameter

#: The embedded bundles, which the node runs where none is named.
ESR, DETECTOR = 'esr_9_ferplus', 'centerface'


@dataclass(frozen=True)
class Options:
    """What an evaluation depends on besides the recording.

    :param topics: camera topics; () for those that the recording has.
    :param bundles: ESR bundles, by name or path, which are run as they are; several are judged side by side. () runs
        what the node would: the embedded one, in eight bits where the processor is faster so.
    :param detector: bundle of the detector, by name or path; '' for the node's.
    :param engine: 'onnxruntime' or 'openvino'.
    :param truth: annotation topic of the recording, path of a CSV file of intervals, or ''.
    :param recorded: topic of detections in the recording that ours are compared with; '' for the first that has some.
    :param write_bag: also write our messages as a recording.
    :param video: also write the annotated film.
    :param blur_faces: blur faces in all pictures that are written.
    :param max_faces: only so many largest faces; 0 for all.
    :param long_side_px: the image's long side as the detector sees it.
    :param every_n: faces are detected in every n-th image and followed in between, as the node does.
    :param max_age_s: a face that was not seen for longer gets a new id, as the node's tracker.max_age_s.
    :param threads: of one operator.
    """

    topics: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()
    detector: str = ''
    engine: str = 'onnxruntime'
    truth: str = ''
    recorded: str = ''
    write_bag: bool = False
    video: bool = False
    blur_faces: bool = False
    max_faces: int = 0
    long_side_px: int = 480
    every_n: int = 2
    max_age_s: float = 1.0
    threads: int = 1

    def __post_init__(self):
        """Refuse what cannot be.

        :raises BadParameter: naming it.
        """
        for name, low, high in (('max_faces', 0, 1000), ('long_side_px', 32, 4096), ('every_n', 1, 100),
                                ('max_age_s', 0, 60), ('threads', 1, 256)):
            if not low <= getattr(self, name) <= high:
                raise BadParameter(f'expected {name} of {low} to {high}, got {getattr(self, name)}')
        if self.blur_faces and self.max_faces:
            raise BadParameter('expected either blurred faces or a number of faces, got both: whom nobody looks for, '
                               'nobody blurs')
        names = self.folder_names()
        if len(set(names)) < len(names) or set(names) & {'.', '..'}:
            raise BadParameter(f'expected bundles of different names, for each has a folder of its name, got '
                               f'{", ".join(self.bundles)}')

    def folder_names(self):
        """Give the folder of each bundle's results, below the output; [''] where there is but one."""
        return [os.path.basename(os.path.abspath(each)) for each in self.bundles] if len(self.bundles) > 1 else ['']

    def text(self):
        """Write them as JSON, the same for the same options."""
        return json.dumps(asdict(self), sort_keys=True)
