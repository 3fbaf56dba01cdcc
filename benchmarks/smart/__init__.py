"""SMART: what public code computes, and where the defaults come from."""
