"""A camera's message as an array, with cv_bridge for encodings that we do not read ourselves."""

import functools

from sensor_msgs.msg import CompressedImage

from facial_emotion_ros.compressed_image import decode_compressed
from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.image import decode_image


def image_of(message, used_bits=None):
    """Read a camera image.

    :param message: sensor_msgs/Image or CompressedImage.
    :param used_bits: see :func:`facial_emotion_ros.image.decode_image`.
    :returns: (H, W, 3) uint8 BGR, contiguous.
    :raises BadImage: naming what was expected and what came.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format, used_bits)
    return decode_image(message.data, message.height, message.width, message.step, message.encoding,
                        message.is_bigendian, fallback=_fallback(message), used_bits=used_bits)


def _fallback(message):
    """Return a function that has cv_bridge read the message; None where that is not installed."""
    bridge = _bridge()
    if bridge is None:
        return None

    def convert():
        try:
            return bridge.imgmsg_to_cv2(message, desired_encoding='bgr8')
        except Exception as fault:  # besides CvBridgeError: TypeError and cv2.error for what it cannot read
            raise BadImage('cv_bridge cannot read the encoding %r (%s); let the camera publish bgr8 or rgb8'
                           % (message.encoding, fault)) from None
    return convert


@functools.lru_cache(maxsize=None)
def _bridge():
    try:
        from cv_bridge import CvBridge
    except Exception:  # one that was built for another numpy or OpenCV fails in many ways
        return None
    return CvBridge()
