"""Honesty checks: what a reader must know before the scores are believed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.config import Config
from bertram.data.describe import words_of
from bertram.data.rows import Rows
from bertram.data.splits import run_source
from bertram.evaluation.baseline import Baseline, best_baseline
from bertram.evaluation.intervals import Interval
from bertram.report.outcomes import Library, Outcomes, RunView
from bertram.runs.record import Record
from bertram.tasks import Task

Level = Literal["warning", "note", "fine"]
LEVELS: tuple[Level, ...] = ("warning", "note", "fine")
MUCH_OVERLAP = 0.01  # of the scored rows
SAME_SCORE = 1e-6
TOLD_APART = 4  # runs whose findings are told in full
MOST_RUN_NAMES = 6  # runs of a finding that are named; of more the rest are counted
QUORA = ("quora", "qqp")


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        level: ``warning`` puts a score in doubt, ``note`` limits its meaning, ``fine`` is in order.
        check: result in words without figures, so that the same finding of several runs can be merged.
        text: figures.
    """

    level: Level
    check: str
    text: str


def run_findings(view: RunView, library: Library) -> list[Finding]:
    """All checks of one run, warnings first."""
    config = view.config
    findings = [*_state(view), *encoder(config), *scores(config, view.record), *_choice(view), *_extent(view)]
    for name, task in config.tasks.items():
        outcomes = library.outcomes(view, name)
        if outcomes is None:
            findings += _no_outcomes(view, library, name)
        else:
            trained = library.trained(view, name)
            findings += [*overlap(name, trained, outcomes), *_same_data(view, library, name, outcomes)]
        if not task.trained:
            findings.append(Finding("note", f"{name} was scored, not trained", "Its head is as it was initialized."))
    findings += [
        Finding("note", f"dev rows of {name} are held out of its training file", f"{dev_rows.how}.")
        for name, dev_rows in run_source(view.run, config.data).held_out.items()
    ]
    data = library.data or config.data
    if data in library.problems:
        check = "the data cannot be read here: worst errors, reliability and overlap with training rows are left out"
        findings.append(Finding("warning", check, f"{library.problems[data]}."))
    return by_level(findings)


def by_level(findings: Sequence[Finding]) -> list[Finding]:
    """Warnings first, what is fine last."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _state(view: RunView) -> Iterator[Finding]:
    if view.record is None:
        yield Finding("warning", "the run is not finished", "There is no record: only its learning so far is shown.")
    for line in view.lines:
        if "warning" in line:
            yield Finding("warning", "a technique did nothing", f"Step {line['step']:,}: {line['warning']}.")
        if "log_fault" in line:
            yield Finding("warning", "the log of the training is damaged", f"It {line['log_fault']}.")
    if view.config.data == "sample":
        yield Finding("note", "the sample is a toy",
                      "Its scores, of the project's own sentences, say nothing about methods.")  # fmt: skip


def encoder(config: Config) -> Iterator[Finding]:
    """Whether the encoder has seen a task's data before."""
    if not (config.encoder in ("minilm", "mpnet") or "all-m" in config.encoder.lower()):
        if config.encoder.startswith(("google-bert/", "bert-")):
            return
        yield Finding("note", "what the encoder has seen before is not known here",
                      f"If the texts or labels of a task were in the training of {config.encoder}, its scores are not "
                      "those of unseen data.")  # fmt: skip
        return
    for name, task in config.tasks.items():
        if _is_quora(task):
            yield Finding("warning", f"the encoder was trained on data like {name}",
                          f"{config.encoder} was trained on Quora's question pairs, among others: its scores on {name} "
                          "are not those of unseen data.")  # fmt: skip


def _is_quora(task: Task) -> bool:
    file_names = [task.name, task.files.train, task.files.dev, *((task.hub.dev,) if task.hub else ())]
    return any(word in (text or "").lower() for text in file_names for word in QUORA)


