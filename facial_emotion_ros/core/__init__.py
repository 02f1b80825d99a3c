"""What every other room builds on: emotions, errors, estimates, files, metrics, drawing."""
