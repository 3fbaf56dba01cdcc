"""Sections on predictions: confusion matrices, scatter plots of scores, and the largest errors."""

import numpy as np
from markupsafe import Markup, escape

from bertram.evaluation.calibration import calibration_error
from bertram.evaluation.groups import text_groups
from bertram.evaluation.labels import label_scores
from bertram.evaluation.reliability_curve import reliability
from bertram.evaluation.set_metrics import digits
from bertram.report import plots
from bertram.report.drawing import WIDTH, svg
from bertram.report.outcomes import Library, Outcomes, RunView
from bertram.report.page import Cell, Column, Picture, Section, Table, shown, shown_interval
from bertram.runs.decisions import read_decisions
from bertram.runs.scores import Score

MOST_POINTS = 1500  # of a scatter; more are drawn by lot
WORST = 8  # errors shown of each task
LABEL_COLUMNS = ("in gold", "predicted", "precision", "recall", "F1", "95 % interval", "threshold")
LONGEST = 400  # characters of a text that are shown


def predictions_section(run: RunView, library: Library) -> Section:
    """A confusion matrix, a reliability diagram or a scatter for each task."""
    pictures, tables = [], []
    for name, task in run.config.tasks.items():
        outcomes = library.outcomes(run, name)
        counts = None if run.record is None else run.record.confusion.get(name)
        if counts is not None:
            side = 250 if len(counts) <= 2 else 330
            pictures.append(Picture(
                f"{name}: confusion", svg(plots.confusion, WIDTH, side, counts, task.class_names),
                "Gold classes by predicted ones: counts, coloured by their share of the row.",
            ))  # fmt: skip
        if outcomes is None:
            continue
        if task.label_space.is_set:
            pictures.append(_label_reliability(run, name, outcomes))
            tables.append(_label_table(name, outcomes))
        elif outcomes.confidence is not None:
            pictures.append(_reliability(run, name, outcomes))
        elif task.label_space.numeric:
            pictures += [_scatter(name, outcomes), _spread(name, outcomes)]
    return Section("predictions", "Predictions", pictures=pictures, tables=tables)


def _label_table(name: str, outcomes: Outcomes) -> Table:
    """Counts and scores of each label of a multi-label task."""
    columns = [Column("label"), *(Column(heading, number=True) for heading in LABEL_COLUMNS)]
    rows: list[list[Cell]] = []
    for label in label_scores(outcomes.task, outcomes.gold, outcomes.predicted, text_groups(outcomes.texts)):
        interval = "" if label.f1.ci95 is None else shown_interval(label.f1.ci95)
        rows.append([label.name, f"{label.gold:,}", f"{label.predicted:,}", shown(label.precision), shown(label.recall),
                     shown(label.f1.value), interval, shown(label.threshold, 2)])  # fmt: skip
    note = "F1 has a 95 % interval over examples. A label is predicted above its threshold."
    return Table(columns, rows, title=f"{name}: each label", note=note)


def _label_reliability(run: RunView, name: str, outcomes: Outcomes) -> Picture:
    """Reliability of the probabilities of all labels together: how often a label is present."""
    assert outcomes.probabilities is not None
    present = digits(outcomes.gold, outcomes.task.classes).ravel()
    sure = outcomes.probabilities.ravel()
    bins = reliability(sure, present)
    rows = np.arange(len(outcomes.gold)) if (groups := text_groups(outcomes.texts)) is None else groups
    error = calibration_error(sure, present, np.repeat(rows, outcomes.task.classes))
    return Picture(
        f"{name}: reliability", svg(plots.reliability, WIDTH, 330, bins),
        f"How often a label is present (bars) at such a probability, all labels together; the gap to the diagonal is "
        f"outlined. Expected calibration error {_with_interval(error)}.{_after(run, name)}",
    )  # fmt: skip


def _with_interval(score: Score) -> str:
    return f"{shown(score.value)} ({shown_interval(score.ci95)})"


def _after(run: RunView, name: str) -> str:
    """A sentence about the calibration that was fitted later; nothing where none was."""
    decisions = read_decisions(run.run.path)
    fitted = None if decisions is None else decisions.tasks.get(name)
    if decisions is None or fitted is None or "calibration_error" not in fitted.scores:
        return ""
    after = _with_interval(fitted.scores["calibration_error"].after)
    return (
        f" Later fitted on {decisions.fitted_on}: temperature {shown(fitted.temperature, 2)}, with which the error is "
        f"{after} on rows that the fit did not see."
    )


