"""Transitions of the lifecycle as rclpy alone does not do them: configuring beside the executor, and faults told."""

import functools
import threading
import traceback

from lifecycle_msgs.msg import Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future

from facial_emotion_ros.errors import FacialEmotionError


def told(transition):
    """Make a transition callback of a method, one that tells what goes wrong: rclpy turns it into ERROR in silence.

    An error of our own family refuses the transition and leaves the state as it is.

    :param transition: method without arguments of a node that has `tell_fault(sentence)`.
    :returns: the callback.
    """
    @functools.wraps(transition)
    def callback(self, _state):
        try:
            transition(self)
        except FacialEmotionError as fault:
            self.get_logger().error(str(fault))
            return TransitionCallbackReturn.FAILURE
        except Exception as fault:
            sentence = '%s failed: %s' % (transition.__name__, fault)
            self.get_logger().error('%s (please report this)\n%s' % (sentence, traceback.format_exc()))
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
        #: For callbacks that wait for it; those of the node's default group go on.
        self.callbacks = ReentrantCallbackGroup()

    @property
    def under_way(self):
        """Whether a thread is configuring."""
        return self._thread is not None and self._thread.is_alive()

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
                done.set_result(configure())
            except Exception as fault:
                done.set_exception(fault)
            executor.wake()

        self._thread = threading.Thread(target=work, name='loading', daemon=True)
        self._thread.start()  # the system may refuse
        return await done

    def join(self):
        """Wait until nothing is being configured."""
        if self.under_way:
            self._thread.join()

    def take_over_service(self):
        """Have ~/change_state configure beside the executor, and answer a transition that the state does not allow.

        rclpy would block the executor for the one, and let the other end the spin.
        """
        service = getattr(self._node, '_service_change_state', None)
        if service is None:
            return
        change_state = service.callback

        async def answer(request, response):
            change = functools.partial(change_state, request, response)
            wanted = request.transition
            try:
                if wanted.id == Transition.TRANSITION_CONFIGURE or wanted.label == 'configure':
                    return await self.run(change)
                return change()
            except Exception as fault:
                self._node.get_logger().warning('Refused a change of state: %s' % str(fault).split(', at ')[0])
                response.success = False
                return response
        service.callback = answer
        service.callback_group = self.callbacks
        self.callbacks.add_entity(service)
