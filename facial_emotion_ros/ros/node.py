"""The node: a camera image in, faces with emotions and affect out, managed by its lifecycle.

The executor's thread receives images, timers and services and never waits; one worker thread does the rest. Models
are loaded in a thread of their own, so that parameters, diagnostics and the state can be asked for meanwhile.
"""

import random
import time
import traceback

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool

from facial_emotion_ros.clock_watch import ClockWatch
from facial_emotion_ros.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.freeze_guard import long_silence
from facial_emotion_ros.process_memory import give_memory_back
from facial_emotion_ros.ros import parameters
from facial_emotion_ros.ros.diagnostics import Diagnostics
from facial_emotion_ros.ros.frame_tally import FrameTally
from facial_emotion_ros.ros.humans_input import HumansInput
from facial_emotion_ros.ros.image_input import ImageInput
from facial_emotion_ros.ros.loading import Loading, told
from facial_emotion_ros.ros.log_limits import FAULT, BurstLimit
from facial_emotion_ros.ros.python_log import NodeLog
from facial_emotion_ros.ros.request_limits import limit_requests

#: Readers and publishers are looked for this often.
_TICK_S = 0.2
#: A clock that jumps further than this forward makes tracks meaningless; a slow /clock takes smaller steps.
_JUMP_S = 5.0
#: A frame in work is given this long when the node stops.
_JOIN_S = 1.5
#: After an error, releasing is tried so often: as often as it has steps that may fail.
_RELEASE_TRIES = 4
#: Why a node that was configured cannot be activated: the abandoned worker is still inside the pipeline.
_HUNG = 'The model hung in work on a frame and was given up: clean up and configure again, or restart the node.'


