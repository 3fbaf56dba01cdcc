"""Words over time: how the usages of a word differ between periods (Giulianelli, Del Tredici & Fernández, 2020)."""
