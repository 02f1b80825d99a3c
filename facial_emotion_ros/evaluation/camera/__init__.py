"""Accuracy through the whole pipeline, on scenes with known faces."""
