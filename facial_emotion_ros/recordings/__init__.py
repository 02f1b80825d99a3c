"""Recordings (rosbags, videos): reading, evaluation, reports, batches, studies."""
