"""Evaluate one recording: estimates, ground truth, metrics, tables, videos."""
