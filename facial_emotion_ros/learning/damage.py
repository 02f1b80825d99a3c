"""Pictures that cannot be used: read, counted, listed; never replaced in silence."""

import sys
from typing import NamedTuple

import cv2

from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.pictures import decode_picture
from facial_emotion_ros.plain_text import printable

#: Share of damaged pictures above which a set is refused.
MAX_SHARE = 0.01

_LISTED = 20


class DamagedPicture(NamedTuple):
    """One picture that is left out: its name and why."""

    name: str
    reason: str


def decode_face(content, gray=False):
    """Decode one picture of a face, and refuse one that is cut off, which OpenCV would fill up with gray.

    :param content: bytes of a JPEG, PNG or other picture file, or (M,) uint8.
    :param gray: turn colour into gray.
    :returns: (H, W) uint8 where the picture is gray or is to be, else (H, W, 3) uint8 BGR.
    :raises BadImage: with the reason.
    """
    return decode_picture(bytes(content), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_ANYCOLOR)


def refuse_many(damaged, count, where, report=None):
    """List what is damaged, and stop where it is too much.

    :param damaged: list of DamagedPicture.
    :param count: how many pictures there are, damaged ones among them.
    :param where: path or name of the set.
    :param report: called with one line of text for the count and for each damaged picture; None for stderr.
    :raises BadDataset: with the first of the list, if more than 1% are damaged.
    """
    if not damaged:
        return
    listed = [printable(f'{each.name}: {each.reason}') for each in damaged]
    for line in (f'{printable(str(where))}: {len(damaged)} of {count} pictures are damaged and left out:', *listed):
        if report:
            report(line)
        else:
            print(line, file=sys.stderr)
    if len(damaged) > MAX_SHARE * count:
        more = f'; {len(damaged) - _LISTED} more are listed above' if len(damaged) > _LISTED else ''
        raise BadDataset(
            f'{where}: at most {MAX_SHARE:.0%} damaged pictures expected, got {len(damaged)} of {count} '
            f'({"; ".join(listed[:_LISTED])}{more}); get them again, or remove them together with their labels'
        )
