"""The packed form of each family's encoder beside the padded form of transformers: same weights, same sentences.

    python -m benchmarks.training.families --threads 1              about ten minutes on one core
    python -m benchmarks.training.families --threads 1 --cpu-time   processor time, for a busy machine
    python -m benchmarks.training.families --encoders mpnet         the base size too, with its pretrained weights

Both sides read the batches of a joint step: SST, Quora and STS, pairs in one pass. The packed side computes them at
once, the padded side batch by batch, each padded to its longest text, with the fastest attention that transformers has
for the family. A pass for training has the gradients of all weights but the word embeddings; a pass for prediction has
no gradient. Before timing, hidden states must agree. Writes results/measurements/families.json.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from benchmarks.common import counting, machine, peers, timing
from benchmarks.common.records import MEASUREMENTS, default_data, now, versions, write
from benchmarks.common.workload import workload
from bertram.data.examples import Batch, Sequences
from bertram.data.packing import Packed, pack
from bertram.model.encoders import Encoder
from bertram.model.linear import Precision
from bertram.model.pretrained import find, read_encoder

FAMILIES = {  # name of the classes of transformers, and where their configurations differ from BERT's
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {"type_vocab_size": 1, "pad_token_id": 1}),
    "mpnet": ("MPNet", {"pad_token_id": 1}),
    "distilbert": ("DistilBert", {}),
    "electra": ("Electra", {"embedding_size": 128}),
    "modernbert": ("ModernBert", {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102, "bos_token_id": 101,
                                  "eos_token_id": 102}),
}  # fmt: skip
DISTILBERT_KEYS = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
                   "intermediate_size": "hidden_dim"}  # fmt: skip
MINILM_SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
VOCABULARY, POSITIONS = 30522, 514
BATCHES = 4  # steps whose batches take turns
MOST_APART = 1e-4  # of hidden states in fp32
SIDES = ("packed", "padded")
PASSES = ("training", "prediction")


@dataclass(frozen=True)
class Step:
    """The sequences of a step in both forms.

    Attributes:
        packed: all sequences of the step.
        padded: arguments of transformers for each batch.
    """

    packed: Packed
    padded: list[dict[str, Tensor]]


@dataclass(frozen=True)
class Pair:
    """An encoder in both forms, with the same weights."""

    encoder: Encoder
    peer: Any

    def pass_of(self, side: str, kind: str, precision: Precision, steps: Sequence[Step]) -> timing.Turn:
        """A pass of one side over the sequences of a step."""
        bf16 = precision == "bf16"

        def packed(step: Step) -> list[Tensor]:
            return [self.encoder(step.packed)]

        def padded(step: Step) -> list[Tensor]:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return [self.peer(**inputs).last_hidden_state for inputs in step.padded]

        forward, model = (packed, self.encoder) if side == "packed" else (padded, self.peer)
        weights = [p for p in model.parameters() if p.requires_grad]

        def turn(number: int) -> None:
            step = steps[number % len(steps)]
            with torch.set_grad_enabled(kind == "training"):
                states = forward(step)
            if kind == "training":
                ones = [torch.ones_like(state) for state in states]
                torch.autograd.grad(states, weights, ones, allow_unused=True)

        return turn

    def apart(self, step: Step) -> float:
        """The largest difference of hidden states between both forms, in fp32."""
        with torch.no_grad():
            states = self.encoder(step.packed).split(step.packed.lengths.tolist())
            own = iter([states[place] for place in step.packed.inverse_order.tolist()])
            differences = [
                (rows[: int(length)] - next(own)).abs().max()
                for inputs in step.padded
                for rows, length in zip(
                    self.peer(**inputs).last_hidden_state, inputs["attention_mask"].sum(1), strict=True
                )
            ]
        return float(torch.stack(differences).max())


def random_pair(family: str, shape: dict[str, int]) -> Pair:
    """An encoder of a family with random weights."""
    name, values = FAMILIES[family]
    own_shape = {DISTILBERT_KEYS[key]: value for key, value in shape.items()} if family == "distilbert" else shape
    common = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**common, **own_shape, **values)
    with tempfile.TemporaryDirectory() as directory:
        getattr(transformers, f"{name}Model")(config).save_pretrained(directory)
        return pair_in(Path(directory))


def pretrained_pair(name: str) -> Pair:
    """A pretrained encoder."""
    return pair_in(find(name))


def pair_in(directory: Path) -> Pair:
    """Both forms of the encoder in a directory in the Hugging Face layout."""
    encoder: Encoder = read_encoder(directory)
    peer: Any = transformers.AutoModel.from_pretrained(directory).float()
    for table in (encoder.word_embeddings, peer.get_input_embeddings().weight):
        table.requires_grad = False
    return Pair(encoder, peer.eval())


def steps_of(batches: Sequence[Sequence[Batch]], pair: Pair) -> list[Step]:
    """The sequences of some steps in both forms."""
    padding = pair.peer.config.pad_token_id or 0

    def arguments(sequences: Sequences) -> dict[str, Tensor]:
        inputs = peers.padded(sequences, padding)
        if not pair.encoder.reads_segments:
            del inputs["token_type_ids"]
        return inputs

    def step(tasks: Sequence[Batch]) -> Step:
        tokens, segments = zip(*(sequence for batch in tasks for sequence in batch.sequences), strict=True)
        return Step(pack(tokens, segments), [arguments(batch.sequences) for batch in tasks])

    return [step(tasks) for tasks in batches]


def measure(
    pair: Pair, batches: Sequence[Sequence[Batch]], precisions: Sequence[Precision], rounds: int,
    clock: Callable[[], float],
) -> dict[str, Any]:  # fmt: skip
    """Seconds of the padded form over those of the packed form, for each precision and kind of pass.

    Raises:
        RuntimeError: both forms do not compute the same.
    """
    steps = steps_of(batches, pair)
    apart = max(pair.apart(step) for step in steps)
    if apart > MOST_APART:
        raise RuntimeError(f"hidden states of both forms differ by {apart:.1e}")
    results: dict[str, Any] = {
        "parameters": sum(p.numel() for p in pair.encoder.parameters()),
        "attention of transformers": pair.peer.config._attn_implementation,
        "apart": float(f"{apart:.1e}"),
    }
    for precision in precisions:
        pair.encoder.set_precision(precision)
        turns = {(kind, side): pair.pass_of(side, kind, precision, steps) for kind, side in product(PASSES, SIDES)}
        times = timing.alternate(turns, rounds, warm_up=1, clock=clock)
        results[precision] = {
            kind: {
                "ratio": timing.ratio(times[kind, "padded"], times[kind, "packed"]),
                "seconds": {side: timing.quartiles(times[kind, side]) for side in SIDES},
            }
            for kind in PASSES
        }
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the ratios and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=list(FAMILIES), help="families to measure")
    parser.add_argument("--encoders", nargs="*", default=[], help="pretrained encoders to measure too")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    parser.add_argument("--cpu-time", action="store_true", help="processor time of this process instead of the clock")
    parser.add_argument("--out", type=Path, default=MEASUREMENTS, help="folder of the record")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    batches = workload(chosen.data, "minilm", BATCHES).cross
    precisions: list[Precision] = ["fp32"] if machine.reason_against_bf16() else ["fp32", "bf16"]
    clock = time.process_time if chosen.cpu_time else time.perf_counter
    makers = {family: partial(random_pair, family, MINILM_SHAPE) for family in chosen.families}
    makers |= {f"{name}, pretrained": partial(pretrained_pair, name) for name in chosen.encoders}
    results: dict[str, Any] = {}
    for name, make in makers.items():
        results[name] = measure(make(), batches, precisions, chosen.rounds, clock)
        ratios = {f"{p} {kind}": results[name][p][kind]["ratio"]["median"] for p in precisions for kind in PASSES}
        print(name, ratios, flush=True)
    record = {
        "finished": now(),
        "script": __spec__.name,
        "host": machine.host(),
        "settings": {
            "threads": chosen.threads,
            "rounds": chosen.rounds,
            "cpu_time": chosen.cpu_time,
            "data": "sample" if chosen.data == "sample" else "course files",
            "shape": MINILM_SHAPE,
            "tokens": [counting.tokens_of(tasks) for tasks in batches],
            "padded_tokens": [counting.padded_tokens_of(tasks) for tasks in batches],
        },
        "versions": versions(("bertram", "torch", "transformers")),
        "results": results,
    }
    write(chosen.out / "families.json", record)


if __name__ == "__main__":
    main()
