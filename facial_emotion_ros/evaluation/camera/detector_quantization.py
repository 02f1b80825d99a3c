"""Quantizes the face detector to int8, and compares its detections with fp32."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import version_converter

from facial_emotion_ros.core.errors import BadDataset, BadModel
from facial_emotion_ros.evaluation.camera.end_to_end import which_face
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace, pasted_scenes
from facial_emotion_ros.inference.model_bundle import MAX_IR_VERSION, MAX_OPSET, ModelBundle
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_tracker import intersection_over_union
from facial_emotion_ros.perception.image_files import list_pictures, read_picture
from facial_emotion_ros.perception.image_formats import PICTURE_SUFFIXES
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.model.quantization import quantize

#: Number of first convolutions that stay floating point. Measured overlap with the fp32 boxes of 60 faces: 0.947 with
#: none, 0.967 with three, 0.967 with six, which is slower.
_FIRST_IN_FLOAT = 3


def quantize_detector(bundle: ModelBundle, images: Iterable[np.ndarray]) -> bytes:
    """Quantize CenterFace.

    The first three convolutions, on large maps with few channels, stay floating point, which is as fast there and more
    accurate; so do the last ones, whose outputs are scores, sizes and landmarks.

    :param bundle: ModelBundle of architecture 'centerface'.
    :param images: calibration images (H, W, 3) uint8 BGR, with and without faces.
    :returns: int8 ONNX model.
    :raises BadModel: for another architecture.
    """
    if bundle.architecture != 'centerface':
        raise BadModel(
            f'{bundle.folder}: expected a bundle of architecture esr or centerface, got {bundle.architecture!r}'
        )
    model = version_converter.convert_version(onnx.load_from_string(bundle.model_bytes), MAX_OPSET)
    model.ir_version = MAX_IR_VERSION
    used = {name for node in model.graph.node for name in node.input}
    unused = [tensor for tensor in model.graph.initializer if tensor.name not in used]
    for tensor in unused:
        model.graph.initializer.remove(tensor)
    detector = FaceDetector(bundle)
    outputs = {each.name for each in model.graph.output}
    last = {
        node.input[0] for node in model.graph.node if node.op_type == 'Sigmoid' and outputs.intersection(node.output)
    }
    first = [node.output[0] for node in model.graph.node if node.op_type == 'Conv'][:_FIRST_IN_FLOAT]
    return quantize(
        model.SerializeToString(), (detector.prepare(image) for image in images), outputs | last | set(first)
    )


def calibration_images(face_set: FaceSet, rows: np.ndarray, folder: str) -> list[np.ndarray]:
    """Return scenes with pasted faces, and the images of a folder.

    :param face_set: FaceSet.
    :param rows: (N,) int, the faces to use.
    :param folder: path, or '' for none.
    :returns: list of (H, W, 3) uint8 BGR.
    :raises BadDataset: if the folder has no image.
    """
    photographs: list[str] = []
    if folder:
        try:
            photographs, left_out = list_pictures(folder)
        except OSError as error:
            raise BadDataset(f'{folder}: expected a folder of images, it cannot be read ({error.strerror})') from None
        if left_out or not photographs:
            reasons = '; '.join(f'{name}: {reason}' for name, reason in left_out) or 'there are none'
            raise BadDataset(f'{folder}: expected images ({", ".join(PICTURE_SUFFIXES)}), {reasons}')
    scenes = pasted_scenes(face_set.faces(rows), face_set.names[rows], face_set.labels[rows])
    return [scene.image for scene in scenes] + [read_picture(path) for path in photographs]


def compare_detectors(before: FaceDetector, after: FaceDetector, scenes: Iterable[LabelledFace]) -> dict[str, Any]:
    """Compare two detectors on scenes with one face each.

    :returns: scenes; found_before and found: detected faces; besides_before and besides: false detections; overlap:
        mean intersection over union of the faces that both found; score_rmse.
    """
    count, found, besides, overlaps, scores = 0, [0, 0], [0, 0], [], []
    for scene in scenes:
        count += 1
        boxes = []
        for place, detector in enumerate((before, after)):
            seen = detector.detect(scene.image)
            row = which_face(seen, scene.center, scene.box_px)
            found[place] += row is not None
            besides[place] += len(seen) - (row is not None)
            if row is not None:
                boxes.append((seen.boxes[row], seen.scores[row]))
        if len(boxes) == 2:
            overlaps.append(intersection_over_union(boxes[0][0][None], boxes[1][0][None])[0, 0])
            scores.append(float(boxes[0][1] - boxes[1][1]))
    return {
        'scenes': count,
        'found_before': found[0],
        'found': found[1],
        'besides_before': besides[0],
        'besides': besides[1],
        'overlap': float(np.mean(overlaps)) if overlaps else None,
        'score_rmse': float(np.sqrt(np.mean(np.square(scores)))) if scores else None,
    }
