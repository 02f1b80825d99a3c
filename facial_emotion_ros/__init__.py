"""Reading human emotion on robots: faces, emotion categories, valence and arousal from a camera image."""

__version__ = '0.1.0'
