"""Pages about one recording and about many."""
