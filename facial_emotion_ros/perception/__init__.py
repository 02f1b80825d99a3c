"""From encoded images to aligned face crops: image decoding, face detection, tracking and alignment."""
