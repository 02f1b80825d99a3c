"""
Start emotion_node for Jetson Orin: `ros2 launch facial_emotion_ros jetson_orin.launch.py`.

node.launch.py with another parameter file. Not run on a board yet: see docs/jetson.md.
"""

from launch import LaunchDescription

from facial_emotion_ros.ros.launch_actions import board


def generate_launch_description():
    """Include node.launch.py, whose arguments apply here too, with another default parameter file."""
    return LaunchDescription(board('jetson_orin'))
