"""The training itself: recipe, sampling, losses, phases, checkpoints, validation."""
