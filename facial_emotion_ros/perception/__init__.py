"""From encoded images to aligned face crops: decoding, detection, tracking, alignment."""
