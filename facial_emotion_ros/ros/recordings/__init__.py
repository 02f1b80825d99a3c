"""Play and record rosbags on the ROS graph, for replays."""
