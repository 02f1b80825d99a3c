"""The worker thread: takes the newest image from the slot, estimates, publishes, and books what became of it."""

import threading
import time
import traceback

from facial_emotion_ros.errors import BadImage, FacialEmotionError
from facial_emotion_ros.frame_slot import FrameSlot
from facial_emotion_ros.image import UsedBits, light_range
from facial_emotion_ros.ros.camera_image import image_of
from facial_emotion_ros.ros.face_rules import FaceRules
from facial_emotion_ros.ros.log_limits import FAULT
from facial_emotion_ros.ros.stamp_check import StampCheck

#: The worker looks up from an empty slot this often, to see whether it shall end.
_TAKE_TIMEOUT_S = 0.5
#: A frame_id is no longer than this: every answer repeats it, that of each face too.
_FRAME_ID_LENGTH = 256
#: An image whose pixels differ by no more than this, of 255, shows nothing: a lens cap, or a light that is off.
_FLAT = 8
#: A number of used bits that changes is told no more often than this.
_REPEAT_S = 5.0


class FrameWorker:
    """One thread between a subscription and the outputs; it lives from activate to deactivate."""

    def __init__(self, node, pipeline, outputs, tally):
        """Prepare; nothing runs yet.

        :param node: rclpy node, for its clock, logger and parameters.
        :param pipeline: EmotionPipeline.
        :param outputs: Outputs.
        :param tally: FrameTally that books every frame.
        """
        self._node = node
        self._log = node.get_logger()
        self._pipeline = pipeline
        pipeline.on_stage = self._reached
        self._rules = FaceRules(self._value)
        self._outputs = outputs
        self._tally = tally
        self._stamps = StampCheck(node, tally)
        self._slot = FrameSlot()
        self._stopping = threading.Event()
        self._paused = False
        # Held while an answer goes out, and to begin stopping: whoever has called `stop` may destroy the publishers.
        self._publishing = threading.Lock()
        self._forget = threading.Event()
        self._told = set()
        self._used_bits, self._bits, self._bits_told_s = UsedBits(), {}, -_REPEAT_S
        # A daemon, so that a hung inference cannot keep the process from ending.
        self._thread = threading.Thread(target=self._work, name='frame_worker', daemon=True)

    def start(self):
        """Let the thread wait for frames."""
        self._thread.start()

    def stop(self, timeout_s):
        """Close the slot and wait for the frame in work.

        :param timeout_s: how long to wait for it.
        :returns: whether the thread has ended; if not, it publishes nothing any more, but may still be in the pipeline.
        """
        with self._publishing:
            self._stopping.set()
        self._tally.clear(self._slot)
        self._slot.close()
        if self._thread.ident is not None:  # the system may have refused to start it
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        # Python finds out late that nobody needs this worker any more; the models must not wait for that.
        self._pipeline = None
        return True

    def pause(self, paused):
        """Publish nothing from now on, not even of the frame in work, or publish again.

        :param paused: which of the two.
        """
        with self._publishing:
            self._paused = paused
        if paused:
            self.forget()

    def offer(self, message, key=''):
        """Put an image into the slot, where it replaces one that still waits. Returns at once.

        :param message: sensor_msgs/Image or CompressedImage.
        :param key: of a message whose image is one of several that take turns: its `key`.
        """
        self._tally.put(self._slot, message, time.monotonic(), key)

    def forget(self):
        """Drop the frame that waits, and all tracks before the next one: the clock has jumped."""
        self._tally.clear(self._slot)
        self._forget.set()

    def _work(self):
        while not self._stopping.is_set():
            message = self._slot.take(_TAKE_TIMEOUT_S)
            if message is None:
                continue
            started_s = time.monotonic()
            self._tally.taken(message, started_s, getattr(message, 'key', ''))
            outcome, age_s, reason = self._answer(message)
            self._tally.finished(outcome, time.monotonic(), age_s, reason)

    def _answer(self, message):
        """Work on one frame, whatever it brings.

        :returns: (outcome, age in s when its answer was out or None where that is unknown, why there is no answer).
        """
        try:
            if self._forget.is_set():
                self._forget.clear()
                self._stamps.keep(())
                self._pipeline.reset()
            _check_frame_id(message.header.frame_id)
            checked = self._stamps.take(message.header, getattr(message, 'key', ''))
            if checked.begins_anew:
                self._pipeline.reset()
            max_age_s = self._value('input.max_age_s')
            if checked.late_s is not None and 0.0 < max_age_s < checked.late_s:
                return 'expired', None, 'it was %.1f s old, input.max_age_s is %g' % (checked.late_s, max_age_s)
            self._rules.hand_over(self._pipeline)
            publish = self._estimate(message, checked)
            with self._publishing:
                if self._stopping.is_set() or self._paused:
                    return 'expired', None, ''  # the node was told to stop meanwhile
                self._reached('publishing')
                publish()
            return 'processed', self._stamps.age_s(checked), ''
        except BadImage as fault:
            self._log.warning('Dropped an image: %s' % fault, **FAULT)
            return 'bad', None, _sentence(fault)
        except FacialEmotionError as fault:
            self._log.error('Dropped a frame: %s' % fault, **FAULT)
            return 'failed', None, _sentence(fault)
        except Exception as fault:
            self._tell_once(fault)
            return 'failed', None, _sentence(fault)

    def _estimate(self, message, checked):
        """Work on one image.

        :param message: what was offered.
        :param checked: CheckedImage.
        :returns: function that publishes what came out.
        """
        image = self._image_of(message)
        self._reached('detecting faces')
        estimates = self._pipeline.estimate(image, checked.time_s, self._until_s(checked))
        return lambda: self._outputs.publish(message.header, image, estimates, self._pipeline.tracker.live_ids,
                                             self._value('output.contempt_as'))

    def _image_of(self, message):
        """Read the pixels, and book an image that shows nothing; it is worked on all the same."""
        image = image_of(message, self._bits_of)
        darkest, brightest = light_range(image)
        if brightest - darkest <= _FLAT:
            self._tally.count('flat', now_s=time.monotonic(), reason=(
                'its brightest pixel is %d of 255, its darkest %d; look for a lens cap, at light and exposure' % (
                    brightest, darkest)))
        return image

    def _bits_of(self, encoding, brightest):
        """Return how many of 16 bits a camera uses, as input.used_bits says or as its images show."""
        bits = self._value('input.used_bits') or self._used_bits.of(encoding, brightest)
        now_s = time.monotonic()
        # Not throttled by the logger, which would keep a change to itself for good.
        if bits != self._bits.get(encoding) and now_s - self._bits_told_s >= _REPEAT_S:
            self._bits[encoding], self._bits_told_s = bits, now_s
            self._log.info('%s: the low %d of 16 bits make the picture%s' % (
                encoding, bits, '' if self._value('input.used_bits') else ', as its brightest pixels show; '
                'input.used_bits fixes that'))
        return bits

    def _until_s(self, checked):
        """Return when the answer shall be there by the steady clock; None where there is no deadline."""
        deadline_s = self._value('inference.deadline_ms') * 1e-3
        return time.monotonic() + deadline_s - (self._stamps.age_s(checked) or 0.0) if deadline_s > 0 else None

    def _tell_once(self, fault):
        """Log a traceback for the first fault of its kind, and one throttled line for those that follow."""
        place = traceback.extract_tb(fault.__traceback__)[-1]
        kind = (type(fault), place.filename, place.lineno)
        if kind not in self._told:
            self._told.add(kind)
            self._log.error('Dropped a frame, since working on it failed (the node goes on; please report this): '
                            '%s\n%s' % (fault, traceback.format_exc()))
        else:
            self._log.error('Dropped one more frame for a reason logged before: %s' % fault, **FAULT)

    def _reached(self, stage):
        self._tally.reached(stage, time.monotonic())

    def _value(self, name):
        return self._node.get_parameter(name).value


def _check_frame_id(frame_id):
    if len(frame_id) > _FRAME_ID_LENGTH:
        raise BadImage('expected a frame_id of %d characters at most, got %d; correct the driver' % (
            _FRAME_ID_LENGTH, len(frame_id)))


def _sentence(fault):
    """Return what an exception says, and its name where it says nothing."""
    return str(fault) or type(fault).__name__
