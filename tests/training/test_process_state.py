"""What a training changes in the process that calls it."""

import resource
import sys
from pathlib import Path

import pytest
import torch

from bertram.training.process_state import _glibc, keep_freed_memory, release_freed_memory

PAGES = (1 << 24) // resource.getpagesize()  # of a tensor below


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def allocate_and_free() -> None:
    tensors = [torch.ones(1 << 22) for _ in range(4)]
    del tensors


def page_faults_of_a_round() -> int:
    before = page_faults()
    allocate_and_free()
    return page_faults() - before


@pytest.mark.skipif(_glibc() is None, reason="needs glibc")
def test_freed_memory_is_kept_for_the_next_step_until_it_is_released() -> None:
    keep_freed_memory()
    assert min(page_faults_of_a_round() for _ in range(8)) < PAGES // 4  # the first ones find no freed memory
    kept = resident_pages()
    release_freed_memory()
    assert kept - resident_pages() > 2 * PAGES


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _glibc() is None
    keep_freed_memory()
    release_freed_memory()
