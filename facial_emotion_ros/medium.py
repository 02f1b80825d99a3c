"""What can be played as a camera: the interface that samples, pictures, videos and cameras have in common."""
from abc import ABC, abstractmethod
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

#: Frames per second of drawn media: what two cores answer one by one with three faces in view.
DRAWN_RATE_HZ = 10.0


class Frame(NamedTuple):
    """One frame: image (H, W, 3) uint8 BGR; name of the picture that it shows, '' where it is no particular one."""

    image: np.ndarray
    name: str = ''


class Medium(ABC):
    """
    A sequence of frames.

    title: what plays, in words; rate_hz: frames per second at which it is to be played; skipped: (name, reason) of
    every input that had to be left out.
    """

    title = ''
    rate_hz = DRAWN_RATE_HZ

    def __init__(self):
        """Start with nothing skipped."""
        self.skipped: List[Tuple[str, str]] = []

    @abstractmethod
    def read(self) -> Optional[Frame]:
        """
        Take the next frame.

        :returns: the frame, or None at the end.
        :raises BadImage: the medium broke off.
        """

    @abstractmethod
    def rewind(self):
        """Start again from the first frame."""

    def close(self):  # noqa: B027, most media hold nothing open
        """Release what was opened."""
