"""Prediction: evaluation, latency and throughput beside those of the peers."""
