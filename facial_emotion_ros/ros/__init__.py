"""ROS nodes and executables: the only folder that imports rclpy."""
