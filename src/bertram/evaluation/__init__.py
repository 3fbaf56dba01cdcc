"""Scores with their intervals, comparisons of runs, and files of predictions."""
