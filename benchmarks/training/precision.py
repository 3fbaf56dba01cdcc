"""Do bf16 products, or updates of the used embedding rows alone, change what a short real training reaches?

    python -m benchmarks.training.precision               nine runs of about two minutes, into results/precision
    python -m benchmarks.training.precision --seeds 2            those of one seed only
    bertram compare results/precision/fp32-rows-* results/precision/bf16-rows-* results/precision/fp32-dense-*

A processor without bf16 instructions needs ten times as long for bf16 products. There they are taken in fp32 on
operands rounded to bf16, and rounded again: what the instructions compute, up to the order in which fp32 adds up.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

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
        """Those gradients that are asked for."""
        x, weight = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad
        return (
            (grad.float() @ weight.float()).bfloat16() if needs_x else None,
            (grad.float().t() @ x.float()).bfloat16() if needs_weight else None,
        )


def take_products_in_fp32() -> None:
    """Let linear layers with bf16 operands go through `RoundedLinear`."""
    plain = F.linear

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if x.dtype == torch.bfloat16 and bias is None:
            return RoundedLinear.apply(x, weight)  # type: ignore[no-any-return, no-untyped-call]
        return plain(x, weight, bias)

    F.linear = linear


def main() -> None:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data", help="directory of the course files")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "precision")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    if "AVX512" not in torch.backends.cpu.get_cpu_capability():
        take_products_in_fp32()
    for seed in asked.seeds:
        for name, (precision, update) in VARIANTS.items():
            own = {"seed": seed, "data": asked.data, "threads": asked.threads, "precision": precision}
            config = options.change(recipe("cross"), **own, optimizer={"embedding_update": update}, **BUDGET)
            run = train(config, asked.out / f"{name}-seed{seed}", resume=True)
            shutil.rmtree(run.path / "model", ignore_errors=True)


if __name__ == "__main__":
    main()
