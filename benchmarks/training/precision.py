"""Scores of a short real training with bf16 products, and with updates of the used embedding rows alone.

    python -m benchmarks.training.precision             nine runs of about two minutes, into results/precision
    python -m benchmarks.training.precision --seeds 2   the runs of one seed
    bertram compare results/precision/fp32-rows-* results/precision/bf16-rows-* results/precision/fp32-dense-*

A processor without bf16 instructions needs ten times as long for bf16 products. There they are computed in fp32 on
operands rounded to bf16, and rounded again: what the instructions compute, up to the order in which fp32 adds up.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common.records import ROOT
from bertram import options
from bertram.minbert.catalogue import recipe
from bertram.training.train import train

VARIANTS = {"fp32-rows": ("fp32", "rows"), "bf16-rows": ("bf16", "rows"), "fp32-dense": ("fp32", "dense")}
BUDGET = {"sampling": {"epochs": 1, "fraction": 0.1}, "evaluation": {"max_eval_samples": 1000, "final_weights": "last"}}


class RoundedLinear(torch.autograd.Function):
    """x Wᵀ of bf16 tensors and its gradients, each product with fp32 sums and a result rounded to bf16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """[rows, inputs] and [outputs, inputs] to [rows, outputs]."""
        ctx.save_for_backward(x, weight)
        return (x.float() @ weight.float().t()).bfloat16()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The gradients that autograd needs."""
        x, weight = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad
        return (
            (grad.float() @ weight.float()).bfloat16() if needs_x else None,
            (grad.float().t() @ x.float()).bfloat16() if needs_weight else None,
        )


@contextmanager
def products_in_fp32() -> Iterator[None]:
    """Let linear layers with bf16 operands go through `RoundedLinear`."""
    plain = F.linear

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if x.dtype == torch.bfloat16 and bias is None:
            product: Tensor = RoundedLinear.apply(x, weight)  # type: ignore[no-untyped-call]
            return product
        return plain(x, weight, bias)

    with mock.patch.object(F, "linear", linear):
        yield


def run(out: Path, seeds: Sequence[int], budget: Mapping[str, Any], **values: Any) -> None:
    """Train every variant that is not in a folder yet, once for each seed."""
    slow_bf16 = "AVX512" not in torch.backends.cpu.get_cpu_capability()
    with products_in_fp32() if slow_bf16 else nullcontext():
        for seed in seeds:
            for name, (precision, update) in VARIANTS.items():
                changes = {**values, "seed": seed, "precision": precision, "optimizer": {"embedding_update": update}}
                config = options.change(recipe("cross"), **changes, **budget)
                path = train(config, out / f"{name}-seed{seed}", resume=True).path
                shutil.rmtree(path / "model", ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every variant that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data", help="directory of the course files")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "precision", help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="random seeds, one run for each")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    chosen = parser.parse_args(arguments)
    run(chosen.out, chosen.seeds, BUDGET, data=chosen.data, threads=chosen.threads)


if __name__ == "__main__":
    main()
