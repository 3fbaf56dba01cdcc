"""The text of docs/findings.md and of the findings on the front page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.outcomes import OVERALL
from bertram.errors import BertramError
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import AblationTable, read_ablation_table
from bertram.experiments.design import ALONE
from bertram.experiments.equal_time import read_step_costs
from bertram.minbert.last_task import claim
from bertram.minbert.render import markdown as table_1_markdown
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.minbert.table_1_values import read_table_1
from bertram.report.plots import Marked
from tools.findings import tables
from tools.findings.claims import TECHNIQUES
from tools.findings.evidence import Progress, effect, hours, progress, size, verdict_words
from tools.last_task import finished_runs, lines

STUDY, STUDY_EQUAL_TIME = "ablation-quick", "ablation-quick-equal-time"
FURTHER, FURTHER_EQUAL_TIME = "techniques-quick", "techniques-quick-equal-time"
SEQUENCE, TABLE, ORDERS = "sequence", "table-1", "orders-sequential"
PICTURE = "pictures/findings.png"
COMMANDS = "experiments.md#the-commands-of-the-study"
TITLES = {technique.factor: technique.title for technique in TECHNIQUES}
SEQUENCE_TITLES = {
    "smart": "SMART's penalty on sentiment",
    "pcgrad": "PCGrad after each epoch",
    "rotating": "rotating order",
    "mse": "squared error on similarity",
}

INTRODUCTION = """# What each technique is worth

Made from the records below `results/` by `make tables`; do not edit. The study that this project grew out of tried
several techniques on one BERT and three tasks, each once. It closed with the wish to "break down the effect of each of
the changes we made". This page is that breakdown, as far as the runs are finished.

An effect is the mean score of the runs with a technique minus that of the runs without it. Brackets are 95 % intervals
for other seeds and other dev examples. Better, worse and equivalent are verdicts by the rules of
[statistics](statistics.md): each effect by its own noise over at least 3 seeds. Better and worse are corrected: on the
overall score for the number of techniques, elsewhere for all rows of the study, losses and interactions included.
Equivalent means smaller than the smallest effect of interest, {smallest:g}: the 90 % interval for other seeds lies
within it. It is not corrected, so each has its own 5 % of error. "On these examples only" marks a verdict that other
dev examples may not give. Overall is the mean of sentiment accuracy, paraphrase accuracy and (r + 1) / 2 of
similarity."""
LIMITS = """## What this does not say

- It holds for `minilm` (22.7 M parameters), which was pretrained on sentence pairs that include Quora pairs. The study
  had BERT-base. A larger encoder, or one that has not seen such pairs, may gain more or less.
