"""The training loop."""

import time
from dataclasses import dataclass, replace
from typing import Any

from bertram.data.examples import Examples
from bertram.errors import TrainingError
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.evaluation.metrics import on_unit_scale
from bertram.optimizer import schedule
from bertram.prediction.load import save_model
from bertram.runs import checkpoint
from bertram.runs.directory import MetricsLog, Run
from bertram.runs.files import replace_directory
from bertram.training import diagnostics, processes
from bertram.training.display import Display
from bertram.training.state import Best, Training
from bertram.training.step import Learner, StepReport, step

SMOOTHING = 0.95  # of the losses that are shown


@dataclass
class Clock:
    """What a run's time is counted from."""

    begun: float
    saved: float


def fit(training: Training, run: Run, log: MetricsLog, display: Display) -> None:
    """Train to the end, from wherever the training stands.

    Args:
        training: its state.
        run: where checkpoints and the best model go.
        log: the run's metrics.
        display: what is shown.
    """
    now = time.monotonic()
    clock = Clock(begun=now - training.seconds, saved=now)
    display.begin(training.sampler.step, training.sampler.total_steps)
    try:
        _steps(training, run, log, display, clock)
    finally:  # a live bar must not outlive an interrupted training
        display.end()
    training.seconds = time.monotonic() - clock.begun


def _steps(training: Training, run: Run, log: MetricsLog, display: Display, clock: Clock) -> None:
    config, sampler = training.config, training.sampler
    every = config.evaluation.eval_steps or sampler.steps_per_epoch
    while sampler.step < sampler.total_steps:
        places = sampler.next()
        training.latest |= places
        report = _update(training, training.learner, places, sampler.step)
        _record(training, log, display, report, clock)
        if sampler.step % sampler.steps_per_epoch == 0:
            _close_epoch(training, log)
        training.average.update(sampler.step)
        if sampler.step % every == 0 or sampler.step == sampler.total_steps:
            _evaluate(training, run, log, display)
            if (
                config.evaluation.early_stopping_patience
                and training.best.since >= config.evaluation.early_stopping_patience
            ):
                display.say(f"stopped early: no better score in {training.best.since} evaluations")
                break
        _save_if_due(training, run, log, clock)


def _update(training: Training, learner: Learner, places: dict[str, Any], number: int) -> StepReport:
    """One update at the rates of this step."""
    o, sampler = training.config.optimizer, training.sampler
    factor = schedule(number - 1, sampler.total_steps, o.warmup_ratio, o.lr_schedule)
    for group in learner.optimizer.param_groups:
        group["lr"] = group["rate"] * factor
    try:
        report = step(learner, training.batches(places))
    except TrainingError as error:
        raise TrainingError(f"step {number}: {error}") from None
    learner.objective.after_update()
    return report


def _record(training: Training, log: MetricsLog, display: Display, report: StepReport, clock: Clock) -> None:
    """Log and show a step."""
    number, config = training.sampler.step, training.config
    for task, figures in report.losses.items():
        past = training.smoothed.get(task, figures["loss"])
        training.smoothed[task] = SMOOTHING * past + (1 - SMOOTHING) * figures["loss"]
    for warning in training.idle.watch(report):
        display.say(f"warning: {warning}")
        if processes.is_writer():
            log.write({"step": number, "warning": warning})
    seconds = time.monotonic() - clock.begun
    display.step(number, training.smoothed, sum(training.sampler.seen().values()) / seconds)
    if number % config.log.logging_steps == 0 and processes.is_writer():
        log.write({"step": number, "losses": report.losses, "gradient_norm": report.gradient_norm})
    everyone = len(training.latest) == len(training.data.train) > 1 and not config.model.freeze_encoder
    if number % config.log.diagnostics_steps == 0 and everyone:
        latest = {name: training.latest[name] for name in training.data.train}
        found = diagnostics.conflicts(training.learner, training.batches(latest), training.generators)
        if processes.is_writer():
            log.write({"step": number, "conflicts": found})


def _close_epoch(training: Training, log: MetricsLog) -> None:
    """What happens between two epochs: the update by surgery, and the order of the next one."""
    number = training.sampler.step
    if training.epoch_learner is not None and len(training.latest) == len(training.data.train):
        latest = {name: training.latest[name] for name in training.data.train}
        report = _update(training, training.epoch_learner, latest, number)
        if processes.is_writer():
            log.write({"step": number, "epoch_surgery": report.losses, "gradient_norm": report.gradient_norm})
    decided = training.sampler.order.end_epoch(lambda: _train_scores(training))
    if decided and processes.is_writer():
        log.write({"step": number, **decided})


def _train_scores(training: Training) -> dict[str, float]:
    """Each task's main score on the train sample, on [0, 1]."""
    scores = predict(training, training.data.train_sample).main_scores()
    return {name: _on_unit(training, name, score) for name, score in scores.items()}


def _on_unit(training: Training, name: str, score: float | None) -> float:
    """A main score on [0, 1]; an undefined one counts as 0."""
    if score is None:
        return 0.0
    return on_unit_scale(training.config.tasks[name].scored_by, score)


def _evaluate(training: Training, run: Run, log: MetricsLog, display: Display) -> None:
    """Score dev; keep the weights if they are the best."""
    number = training.sampler.step
    with training.average.applied():
        found = predict(training, training.data.watched, display)
        score = found.selection()
        best = training.best
        better = score > best.score
        training.best = Best(score, number) if better else replace(best, since=best.since + 1)
        if (better or training.config.evaluation.final_weights == "last") and processes.is_writer():
            replace_directory(run.path / "model", lambda directory: save_model(training.model, directory))
    shown = "  ".join(f"{name} {_shown(value)}" for name, value in found.main_scores().items())
    display.say(f"step {number}: dev {shown}  overall {score:.4f}{'  (best so far)' if better else ''}")
    if processes.is_writer():
        log.write({"step": number, "dev": found.main_scores(), "overall": score, "seen": training.sampler.seen()})


def predict(training: Training, examples: dict[str, Examples], display: Display | None = None) -> Evaluation:
    """Evaluate, each process its part of the examples."""
    size = training.config.evaluation.batch_size
    each = display.evaluating if display is not None else iter
    if processes.count() == 1:
        return evaluate(training.model, examples, size, each)
    mine_of = slice(processes.rank(), None, processes.count())
    parts = {name: one.at(range(len(one))[mine_of]) for name, one in examples.items()}
    mine = {name: part for name, part in parts.items() if len(part)}
    outputs = processes.collected(dict(evaluate(training.model, mine, size, each).outputs))
    whole = {}
    for name, one in examples.items():
        first = outputs[0][name]
        whole[name] = first.new_empty((len(one), *first.shape[1:]))
        for rank, found in enumerate(outputs):
            if name in found:
                whole[name][rank :: len(outputs)] = found[name]
    return Evaluation(examples, whole)


def _save_if_due(training: Training, run: Run, log: MetricsLog, clock: Clock) -> None:
    """A checkpoint every few minutes."""
    now = time.monotonic()
    if not processes.from_writer(now - clock.saved >= 60 * training.config.checkpoint.save_minutes):
        return
    clock.saved, training.seconds = now, now - clock.begun
    state = training.state_dict()
    if processes.is_writer():
        state["metrics"] = log.position()
        checkpoint.save(run.checkpoints, training.sampler.step, state, training.config.checkpoint.save_total_limit)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
