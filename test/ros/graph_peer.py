"""A node of the test process: camera, subscriber and operator in one. It shares no code with the package."""

import array
import os
import time
from collections import OrderedDict

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}
#: Source: facial_emotion_ros/ros/latest_slot.py.
KEPT = 300


def quality(reliable=True, depth=10, latched=False):
    """Return a QoS profile."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def scene(width=640, height=480, faces=1):
    """Paint the astronaut, once or more often side by side, the first one largest.

    :returns: (H, W, 3) uint8 BGR.
    """
    canvas = np.full((height, width, 3), 90, np.uint8)
    portrait = cv2.imread(os.path.join(REPOSITORY, 'samples', 'astronaut.jpg'))
    side, left = height if faces == 1 else min(height, width // 2), 0
    for _ in range(faces):
        canvas[:side, left : left + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
        left, side = left + side, min(side * 3 // 4, width - left - side)
    return canvas


def image_fields(picture, encoding='bgr8'):
    """Return the fields of a sensor_msgs/Image for an array."""
    return {
        'height': picture.shape[0],
        'width': picture.shape[1],
        'encoding': encoding,
        'step': picture.shape[1] * picture.itemsize * (picture.shape[2] if picture.ndim == 3 else 1),
        'data': array.array('B', picture.tobytes()),
    }


class Peer:
    """One node and its executor, spun by whoever waits."""

    def __init__(self, context):
        """Create the node.

        :param context: rclpy context that has been initialised.
        """
        self.node = Node('peer', context=context, start_parameter_services=False, enable_rosout=False)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self._others = []

    def close(self):
        """Destroy the node, and those of `another`."""
        self.executor.remove_node(self.node)
        self.executor.shutdown()
        for node in (self.node, *self._others):
            node.destroy_node()

    def another(self, name, namespace):
        """Return a second node, which is not spun. It goes with this one, lest a test that fails leave it to others."""
        self._others.append(Node(name, namespace=namespace, context=self.node.context))
        return self._others[-1]

    def wait(self, condition, what, timeout_s=60.0, each=None, every_s=0.1):
        """Spin until a condition holds.

        :param condition: function without arguments; its first true value is returned.
        :param what: words for the failure.
        :param timeout_s: float.
        :param each: called every `every_s` meanwhile, for example to publish one more image.
        """
        end, due = time.monotonic() + timeout_s, 0.0
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, 'waited %g s in vain for %s' % (timeout_s, what)
            if each is not None and time.monotonic() >= due:
                each()
                due = time.monotonic() + every_s
            self.executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds):
        """Spin for a time: only where something must not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def listen(self, message_type, topic, **qos):
        """Subscribe.

        :returns: list that the messages are appended to.
        """
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, quality(**qos))
        return heard

    def camera(self, topic='image', reliable=True, picture=None):
        """Open a camera.

        :param picture: (H, W, 3) BGR; the astronaut in 320x240 if None.
        """
        return Camera(self.node, topic, reliable, scene(320, 240) if picture is None else picture)

    def compressed_camera(self, topic='image/compressed'):
        """Open a camera that publishes the astronaut as JPEG."""
        return CompressedCamera(self.node, topic)

    def first_answer(self, camera, heard, health):
        """Shoot until the node answers, then let it catch up.

        :param camera: a reliable one.
        :returns: the counters, with no image under way.
        """
        self.wait(lambda: camera.answers(heard), 'the first answer', each=camera.shoot, every_s=1.0)
        # It may have been answered over a subscription that is exchanged for a reliable one now.
        self.wait(camera.watched_reliably, 'a reliable subscription')
        last = camera.shoot()
        self.wait(lambda: heard[-1].header == last, 'the answer to the last image')
        return self.counts_from_now(health)

    def counts_from_now(self, health):
        """Wait for counters that were surely taken after this call, with no image under way.

        The next diagnostics may have been on their way already; those after them were not.
        """
        reported = health.reported()
        return self.wait(lambda: health.reported() > reported + 1 and health.settled(), 'the counters')

    def health(self):
        """Listen to the node's diagnostics."""
        return Health(self.listen(DiagnosticArray, '/diagnostics'))

    def topics(self):
        """Return the topics that someone publishes."""
        return [name for name, _ in self.node.get_topic_names_and_types() if self.node.count_publishers(name)]

    def client(self, service_type, name):
        """Open a client of a service of a lifecycle node, whose answers will not be lost.

        A service is ready before it knows its new client, and the answer to that one's first request is dropped where
        the middleware hears of it more than 0.1 s late. Ends are made known in their order: once an answer has come
        to a client that was opened later, this one is known too.
        """
        client = self.node.create_client(service_type, name)
        self.wait(client.service_is_ready, 'the service ' + name)
        self.state(name.rpartition('/')[0])
        return client

    def call(self, service_type, name, request, timeout_s=60.0):
        """Call a service and wait for its answer."""
        client = self.client(service_type, name)
        future = client.call_async(request)
        self.wait(future.done, 'an answer of ' + name, timeout_s)
        self.node.destroy_client(client)
        return future.result()

    def change_state(self, transition, node='/emotion_node'):
        """Ask for a lifecycle transition by its name or number.

        :returns: whether it succeeded.
        """
        return self.call(ChangeState, node + '/change_state', change_to(transition)).success

    def start_change_state(self, transition, node='/emotion_node'):
        """Ask for a lifecycle transition, and wait for no answer.

        :returns: future of the response.
        """
        return self.client(ChangeState, node + '/change_state').call_async(change_to(transition))

    def state(self, node='/emotion_node'):
        """Return the name of the lifecycle state; an answer that was lost, see `client`, is asked for again."""
        name, asked = node + '/get_state', []
        client = self.node.create_client(GetState, name)
        self.wait(client.service_is_ready, 'the service ' + name)
        [future] = self.wait(
            lambda: [future for future in asked if future.done()][:1],
            'an answer of ' + name,
            each=lambda: asked.append(client.call_async(GetState.Request())),
            every_s=3.0,
        )
        self.node.destroy_client(client)
        return future.result().current_state.label

    def wait_state(self, state, node='/emotion_node'):
        """Wait until the node is in a state."""
        self.wait(lambda: self.state(node) == state, 'the state ' + state)

    def set_parameter(self, parameter, node='/emotion_node'):
        """Set one parameter, an rclpy Parameter.

        :returns: SetParametersResult.
        """
        request = SetParameters.Request(parameters=[parameter.to_parameter_msg()])
        return self.call(SetParameters, node + '/set_parameters', request).results[0]

    def get_parameters(self, names, node='/emotion_node'):
        """Return ParameterValue messages."""
        return self.call(GetParameters, node + '/get_parameters', GetParameters.Request(names=names)).values

    def describe(self, names, node='/emotion_node'):
        """Return ParameterDescriptor messages."""
        request = DescribeParameters.Request(names=names)
        return self.call(DescribeParameters, node + '/describe_parameters', request).descriptors


