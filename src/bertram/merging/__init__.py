"""Averaged weights (soups) and averaged predictions (ensembles)."""
