"""Playing and recording rosbags with the node, for replays."""
