"""Worker thread: take the newest image from the slot, estimate, publish, and count the outcome."""

import math
import threading
import time
import traceback
from typing import Any, Dict, NamedTuple, Set, Tuple

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from facial_emotion_ros.core.errors import BadImage, FacialEmotionError
from facial_emotion_ros.perception.image_decoding import UsedBits, light_range
from facial_emotion_ros.pipeline.crop_estimation import check_size, estimate_crop
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.ros.latest_slot import LatestSlot
from facial_emotion_ros.ros.live_parameters import LiveParameters
from facial_emotion_ros.ros.logs import EVERY_5_S
from facial_emotion_ros.ros.messages import image_of
from facial_emotion_ros.ros.stamp_check import StampCheck

#: Interval in which the worker checks whether it must end, while the slot is empty.
_TAKE_TIMEOUT_S = 0.5
#: Minimum time without images until tracks are forgotten: if images continue, their stamps decide. The appearance of
#: faces is forgotten as early as the parameters say.
_IDLE_S = 30.0
#: Maximum length of frame_id: all results repeat it, also for each face.
_FRAME_ID_LENGTH = 256
#: An image whose pixel values span no more than this, of 255, has no contrast: a lens cap, or no light.
_FLAT = 8
#: Minimum time between two log lines about the number of used bits.
_BITS_LOGGED_S = 5.0


