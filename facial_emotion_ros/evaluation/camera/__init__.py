"""End-to-end evaluation of the pipeline on images with labelled faces."""