def change_to(transition):
    """Return the request of a lifecycle transition by its name or number."""
    request = ChangeState.Request()
    request.transition.id = TRANSITIONS.get(transition, transition)
    return request


class Camera:
    """Publishes one picture, or the fields that a test makes up."""

    _opened = 0

    def __init__(self, node, topic, reliable, picture):
        self._open(node, image_fields(picture), Image)
        self.publisher = node.create_publisher(Image, topic, quality(reliable, depth=1))

    def _open(self, node, fields, message_type):
        Camera._opened += 1
        #: The frame_id of its images, which no other camera of this process has.
        self.frame = 'camera_%d_optical_frame' % Camera._opened
        self._node = node
        self._fields = fields
        self._message_type = message_type

    def shoot(self, stamp=None, **fields):
        """Publish an image stamped now.

        :param stamp: builtin_interfaces/Time in place of now.
        :param fields: of the message, in place of the picture's.
        :returns: the header.
        """
        message = self._message_type(**dict(self._fields, **fields))
        message.header.stamp = stamp or self._node.get_clock().now().to_msg()
        message.header.frame_id = self.frame
        self.publisher.publish(message)
        return message.header

    def answers(self, heard):
        """Return those of the messages that answer an image of this camera."""
        return [message for message in heard if message.header.frame_id == self.frame]

    def watched(self):
        """Return whether someone is subscribed."""
        return self.publisher.get_subscription_count() > 0

    def watched_reliably(self):
        """Return whether every subscription is reliable: until the node has seen this camera, its own may not be."""
        offers = self._node.get_subscriptions_info_by_topic(self.publisher.topic_name)
        return self.watched() and all(offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers)


class CompressedCamera(Camera):
    """Publishes files of pictures."""

    def __init__(self, node, topic):
        self._open(
            node, {'format': 'bgr8; jpeg compressed bgr8', 'data': packed(scene(320, 240), '.jpg')}, CompressedImage
        )
        self.publisher = node.create_publisher(CompressedImage, topic, quality(depth=1))


def packed(picture, ending):
    """Return a picture as a file's bytes, for a message."""
    return array.array('B', cv2.imencode(ending, picture)[1].tobytes())


def work_p99_s(diagnostics):
    """Return T of a run: the 99th percentile of the time that an image is worked on, in s.

    The node tells it of its latest KEPT answers; of a longer run, it is the largest that such a number of them had.

    :param diagnostics: what plain_subscriber.py noted of them, in order.
    """
    reported = [message['/emotion_node: inference'] for message in diagnostics]
    reported = [values for values in reported if int(values['processed']) >= KEPT] or reported[-1:]
    return max(float(values['work_p99_ms']) for values in reported) / 1e3


class _Parts(OrderedDict):
    def __missing__(self, part):
        return DiagnosticStatus(level=DiagnosticStatus.STALE, name=part)


class Health:
    """Reads the latest diagnostics."""

    COUNTS = ('received', 'processed', 'replaced', 'bad', 'expired', 'failed', 'waiting', 'in_work')

    def __init__(self, heard):
        self._heard = heard

    def reported(self):
        """Return how many messages came."""
        return len(self._heard)

    def parts(self):
        """Return the latest statuses, part -> DiagnosticStatus; one that was not heard of yet is stale."""
        statuses = self._heard[-1].status if self._heard else []
        return _Parts((status.name.split(': ')[1], status) for status in statuses)

    def values(self, part):
        """Return the values of a part as a dict of str."""
        status = self.parts().get(part)
        return {} if status is None else {pair.key: pair.value for pair in status.values}

    def counts(self):
        """Return the counters; {} before the first message."""
        values = self.values('input')
        return {name: int(values[name]) for name in self.COUNTS} if values else {}

    def settled(self, received=None):
        """Return the counters if no frame waits or is in work (and so many were received), else {}."""
        counts = self.counts()
        if not counts or counts['waiting'] or counts['in_work']:
            return {}
        assert counts['received'] == sum(counts[other] for other in self.COUNTS[1:]), counts
        return counts if received in (None, counts['received']) else {}
