"""Who is in recordings: faces merge into persons, within a recording and across those of a study."""
