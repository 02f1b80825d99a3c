"""Rendered faces of people who do not exist: head model, action units, light, rasteriser."""
