"""The time of a step on a data-center GPU, by counting: nothing here was run on one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.common import counting
from bertram.data.examples import Batch
from bertram.data.packing import pack
from bertram.model.encoders import EncoderConfig

SHARE_OF_PEAK = 0.4  # of a matrix unit's peak that products of these sizes reach
SHARE_OF_BANDWIDTH = 0.8
SECONDS_TO_LAUNCH = 6e-6  # host time of an operation in eager PyTorch with its autograd
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "linear"}

Stepper = Callable[[Sequence[Batch]], object]


@dataclass(frozen=True)
class Device:
    """A GPU as its data sheet describes it.

    Attributes:
        name: name of the GPU.
        peak: dense bf16 operations per second.
        bandwidth: bytes of memory per second.
    """

    name: str
    peak: float
    bandwidth: float


DEVICES = [Device("A100 80 GB", 312e12, 2.04e12), Device("H100 SXM", 989e12, 3.35e12)]


class Traffic(TorchDispatchMode):
    """Counts operations that launch a kernel, and the bytes that those beside the matrix products read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not (func.is_view or name.startswith(("empty", "new_empty", "_local_scalar", "detach", "_unsafe_view"))):
            self.launches += 1
            if name not in PRODUCTS:
                written = [
                    args[place]
                    for place, argument in enumerate(func._schema.arguments[: len(args)])
                    if argument.alias_info is not None and argument.alias_info.is_write
                ]
                self.bytes += _size((args, kwargs)) + _size(written or result)
        return result


def _size(values: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))


@dataclass(frozen=True)
class Counts:
    """Launches and bytes of a step of any depth and size, from four small steps.

    Both are bilinear: in layers and in groups of equal length for the launches, in layers and tokens for the bytes.

    Attributes:
        launches: factors [4] of 1, layers, groups, layers x groups.
        bytes: factors [4] of 1, layers, tokens, layers x tokens.
    """

    launches: torch.Tensor
    bytes: torch.Tensor

    def of(self, layers: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Launches and bytes of one step."""
        launches = _terms(layers, _groups(batches)) @ self.launches
        moved = _terms(layers, counting.tokens_of(batches)) @ self.bytes
        return float(launches), float(moved)


def count(new_step: Callable[[int], Stepper], small: Sequence[Batch], larger: Sequence[Batch]) -> Counts:
    """Count the steps of one and of two layers on two sizes of batches.

    Args:
        new_step: function from a number of layers to the step of such an encoder.
        small: batches of the smaller step.
        larger: batches with other numbers of tokens and of groups.
    """
    sizes, totals = [], []
    for layers in (1, 2):
        step = new_step(layers)
        for batches in (small, larger):
            step(batches)  # the optimizer's state exists afterwards
            with Traffic() as traffic:
                step(batches)
            sizes.append((layers, _groups(batches), counting.tokens_of(batches)))
            totals.append((traffic.launches, traffic.bytes))
    launches = torch.stack([_terms(layers, groups) for layers, groups, _ in sizes])
    moved = torch.stack([_terms(layers, tokens) for layers, _, tokens in sizes])
    values = torch.tensor(totals, dtype=torch.float64)
    return Counts(torch.linalg.solve(launches, values[:, 0]), torch.linalg.solve(moved, values[:, 1]))


def _terms(layers: int, size: int) -> torch.Tensor:
    return torch.tensor([1, layers, size, layers * size], dtype=torch.float64)


def _groups(batches: Sequence[Batch]) -> int:
    return len(pack([tokens for batch in batches for tokens, _ in batch.sequences]).groups)


def forecast(counts: Counts, shape: EncoderConfig, steps: Mapping[str, Sequence[Batch]]) -> dict[str, Any]:
    """The forecast as a part of a record.

    Args:
        counts: counts of an encoder of the same width.
        shape: shape of the encoder.
        steps: batches of each step by name.
    """
    rows = []
    for device in DEVICES:
        for name, batches in steps.items():
            lengths = [len(tokens) for batch in batches for tokens, _ in batch.sequences]
            flop = counting.step_flop(shape, sum(lengths)) + counting.attention_flop(shape, lengths)
            launches, moved = counts.of(shape.layers, batches)
            products = flop / (device.peak * SHARE_OF_PEAK)
            memory = moved / (device.bandwidth * SHARE_OF_BANDWIDTH)
            launching = launches * SECONDS_TO_LAUNCH
            rows.append({
                "device": device.name, "step": name, "tokens": sum(lengths), "gflop": round(flop / 1e9, 1),
                "launches": round(launches), "products_ms": round(1e3 * products, 2),
                "memory_ms": round(1e3 * memory, 2), "launches_ms": round(1e3 * launching, 2),
                "step_ms": round(1e3 * max(products + memory, launching), 2),
            })  # fmt: skip
    return {
        "title": f"A prediction, not a measurement: one step of BERT ({shape.layers}×{shape.hidden}) on one GPU",
        "assumptions": (
            f"Counted: operations of the matrix products and of attention at {SHARE_OF_PEAK:.0%} of the data sheet's "
            f"dense bf16 peak; bytes that all other operations of our step read and write at {SHARE_OF_BANDWIDTH:.0%} "
            f"of the memory bandwidth; {SECONDS_TO_LAUNCH * 1e6:.0f} µs of host time for each operation. A step takes "
            "the larger of (products + memory) and launches. Operations are counted on the CPU's path, which writes "
            "attention out; the fused kernel makes fewer. Nothing was run on a GPU."
        ),
        "rows": rows,
    }
