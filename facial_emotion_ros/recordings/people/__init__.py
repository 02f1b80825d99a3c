"""Face re-identification: merge face ids into persons, within a recording and across recordings."""
