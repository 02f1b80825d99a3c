"""A face detector in eight bits: what it is calibrated on, and what it finds afterwards."""


import numpy as np
import onnx
from onnx import version_converter

from facial_emotion_ros.errors import BadDataset, BadModel
from facial_emotion_ros.evaluation.scenes import pasted_scenes
from facial_emotion_ros.face_detector import open_detector
from facial_emotion_ros.learning.quantization import quantize
from facial_emotion_ros.model_bundle import MAX_IR_VERSION, MAX_OPSET, ModelBundle
from facial_emotion_ros.picture_kinds import PICTURE_SUFFIXES
from facial_emotion_ros.pictures import list_pictures, read_picture

#: How many convolutions stay floating point at the beginning. Measured on 60 faces: with none, boxes overlap with those
#: of floating point by 0.947, with three by 0.967, with six by 0.967 and more slowly.
_FIRST_IN_FLOAT = 3


def quantize_detector(bundle, images):
    """Quantise CenterFace. Its first three convolutions, on large maps of few channels, stay floating point, which is
    as fast there and brings boxes nearer to the former ones; so do the last, which give scores, sizes and landmarks.

    :param bundle: ModelBundle of architecture 'centerface'.
    :param images: list of (H, W, 3) uint8 BGR images with faces and without.
    :returns: bytes of the model in eight bits.
    :raises BadModel: for another architecture.
    """
    if bundle.architecture != 'centerface':
        raise BadModel(f'{bundle.folder}: a bundle of architecture esr or centerface expected, got '
                       f'{bundle.architecture!r}')
    model = version_converter.convert_version(onnx.load_from_string(bundle.model_bytes), MAX_OPSET)
    model.ir_version = MAX_IR_VERSION
    used = {name for node in model.graph.node for name in node.input}
    unused = [tensor for tensor in model.graph.initializer if tensor.name not in used]
    for tensor in unused:
        model.graph.initializer.remove(tensor)
    detector = open_detector(bundle)
    outputs = {each.name for each in model.graph.output}
    last = {node.input[0] for node in model.graph.node
            if node.op_type == 'Sigmoid' and outputs.intersection(node.output)}
    first = [node.output[0] for node in model.graph.node if node.op_type == 'Conv'][:_FIRST_IN_FLOAT]
    return quantize(model.SerializeToString(), (detector.prepare(image) for image in images),
                    outputs | last | set(first))


def calibration_images(face_set, rows, folder):
    """Return scenes with pasted faces, and the pictures of a folder.

    :param face_set: FaceSet.
    :param rows: which of its faces, (N,) int.
    :param folder: path, or '' for none.
    :returns: list of (H, W, 3) uint8 BGR.
    :raises BadDataset: if the folder has no picture.
    """
    rows = np.asarray(rows)
    images = [scene.image for scene in pasted_scenes(list(face_set.faces(rows)), face_set.names[rows],
                                                     face_set.labels[rows])]
    if folder:
        try:
            paths, left_out = list_pictures(folder)
        except OSError as error:
            raise BadDataset(f'{folder}: a folder of pictures expected, it cannot be read ({error.strerror})') from None
        if left_out or not paths:
            reasons = '; '.join(f'{name}: {reason}' for name, reason in left_out) or 'there are none'
            raise BadDataset(f'{folder}: pictures expected ({", ".join(PICTURE_SUFFIXES)}), {reasons}')
        images += map(read_picture, paths)
    return images


def compare_detectors(before, after, scenes):
    """Tell what two detectors find in scenes with one face each.

    :param before, after: FaceDetector.
    :param scenes: iterable of LabelledFace.
    :returns: dict: scenes; found_before and found, of their faces; besides_before and besides, what is none of them;
        overlap: mean intersection over union of the boxes that both found; score_rmse.
    """
    count, found, besides, overlaps, scores = 0, [0, 0], [0, 0], [], []
    for scene in scenes:
        count += 1
        boxes = []
        for place, detector in enumerate((before, after)):
            seen = detector.detect(scene.image)
            rows = [row for row, box in enumerate(seen.boxes)
                    if box[0] <= scene.middle[0] <= box[2] and box[1] <= scene.middle[1] <= box[3]]
            found[place] += bool(rows)
            besides[place] += len(seen) - bool(rows)
            if rows:
                boxes.append((seen.boxes[rows[0]], seen.scores[rows[0]]))
        if len(boxes) == 2:
            overlaps.append(_overlap(boxes[0][0], boxes[1][0]))
            scores.append(float(boxes[0][1] - boxes[1][1]))
    return {'scenes': count, 'found_before': found[0], 'found': found[1], 'besides_before': besides[0],
            'besides': besides[1], 'overlap': float(np.mean(overlaps)) if overlaps else None,
            'score_rmse': float(np.sqrt(np.mean(np.square(scores)))) if scores else None}


def detector_of(manifest, model_bytes):
    """Open a detector that lies in no folder yet."""
    return open_detector(ModelBundle('', manifest, model_bytes))


def _overlap(one, two):
    low, high = np.maximum(one[:2], two[:2]), np.minimum(one[2:], two[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    both = float(np.prod(one[2:] - one[:2]) + np.prod(two[2:] - two[:2]))
    return common / (both - common)
