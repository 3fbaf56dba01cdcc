"""Sections on a training: scores, losses and gradients over the steps, and the effect of the regularizers."""

from collections.abc import Mapping

from bertram.report import gradient_plots, plots
from bertram.report.drawing import WIDTH, svg
from bertram.report.gradients import Curve, conflicts, dev_curves, loss_curves
from bertram.report.outcomes import RunView
from bertram.report.page import Picture, Section


def learning_section(run: RunView) -> Section:
    """Dev scores and losses over the steps, and the gap between train and dev."""
    pictures = []
    dev, losses = dev_curves(run.lines), loss_curves(run.lines)
    if dev:
        best = None if run.record is None or run.record.steps is None else run.record.steps.best
        pictures.append(Picture(
            "Dev scores while training", svg(plots.learning_curves, WIDTH, 300, dev, best),
            "Each task's main score at each evaluation" + (", and overall on [0, 1]." if "overall" in dev else "."),
        ))  # fmt: skip
    if losses:
        pictures.append(Picture(
            "Training losses", svg(plots.losses, WIDTH, 60 + 90 * len(losses), losses),
            "Faint: logged steps. Strong: their running mean. Penalties are not included.",
        ))  # fmt: skip
    norms = [(line["step"], line["gradient_norm"]) for line in run.lines if "losses" in line]
    if norms:
        pictures.append(Picture(
            "Norm of the gradient", svg(plots.gradient_norm, WIDTH, 260, norms),
            "Of all parameters together, before clipping, on a logarithmic scale. Peaks that grow are a training about "
            "to break.",
        ))  # fmt: skip
    if marks := _gap_marks(run):
        pictures.append(Picture(
            "Train and dev", svg(plots.gap, WIDTH, 90 + 46 * len(marks), marks),
            "The same score on a fixed sample of the training rows and on dev, with 95 % intervals. A wide gap is "
            "overfitting: more of the same training will not help.",
        ))  # fmt: skip
    return Section("learning", "Learning", pictures=pictures)


def _gap_marks(run: RunView) -> dict[str, tuple[plots.Marked, plots.Marked]]:
    marks = {}
    for name, task in run.config.tasks.items():
        on_train = None if run.train_scores is None else run.train_scores.score(name, task.scored_by)
        train, dev = (
            None if score is None or score.value is None else plots.Marked("", score.value, score.ci95)
            for score in (on_train, run.main(name))
        )
        if train is not None and dev is not None:
            marks[name] = (train, dev)
    return marks


def _layers(run: RunView) -> int | None:
    """The number of the encoder's layers; None where it is not recorded."""
    if run.record is None or run.record.encoder is None:
        return None
    layers = run.record.encoder.shape.get("layers")
    return layers if isinstance(layers, int) else None


def gradients_section(run: RunView) -> Section:
    """Cosines of the tasks' gradients, by layer and step."""
    measured = conflicts(run.lines, _layers(run))
    if measured is None:
        return Section("gradients", "Gradients")
    surgery = run.config.surgery
    done = "The gradients were added up, without surgery." if surgery.method == "none" else (
        f"Surgery: {surgery.method}, each {surgery.frequency}."
    )  # fmt: skip
    rates = ", ".join(f"{measured.name(pair)} {measured.rate(pair):.0%}" for pair in measured.pairs)
    lead = f"Share of {len(measured.steps):,} looks in which two tasks' gradients were in conflict (negative cosine)"
    height = max(560, 110 + len(measured.pairs) * (36 + 18 * len(measured.layers)))  # as high as the two beside it
    pictures = [
        Picture("Conflicts by layer and time", svg(gradient_plots.conflict_map, WIDTH, height, measured),
                "Cosine of two tasks' gradients: red in conflict, blue in agreement. A look is one batch of each task, "
                "so single cells are noisy.", tall=True),
        Picture("Cosines of the whole encoder", svg(gradient_plots.conflict_lines, WIDTH, 260, measured),
                "Faint: looks. Strong: their running mean."),
        Picture("Norms of the tasks' gradients", svg(gradient_plots.gradient_norms, WIDTH, 260, measured),
                "A task with a far larger gradient than the others decides alone where the encoder goes."),
    ]  # fmt: skip
    return Section("gradients", "Gradients", f"{lead}: {rates}. {done}", pictures)


PENALTIES = {"SMART penalty / loss": "smart/penalty", "Bregman penalty / loss": "bregman/penalty",
             "R-Drop divergence / loss": "rdrop/divergence"}  # fmt: skip
COSINE = "cosine of offset and gradient"
ASCENT = {"divergence at the random start": "smart/divergence_before", "divergence after the ascent":
          "smart/divergence_after", COSINE: "smart/gradient_cosine"}  # fmt: skip


def smart_section(run: RunView) -> Section:
    """Penalties of SMART, the Bregman proximal point and R-Drop over the steps."""
    shares = {title: loss_curves(run.lines, name, of_loss=True) for title, name in PENALTIES.items()}
    ascent = {title: loss_curves(run.lines, name) for title, name in ASCENT.items()}
    pictures = [
        Picture(title, pictures, caption)
        for title, curves, caption in (
            ("Penalties", shares,
             "As a share of the task's loss: a penalty of a millionth does nothing, one above 1 takes over."),
            ("The ascent", ascent,
             "How far the outputs move at the random start and at the adversarial offset: where the two are alike the "
             "adversary found nothing. The cosine says how well the offset follows the gradient; the ball it is "
             "projected on keeps it below 1."),
        )
        if (pictures := _panels(curves, list(run.config.tasks)))
    ]  # fmt: skip
    radii = [r for curve in loss_curves(run.lines, "smart/radius").values() for _, r in curve if r is not None]
    smart = run.config.smart
    if not radii:
        return Section("smart", "Regularizers", pictures=pictures)
    lead = (
        f"SMART on {', '.join(run.config.chosen('smart'))}: λ = {smart.weight:g}, {smart.ascent_steps} ascent "
        f"step{'s' * (smart.ascent_steps != 1)}, radius {smart.radius:g} ({smart.unit}), "
        f"largest offset {max(radii):.2g}; dropout masks: {smart.dropout_masks}; Bregman: {smart.bregman}."
    )
    return Section("smart", "Smoothness", lead, pictures)


def _panels(curves: Mapping[str, Mapping[str, Curve]], order: list[str]) -> str:
    present = {title: by_task for title, by_task in curves.items() if by_task}
    if not present:
        return ""
    height = 90 + 125 * len(present)
    return svg(gradient_plots.panels_over_time, WIDTH, height, present, order, log=present.keys() - {COSINE})
