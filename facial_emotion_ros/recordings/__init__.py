"""Recordings (rosbags): reading, evaluation, reports, batches."""
