"""Training: gradients of each task, one update."""
