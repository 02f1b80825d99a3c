"""Evaluation of models on data sets and recordings."""
