# A ROS 2 node that subscribes to the faces of emotion_node and prints their emotions: a template for your own node.
#     ros2 run facial_emotion_ros emotion_node          and, in another terminal,          python3 emotion_listener.py
# The topic `affect` has the same ids and boxes with `valence`, `arousal` and `agreement` as hypotheses.
"""Print the emotion of every face that emotion_node publishes."""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray


class EmotionListener(Node):
    """Subscribe to `detections`; remap it if emotion_node has a namespace."""

    def __init__(self):
        super().__init__('emotion_listener')
        self.create_subscription(Detection2DArray, 'detections', self.print_faces, 10)

    def print_faces(self, message):
        """Print one line for each face; for an image without faces, the message has none."""
        stamp = message.header.stamp  # of the image
        for face in message.detections:
            # The first hypothesis is the published emotion, `unknown` if the estimate is not reliable.
            emotion = face.results[0].hypothesis
            time_s = stamp.sec + stamp.nanosec * 1e-9
            print(f'{time_s:.3f}  {face.id}  {emotion.class_id:8} {emotion.score:.2f}', flush=True)


def main():
    """Run until Ctrl-C."""
    rclpy.init()
    node = EmotionListener()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()  # before the context is destroyed: at Python's exit, the middleware may crash
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