- It holds for these data: 8,544 sentences with their phrases, 28,097 Quora pairs (a tenth of the course's), 6,040 pairs
  of STS. With less data a regularizer may help more.
- It holds at these learning rates, batch sizes, task weights and this number of steps. They were chosen without SMART,
  Bregman and PCGrad, which have the constants of their papers (SMART: the calibrated radius). They were chosen with
  squared error and with pairs read in one pass: similarity's weight of 0.25 suits squared error; cross-entropy has it,
  too.
- Techniques were switched on for the tasks for which the study had them. SMART on all tasks is another question.
- The row on pairs changes the head, too: a linear head on the pair, against the cosine of two vectors, for which
  `minilm` was pretrained. The heads of `quick` and `best` (one pass, products and differences of the segments) are in
  neither, so the row says nothing about them.
- Bregman's β = 0.999 averages over some 1,000 steps, which is the whole run: at its end two fifths of the teacher's
  weight are still of the first 100 steps, before β has this value. In a longer run it would hold back less.
- Effects are means over the other techniques being on and off. Interactions say where that mean hides something.
- The runs had other work beside them, so their wall times do not show what a technique costs. Steps in turns do
  ([performance](performance.md#the-step-since-then))."""
NOT_RUN = "Not run yet; the command is in [the experiments]({commands})."


@dataclass(frozen=True)
class Findings:
    """What the records say.

    Attributes:
        results: folder of the results.
        study: the ablation of the study's techniques at equal steps; None where it was not begun.
    """

    results: Path
    study: AblationTable | None

    @classmethod
    def read(cls, results: Path) -> "Findings":
        """The findings in a folder of results."""
        return cls(results, ablation(results / STUDY))

    @property
    def equal_time(self) -> AblationTable | None:
        """The ablation of the study's techniques at equal time; None where it was not begun."""
        return ablation(self.results / STUDY_EQUAL_TIME)


def ablation(folder: Path) -> AblationTable | None:
    """The table of an ablation; None where there is none."""
    return read_ablation_table(folder / ABLATION) if (folder / ABLATION).is_file() else None


def page(findings: Findings, drawn: Mapping[str, Sequence[Marked]]) -> str:
    """The whole page.

    Args:
        findings: what the records say.
        drawn: panels of the picture; empty where nothing can be drawn.
    """
    smallest = SMALLEST_EFFECT if findings.study is None else findings.study.smallest_effect
    parts = [INTRODUCTION.format(smallest=smallest), "## In short", *summary(findings)]
    parts += study_sections(findings, drawn) if findings.study is not None else []
    parts += [*sequence_section(findings.results), *orders_section(findings.results)]
    parts += [*further_section(findings.results), *table_1_section(findings.results), LIMITS]
    parts.append(f"## How to make it again\n\nThe commands are in [the experiments]({COMMANDS}); then `make tables`.")
    return "\n\n".join(parts) + "\n"


def summary(findings: Findings, docs: str = "") -> Iterator[str]:
    """The findings in a few lines, for this page and for the front page.

    Args:
        findings: what the records say.
        docs: path from the page to docs/.
    """
    table = findings.study
    if table is None:
        yield f"No run of the study is finished. {NOT_RUN.format(commands=docs + COMMANDS)}"
        return
    there = progress(table)
    if not there.complete:
        yield (
            f"Nothing is known yet of the techniques in a whole training: {there.in_words()} An effect needs every "
            f"configuration with a seed, a verdict {LEAST_SEEDS} seeds."
        )
        return
    if not there.decides:
        yield f"No technique has a verdict yet, which needs {LEAST_SEEDS} seeds: {there.in_words()} So far, overall:"
    else:
        yield f"Effect on the overall score, {len(there.complete)} seeds ({there.finished} of {there.planned} runs):"
    yield "\n".join(_summary_line(table, findings.equal_time, factor) for factor in TITLES)


def _summary_line(steps: AblationTable, time: AblationTable | None, factor: str) -> str:
    row, at_time = effect(steps, factor, OVERALL), effect(time, factor, OVERALL)
    line = f"- {TITLES[factor]}: {size(row)}, {verdict_words(row)}"
    return line if at_time is None or at_time.effect is None else f"{line}; at equal time {size(at_time)}"


def study_sections(findings: Findings, drawn: Mapping[str, Sequence[Marked]]) -> Iterator[str]:
    """The study's techniques: effects, losses, equal time, claims, interactions, forecast and hours."""
    table, folder = findings.study, findings.results / STUDY
    assert table is not None
    yield f"## The techniques at equal steps\n\n{table.title}.\n\n{_state(progress(table), table)}"
    if drawn:
        yield (
            f"![Effects, from {LEAST_SEEDS} seeds on with 95 % intervals; the band is the smallest effect of interest]"
            f"({PICTURE})\n\nFilled: significant, for other examples too. Hollow: not significant. Diamonds: fewer "
            f"than {LEAST_SEEDS} seeds, so no interval."
        )
    if any_effect(table):
        yield from _effects(table)
    yield from _equal_time(findings)
    yield "## What the study claimed\n\nDifferences of published rows, one seed each, beside the effect measured here:"
    yield tables.claims(table)
    yield "What other reports measured, one seed and no interval as a rule:\n\n" + "\n".join(tables.elsewhere())
    if any_effect(table):
        yield (
            "## Interactions\n\nWhat two techniques together have beyond the sum of their effects, overall. Equivalent "
            "means here: smaller than twice the smallest effect of interest, since it is about two techniques. "
            "Interactions of three and more are taken to be nothing."
        )
        yield tables.interactions(table)
    yield from _forecast(table)
    yield f"All finished runs took {hours(folder, table):.1f} hours of one thread, with other work beside them."


def any_effect(table: AblationTable) -> bool:
    """Whether any effect has a value."""
    return any(row.effect is not None for row in table.effects)


def _effects(table: AblationTable) -> Iterator[str]:
    """Effects on scores and on losses."""
    yield tables.worth(table, list(TITLES.items()))
    yield (
        "Losses see what decisions do not: a model can have better probabilities and the same answers. Lower is "
        "better; SMART smooths probabilities, so that its loss is no substitute for its accuracy."
    )
    yield tables.losses(table, list(TITLES.items()))


def _state(there: Progress, table: AblationTable) -> str:
    """What is there, and which verdicts that allows."""
    words = f"State: {there.in_words()}"
    if table.design.kind in ALONE:  # each effect needs two configurations, not all
        return words
    if not there.complete:
        return f"{words} An effect is a contrast of all {len(table.design.cells)} configurations, so there is none yet."
    if not there.decides:
        return f"{words} Effects of so few seeds compare these very models; none has a verdict."
    return words


def _equal_time(findings: Findings) -> Iterator[str]:
    yield "## At equal time"
    assert findings.study is not None
    time, costs = findings.equal_time, read_step_costs(findings.results / STUDY_EQUAL_TIME)
    yield (
        "A technique that makes a step longer has fewer steps in the same time. Here each technique is alone, in the "
        "company of no other, and has as many steps as fit into the time of the plain training. The plain training "
        "reads a pair in one pass, so the last row is the reverse of a row for two passes."
    )
    if time is None:
        yield NOT_RUN.format(commands=COMMANDS)
        return
    yield f"State: {progress(time).in_words()}"
    yield tables.equal_steps_and_time(findings.study, time, costs)


def _forecast(table: AblationTable) -> Iterator[str]:
    yield "## The forecast, and what came"
    if table.power is None:
        yield "No forecast was recorded before the runs."
        return
    yield (
        f"Before the first effect was seen: noise from {table.power.source}, {table.power.seeds} seeds."
        f"{_borrowed(table)} Visible is the smallest effect that these seeds show with 80 % power, at the upper 80 % "
        "bound of the noise."
    )
    yield tables.forecast_and_outcome(table.power, table)


def _borrowed(table: AblationTable) -> str:
    """Whether the noise in the forecast is that of other differences."""
    assert table.power is not None
    if all(row.noise.own for row in table.power.effects):
        return ""
    return (
        " For want of runs of the design it is the noise of other differences, whose seeds changed the order of the "
        "data only, so the forecast is probably too hopeful."
    )


def sequence_section(results: Path) -> Iterator[str]:
    """The factors that need tasks in sequence."""
    yield "## Tasks in sequence"
    table = ablation(results / SEQUENCE)
    if table is None:
        yield NOT_RUN.format(commands=COMMANDS)
        return
    yield f"{table.title}.\n\n{_state(progress(table), table)}"
    yield tables.worth(table, list(SEQUENCE_TITLES.items()))


def orders_section(results: Path) -> Iterator[str]:
    """The orders of the tasks, and the claim about the task that comes last."""
    yield (
        "## The order of the tasks\n\nThe study says that a model is best on the task that it saw last. The test: a "
        "task's score where it came last, minus its mean score where it did not, with the same number of examples of "
        "each task."
    )
    table = ablation(results / ORDERS)
    if table is None:
        yield NOT_RUN.format(commands=COMMANDS)
        return
    try:
        yield "\n".join(f"- {line}" for line in lines(claim(finished_runs(results / ORDERS))))
    except BertramError as error:
        yield f"No test yet: {error}"
    yield f"{_state(progress(table), table)} Each order against sentiment, paraphrase, similarity in sequence:"
    yield tables.worth(table, [(factor.name, factor.name) for factor in table.design.factors])


def further_section(results: Path) -> Iterator[str]:
    """Further techniques, each against plain training at equal steps and at equal time."""
    yield "## Further techniques\n\nEach alone against plain training with pairs read in one pass."
    for folder, heading in ((FURTHER, "At equal steps"), (FURTHER_EQUAL_TIME, "At equal time")):
        table = ablation(results / folder)
        if table is None:
            yield f"{heading}: {NOT_RUN[0].lower()}{NOT_RUN[1:].format(commands=COMMANDS)}"
        else:
            yield f"{heading}. {_state(progress(table), table)}"
            yield tables.worth(table, [(factor.name, factor.name) for factor in table.design.factors])


def table_1_section(results: Path) -> Iterator[str]:
    """Table 1 of the study, trained until it says something."""
    yield "## The study's Table 1"
    path = results / TABLE / TABLE_1
    yield table_1_markdown(read_table_1(path)).strip() if path.is_file() else NOT_RUN.format(commands=COMMANDS)
