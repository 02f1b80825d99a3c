"""
Start emotion_node for Jetson TX2: `ros2 launch facial_emotion_ros jetson_tx2.launch.py`.

Everything is node.launch.py but the parameter file. Not run on a board yet: see docs/jetson.md.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Give the parameter file another default and include node.launch.py, whose arguments are arguments here too."""
    board = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'config', 'jetson_tx2.yaml'])
    node = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'launch', 'node.launch.py'])
    return LaunchDescription([
        DeclareLaunchArgument('params_file', default_value=board,
                              description="Parameter file in place of the package's own config/jetson_tx2.yaml."),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(node),
                                 launch_arguments=[('params_file', LaunchConfiguration('params_file'))]),
    ])
