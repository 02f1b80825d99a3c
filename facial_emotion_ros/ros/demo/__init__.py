"""The two small nodes of the demo: media source and console view."""
