"""HTML reports about one recording and about many."""
