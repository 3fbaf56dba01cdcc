"""Effects of ablations by name and outcome, in the words of the page, and how much of a design has been run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.evidence import Evidence
from bertram.comparison.sentences import signed
from bertram.comparison.verdict import Decision, Reason
from bertram.evaluation.intervals import Interval
from bertram.experiments.ablation_table import AblationTable, Cell
from bertram.experiments.factors import short_name
from bertram.runs.directory import Run

OPPOSITE = {Decision.BETTER: Decision.WORSE, Decision.WORSE: Decision.BETTER}
LOSS_DIGITS, DIGITS = 4, 3
FEW = 3  # configurations that are named where they are missing


@dataclass(frozen=True)
class Progress:
    """How much of a design has been run.

    Attributes:
        finished: number of finished runs.
        planned: number of runs of the design.
        complete: seeds that every configuration has.
        missing: seed -> configurations that lack it, for the other seeds.
    """

    finished: int
    planned: int
    complete: Sequence[int]
    missing: Mapping[int, Sequence[str]]

    @property
    def decides(self) -> bool:
        """Whether every effect has enough seeds for a verdict."""
        return len(self.complete) >= LEAST_SEEDS

    def in_words(self) -> str:
        """What is there and what is missing."""
        lines = [f"{self.finished} of {self.planned} runs are finished"]
        if self.complete:
            seeds = f"seed{'s' * (len(self.complete) != 1)} {', '.join(map(str, self.complete))}"
            lines.append(f"complete with all configurations: {seeds}")
        else:
            lines.append("no seed has all configurations yet")
        lacking = [f"seed {seed}: {_few(names)}" for seed, names in self.missing.items()]
        return "; ".join(lines) + (f" (still missing with {', '.join(lacking)})." if lacking else ".")


def _few(names: Sequence[str]) -> str:
    """The names where they are few, else their number."""
    return " and ".join(names) if len(names) <= FEW else str(len(names))


def progress(table: AblationTable) -> Progress:
    """How much of an ablation has been run."""
    names = [_name(cell) for cell in table.design.cells]
    lacking = {
        seed: [name for name, cell in zip(names, table.design.cells, strict=True) if seed not in cell.runs]
        for seed in table.seeds
    }
    return Progress(
        finished=sum(len(cell.runs) for cell in table.design.cells),
        planned=len(table.seeds) * len(table.design.cells),
        complete=[seed for seed, cells in lacking.items() if not cells],
        missing={seed: cells for seed, cells in lacking.items() if cells},
    )


def _name(cell: Cell) -> str:
    return "+".join(short_name(factor) for factor, on in cell.levels.items() if on) or "none"


def effect(table: AblationTable | None, name: str, outcome: str) -> Evidence | None:
    """An effect on an outcome; that of cross also from its reverse, bi; None where the table has neither."""
    if table is None:
        return None
    for row in table.effects:
        if row.outcome == outcome and row.name == name:
            return row
        if row.outcome == outcome and (row.name, name) == ("bi", "cross"):
            return reversed_evidence(row)
    return None


def reversed_evidence(row: Evidence) -> Evidence:
    """The evidence of the opposite contrast."""
    decision = row.verdict.decision
    return replace(
        row,
        effect=None if row.effect is None else -row.effect,
        ci95=_reversed(row.ci95),
        ci90=_reversed(row.ci90),
        ci95_new=_reversed(row.ci95_new),
        ci90_new=_reversed(row.ci90_new),
        superiority=None if row.superiority is None else 1 - row.superiority,
        superiority_ci95=None
        if row.superiority_ci95 is None
        else (1 - row.superiority_ci95[1], 1 - row.superiority_ci95[0]),
        verdict=replace(row.verdict, decision=OPPOSITE.get(decision, decision)),
    )


def _reversed(interval: Interval | None) -> Interval | None:
    return None if interval is None else (-interval[1], -interval[0])


def size(row: Evidence | None) -> str:
    """An effect with its interval for other seeds and examples; with too few seeds for one, their number instead."""
    if row is None or row.effect is None:
        return "–"
    digits = DIGITS if row.smallest is not None else LOSS_DIGITS
    value = signed(row.effect, digits)
    if row.verdict.decision is Decision.SAME_PREDICTIONS:
        return f"{value}, the same predictions"
    if row.ci95 is None or row.ci95_new is None:
        return f"{value}, {row.seeds} seed{'s' * (row.seeds != 1)}"
    return f"{value} [{signed(row.ci95_new[0], digits)}, {signed(row.ci95_new[1], digits)}]"


def verdict_words(row: Evidence | None) -> str:
    """The verdict on an effect in a few words; where there is none, why."""
    if row is None:
        return "not run"
    verdict = row.verdict
    if verdict.decision is Decision.UNTESTABLE:
        return _untestable_words(row)
    if verdict.decision is Decision.UNDECIDED:
        return _undecided_words(row)
    if verdict.decision is Decision.SAME_PREDICTIONS:
        return "no effect"
    limits = [f"less than {row.smallest:g}"] if verdict.negligible or not verdict.significant else []
    limits += ["on these examples only"] if verdict.these_examples_only else []
    return ", ".join([f"**{verdict.decision}**", *limits])


def _undecided_words(row: Evidence) -> str:
    if row.verdict.detail:
        return f"undecided: {row.verdict.detail}"  # of looks
    if row.smallest is None:
        return "not significant"  # a loss has no smallest effect of interest, so no number of seeds need decide
    more = row.verdict.more_seeds
    needed = "more than 1,000 seeds" if more is None else f"about {more} more seed{'s' * (more != 1)}"
    return f"undecided; {needed} would decide"


def _untestable_words(row: Evidence) -> str:
    if row.verdict.reason is Reason.TOO_FEW_SEEDS:
        return "no verdict"  # the number of seeds stands beside the effect
    if row.verdict.reason in (Reason.MISSING_RUNS, Reason.NO_COMMON_SEED):
        return "no estimate: runs are missing"
    return f"no verdict: {row.verdict.reason}"


def hours(folder: Path, table: AblationTable) -> float:
    """Hours of one thread that the finished runs took, evaluations included."""
    runs = [Run(folder / name) for cell in table.design.cells for name in cell.runs.values()]
    return sum(run.record.seconds.total * run.record.provenance.host.threads / 3600 for run in runs if run.finished)
