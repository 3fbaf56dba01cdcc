"""The random generators of a run."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from bertram.training import processes


@dataclass(frozen=True)
class Generators:
    """The sources of randomness, independent of each other, so that a technique switched on disturbs no other.

    The order of the data needs none: it is a function of seed and step (`bertram.training.sampler`).

    Attributes:
        dropout: dropout masks.
        noise: random starts of SMART.
        surgery: order of the tasks in gradient surgery; always on the CPU.
    """

    dropout: torch.Generator
    noise: torch.Generator
    surgery: torch.Generator


def make_generators(seed: int, device: torch.device) -> Generators:
    """The generators of a run, seeded from its seed; each process draws masks and noise of its own."""
    own = f" {processes.rank()}" if processes.rank() else ""
    return Generators(
        seeded_generator(seed, f"dropout{own}", device),
        seeded_generator(seed, f"noise{own}", device),
        seeded_generator(seed, "surgery"),
    )


def seeded_generator(seed: int, name: str, device: torch.device | None = None) -> torch.Generator:
    """A generator for one purpose, independent of those with other seeds or names; on the CPU by default.

    Seed and name are mixed into 32 bits, since PyTorch's generator on the CPU reads no more of its seed than these.
    """
    mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)
    return torch.Generator(device or "cpu").manual_seed(int(mixed[0]))
