"""Synthetic faces: head model, action units, lighting, rasterizer."""
