"""Extend rclpy's lifecycle: log errors of transitions, and configure without blocking the executor."""

import functools
import threading
import traceback
from typing import Any, Callable, Optional

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.ros.logs import EVERY_5_S


def lifecycle_callback(transition: Callable[[Any], None]) -> Callable[[Any, Any], TransitionCallbackReturn]:
    """Decorate a method as a transition callback that logs exceptions: rclpy silently turns them into ERROR.

    A FacialEmotionError refuses the transition (FAILURE) and leaves the state unchanged.

    :param transition: method without arguments of a node that has `report_fault(sentence)` and `log_error(sentence)`.
    """

    @functools.wraps(transition)
    def callback(self, _state):
        try:
            transition(self)
        except FacialEmotionError as error:
            self.log_error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            sentence = '%s failed: %s' % (transition.__name__, error)
            self.log_error('%s (please report this)\n%s' % (sentence, traceback.format_exc()))
            self.report_fault(sentence)
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    return callback


class BackgroundConfigure:
    """Configure in a thread, while the executor serves other callbacks."""

    def __init__(self, node: Any):
        """Start no thread yet.

        :param node: rclpy LifecycleNode.
        """
        self._node = node
        self._thread: Optional[threading.Thread] = None
        #: Whether the thread is configuring.
        self.running = False
        #: Group for callbacks that wait for the thread, so that those of the default group continue.
        self.callbacks = ReentrantCallbackGroup()

    async def run(self, configure: Callable[[], Any]) -> Any:
        """Call `configure` in the thread; to be awaited in a callback of the group `callbacks`.

        :returns: what `configure` returns; its exceptions are passed on.
        :raises FacialEmotionError: if the thread is already running.
        """
        if self.running:
            raise FacialEmotionError('the node is already being configured')
        executor = self._node.executor
        done = Future(executor=executor)

        def work():
            try:
                result = configure()
            except Exception as error:
                self.running = False
                done.set_exception(error)
            else:
                self.running = False  # before the result is known and the next transition requested
                done.set_result(result)
            executor.wake()

        self._thread = threading.Thread(target=work, name='configure', daemon=True)
        self.running = True
        try:
            self._thread.start()
        except Exception:  # the system may have no more threads
            self.running, self._thread = False, None
            raise
        return await done

    def join(self) -> None:
        """Wait until nothing is being configured."""
        if self._thread is not None:
            self._thread.join()

    def take_over_service(self) -> None:
        """Replace the callback of ~/change_state: configure in the background, and refuse invalid transitions.

        rclpy would block the executor while configuring. After an invalid request it would end spinning and log an rcl
        error; during a transition it would change the state, since the state machine has internal transitions such as
        `transition_success`.
        """
        service = self._service_of(ChangeState)
        change_state = service.callback

        async def answer(request, response):
            change = functools.partial(change_state, request, response)
            try:
                if self._transition_id(request.transition) == Transition.TRANSITION_CONFIGURE:
                    return await self.run(change)
                return change()
            except Exception as error:
                reason = str(error).split(', at ')[0]
                self._node.get_logger().warning('Refused a lifecycle transition: %s' % reason, **EVERY_5_S)
                response.success = False
                return response

        service.callback = answer
        service.callback_group = self.callbacks
        self.callbacks.add_entity(service)

    def _transition_id(self, requested):
        """Return the id of a requested transition; its label, if given, takes precedence, as in rclpy.

        :raises FacialEmotionError: if the node is being configured, or its state has no such transition.
        """
        if self.running:
            raise FacialEmotionError('the node is being configured; try again afterwards')
        rows = self._ask(GetAvailableTransitions).available_transitions
        available = {row.transition.label: row.transition.id for row in rows}
        number = available.get(requested.label) if requested.label else requested.id
        if number not in available.values():
            names = ' or '.join(sorted(available)) or 'no transition'
            raise FacialEmotionError(
                'expected %s in the state %s, got %r (id %d)'
                % (names, self._ask(GetState).current_state.label, requested.label[:40], requested.id)
            )
        return number

    def _ask(self, service_type):
        """Call rclpy's own service directly: a node has no other public access to its state."""
        return self._service_of(service_type).callback(service_type.Request(), service_type.Response())

    def _service_of(self, service_type):
        """Return the node's first service of a type; names may be remapped.

        The second service of type GetAvailableTransitions lists the transitions of all states.
        """
        return next(service for service in self._node.services if service.srv_type is service_type)
