"""Estimates of five pictures in fp32 and int8 as JSON, and the comparison of two such files: for scripts/test_arm64."""

import json
import os
import sys

import cv2

from facial_emotion_ros import EmotionPipeline
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.precision import bundle_for

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ('samples', os.path.join('test', 'soak'))

#: Most by which confidence, valence and arousal may differ between processors and versions of ONNX Runtime: int8
#: rounds differently with other instructions, by up to 0.09 on these pictures.
TOLERANCES = {'fp32': 0.01, 'int8': 0.15}


def estimate():
    """Estimate the pictures.

    :returns: precision -> picture -> [emotion, confidence, valence, arousal] of each face; and 'auto' -> the bundle.
    """
    read = {'auto': str(bundle_for('esr_9_ferplus', ProviderPlan()))}
    for precision in TOLERANCES:
        pipeline = EmotionPipeline(providers=ProviderPlan(precision=precision))
        read[precision] = {
            name: [
                [face.emotion, float(face.confidence), float(face.valence), float(face.arousal)]
                for face in pipeline.estimate(cv2.imread(os.path.join(ROOT, folder, name)))
            ]
            for folder in FOLDERS
            for name in sorted(os.listdir(os.path.join(ROOT, folder)))
            if name.endswith('.jpg')
        }
    return read


def compare(expected, got):
    """Print both side by side.

    :returns: whether they agree: as many faces, the same emotions, values within the tolerance.
    """
    agree = True
    for precision, tolerance in TOLERANCES.items():
        for name, faces in expected[precision].items():
            others = got[precision][name]
            agree &= bool(faces) and [each[0] for each in faces] == [each[0] for each in others]
            agree &= all(
                abs(one - other) <= tolerance
                for face, other_face in zip(faces, others)
                for one, other in zip(face[1:], other_face[1:])
            )
            texts = [
                ', '.join('%s %.3f, valence %+.3f, arousal %+.3f' % tuple(face) for face in each)
                for each in (others, faces)
            ]
            print('    %s %-21s %s (here %s)' % ((precision, name) + tuple(texts)))
    print('    precision auto takes %s' % got['auto'])
    return agree


def main():
    """Print estimates; or compare those in two files, and the second's bundle of auto with a name: then 0 or 1."""
    if len(sys.argv) == 1:
        print(json.dumps(estimate()))
        return 0
    here, there = (json.load(open(path)) for path in sys.argv[1:3])
    return 0 if compare(here, there) and there['auto'] == sys.argv[3] else 1


if __name__ == '__main__':
    sys.exit(main())
