"""Averaged weights: an exponential moving average, or the mean of a run's tail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bertram.config import AverageConfig

EVERY = 10  # at most so many steps between two updates; an average over fewer than 100 steps is updated more often


class Average:
    """Averaged weights of a network, kept beside it.

    Args:
        network: whose weights are averaged.
        config: how.
        total_steps: of the run.
    """

    def __init__(self, network: nn.Module, config: AverageConfig, total_steps: int) -> None:
        self.network, self.config = network, config
        self.first = round(config.tail_start * total_steps) if config.method == "tail" else 0
        self.every = max(1, min(EVERY, (total_steps - self.first) // EVERY))
        self.weights: list[torch.Tensor] | None = None
        self.updates = 0

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after an update."""
        if self.config.method == "none" or step < self.first or step % self.every:
            return
        now: list[torch.Tensor] = [p.detach() for p in self.network.parameters() if p.requires_grad]
        self.updates += 1
        if self.weights is None:
            self.weights = [p.clone() for p in now]
            return
        share = 1 / self.updates  # of the newest weights: the plain mean
        if self.config.method == "ema":  # the plain mean at first, so that the start is forgotten
            share = max(share, 1 - self.config.ema_decay**self.every)
        torch._foreach_lerp_(self.weights, now, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network with the averaged weights, if there are any yet; with its own again afterwards."""
        if self.weights is None:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        assert self.weights is not None
        for mine, theirs in zip(self.weights, (p for p in self.network.parameters() if p.requires_grad), strict=True):
            kept = theirs.detach().clone()
            theirs.copy_(mine)
            mine.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"weights": self.weights, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        device = next(self.network.parameters()).device
        self.weights = None if state["weights"] is None else [weight.to(device) for weight in state["weights"]]
        self.updates = state["updates"]
