"""The pipeline from an image to face estimates, and the choice of its inference engine."""
