"""State of the calling process that a training changes and restores."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bertram.config import Config

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's malloc.h
KEPT_BYTES = 1 << 29  # free memory at the end of the heap that stays with the process
HEAP_BYTES = 1 << 25  # smallest allocation outside the heap, glibc's largest value


@contextmanager
def own_process_state(config: Config) -> Iterator[None]:
    """Use the threads and the seed of a configuration; afterwards the caller's threads and random state are restored.

    The C library keeps freed memory for later steps (`keep_freed_memory`); what is free in the end is given back.

    Nothing in a training draws from PyTorch's generator of a CUDA device, so it stays as it is.
    """
    threads = torch.get_num_threads()
    keep_freed_memory()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            release_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, instead of giving it back to the system and asking for it again in the next step.

    The gradients of a step are freed after each update. The system zeroes each page that comes back, which takes 3 % of
    a plain step and 6 % of one with PCGrad. Has no effect with another C library.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(M_MMAP_THRESHOLD, HEAP_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release_freed_memory() -> None:
    """Give memory that is free back to the system, where the C library is glibc."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
