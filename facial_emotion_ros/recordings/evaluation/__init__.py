"""The evaluation of one recording: estimates, ground truth, metrics, tables, videos."""
