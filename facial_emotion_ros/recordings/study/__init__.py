"""Studies: recordings of participants under conditions, their statistics, and event-related averages."""
