"""Transitions of the lifecycle as rclpy alone does not do them: configuring beside the executor, and faults told."""

import functools
import threading
import traceback

from lifecycle_msgs.msg import Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.ros.log_limits import FAULT


def told(transition):
    """Make a transition callback of a method, one that tells what goes wrong: rclpy turns it into ERROR in silence.

    An error of our own family refuses the transition and leaves the state as it is.

    :param transition: method without arguments of a node that has `tell_fault(sentence)` and `complain(sentence)`.
    :returns: the callback.
    """
    @functools.wraps(transition)
    def callback(self, _state):
        try:
            transition(self)
        except FacialEmotionError as fault:
            self.complain(str(fault))
            return TransitionCallbackReturn.FAILURE
        except Exception as fault:
            sentence = '%s failed: %s' % (transition.__name__, fault)
            self.complain('%s (please report this)\n%s' % (sentence, traceback.format_exc()))
            self.tell_fault(sentence)
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS
    return callback


class Loading:
    """Configuring in a thread, while the executor goes on with other callbacks."""

    def __init__(self, node):
        """Prepare; nothing runs yet.

        :param node: rclpy LifecycleNode.
        """
        self._node = node
        self._thread = None
        #: Whether a thread is configuring.
        self.under_way = False
        #: For callbacks that wait for it; those of the node's default group go on.
        self.callbacks = ReentrantCallbackGroup()

    async def run(self, configure):
        """Configure; to be awaited in the executor's thread, in a callback of the group `callbacks`.

        :param configure: function that does so.
        :returns: what it returns, and raises what it raises.
        :raises FacialEmotionError: if it is under way already.
        """
        if self.under_way:
            raise FacialEmotionError('the node is being configured already')
        executor = self._node.executor
        done = Future(executor=executor)

        def work():
            try:
                outcome = configure()
            except Exception as fault:
                self.under_way = False
                done.set_exception(fault)
            else:
                self.under_way = False  # before anybody hears of it, and asks for the next transition
                done.set_result(outcome)
            executor.wake()

        self._thread = threading.Thread(target=work, name='loading', daemon=True)
        self.under_way = True
        try:
            self._thread.start()
        except Exception:  # the system may refuse
            self.under_way, self._thread = False, None
            raise
        return await done

    def join(self):
        """Wait until nothing is being configured."""
        if self._thread is not None:
            self._thread.join()

    def take_over_service(self):
        """Have ~/change_state configure beside the executor, and refuse a transition that the state does not allow.

        rclpy would block the executor for the one; the other would end the spin, log a line of rcl for each request,
        and while a transition is under way, change the state below its callback: the state machine has transitions
        such as `transition_success` for that.
        """
        service = getattr(self._node, '_service_change_state', None)
        if service is None:
            return
        change_state = service.callback

        async def answer(request, response):
            change = functools.partial(change_state, request, response)
            try:
                if self._allowed(request.transition) == Transition.TRANSITION_CONFIGURE:
                    return await self.run(change)
                return change()
            except Exception as fault:
                self._node.get_logger().warning('Refused a change of state: %s' % str(fault).split(', at ')[0], **FAULT)
                response.success = False
                return response
        service.callback = answer
        service.callback_group = self.callbacks
        self.callbacks.add_entity(service)

    def _allowed(self, wanted):
        """Check a transition that somebody asks for.

        :param wanted: lifecycle_msgs/Transition; as in rclpy, its label counts where there is one.
        :returns: its id.
        :raises FacialEmotionError: if the node is being configured, or its state has no such transition.
        """
        if self.under_way:
            raise FacialEmotionError('the node is being configured; ask again when that has ended')
        machine = self._node._state_machine  # rclpy has no public way to ask for it without a service
        available = {row[1]: row[0] for row in machine.available_transitions}
        number = available.get(wanted.label) if wanted.label else wanted.id
        if number not in available.values():
            raise FacialEmotionError('expected %s in the state %s, got %r (id %d)' % (
                ' or '.join(sorted(available)) or 'no transition', machine.current_state[1], wanted.label[:40],
                wanted.id))
        return number