def _reliability(run: RunView, name: str, outcomes: Outcomes) -> Picture:
    assert outcomes.confidence is not None
    right_answers = (outcomes.predicted == outcomes.gold).astype(np.float64)
    bins = reliability(outcomes.confidence, right_answers)
    error = calibration_error(outcomes.confidence, right_answers, text_groups(outcomes.texts))
    sure, right = outcomes.confidence.mean(), (outcomes.predicted == outcomes.gold).mean()
    tendency = "too sure of itself" if sure > right else "not sure enough of itself"
    means = f"confidence {shown(sure)}, accuracy {shown(right)}"
    return Picture(
        f"{name}: reliability", svg(plots.reliability, WIDTH, 330, bins),
        f"How often it is right (bars) when it is so sure; the gap to the diagonal is outlined. Expected calibration "
        f"error {_with_interval(error)}; on the whole {tendency}: {means}.{_after(run, name)}",
    )  # fmt: skip


def _scatter(name: str, outcomes: Outcomes) -> Picture:
    gold, predicted = outcomes.gold, outcomes.predicted
    by_lot = ""
    if len(gold) > MOST_POINTS:
        chosen = np.random.default_rng(0).permutation(len(gold))[:MOST_POINTS]
        gold, predicted, by_lot = gold[chosen], predicted[chosen], f" {MOST_POINTS:,} of them, by lot;"
    return Picture(
        f"{name}: predicted and gold", svg(plots.scatter, WIDTH, 340, gold, predicted, outcomes.task.range),
        f"{len(outcomes.gold):,} examples;{by_lot} {outcomes.task.scored_by} {shown(outcomes.score())}. Dashed: "
        "equality.",
    )  # fmt: skip


def _spread(name: str, outcomes: Outcomes) -> Picture:
    gold, predicted = outcomes.gold, outcomes.predicted
    off = predicted.mean() - gold.mean()
    return Picture(
        f"{name}: how the scores are spread", svg(plots.spread, WIDTH, 340, gold, predicted, outcomes.task.range),
        f"Standard deviation {shown(gold.std(), 2)} of gold scores, {shown(predicted.std(), 2)} of predictions, which "
        f"are {shown(abs(off), 2)} too {'high' if off > 0 else 'low'} on average. A correlation sees neither.",
    )  # fmt: skip


def errors_section(run: RunView, library: Library) -> Section:
    """The worst errors of each task, with their texts."""
    tables = []
    for name in run.config.tasks:
        outcomes = library.outcomes(run, name)
        if outcomes is not None and (rows := _worst(outcomes)):
            tables.append(Table(_columns(outcomes), rows, title=name))
    lead = "Wrong with the highest confidence, or farthest from the gold score. Texts are as the model reads them."
    return Section("errors", "Worst errors", lead, tables=tables)


def _columns(outcomes: Outcomes) -> list[Column]:
    numeric = outcomes.task.label_space.numeric
    last = Column("off by" if numeric else "confidence", number=True)
    return [Column("text"), Column("gold", number=numeric), Column("predicted", number=numeric), last, Column("id")]


def worst(outcomes: Outcomes) -> list[int]:
    """The places of the worst errors, the worst first: surely wrong classes, or scores far from gold."""
    confidence = outcomes.confidence
    if outcomes.task.label_space.numeric:
        badness = np.abs(outcomes.predicted - outcomes.gold)
    else:
        wrong = outcomes.predicted != outcomes.gold
        badness = wrong * (np.ones(len(wrong)) if confidence is None else confidence)
    order = np.argsort(-badness, kind="stable")[:WORST]
    return [int(place) for place in order if badness[place] > 0]


def _worst(outcomes: Outcomes) -> list[list[Cell]]:
    confidence = outcomes.confidence
    rows: list[list[Cell]] = []
    for place in worst(outcomes):
        gold, predicted = float(outcomes.gold[place]), float(outcomes.predicted[place])
        if outcomes.task.label_space.numeric:
            values = [shown(gold, 2), shown(predicted, 2), shown(abs(gold - predicted), 2)]
        else:
            sure = "" if confidence is None else shown(float(confidence[place]), 2)
            space = outcomes.task.label_space
            values = [space.display(gold), space.display(predicted), sure]
        rows.append([_texts(outcomes.texts[place]), *values, outcomes.ids[place]])
    return rows


def _texts(texts: tuple[str, ...]) -> Markup:
    cut = [text if len(text) <= LONGEST else f"{text[:LONGEST]} …" for text in texts]
    inner = Markup("").join(Markup('<span class="pair">{}</span>').format(escape(text)) for text in cut)
    return Markup("<div>{}</div>").format(inner)
