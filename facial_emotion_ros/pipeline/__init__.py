"""The whole way from an image to face estimates, and the choice of the engine that it runs on."""
