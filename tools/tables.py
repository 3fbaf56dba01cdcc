"""Make results/README.md, and the tables and pictures of studies, from the records below results/: `make tables`.

A study's intervals need the gold labels. Where its data are not at hand, its tables are made from their own values.
"""

import json
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from tools import frontier

if TYPE_CHECKING:
    from bertram.evaluation.intervals import Floats

RESULTS = Path(__file__).resolve().parents[1] / "results"
OF_A_STUDY = ("asked.json", "table.json", "ablation.json")
TASKS = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
INTRODUCTION = """# Records of real runs

Made from the records in this directory by `make tables`; do not edit. Each folder holds a run's configuration, record
and dev predictions (id and output only). Scores are on the course's dev sets, with 95 % bootstrap intervals over
examples; one row is one run, so a difference between two rows says nothing about a technique unless there are several
seeds. `minilm` has seen Quora pairs in its pretraining. Minutes are those of the machine that each run had, which was
not always idle; its cores, threads and precision are in the record. `../shared/data` in commands and records is the
directory of the course's files.
"""
FRONTIER = f"""## The frontier

Every recorded single run of the three tasks on real data that starts from `minilm` itself: the overall dev score
against the training time, in minutes of two cores that are both used perfectly (thread-minutes halved). Runs in bf16,
but those of `precision`, are of a processor with instructions for it, those in fp32 of processors without, so their
minutes are not alike.
The runs that no quicker one equals:

![Overall score against training minutes]({frontier.PICTURE})
"""


def main() -> None:
    """Write the page."""
    runs = frontier.points()
    frontier.draw(runs, RESULTS / frontier.PICTURE)
    lines = [INTRODUCTION, FRONTIER, *frontier.table(runs), ""]
    for group in sorted(folder for folder in RESULTS.iterdir() if is_group(folder)):
        about = group / "README.md"
        lines += [f"## {group.name}", "", about.read_text().strip() if about.is_file() else "", ""]
        if any((group / name).is_file() for name in OF_A_STUDY):
            lines += [*study(group), ""]
            continue
        records = [(path.parent.name, json.loads(path.read_text())) for path in sorted(group.glob("*/record.json"))]
        lines += [*table(records), "", *means(group)]
    (RESULTS / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def is_group(folder: Path) -> bool:
    """Whether a folder has runs or the tables of a study."""
    return any(folder.glob("*/record.json")) or any((folder / name).is_file() for name in OF_A_STUDY)


def study(folder: Path) -> Iterator[str]:
    """The tables of a reproduction or an ablation, made again, and its picture."""
    from bertram.minbert.remake import make_again  # noqa: PLC0415 - the other tables need no torch
    from bertram.report.forest import PICTURE, write_forest  # noqa: PLC0415

    anew = make_again(folder)
    print(f"{folder.name}: {'computed from its records' if anew else 'its data are not here; from its own values'}")
    if (folder / "table.json").is_file():
        yield (folder / "table.md").read_text()
    if (folder / "ablation.json").is_file():
        yield (folder / "ablation.md").read_text()
        if write_forest(folder, json.loads((folder / "ablation.json").read_text())) is not None:
            yield f"![Effects with 95 % intervals]({folder.name}/{PICTURE})"


def table(records: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """A row for each run; the scores of tasks that it did not train are left out."""
    yield "| run | seed | steps | SST accuracy | Quora accuracy | STS Pearson | overall | minutes | memory, MiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, record in records:
        dev = record["scores"]["dev"]
        trained = {task for task, its in record["config"]["tasks"].items() if its["trained"]}
        scores = [cell(dev[task][metric]) if task in trained else "" for task, metric in TASKS.items()]
        overall = cell(dev["overall"]) if trained >= set(dev) & set(TASKS) else ""
        seed, steps, cost = "–", "–", "– | –"
        if "merged" not in record:
            seed, steps = record["seed"], f"{record['steps']['taken']:,}"
            cost = f"{record['seconds']['training'] / 60:.1f} | {record['peak_memory_mib']:,}"
        yield f"| {name} | {seed} | {steps} | {' | '.join(scores)} | {overall} | {cost} |"


def means(group: Path) -> Iterator[str]:
    """A row for each configuration that was run with three seeds or more; the runs are called name-seed<n>."""
    from bertram.evaluation.intervals import LEAST_SEEDS  # noqa: PLC0415 - the other tables need no torch
    from bertram.experiments.noise import example_draws  # noqa: PLC0415
    from bertram.runs.directory import Run, open_run  # noqa: PLC0415

    arms: dict[str, list[Run]] = {}
    for run in [open_run(path.parent) for path in sorted(group.glob("*-seed*/record.json"))]:
        arms.setdefault(run.path.name.rpartition("-seed")[0], []).append(run)
    arms = {name: runs for name, runs in arms.items() if len(runs) >= LEAST_SEEDS}
    if not arms:
        return
    yield "Means over seeds; the 95 % intervals hold for other seeds and, where the data were at hand, other examples:"
    yield ""
    yield "| runs | seeds | SST accuracy | Quora accuracy | STS Pearson | overall |"
    yield "|---|---|---|---|---|---|"
    for name, runs in arms.items():
        data = runs[0].config.data
        draws = example_draws({str(run.path): run for run in runs}, data).draws if Path(data).is_dir() else {}
        dev = [run.record["scores"]["dev"] for run in runs]
        scores = {task: [one[task][metric]["value"] for one in dev] for task, metric in TASKS.items()}
        scores["overall"] = [one["overall"]["value"] for one in dev]
        cells = [mean(values, draws.get(outcome)) for outcome, values in scores.items()]
        yield f"| {name} | {len(runs)} | {' | '.join(cells)} |"
    yield ""


def mean(scores: list[float], draws: "Floats | None") -> str:
    """The mean of runs that differ by their seed, with its interval.

    Args:
        scores: of the runs.
        draws: their scores on resampled examples, [runs, resamples]; None: the interval is for other seeds alone.
    """
    from bertram.evaluation.intervals import (  # noqa: PLC0415
        Effect,
        interval_for_new_examples,
        shared_example_error,
    )

    count, sd = len(scores), stdev(scores)
    effect = Effect(fmean(scores), count, sd, count - 1, sd / sqrt(count), None, None)
    interval = interval_for_new_examples(effect, 0.0 if draws is None else shared_example_error(draws))
    return cell({"value": effect.value, "ci95": interval})


def cell(score: dict[str, Any]) -> str:
    """A score with its interval."""
    if score["value"] is None:
        return "undefined"
    low, high = score["ci95"]
    return f"{score['value']:.4f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
