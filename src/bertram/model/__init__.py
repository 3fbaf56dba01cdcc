"""The model: a BERT encoder on packed tokens, heads on top of it, and their losses."""
