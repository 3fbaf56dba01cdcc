"""Comparing models: differences, verdicts, and what may be compared."""
