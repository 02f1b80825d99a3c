"""What a recording says of the emotions in it, and how well that was read."""
