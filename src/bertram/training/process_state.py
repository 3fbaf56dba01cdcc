"""State of the calling process that a training changes and restores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bertram.config import Config


@contextmanager
def own_process_state(config: Config) -> Iterator[None]:
    """Use the threads and the seed of a configuration; afterwards the caller's threads and random state are restored.

    Nothing in a training draws from PyTorch's generator of a CUDA device, so it stays as it is.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
