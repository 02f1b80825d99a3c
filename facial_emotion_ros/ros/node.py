"""Lifecycle node emotion_node: camera images in, faces with emotions and affect out.

The path of an image: `image_input` (or `hri_input`) subscribes, `latest_slot` keeps the newest image, `worker`
processes it in its own thread, `outputs` (or `hri_output`) publishes. The executor's thread serves subscriptions,
timers and services, and never blocks. Configuring runs in a third thread, so that parameters, diagnostics and the
lifecycle state are available meanwhile.
"""

import random
import threading
import time
import traceback
from typing import Any, List, Optional

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.perception.image_times import ClockStepDetector
from facial_emotion_ros.ros import parameters
from facial_emotion_ros.ros.bond import Bond, open_bond
from facial_emotion_ros.ros.diagnostics import Diagnostics
from facial_emotion_ros.ros.enable_state import EnableState
from facial_emotion_ros.ros.image_input import ImageInput, override_names
from facial_emotion_ros.ros.latest_slot import LatestSlot
from facial_emotion_ros.ros.lifecycle import BackgroundConfigure, lifecycle_callback
from facial_emotion_ros.ros.live_parameters import POINT, why_refused
from facial_emotion_ros.ros.logs import EVERY_5_S, BurstLog, NodeLog
from facial_emotion_ros.ros.request_limits import limit_requests
from facial_emotion_ros.system.memory import give_memory_back
from facial_emotion_ros.system.watchdog import long_silence

#: Period of the checks for subscribers and publishers.
_TICK_S = 0.2
#: Larger jumps of the clock forward invalidate tracks; a slow /clock takes smaller steps.
_JUMP_S = 5.0
#: Maximum time to wait for the image in work when stopping.
_JOIN_S = 1.5
#: Attempts to release everything after an error: one for each step that may fail.
_RELEASE_ATTEMPTS = 4
#: Fault of a configured node that cannot be activated: an abandoned worker thread still runs the pipeline.
_HUNG = 'The model hung on an image and was abandoned: clean up and configure again, or restart the node.'