class EmotionNode(LifecycleNode):
    """The lifecycle and the wiring; what is wired lies in the modules beside."""

    def __init__(self, **options):
        """Declare the parameters and start the timers; with autostart, configure and activate at the first spin.

        :param options: of rclpy.node.Node.
        """
        super().__init__('emotion_node', **options)
        self._parameter_faults = parameters.declare(self)
        self._python_log = NodeLog(self.get_logger())
        self._changes, self._complaints = BurstLimit(), BurstLimit()
        self._fault = ''
        self._enabled = True
        self._finalized = False
        self._clock_watch = ClockWatch()
        self._pipeline = self._outputs = self._input = self._worker = None
        self._tally = FrameTally()
        self._engine_build = None
        self._diagnostics = Diagnostics(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_TICK_S, self._tick, clock=steady)
        self.create_timer(self._value('diagnostics.period_s'), self._publish_diagnostics, clock=steady)
        self._jump = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=Duration(seconds=_JUMP_S), min_backward=Duration(nanoseconds=-1),
                          on_clock_change=True), post_callback=self._clock_jumped)
        self._loading = Loading(self)
        self._loading.take_over_service()
        self.create_service(SetBool, '~/enable', self._enable)
        limit_requests(self, lambda: self._tally.count('refused_requests'))
        self._autostart = self.create_timer(0.0, self._start_by_itself, self._loading.callbacks, clock=steady)
        if not self._value('autostart'):
            self._autostart.cancel()

    def on_configure(self, _state):
        """Load and warm up both models, and open the outputs; what does not fit is refused by a sentence."""
        try:
            self._configure()
        except FacialEmotionError as fault:
            return self._refuse(str(fault))
        except ImportError as fault:
            return self._refuse('%s. Install what is missing, see the README.' % fault)
        except Exception as fault:
            return self._refuse('Configuring failed (please report this): %s\n%s' % (fault, traceback.format_exc()))
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_activate(self):
        """Start the worker; the image is subscribed to when someone reads an output."""
        from facial_emotion_ros.ros.crop_worker import CropWorker
        from facial_emotion_ros.ros.frame_worker import FrameWorker
        if self._pipeline is None:
            raise FacialEmotionError(_HUNG)
        self._pipeline.reset()
        self._tally = FrameTally()
        follows = self._value('input.mode') == 'humans'
        kind = CropWorker if follows else FrameWorker
        self._worker = kind(self, self._pipeline, self._outputs, self._tally)
        self._worker.pause(not self._enabled)
        self._worker.start()
        if follows:
            self._input = HumansInput(self, self._outputs, self._worker, self._tally)
        else:
            self._input = ImageInput(self, self._outputs.readers, self._worker.offer)
        self._say('Active: waiting for readers of its topics and for images on %s.' % self._input.topic)
        self._follow_readers()

    @told
    def on_deactivate(self):
        """Leave the image and end the worker."""
        self._stop_working()
        self._say('Inactive: no image is read until it is activated again.')

    @told
    def on_cleanup(self):
        """Close the outputs and drop the models."""
        self._release()
        self._say('Cleaned up: models and topics are released.')

    @told
    def on_shutdown(self):
        """Release everything, from whichever state."""
        self._release()
        self._finalized = True
        self._say('Shut down.')

    @told
    def on_error(self):
        """Release everything after a transition has failed, so that it can be configured again."""
        # An error here would end the node's life for good, and whatever has thrown may be done by the next time.
        for _ in range(_RELEASE_TRIES):
            try:
                self._release()
                break
            except Exception as fault:
                self.complain('Releasing failed (please report this): %s\n%s' % (fault, traceback.format_exc()))
        else:
            self._release()
        self._say('Unconfigured after an error; configure it again.')

    def tell_fault(self, sentence):
        """Have diagnostics say what failed, until the node is configured anew."""
        self._fault = sentence

    def complain(self, sentence):
        """Log an error of a transition; many in a row are cut short, for each may be asked for again and again."""
        if self._complaints.allows():
            self.get_logger().error(sentence)

    def close(self):
        """Tidy up before the process ends, from whichever state."""
        if self._engine_build is not None:
            self._engine_build.cancel()
        self._loading.join()
        self._release()
        self._jump.unregister()
        self._python_log.close()

    def _configure(self):
        if self._parameter_faults:
            raise BadParameter(' '.join(str(fault) for fault in self._parameter_faults)
                               + ' Correct it in the parameter file or on the command line.')
        started_s = time.monotonic()
        # Imported here, so that what is missing for inference is told by a sentence and the node stays reachable.
        # They are libraries of many megabytes, which a slow disk brings in its own time.
        with long_silence():
            from facial_emotion_ros.engine_build import EngineBuild
            from facial_emotion_ros.face_tracker import ID_COUNT, FaceTracker
            from facial_emotion_ros.pipeline import EmotionPipeline
            from facial_emotion_ros.ros.crop_outputs import CropOutputs
            from facial_emotion_ros.ros.outputs import Outputs
        models = {
            'esr': self._value('inference.bundle'), 'detector': self._value('detector.bundle'),
            'min_score': self._value('detector.min_score') or None,
            'long_side_px': self._value('detector.long_side_px'), 'max_faces': self._value('inference.max_faces'),
            'anytime': self._value('inference.deadline_ms') > 0}
        self._engine_build = EngineBuild(models, {
            'providers': list(self._value('inference.providers')), 'threads': self._value('inference.threads'),
            'spin': self._value('inference.spin'),
            'precision': self._value('inference.precision'), 'face_batch': self._value('inference.face_batch'),
            'engine': self._value('inference.engine'), 'engine_cache': self._value('inference.engine_cache')})
        plan = self._engine_build.plan()
        self._engine_build.run(plan)
        first_face = self._value('tracker.first_face')
        if first_face < 0:
            first_face = random.SystemRandom().randrange(ID_COUNT)
        self._pipeline = EmotionPipeline(providers=plan, tracker=FaceTracker(first_face=first_face), **models)
        self._pipeline.warm_up()
        prefix = self._value('output.humans_prefix')
        if self._value('input.mode') == 'humans':
            if not prefix:
                raise BadParameter("input.mode humans needs the prefix of the faces to follow, but "
                                   "output.humans_prefix is ''; give it, '/humans' for example.")
            self._outputs = CropOutputs(self, prefix)
        else:
            self._outputs = Outputs(self, prefix, self._value('output.opendr'), self._follow_readers)
        bundle = self._pipeline.esr_bundle
        self._outputs.announce(bundle)
        self._fault = ''
        self._say('Configured: %s %s and %s on %s, ready after %.1f s.' % (
            bundle.name, bundle.version, self._pipeline.detector_bundle.name, self._pipeline.provider,
            time.monotonic() - started_s))

    def _refuse(self, reason):
        self._release()
        self._fault = reason.split('\n')[0]
        self.complain(reason)
        return TransitionCallbackReturn.FAILURE

    def _stop_working(self):
        """Teardown, first half: subscription, slot, worker."""
        if self._input is not None:
            self._input.close()
            self._input = None
        if self._worker is not None:
            if not self._worker.stop(_JOIN_S):
                self.get_logger().error('A frame is in work for more than %g s and is left alone; the execution '
                                        'provider may hang.' % _JOIN_S, **FAULT)
                # The frame may come back at any time: what it works in belongs to it from now on.
                self._pipeline = None
                self._fault = _HUNG
            self._worker = None
            self._outputs.forget_faces()

    def _release(self):
        """Teardown, all of it, in the order that leaves nothing that publishes without a publisher."""
        self._stop_working()
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._pipeline is not None:
            self._pipeline = None
            give_memory_back()

    async def _start_by_itself(self):
        self._autostart.cancel()
        if await self._loading.run(self.trigger_configure) == TransitionCallbackReturn.SUCCESS:
            if self._outputs is not None and self._worker is None:  # nobody was quicker
                self.trigger_activate()

    def _tick(self):
        self._watch_clock()
        self._follow_readers()
        self._forget_whom_nobody_sees()
        # Images that have come again are told at once: nobody should wait a second for that.
        if self._diagnostics.is_silent and self._tally.silence_s(time.monotonic()) <= self._value('input.timeout_s'):
            self._publish_diagnostics()

    def _follow_readers(self):
        if self._input is not None:
            self._input.follow(time.monotonic(), self._enabled)

    def _forget_whom_nobody_sees(self):
        """List no face any more once no image came for long: who was there may have left.

        Tracks stay: if images go on after all, their stamps say whether faces keep their ids.
        """
        if self._worker is not None and self._value('input.mode') == 'image':
            long_s = max(self._value('input.timeout_s'), self._value('tracker.max_age_s'))
            if self._tally.silence_s(time.monotonic()) > long_s:
                self._outputs.forget_faces()

    def _enable(self, request, response):
        """Turn all reading and publishing off, or on again; a lifecycle manager is not needed for that."""
        changed, self._enabled = self._enabled != request.data, request.data
        if self._worker is not None:
            self._worker.pause(not request.data)
        self._follow_readers()
        if not request.data and self._outputs is not None:
            self._outputs.forget_faces()
        response.success = True
        response.message = '%s%s%s.' % (
            '' if changed else 'Already ', 'enabled' if request.data else 'disabled: no image is read',
            '' if self._input is not None else '; the node is not active')
        response.message = response.message[0].upper() + response.message[1:]
        if changed:
            self._say(response.message)
        return response

    def _say(self, sentence):
        """Log a change of state, unless they come in floods."""
        if self._changes.allows():
            self.get_logger().info(sentence)

    def _state(self):
        if self._finalized:
            return 'finalized'
        if self._loading.under_way:
            return 'configuring'
        if self._input is None:
            return 'inactive' if self._outputs else 'unconfigured'
        return 'active' if self._enabled else 'disabled'

    def _watch_clock(self):
        """Notice a step of the system's clock; jump callbacks hear of simulated time alone."""
        if self.get_clock().ros_time_is_active:
            self._clock_watch.pause()
            return
        step_s = self._clock_watch.step_s(time.time(), time.monotonic())
        if step_s:
            self._clock_jumped(step_s)

    def _clock_jumped(self, _jump):
        if self._worker is not None and self._tally.snapshot()['received']:
            self._worker.forget()
            self._tally.count('clock_jumps')
            self.get_logger().warning('The clock has jumped: the faces seen before are forgotten.', **FAULT)

    def _publish_diagnostics(self):
        self._diagnostics.publish(self._state(), self._tally.snapshot(), self._input, self._pipeline, self._fault)
        if self._worker is not None and self._value('input.mode') == 'image':
            self._outputs.warn_of_rivals()

    def _value(self, name):
        return self.get_parameter(name).value
