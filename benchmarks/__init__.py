"""Benchmarks and measurements, a package for each subject; `python -m benchmarks` compares BERTram with its peers."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # both read before transformers is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
