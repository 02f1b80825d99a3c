# Starts emotion_node under a lifecycle manager of Nav2, which activates it, also after a crash.
#     ros2 launch nav2_manager.launch.py image_topic:=/camera/image_raw
# It needs nav2_lifecycle_manager. If the package bond is not installed, add bond_timeout:=0.0.
"""Start emotion_node and a lifecycle manager for it."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    """Declare the arguments, and start the node and its manager."""
    node = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'launch', 'node.launch.py'])
    return LaunchDescription(
        [
            DeclareLaunchArgument('image_topic', default_value='image', description='Image topic of the camera.'),
            DeclareLaunchArgument(
                'bond_timeout',
                default_value='4.0',
                description='Seconds without a heartbeat after which the node is considered dead; 0.0: no bond.',
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(node),
                launch_arguments=[('autostart', 'false'), ('image_topic', LaunchConfiguration('image_topic'))],
            ),
            Node(
                package='nav2_lifecycle_manager',
                executable='lifecycle_manager',
                name='lifecycle_manager_faces',
                parameters=[
                    {
                        'autostart': True,
                        'node_names': ['emotion_node'],
                        'bond_timeout': ParameterValue(LaunchConfiguration('bond_timeout'), value_type=float),
                    }
                ],
                output='screen',
            ),
        ]
    )
