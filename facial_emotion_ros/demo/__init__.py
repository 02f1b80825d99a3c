"""Frame sources, sample video and video output for the demo and for recordings."""
