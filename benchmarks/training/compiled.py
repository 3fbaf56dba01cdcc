"""The plain step with PyTorch's compiler on the encoder's layers: what it gains, and what compiling costs.

    python -m benchmarks.training.compiled              minutes, with a C++ compiler
    python -m benchmarks.training.compiled --cpu-time   processor time instead of the clock, for a busy machine

All of a layer but its attention is compiled, for any number of rows: products, casts, bias, GELU, dropout, norms. The
masks are drawn and the weights cast outside. The compiled step takes turns with the usual one, in fp32 and bf16. Writes
results/measurements/compiled.json.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import machine, timing
from benchmarks.common.bertram_step import BertramStep
from benchmarks.common.records import MEASUREMENTS, default_data, versions, write
from benchmarks.common.workload import Workload, configuration, workload
from bertram.model.encoders.bert import BertLayer
from bertram.model.encoders.layout import TokenLayout
from bertram.model.linear import Linear, _CachedCast, bf16_operand, real_rows

BATCHES = 6
STEPS = 1000  # steps of the recipe `quick`

Weights = tuple[Tensor, Tensor]  # weight, cast to bf16 where products are in bf16, and bias


def weights_of(layer: Linear) -> Weights:
    """The operands of a layer's product."""
    weight: Tensor = layer.weight
    if layer.precision == "bf16":
        weight = _CachedCast.apply(layer.weight, layer._cast("weight"))  # type: ignore[no-untyped-call]
    return weight, layer.bias


def linear(x: Tensor, weights: Weights) -> Tensor:
    """X Wᵀ + b, as `Linear` computes it."""
    weight, bias = weights
    if weight.dtype == torch.float32:
        return F.linear(x, weight, bias)
    return real_rows(F.linear(bf16_operand(x), weight), len(x)) + bias


def feed_forward(x: Tensor, up: Weights, down: Weights) -> Tensor:
    """Down(GELU(up(x))), in bf16 all the way or in fp32."""
    if up[0].dtype == torch.float32:
        return linear(F.gelu(linear(x, up)), down)
    inner = F.gelu(F.linear(bf16_operand(x), up[0], up[1].bfloat16()))
    return real_rows(F.linear(inner, down[0]), len(x)) + down[1]


def dropped(x: Tensor, mask: Tensor | None) -> Tensor:
    """The rows times their mask."""
    return x if mask is None else x * mask


def before_attention(queried: Tensor, x: Tensor, query: Weights, key_value: Weights) -> tuple[Tensor, Tensor]:
    """Queries, and keys and values."""
    return linear(queried, query), linear(x, key_value)


def after_attention(
    attended: Tensor,
    queried: Tensor,
    masks: Sequence[Tensor | None],
    products: Sequence[Weights],
    norms: Sequence[tuple[Tensor, Tensor]],
    eps: float,
) -> Tensor:
    """A layer's output."""
    out_proj, up, down = products
    width = [attended.shape[1]]
    x = F.layer_norm(queried + dropped(linear(attended, out_proj), masks[0]), width, *norms[0], eps)
    return F.layer_norm(x + dropped(feed_forward(x, up, down), masks[1]), width, *norms[1], eps)


def compile_layer(layer: BertLayer) -> None:
    """Give a layer a forward pass whose parts beside attention are compiled."""
    before, after = torch.compile(before_attention, dynamic=True), torch.compile(after_attention, dynamic=True)

    def forward(x: Tensor, layout: TokenLayout, bias: Tensor | None, *, first_only: bool = False) -> Tensor:
        dropout = layout.dropout
        queried = layout.first_tokens(x) if first_only else x
        query, key_value = before(queried, x, weights_of(layer.query), weights_of(layer.key_value))
        attended = layout.attend(query, key_value, layer.heads, bias)
        masks = tuple(dropout._mask(queried, dropout.hidden_rate) for _ in range(2))
        products = tuple(weights_of(part) for part in (layer.out_proj, layer.up, layer.down))
        norms = tuple((norm.weight, norm.bias) for norm in (layer.attention_norm, layer.output_norm))
        return after(attended, queried, masks, products, norms, layer.output_norm.eps)

    layer.forward = forward  # type: ignore[method-assign]


def cpu_seconds() -> float:
    """Processor time of this process and of the compilers that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(work: Workload, data: str, precision: str, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of both steps, of compiling, and what a run of `STEPS` steps gains."""
    config = configuration("plain", data=data, encoder="minilm", precision=precision)
    usual, compiled = BertramStep(config, work.data), BertramStep(config, work.data)
    for layer in compiled.model.network.encoder.layers:
        assert isinstance(layer, BertLayer)
        compile_layer(layer)
    begin = clock()
    losses = [compiled.step(batches) for batches in work.plain]
    first_steps = clock() - begin
    for batches, loss in zip(work.plain, losses, strict=True):
        other = usual.step(batches)
        assert all(abs(other[task] - value) <= 0.05 * abs(value) for task, value in loss.items())
    turns = {
        name: (lambda number, side=side: side.step(work.plain[number % len(work.plain)]))
        for name, side in (("usual", usual), ("compiled", compiled))
    }
    times = timing.alternate(turns, rounds, warm_up=len(work.plain), clock=clock)
    medians = {name: timing.quartiles(seconds)["median"] for name, seconds in times.items()}
    compiling = first_steps - len(work.plain) * medians["compiled"]
    return {
        "usual_over_compiled": timing.ratio(times["usual"], times["compiled"]),
        "compiling_seconds": round(compiling, 1),
        "run_usual_over_compiled": round(STEPS * medians["usual"] / (compiling + STEPS * medians["compiled"]), 3),
        "seconds": {name: timing.quartiles(seconds) for name, seconds in times.items()},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the ratios and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    parser.add_argument("--rounds", type=int, default=12, help="timed rounds")
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of the clock")
    parser.add_argument("--out", type=Path, default=MEASUREMENTS, help="folder of the record")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    work = workload(chosen.data, "minilm", BATCHES)
    clock = cpu_seconds if chosen.cpu_time else time.perf_counter
    results = {precision: measure(work, chosen.data, precision, chosen.rounds, clock) for precision in ("fp32", "bf16")}
    for precision, figures in results.items():
        print(
            f"{precision}: usual over compiled {figures['usual_over_compiled']['median']}, compiling "
            f"{figures['compiling_seconds']} s, over {STEPS:,} steps {figures['run_usual_over_compiled']}"
        )
    record = {
        "script": __spec__.name,
        "host": machine.host(),
        "settings": {"threads": chosen.threads, "rounds": chosen.rounds, "cpu_time": chosen.cpu_time, "steps": STEPS},
        "versions": versions(("bertram", "torch")),
        "results": results,
    }
    write(chosen.out / "compiled.json", record)


if __name__ == "__main__":
    main()
