"""Damaged images: decoded strictly, counted and listed."""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.core.text import printable
from facial_emotion_ros.perception.image_files import decode_picture

#: Fraction of damaged images above which a set is rejected.
MAX_SHARE = 0.01

_LISTED = 20


class CorruptImage(NamedTuple):
    """A skipped image: its name and why."""

    name: str
    reason: str


def decode_face(content: bytes | np.ndarray, gray: bool = False) -> np.ndarray:
    """Decode an image; reject a truncated one, which OpenCV would fill with gray.

    :param content: bytes of an image file, or (M,) uint8.
    :param gray: convert to gray.
    :returns: (H, W) uint8 gray or (H, W, 3) uint8 BGR.
    :raises BadImage: with the reason.
    """
    return decode_picture(bytes(content), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_ANYCOLOR)


def refuse_many(
    damaged: Sequence[CorruptImage], count: int, where: str, report: Callable[[str], object] | None = None
) -> None:
    """Report damaged images, and reject the set if there are too many.

    :param count: number of all images.
    :param where: path or name of the set.
    :param report: called with one line for the count and each damaged image; None for stderr.
    :raises BadDataset: if more than 1% are damaged.
    """
    if not damaged:
        return
    listed = [printable(f'{each.name}: {each.reason}') for each in damaged]
    for line in (f'{printable(str(where))}: {len(damaged)} of {count} images are damaged and skipped:', *listed):
        if report:
            report(line)
        else:
            print(line, file=sys.stderr)
    if len(damaged) > MAX_SHARE * count:
        more = f'; {len(damaged) - _LISTED} more are listed above' if len(damaged) > _LISTED else ''
        raise BadDataset(
            f'{where}: expected at most {MAX_SHARE:.0%} damaged images, got {len(damaged)} of {count} '
            f'({"; ".join(listed[:_LISTED])}{more}); get them again, or remove them together with their labels'
        )
