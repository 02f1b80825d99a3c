"""What several commands share: arguments, errors, progress and tables."""