def scores(config: Config, record: Record | None) -> Iterator[Finding]:
    """Scores that are undefined, or not above what anybody gets without reading the texts."""
    if record is None:
        return
    dev = record.scores.dev
    for name, task in config.tasks.items():
        for metric, score in dev.tasks.get(name, {}).items():
            if score.value is None:
                yield Finding("warning", f"{metric} of {name} is undefined",
                              f"{score.undefined or 'No reason is recorded'}.".capitalize())  # fmt: skip
            elif (best := best_baseline(record.baselines.get(name, {}), metric)) is not None:
                yield from _beside_baseline(name, score.value, score.ci95, best, main=metric == task.scored_by)
    for name in ("overall", "overall_plain"):
        if dev.mean(name).value is None:
            yield Finding("warning", f"{name} is undefined", f"{dev.mean(name).undefined or ''}.")


def _beside_baseline(
    name: str, value: float, interval: Interval | None, best: Baseline, *, main: bool
) -> Iterator[Finding]:
    figures = f"{value:.3f} against {best.value:.3f} ({best.words})"
    if best.beats(value):
        level: Level = "warning" if main else "note"
        yield Finding(level, f"{best.metric} of {name} is worse than a trivial baseline", f"{figures}.")
    elif main and interval is not None and interval[0] <= best.value <= interval[1]:
        low, high = interval
        yield Finding("warning", f"{best.metric} of {name} is not significantly above a constant baseline",
                      f"{figures}, which lies within its interval [{low:.3f}, {high:.3f}].")  # fmt: skip


def _choice(view: RunView) -> Iterator[Finding]:
    """Findings on choices made by the scores that are shown, and on the limits of one seed."""
    evaluations = sum("dev" in line for line in view.lines)
    if view.config.evaluation.final_weights == "best" and evaluations > 1:
        yield Finding("note", "the weights were chosen on dev",
                      f"They are the best of {evaluations} evaluations by these very dev scores, which flatters them a "
                      "little.")  # fmt: skip
    if view.record is None or view.record.trained:
        yield Finding("note", "one run is one seed",
                      "The intervals cover other examples, not other seeds. One run does not show whether a technique "
                      f"helps; that takes {LEAST_SEEDS} seeds of each configuration.")  # fmt: skip


def _extent(view: RunView) -> Iterator[Finding]:
    config = view.config
    if config.evaluation.max_eval_samples is not None:
        yield Finding(
            "note", "only a part of dev is scored", f"At most {config.evaluation.max_eval_samples:,} rows a task."
        )
    if config.sampling.fraction < 1:
        yield Finding("note", "only a part of the training data is used",
                      f"{config.sampling.fraction:.0%} of each task's rows.")  # fmt: skip
    truncated = {} if view.record is None else {n: count for n, count in view.record.truncated.items() if count}
    if truncated:
        counted = ", ".join(f"{name} {count:,}" for name, count in truncated.items())
        yield Finding("note", "long texts were cut", f"Training sequences not read to their end: {counted}.")


def overlap(name: str, trained: Sequence[Rows], outcomes: Outcomes) -> Iterator[Finding]:
    """Number of scored rows that are also training rows, and the score without them.

    Two rows are the same when they have the same words, whatever their case, punctuation and order in a pair.

    Args:
        name: name of the task.
        trained: training rows; empty if there are none or they cannot be read.
        outcomes: scored rows.
    """
    if not trained:
        return
    whole = {words_of(texts) for rows in trained for texts in rows.texts}
    single = {text for form in whole for text in form}
    scored = [words_of(texts) for texts in outcomes.texts]
    is_same = np.array([form in whole for form in scored])
    sharing = sum(not single.isdisjoint(form) for form in scored)
    count, n = int(is_same.sum()), len(scored)
    also = f" {sharing:,} share a text with one." if outcomes.task.pair and sharing else ""
    if not count:
        yield Finding("fine", f"no scored row of {name} was trained on", f"{n:,} rows looked at.{also}")
        return
    before, after = outcomes.score(), outcomes.score(~is_same)
    without = "" if before is None or after is None else (
        f" Without them {outcomes.task.scored_by} is {after:.3f} instead of {before:.3f}."
    )  # fmt: skip
    level: Level = "warning" if count >= MUCH_OVERLAP * n else "note"
    yield Finding(level, f"scored rows of {name} were trained on",
                  f"{count:,} of {n:,} ({count / n:.1%}) have the words of a training row.{without}{also}")  # fmt: skip


