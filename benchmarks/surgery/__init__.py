"""Gradient surgery: what public code computes."""
