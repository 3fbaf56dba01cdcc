"""Run directories: configuration, record, metrics, checkpoints, model; everything is written atomically."""