class EmotionNode(LifecycleNode):
    """The lifecycle node; it connects the other modules of this folder."""

    def __init__(self, **options: Any):
        """Declare the parameters and start the timers; with autostart, configure and activate at the first spin.

        :param options: of rclpy.node.Node.
        """
        super().__init__('emotion_node', **options)
        self._parameter_faults = parameters.declare(
            self, why_refused=lambda settings: why_refused(settings, self.value, self._pipeline)
        )
        self._python_log = NodeLog(self.get_logger())
        self._changes, self._errors = BurstLog(self.get_logger()), BurstLog(self.get_logger())
        self._fault = ''
        self._enable_state = EnableState(self.get_fully_qualified_name())
        self._enabled = self._restored_enable()
        self._finalized = False
        self._clock_steps = ClockStepDetector()
        self._engine_build: Any = None
        self._pipeline: Any = None
        self._outputs: Any = None
        self._vision_info: Any = None
        self._input: Any = None
        self._worker: Any = None
        self._abandoned: List[threading.Thread] = []
        self._bond: Optional[Bond] = None
        self._slot = LatestSlot()
        self._diagnostics = Diagnostics(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_TICK_S, self._tick, clock=steady)
        self.create_timer(self.value('diagnostics.period_s'), self._publish_diagnostics, clock=steady)
        self._jump = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=Duration(seconds=_JUMP_S), min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=self._clock_jumped,
        )
        self._configuring = BackgroundConfigure(self)
        self._configuring.take_over_service()
        self.create_service(SetBool, '~/enable', self._enable)
        #: Held while outputs are created, which declare parameters for QoS overrides.
        self._declaring = threading.Lock()
        limit_requests(self, lambda: self._slot.count('refused_requests'), self._declaring)
        self._autostart = self.create_timer(0.0, self._start_by_itself, self._configuring.callbacks, clock=steady)
        if not self.value('autostart'):
            self._autostart.cancel()

    def value(self, name: str) -> Any:
        """Return the value of a parameter."""
        return self.get_parameter(name).value

    def on_configure(self, _state: Any) -> TransitionCallbackReturn:
        """Load and warm up both models, and create the outputs; on errors, log the reason and return FAILURE."""
        try:
            self._configure()
        except FacialEmotionError as error:
            return self._refuse(str(error))
        except ImportError as error:
            return self._refuse('%s. Install the missing package, see the README.' % error)
        except Exception as error:
            return self._refuse('Configuring failed (please report this): %s\n%s' % (error, traceback.format_exc()))
        return TransitionCallbackReturn.SUCCESS

    @lifecycle_callback
    def on_activate(self) -> None:
        """Start the worker; the image is only subscribed to while an output has subscribers."""
        from facial_emotion_ros.ros.hri_input import HriInput
        from facial_emotion_ros.ros.worker import CropWorker, FrameWorker

        if self._pipeline is None:
            raise FacialEmotionError(_HUNG)
        self._pipeline.reset()
        self._slot = LatestSlot()
        self._diagnostics.is_silent = False  # report a new silence again
        humans = self.value('input.mode') == 'humans'
        kind = CropWorker if humans else FrameWorker
        self._worker = kind(self, self._pipeline, self._outputs, self._slot)
        self._worker.pause(not self._enabled)
        self._worker.start()
        if humans:
            self._input = HriInput(self, self._outputs, self._worker, self._slot)
        else:
            self._input = ImageInput(self, self._outputs.count_subscribers, self._worker.offer, self._outputs.head_pose)
        waiting = 'waiting for subscribers of its topics and for images on %s.' % self._input.topic
        self._changes.info('Active: ' + (waiting if self._enabled else 'disabled until ~/enable is called with true.'))
        self._follow_subscribers()
        self._bond = open_bond(self)

    @lifecycle_callback
    def on_deactivate(self) -> None:
        """Unsubscribe, and stop the worker."""
        self._stop_worker()
        self._changes.info('Inactive: no image is processed until the node is activated again.')

    @lifecycle_callback
    def on_cleanup(self) -> None:
        """Destroy the outputs and release the models."""
        self._release()
        self._changes.info('Cleaned up: models and topics are released.')

    @lifecycle_callback
    def on_shutdown(self) -> None:
        """Release everything, from any state."""
        self._release()
        self._finalized = True
        self._changes.info('Shut down.')

    @lifecycle_callback
    def on_error(self) -> None:
        """Release everything after a failed transition, so that the node can be configured again."""
        # An exception here would finalize the node, and a failed step may succeed the next time.
        for _ in range(_RELEASE_ATTEMPTS):
            try:
                self._release()
                break
            except Exception as error:
                self.log_error('Releasing failed (please report this): %s\n%s' % (error, traceback.format_exc()))
        else:
            self._release()
        self._changes.info('Unconfigured after an error; configure it again.')

    def report_fault(self, sentence: str) -> None:
        """Report a fault in the diagnostics until the node is configured again."""
        self._fault = sentence

    def log_error(self, sentence: str) -> None:
        """Log an error of a transition, with a rate limit: clients may retry forever."""
        self._errors.error(sentence)

    def close(self) -> List[threading.Thread]:
        """Release everything before the process ends, from any state.

        :returns: threads that are still inside an inference and were abandoned.
        """
        if self._engine_build is not None:
            self._engine_build.cancel()
        self._configuring.join()
        self._release()
        self._jump.unregister()
        self._python_log.close()
        return self._abandoned

    def _configure(self):
        if self._parameter_faults:
            raise BadParameter(
                ' '.join(str(fault) for fault in self._parameter_faults)
                + ' Correct it in the parameter file or on the command line, and start the node again.'
            )
        started_s = time.monotonic()
        # Imported here, so that a missing library is reported and the node stays reachable. Loading the libraries from
        # a slow disk takes a while.
        with long_silence():
            from facial_emotion_ros.perception.face_tracker import ID_COUNT, FaceTracker
            from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
            from facial_emotion_ros.pipeline.tensorrt_build import EngineBuild
        models = {
            'esr': self.value('inference.bundle'),
            'detector': self.value('detector.bundle'),
            'min_score': self.value('detector.min_score') or None,
            'long_side_px': self.value('detector.long_side_px'),
            'max_faces': self.value('inference.max_faces'),
            'anytime': self.value('inference.deadline_ms') > 0,
            'operating_point': self.value('inference.operating_point'),
            'prior': self.value('inference.prior'),
        }
        plan_names = (
            'inference.providers',
            'inference.threads',
            'inference.spin',
            'inference.precision',
            'inference.face_batch',
            'inference.engine',
            'inference.engine_cache',
        )
        self._engine_build = EngineBuild(models, {name.partition('.')[2]: self.value(name) for name in plan_names})
        plan = self._engine_build.plan()
        self._engine_build.run(plan)
        first_face = self.value('tracker.first_face')
        if first_face < 0:
            first_face = random.SystemRandom().randrange(ID_COUNT)
        self._pipeline = EmotionPipeline(providers=plan, tracker=FaceTracker(first_face=first_face), **models)
        self._pipeline.warm_up()
        # Again: the parameters may have changed meanwhile, unchecked because there was no pipeline.
        self._pipeline.use_operating_point(*(self.value(name) for name in POINT))
        with self._declaring:
            self._open_outputs()
        self._fault = ''
        bundle = self._pipeline.esr_bundle
        self._changes.info(
            'Configured: %s %s and %s on %s, ready after %.1f s.'
            % (
                bundle.name,
                bundle.version,
                self._pipeline.detector_bundle.name,
                self._pipeline.provider,
                time.monotonic() - started_s,
            )
        )

    def _open_outputs(self):
        from facial_emotion_ros.ros.hri_output import CropOutputs
        from facial_emotion_ros.ros.outputs import Outputs, VisionInfoOutput

        prefix = self.value('output.humans_prefix')
        if self.value('input.mode') != 'humans':
            self._outputs = Outputs(self, prefix, self.value('output.opendr'), self._follow_soon)
        elif prefix:
            self._outputs = CropOutputs(self, prefix)
            unused = parameters.without_effect({row.name: self.value(row.name) for row in parameters.TABLE})
            if unused:
                self.get_logger().warning('These have no effect with input.mode humans: %s.' % ', '.join(unused))
        else:
            raise BadParameter(
                "expected output.humans_prefix to be set with input.mode humans, got ''; set it, for example to "
                "'/humans'."
            )
        later = override_names(self) if self.value('input.mode') == 'image' else ()
        parameters.warn_unknown_overrides(self, later)
        self._vision_info = VisionInfoOutput(self)
        self._vision_info.announce(self._pipeline.engine)

    def _refuse(self, reason):
        self._release()
        self._fault = reason.split('\n')[0]
        self.log_error(reason)
        return TransitionCallbackReturn.FAILURE

    def _stop_worker(self):
        """First half of the teardown: bond, subscription, slot, worker."""
        if self._bond is not None:
            self._bond.close()
            self._bond = None
        if self._input is not None:
            self._input.close()
            self._input = None
        if self._worker is not None:
            if not self._worker.stop(_JOIN_S):
                self.get_logger().error(
                    'An image has been in work for more than %g s and is abandoned; the execution provider may hang.'
                    % _JOIN_S,
                    **EVERY_5_S,
                )
                self._abandoned.append(self._worker.thread)
                # The call may return at any time, so the pipeline must not be used or reset any more.
                self._pipeline = None
                self._fault = _HUNG
            self._worker = None
            self._outputs.forget_faces()

    def _release(self):
        """The complete teardown, in an order in which nothing publishes without a publisher."""
        self._stop_worker()
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._vision_info is not None:
            self._vision_info.close()
            self._vision_info = None
        if self._pipeline is not None:
            self._pipeline = None
            give_memory_back()

    async def _start_by_itself(self):
        self._autostart.cancel()
        if await self._configuring.run(self.trigger_configure) == TransitionCallbackReturn.SUCCESS:
            if self._outputs is not None and self._worker is None:  # no client has activated or cleaned up meanwhile
                self.trigger_activate()

    def _tick(self):
        self._watch_clock()
        if self._vision_info is not None and self._pipeline is not None and not self._configuring.running:
            self._vision_info.announce(self._pipeline.engine)
            if self.value('input.mode') == 'image':
                self._outputs.assert_liveliness()
        self._follow_subscribers()
        self._forget_unseen_faces()
        # Report at once that images arrive again, not with the next period.
        if self._diagnostics.is_silent and self._slot.silence_s() <= self.value('input.timeout_s'):
            self._publish_diagnostics()

    def _follow_soon(self):
        """Adapt to the subscribers after the event handler that reports them.

        Until then rclpy keeps all handles: a destroyed subscription still exists, and the middleware refuses one of
        another type on the same topic.
        """
        executor: Any = self.executor
        executor.create_task(self._follow_subscribers)

    def _follow_subscribers(self):
        if self._input is not None:
            self._input.follow(time.monotonic(), self._enabled)

    def _forget_unseen_faces(self):
        """Stop listing faces after a time without images: they may have left.

        Tracks stay: if images continue, their stamps decide whether faces keep their ids.
        """
        if self._worker is not None and self.value('input.mode') == 'image':
            limit_s = max(self.value('input.timeout_s'), self.value('tracker.max_age_s'))
            if self._slot.silence_s() > limit_s:
                self._outputs.forget_faces()

    def _restored_enable(self):
        """Return whether to start enabled: with enable.persist, as stored; disabled if that is unknown."""
        if not self.value('enable.persist'):
            return True
        try:
            enabled = self._enable_state.restore()
        except (OSError, ValueError) as error:
            self.get_logger().error(
                'Disabled, because the last state of ~/enable is unknown (enable.persist): %s; make the file writable '
                'and call ~/enable with true.' % error
            )
            return False
        if not enabled:
            self.get_logger().warning(
                'Disabled, as before the restart (enable.persist): call ~/enable with true to enable.'
            )
        return enabled

    def _enable(self, request, response):
        """Service ~/enable: stop or resume all processing, without a lifecycle transition."""
        changed, self._enabled = self._enabled != request.data, request.data
        if self._worker is not None:
            self._worker.pause(not request.data)
        self._follow_subscribers()
        if not request.data and self._outputs is not None:
            self._outputs.forget_faces()
        response.success = True
        words = 'enabled' if request.data else 'disabled: no image is processed'
        words = words.capitalize() if changed else 'Already ' + words
        response.message = words + ('.' if self._input is not None else '; the node is not active.')
        if changed:
            self._changes.info(response.message)
        if self.value('enable.persist'):
            try:
                self._enable_state.store(request.data)
            except OSError as error:
                response.success = request.data
                response.message += ' This is lost at a restart: %s.' % error
                self._errors.error(response.message)
        return response

    def _state(self):
        if self._finalized:
            return 'finalized'
        if self._configuring.running:
            return 'configuring'
        if self._input is None:
            return 'inactive' if self._outputs else 'unconfigured'
        return 'active' if self._enabled else 'disabled'

    def _watch_clock(self):
        """Detect steps of the system clock; jump callbacks only report simulated time."""
        self._diagnostics.watch_clock()
        clock: Any = self.get_clock()
        if clock.ros_time_is_active:
            self._clock_steps.pause()
            return
        step_s = self._clock_steps.step_s(time.time(), time.monotonic())
        if step_s:
            self._clock_jumped(step_s)

    def _clock_jumped(self, _jump):
        if self._worker is not None and self._slot.snapshot()['received']:
            self._worker.forget()
            self._slot.count('clock_jumps')
            self.get_logger().warning('The clock has jumped: the previous faces are forgotten.', **EVERY_5_S)

    def _publish_diagnostics(self):
        self._diagnostics.publish(self._state(), self._slot.snapshot(), self._input, self._pipeline, self._fault)
        if self._worker is not None and self.value('input.mode') == 'image':
            self._outputs.warn_duplicate_publishers()
