"""Rosbags: read as far as they can be read, and written. Nothing of a running ROS."""
