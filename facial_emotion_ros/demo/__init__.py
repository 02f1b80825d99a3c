"""Frame sources, sample video and video files for the demo and for recordings."""
