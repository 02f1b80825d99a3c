"""The demo's two nodes: media source and console view."""
