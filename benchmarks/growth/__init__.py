"""Growth: the cost of a step as batches, texts, tasks and the encoder grow."""
