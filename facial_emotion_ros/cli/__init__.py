"""Command-line programs, one file per command."""
