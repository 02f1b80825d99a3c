"""The robot's executables: the only place that imports rclpy."""
