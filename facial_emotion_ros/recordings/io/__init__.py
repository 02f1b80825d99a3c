"""Read and write recordings (rosbags, video files) without a ROS installation."""
