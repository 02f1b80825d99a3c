"""Many recordings: discovery, local and Ray workers, result store."""
