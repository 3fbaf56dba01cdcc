"""One run over several processes by `torch.distributed`: the part of each process, and the exchange between them.

Every process draws the whole global batch from the same seed and takes its part of it, so nothing but gradients and
evaluation outputs is ever sent.
"""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def start(device: str = "auto") -> None:
    """Join the other processes if there are any, as `torchrun` says.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; with ``cpu`` gradients never go through a GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        cuda = device != "cpu" and torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo")


def finish() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """True in the process that writes files and shows progress."""
    return rank() == 0


def on_first(action: Callable[[], object]) -> None:
    """Do something in the first process only."""
    if is_first():
        action()


def wait() -> None:
    """Wait until all processes are here."""
    if dist.is_initialized():
        dist.barrier()


def summed(gradients: Mapping[str, Tensor | None], like: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """The sum of gradients over the processes; None where no process has one.

    Args:
        gradients: this process's gradients by name, None where it has none.
        like: tensors of the gradients' shapes, by the same names in the same order.
    """
    if not dist.is_initialized():
        return dict(gradients)
    parts = [torch.zeros_like(p) if gradients[name] is None else gradients[name] for name, p in like.items()]
    device = next(iter(like.values())).device
    present = torch.tensor([float(gradients[name] is not None) for name in like], device=device)
    message = torch.cat([*(part.flatten() for part in parts if part is not None), present])
    dist.all_reduce(message)
    *sums, present = torch.split(message, [p.numel() for p in like.values()] + [len(like)])
    return {
        name: total.view_as(p) if has_gradient else None
        for (name, p), total, has_gradient in zip(like.items(), sums, present.tolist(), strict=True)
    }


def collected(value: T) -> list[T]:
    """The value of every process, in the order of the processes."""
    if not dist.is_initialized():
        return [value]
    values: list[T | None] = [None] * count()
    dist.all_gather_object(values, value)
    return [part for part in values if part is not None]


def from_first(value: T) -> T:
    """The value that the first process has."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
