"""Trainings of twelve configurations that are killed and resumed until they have had so many kills.

    python -m benchmarks.reliability                100 kills; a tiny encoder on the sample, some minutes on one thread
    python -m benchmarks.reliability --kills 1000 --seed 1

Every run must end bit for bit as the same training that nobody killed: weights, predictions, log and scores. The exit
status is 1 if one does not.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.common.encoders import save_encoder
from tests.common.kills import CONFIGURATIONS, configuration, finish_in_spite_of_kills
from tests.common.trainings import fingerprint

from bertram.training.train import train


def survey(
    kills: int, seed: int = 0, configurations: Mapping[str, Mapping[str, Any]] = CONFIGURATIONS
) -> dict[str, Any]:
    """Kill trainings, one configuration after another, until there were so many kills.

    Returns:
        Number of runs, kills by configuration, and the configurations of runs that ended differently.
    """
    chance, by_name, runs, different = random.Random(seed), Counter[str](), 0, list[str]()
    with tempfile.TemporaryDirectory() as work:
        encoder = save_encoder(Path(work) / "encoder")
        configs = {name: configuration(encoder, **changes) for name, changes in configurations.items()}
        expected = {name: fingerprint(train(configs[name], Path(work) / name).path) for name in configs}
        while by_name.total() < kills:
            for name, config in configs.items():
                out = Path(work) / f"killed-{runs}"
                by_name[name] += finish_in_spite_of_kills(config, out, chance)
                runs += 1
                if fingerprint(out) != expected[name]:
                    different.append(name)
                print(f"{name}: {by_name[name]} kills, {by_name.total()} in all", flush=True)
                if by_name.total() >= kills and runs >= len(configs):
                    break
    return {"runs": runs, "kills": by_name.total(), "by_configuration": dict(by_name), "different": different}


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, compare and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="least number of kills")
    parser.add_argument("--seed", type=int, default=0, help="random seed of their moments")
    chosen = parser.parse_args(arguments)
    counts = survey(chosen.kills, chosen.seed)
    print(json.dumps(counts, indent=2))
    raise SystemExit(1 if counts["different"] else 0)
