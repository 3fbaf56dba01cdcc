"""Training: the step beside that of the peers, precision, and the number of rows of a product."""
