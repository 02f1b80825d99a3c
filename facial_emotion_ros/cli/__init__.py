"""One thin file per workstation command."""