class FrameWorker:
    """One thread between a subscription and the outputs; it lives from activate to deactivate."""

    def __init__(self, node: Any, pipeline: EmotionPipeline, outputs: Any, slot: LatestSlot):
        """Create the thread, without starting it.

        :param node: EmotionNode, for its clock, logger and parameters.
        :param pipeline: processes the images.
        :param outputs: Outputs, or CropOutputs.
        :param slot: has the next image, and counts all.
        """
        self._value, self._log = node.value, node.get_logger()
        self._pipeline: Any = pipeline  # None after the end
        pipeline.on_stage = slot.enter
        self._parameters = LiveParameters(node.value)
        self._outputs, self._slot = outputs, slot
        self._stamps = StampCheck(node.get_clock(), slot)
        self._stopping = threading.Event()
        self._paused = False
        # Held while publishing, and to start stopping: after `stop`, the publishers may be destroyed.
        self._publishing = threading.Lock()
        self._forget = threading.Event()
        self._logged: Set[Tuple[Any, ...]] = set()
        self._used_bits, self._bits_logged_s = UsedBits(), -_BITS_LOGGED_S
        self._bits: Dict[str, int] = {}
        self._degrees = 0
        #: A daemon, so that the process can end while an inference hangs.
        self.thread = threading.Thread(target=self._work, name='frame_worker', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Close the slot and wait for the image in work.

        :param timeout_s: how long to wait for it.
        :returns: whether the thread has ended; if not, it publishes nothing more, but may still run the pipeline.
        """
        with self._publishing:
            self._stopping.set()
        self._slot.close()
        if self.thread.ident is not None:  # starting it may have failed
            self.thread.join(timeout_s)
        if self.thread.is_alive():
            return False
        self._pipeline.reset()  # the appearance of faces is not kept while the node is idle
        # Python frees this worker late; free the models now.
        self._pipeline = None
        return True

    def pause(self, paused: bool) -> None:
        """Stop publishing, also for the image in work, and forget all faces; or resume."""
        with self._publishing:
            self._paused = paused
        if paused:
            self.forget()

    def offer(self, message: Any, key: str = '') -> None:
        """Put an image into the slot, replacing a waiting one. Does not block.

        :param message: sensor_msgs/Image or CompressedImage, or a Crop.
        :param key: of a crop.
        """
        self._slot.put(message, key)

    def forget(self) -> None:
        """Drop the waiting image, and all tracks before the next one."""
        self._slot.clear()
        self._forget.set()

    def _work(self):
        began_s = estimated_s = -math.inf
        while not self._stopping.is_set():
            rate_hz = self._value('input.rate_hz')
            rest_s = began_s + 1.0 / rate_hz - time.monotonic() if rate_hz > 0.0 else 0.0
            message = None
            if rest_s > 0.0:  # meanwhile, newer images replace the waiting one
                self._stopping.wait(min(rest_s, _TAKE_TIMEOUT_S))
            else:
                message = self._slot.take(_TAKE_TIMEOUT_S)
            remember_s = max(self._value('tracker.remember_s'), self._value('tracker.max_age_s'))
            if message is None:
                if time.monotonic() - began_s > max(remember_s, _IDLE_S):
                    self._forget.set()
                self._forget_if_asked()
            else:
                began_s = time.monotonic()
                outcome = self._answer(message)
                if outcome[0] == 'processed':  # dropped images do not prolong the memory of appearances
                    estimated_s = time.monotonic()
                self._slot.finish(*outcome)
            if time.monotonic() - estimated_s > remember_s:
                self._pipeline.forget_looks()

    def _forget_if_asked(self):
        if self._forget.is_set():
            self._forget.clear()
            self._stamps.keep(())
            self._pipeline.reset()

    def _answer(self, message):
        """Process one image; no exception ends the thread.

        :returns: (outcome, age in s when published or None if unknown, why it was not published).
        """
        try:
            self._forget_if_asked()
            _check_frame_id(message.header.frame_id)
            checked = self._stamps.take(message.header.stamp, getattr(message, 'key', ''))
            if checked.begins_anew:
                self._begin_anew(message)
            max_age_s = self._value('input.max_age_s')
            if checked.late_s is not None and 0.0 < max_age_s < checked.late_s:
                return 'expired', None, 'it was %.1f s old, input.max_age_s is %g' % (checked.late_s, max_age_s)
            self._parameters.apply(self._pipeline)
            publish = self._estimate(message, checked)
            with self._publishing:
                if self._stopping.is_set() or self._paused:
                    return 'expired', None, ''
                self._slot.enter('publishing')
                publish()
            return 'processed', self._stamps.age_s(checked), ''
        except BadImage as error:
            self._log.warning('Dropped an image: %s' % error, **EVERY_5_S)
            return 'bad', None, str(error)
        except FacialEmotionError as error:
            self._log.error('Dropped an image: %s' % error, **EVERY_5_S)
            return 'failed', None, str(error)
        except Exception as error:
            self._log_exception(error)
            return 'failed', None, str(error) or type(error).__name__

    def _begin_anew(self, _message):
        """Forget the faces before an image whose stamp went back far."""
        self._pipeline.reset()

    def _estimate(self, message, checked):
        """Estimate the faces in one image.

        :param message: as offered.
        :param checked: CheckedImage.
        :returns: function that publishes the result.
        """
        image = self._decode(message)
        self._slot.enter('detecting faces')
        estimates = self._pipeline.estimate(image, checked.time_s, self._deadline_s(checked))
        if self._pipeline.orientation.degrees != self._degrees:
            self._degrees = self._pipeline.orientation.degrees
            self._log.info('Images are rotated clockwise by %d degrees (input.rotate_deg).' % self._degrees)
        return lambda: self._outputs.publish(
            message.header, image, estimates, self._pipeline.tracker.live_ids, self._value('output.contempt_as')
        )

    def _decode(self, message):
        """Decode the image; one without contrast or with damaged pixels is counted, and still processed."""
        image = image_of(message, self._bits_of, self._count_damage)
        darkest, brightest = light_range(image)
        if brightest - darkest <= _FLAT:
            reason = 'its brightest pixel is %d of 255, its darkest %d; check lens cap, light and exposure'
            self._slot.count('flat', reason=reason % (brightest, darkest))
        return image

    def _count_damage(self, damage):
        reason = '%s; look for bit errors in camera, cable, radio link or recording' % damage
        self._slot.count('corrupt', reason=reason)
        self._log.warning('Decoded an image with damaged pixels (counted as corrupt): %s.' % reason, **EVERY_5_S)

    def _bits_of(self, encoding, brightest):
        """Return the number of significant bits of 16: input.used_bits, or estimated from the images."""
        setting = self._value('input.used_bits')
        bits = setting or self._used_bits.of(encoding, brightest)
        now_s = time.monotonic()
        # Not throttled by the logger, which would drop the line instead of delaying it.
        if bits != self._bits.get(encoding) and now_s - self._bits_logged_s >= _BITS_LOGGED_S:
            self._bits[encoding], self._bits_logged_s = bits, now_s
            source = '' if setting else ', detected from its brightest pixels; input.used_bits overrides that'
            self._log.info('%s: using the low %d of 16 bits%s' % (encoding, bits, source))
        return bits

    def _deadline_s(self, checked):
        """Return the deadline of the result, by the monotonic clock; None without one."""
        deadline_s = self._value('inference.deadline_ms') * 1e-3
        return time.monotonic() + deadline_s - (self._stamps.age_s(checked) or 0.0) if deadline_s > 0 else None

    def _log_exception(self, error):
        """Log a traceback for the first exception of a kind, and throttled lines for later ones."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = (type(error), place.filename, place.lineno)
        if kind not in self._logged:
            self._logged.add(kind)
            self._log.error(
                'Dropped an image because an exception was raised; the node continues. Please report this: %s\n%s'
                % (error, traceback.format_exc())
            )
        else:
            self._log.error('Dropped another image, see the earlier traceback: %s' % error, **EVERY_5_S)


class Crop(NamedTuple):
    """A crop of a face in the slot; `key` is the face's id."""

    header: Header
    key: str
    message: Image


class CropWorker(FrameWorker):
    """The worker of input.mode humans: faces take turns, with the newest crop of each."""

    def offer_crop(self, face_id: str, message: Image) -> None:
        """Put the crop of a face into the slot. Does not block."""
        self.offer(Crop(message.header, face_id, message), face_id)

    def drop(self, face_id: str) -> None:
        """Drop the waiting crop of a face that is no longer listed."""
        self._slot.drop(face_id)

    def _begin_anew(self, message):
        self._pipeline.smoothing.keep(set(self._outputs.face_ids()) - {message.key})

    def _estimate(self, message, checked):
        check_size(message.message.height, message.message.width)
        image = self._decode(message.message)
        self._slot.enter('detecting faces')
        face_ids = self._outputs.face_ids()
        self._pipeline.smoothing.keep(face_ids)
        self._stamps.keep(face_ids)
        estimate = estimate_crop(self._pipeline, image, message.key, checked.time_s, self._deadline_s(checked))
        return lambda: self._outputs.publish(message.header, message.key, estimate, self._value('output.contempt_as'))


def _check_frame_id(frame_id):
    if len(frame_id) > _FRAME_ID_LENGTH:
        raise BadImage(
            'expected a frame_id of at most %d characters, got %d; correct the driver'
            % (_FRAME_ID_LENGTH, len(frame_id))
        )