def _no_outcomes(view: RunView, library: Library, name: str) -> Iterator[Finding]:
    """Reason why a task's predictions are not shown, if the data are not the reason."""
    path = view.run.predictions(name)
    if view.record is None or (library.data or view.config.data) in library.problems:
        return
    if str(path) in library.problems:
        yield Finding("warning", f"the dev predictions of {name} cannot be read", f"{library.problems[str(path)]}.")
    elif not path.is_file():
        yield Finding("note", f"no dev predictions of {name} are kept", "Its worst errors are not shown.")
    elif library.rows(view, name, "dev") is not None:
        yield Finding("warning", f"no dev prediction of {name} is about a row of the data", "No id is in both.")


def _same_data(view: RunView, library: Library, name: str, outcomes: Outcomes) -> Iterator[Finding]:
    """Whether the data that are read now are those that the run was scored on."""
    rows = library.rows(view, name, "dev")
    recorded = None if rows is None or view.record is None else view.record.data.get(rows.name)
    if rows is not None and recorded is not None and recorded.sha256 != rows.sha256:
        yield Finding("warning", f"the dev file of {name} is not the one that was scored",
                      f"{rows.file} has another SHA-256 than in the record.")  # fmt: skip
    if outcomes.unknown:
        yield Finding("warning", f"predictions of {name} are about rows that the data do not have",
                      f"{outcomes.unknown:,} ids.")  # fmt: skip
    value, recorded_score = outcomes.score(), view.main(name)
    if recorded_score is not None and value is not None and recorded_score.value is not None:
        if abs(value - recorded_score.value) > SAME_SCORE:
            yield Finding("warning", f"the record's score of {name} is not that of its predictions",
                          f"{recorded_score.value:.4f} is recorded; the predictions give {value:.4f}.")  # fmt: skip
        else:
            yield Finding("fine", f"the recorded score of {name} is that of its predictions", f"{value:.4f}.")


def arm_findings(seeds: Mapping[str, int], least: int = LEAST_SEEDS) -> list[Finding]:
    """Comparisons that have too few seeds.

    Args:
        seeds: arm -> number of its seeds.
        least: number of seeds that a comparison of techniques needs.
    """
    too_few = {name: count for name, count in seeds.items() if count < least}
    if not too_few:
        return [Finding("fine", "every comparison has enough seeds", f"At least {least} of each of {len(seeds)}.")]
    listed = ", ".join(f"{name} ({count})" for name, count in too_few.items())
    return [Finding("warning", "comparisons with too few seeds",
                    f"Fewer than {least} seeds compare these models, not the techniques: {listed}.")]  # fmt: skip


def together(findings: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """The findings of several runs, each listed once with its runs.

    Args:
        findings: run -> its findings.
    """
    by_check: dict[tuple[Level, str], dict[str, str]] = {}
    for run, items in findings.items():
        for finding in items:
            texts = by_check.setdefault((finding.level, finding.check), {})
            texts[run] = f"{texts[run]} {finding.text}" if run in texts else finding.text
    return by_level([Finding(*key, _in_runs(texts, len(findings))) for key, texts in by_check.items()])


def _in_runs(texts: Mapping[str, str], count: int) -> str:
    """Text of a finding in several runs: one if all are equal, else by run, or an example if there are many."""
    runs_text = "all runs" if len(texts) == count else f"{len(texts)} of {count} runs"
    further = f" and {len(texts) - MOST_RUN_NAMES} others" if len(texts) > MOST_RUN_NAMES + 1 else ""
    names = (
        "" if len(texts) == count else f" ({', '.join(list(texts)[: MOST_RUN_NAMES if further else None])}{further})"
    )
    first = next(iter(texts.values()))
    if count == 1 or len(set(texts.values())) == 1:
        return first if len(texts) == count else f"In {runs_text}{names}. {first}"
    if len(texts) <= TOLD_APART:
        return f"In {runs_text}: " + "; ".join(f"{run}: {text.rstrip('.')}" for run, text in texts.items()) + "."
    return f"In {runs_text}{names}; in {next(iter(texts))}: {first}"
