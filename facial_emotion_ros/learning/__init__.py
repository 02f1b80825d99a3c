"""Training: torch and nothing of ROS."""
