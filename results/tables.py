"""Make results/README.md, and the tables and pictures of studies, from the records below this directory: `make tables`.

A study's intervals need the gold labels. Where its data are not at hand, its tables are made from their own values.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frontier

HERE = Path(__file__).parent
OF_A_STUDY = ("asked.json", "table.json", "ablation.json")
TASKS = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
INTRODUCTION = """# Records of real runs

Made from the records in this directory by `make tables`; do not edit. Each folder holds a run's configuration, record
and dev predictions (id and output only). Scores are on the course's dev sets, with 95 % bootstrap intervals over
examples; one row is one run, so a difference between two rows says nothing about a technique unless there are several
seeds. `minilm` has seen Quora pairs in its pretraining. Minutes are those of the machine that the record names, which
was not always idle.
"""
FRONTIER = f"""## The frontier

Every recorded run of the three tasks on real data: the overall dev score against the training time, in minutes of two
cores that are both used perfectly (thread-minutes halved). The runs that no quicker one equals:

![Overall score against training minutes]({frontier.PICTURE})
"""


def main() -> None:
    """Write the page."""
    runs = frontier.points()
    frontier.draw(runs, HERE / frontier.PICTURE)
    lines = [INTRODUCTION, FRONTIER, *frontier.table(runs), ""]
    for group in sorted(folder for folder in HERE.iterdir() if is_group(folder)):
        about = group / "README.md"
        lines += [f"## {group.name}", "", about.read_text().strip() if about.is_file() else "", ""]
        if any((group / name).is_file() for name in OF_A_STUDY):
            lines += [*study(group), ""]
            continue
        records = [(path.parent.name, json.loads(path.read_text())) for path in sorted(group.glob("*/record.json"))]
        lines += [*table(records), ""]
    (HERE / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def is_group(folder: Path) -> bool:
    """Whether a folder has runs or the tables of a study."""
    return any(folder.glob("*/record.json")) or any((folder / name).is_file() for name in OF_A_STUDY)


def study(folder: Path) -> Iterator[str]:
    """The tables of a reproduction or an ablation, made again, and its picture."""
    from bertram.study.asked import make_again  # noqa: PLC0415 - the other tables need no torch
    from bertram.study.report.forest import PICTURE, write_forest  # noqa: PLC0415

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
        minutes = record["seconds"]["training"] / 60
        yield (
            f"| {name} | {record['seed']} | {record['steps']['taken']:,} | {' | '.join(scores)} "
            f"| {overall} | {minutes:.1f} | {record['peak_memory_mib']:,} |"
        )


def cell(score: dict[str, Any]) -> str:
    """A score with its interval."""
    if score["value"] is None:
        return "undefined"
    low, high = score["ci95"]
    return f"{score['value']:.4f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
