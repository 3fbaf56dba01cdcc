"""Averaged weights: an exponential moving average, or the mean of the last part of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bertram.config import AverageConfig
from bertram.runs.checkpoint import State

EVERY = 10  # largest number of steps between two updates; an average over fewer than 100 steps is updated more often


class Average:
    """Averaged weights of a network, kept beside it.

    Args:
        network: network whose trained weights are averaged.
        config: method and settings.
        total_steps: number of steps of the run.
    """

    def __init__(self, network: nn.Module, config: AverageConfig, total_steps: int) -> None:
        self.network, self.config = network, config
        self.first = round(config.tail_start * total_steps) if config.method == "tail" else 0
        self.every = max(1, min(EVERY, (total_steps - self.first) // EVERY))
        self.weights: dict[str, torch.Tensor] | None = None
        self.updates = 0

    @property
    def expected_later(self) -> bool:
        """Whether there shall be an average, but no weights have been taken in yet."""
        return self.config.method != "none" and self.weights is None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        if self.config.method == "none" or step < self.first or step % self.every:
            return
        now = self._trained()
        self.updates += 1
        if self.weights is None:
            self.weights = {name: weight.clone() for name, weight in now.items()}
            return
        share = 1 / self.updates  # of the newest weights: the plain mean
        if self.config.method == "ema":  # the plain mean at first, so that the start is forgotten
            share = max(share, 1 - self.config.ema_decay**self.every)
        torch._foreach_lerp_(list(self.weights.values()), list(now.values()), share)

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
        for name, weight in self._trained().items():
            own = weight.clone()
            weight.copy_(self.weights[name])
            self.weights[name].copy_(own)

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: p.detach() for name, p in self.network.named_parameters() if p.requires_grad}

    def state_dict(self) -> State:
        """State for a checkpoint."""
        return {"weights": self.weights, "updates": self.updates}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of a checkpoint."""
        device = next(self.network.parameters()).device
        weights = state["weights"]
        self.weights = None if weights is None else {name: weight.to(device) for name, weight in weights.items()}
        self.updates = state["updates"]
