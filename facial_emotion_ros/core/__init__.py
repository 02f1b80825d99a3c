"""Basics for all other folders: emotions, errors, estimates, files, metrics, drawing."""
