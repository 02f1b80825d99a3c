"""Code shared by several commands: arguments, error handling, progress and tables."""
