"""Make results/README.md, and the tables and pictures of studies, from the records below results/: `make tables`.

The intervals of a study need the gold labels. Where the data are not at hand, the tables are made from
their own values.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bertram.comparison.comparison import read_tasks
from bertram.comparison.contrast import LEAST_SEEDS, estimate, interval_with_examples
from bertram.comparison.outcomes import outcomes
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import read_ablation_table
from bertram.experiments.request import REQUEST
from bertram.experiments.schedule import main_scores
from bertram.minbert.remake import make_again
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.report.forest import PICTURE, write_forest
from bertram.runs.directory import Run, open_run
from bertram.runs.record import Record, read_record
from bertram.runs.scores import Score
from tools import RESULTS, frontier, take_no_arguments

HISTORY = ("ablation", "orders", "reproduction", "techniques")
STUDY_FILES = (REQUEST, TABLE_1, ABLATION)
TASKS = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
INTRODUCTION = """# Records of real runs

`make tables` makes this page from the records in this directory; do not edit it. [Findings](../docs/findings.md) says
what each technique is worth; this page has the records. The folder of a run has its configuration, record and dev
predictions (id and output only). Scores are on the course's dev sets, with 95 % intervals over examples. Most rows are
one run, so a difference between two rows says nothing about a technique unless there are several seeds. `minilm` was
pretrained on Quora pairs. Minutes were measured on different machines, some of them busy; the record has cores, threads
and precision. `../shared/data` in commands and records is the directory of the course's files.
"""
FRONTIER = f"""## The frontier

The overall dev score against the training time, for every recorded single run of the three tasks on real data. The time
is in minutes of two fully used cores (thread-minutes halved). "Minutes in all" include the trainings of teachers and
further pretraining, and the teachers' outputs where the record has their time. Older records do not have it: the
outputs of one `mpnet` for its first student took some 45 minutes of one core in bf16. Two early runs from an encoder in
a directory that is not recorded are left out. Runs in bf16, except those of `precision`, used a processor with bf16
instructions; runs in fp32, except those of `ablation-quick`, processors without. So the minutes of the two are not
comparable. The time of `mpnet-pairs-seed1` includes long pauses. These runs have a better score than every faster run
of their size:

![Overall score against training minutes]({frontier.PICTURE})
"""
EARLIER = """# History

Earlier studies, at a small part of a training's steps (2 % of the study's for its Table 1). Their answers do not carry
over to trained models; [findings](../docs/findings.md) is the page for those.
"""


def main() -> None:
    """Write the page."""
    runs = frontier.points()
    frontier.draw(runs, RESULTS / frontier.PICTURE)
    lines = [INTRODUCTION, FRONTIER, *frontier.table(runs), ""]
    groups = sorted(folder for folder in RESULTS.iterdir() if is_group(folder))
    for group in groups:
        lines += [] if group.name in HISTORY else section(group)
    lines.append(EARLIER)
    for group in groups:
        lines += section(group) if group.name in HISTORY else []
    (RESULTS / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def section(group: Path) -> Iterator[str]:
    """The section of a folder: what it is about, and its tables."""
    about = group / "README.md"
    yield from (
        f"## {group.name}",
        "",
        about.read_text().strip().replace("](../../", "](../") if about.is_file() else "",
        "",
    )
    yield from study(group) if is_study(group) else run_tables(group)


def is_group(folder: Path) -> bool:
    """Whether a folder has runs or the tables of a study."""
    return is_study(folder) or any(folder.glob("*/record.json"))


def is_study(folder: Path) -> bool:
    """Whether a folder has the tables of a study."""
    return any((folder / name).is_file() for name in STUDY_FILES)


def study(folder: Path) -> Iterator[str]:
    """The tables of a reproduction or an ablation, made again, and its picture."""
    reason = make_again(folder)
    print(f"{folder.name}: {'computed from its records' if reason is None else f'{reason}; from its own values'}")
    if (folder / TABLE_1).is_file():
        yield (folder / TABLE_1).with_suffix(".md").read_text()
    effects = folder / ABLATION
    if effects.is_file():
        table = read_ablation_table(effects)
        if all(row.effect is None for row in table.effects):
            yield from run_tables(folder)
            return
        yield effects.with_suffix(".md").read_text()
        if write_forest(folder, table) is not None:
            yield f"![Effects with 95 % intervals]({folder.name}/{PICTURE})"
    yield ""


def run_tables(group: Path) -> Iterator[str]:
    """The runs of a folder, and the means of those that differ by their seed only."""
    records = {path.parent.name: read_record(path.parent) for path in sorted(group.glob("*/record.json"))}
    yield "| run | seed | steps | SST accuracy | Quora accuracy | STS Pearson | overall | minutes | memory, MiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, record in records.items():
        yield f"| {name} | {' | '.join(cells(record))} |"
    yield ""
    yield from means(group)


def cells(record: Record) -> Iterator[str]:
    """Seed, steps, scores and cost of a run; the scores of tasks that it did not train are left out."""
    dev = record.scores.dev
    trained = {task for task, options in record.config["tasks"].items() if options["trained"]}
    single = record.merged is None
    yield str(record.seed) if single else "–"
    yield f"{record.steps.taken:,}" if single and record.steps is not None else "–"
    for task, metric in TASKS.items():
        yield cell(dev.tasks[task][metric]) if task in trained else ""
    yield cell(dev.overall) if trained >= set(dev.tasks) & set(TASKS) else ""
    yield f"{record.seconds.training / 60:.1f}" if single else "–"
    yield f"{record.peak_memory_mib:,}" if single and record.peak_memory_mib is not None else "–"


def means(group: Path) -> Iterator[str]:
    """A row for each configuration that was run with three seeds or more; the runs are called name-seed<n>."""
    arms: dict[str, list[Run]] = {}
    for path in sorted(group.glob("*-seed*/record.json")):
        run = open_run(path.parent)
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
        named = {str(run.path): run for run in runs}
        scored = (
            {one.name: one for one in outcomes(read_tasks(named, data), losses=False)} if Path(data).is_dir() else {}
        )
        dev = [main_scores(run) for run in runs]
        scores = {outcome: [values[outcome] for values in dev] for outcome in (*TASKS, "overall")}
        sides = [{run: 1.0} for run in named]
        together = dict.fromkeys(named, 1 / len(named))
        errors = {of: (one.shared_error(sides), one.example_error(together)) for of, one in scored.items()}
        row = [mean(values, *errors.get(outcome, (0.0, 0.0))) for outcome, values in scores.items()]
        yield f"| {name} | {len(runs)} | {' | '.join(row)} |"
    yield ""


def mean(scores: Sequence[float | None], example_error: float, models_error: float) -> str:
    """The mean of runs that differ by their seed only, with its interval.

    Args:
        scores: score of each run.
        example_error: standard error over examples of what the seeds share; 0: the interval is for other seeds only.
        models_error: standard error over examples of the mean of these very models; 0: likewise.
    """
    values = [score for score in scores if score is not None]
    if len(values) < len(scores):
        return "undefined"
    found = estimate(values)
    return cell(Score(found.value, interval_with_examples(found, example_error, models_error)))


def cell(score: Score) -> str:
    """A score with its interval."""
    if score.value is None or score.ci95 is None:
        return "undefined"
    low, high = score.ci95
    return f"{score.value:.4f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    take_no_arguments(__doc__)
    main()
