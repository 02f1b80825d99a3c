"""Batch evaluation of many recordings: discovery, local and Ray workers, result store."""
