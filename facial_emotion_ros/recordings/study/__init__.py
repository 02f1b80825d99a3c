"""Studies: many recordings of participants under conditions; events in them; several raters."""
