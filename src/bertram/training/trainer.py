"""The training loop: steps, the ends of epochs, evaluations and checkpoints."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from bertram.data.examples import Examples
from bertram.errors import TrainingError
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.evaluation.metrics import on_unit_scale
from bertram.optimizer import schedule
from bertram.training import diagnostics, processes
from bertram.training.display import Display
from bertram.training.sampler import Places
from bertram.training.state import Best, Training
from bertram.training.step import StepContext, StepReport, step
from bertram.training.writer import Writer

SMOOTHING = 0.95  # weight of the past in the losses that are shown


class Trainer:
    """Trains to the end, from wherever a training stands.

    Args:
        training: state of the training.
        writer: keeps the log, the models and the checkpoints.
        display: shows the progress.
    """

    def __init__(self, training: Training, writer: Writer, display: Display) -> None:
        self.training, self.writer, self.display = training, writer, display
        self.config, self.sampler = training.config, training.sampler
        now = time.monotonic()
        self._start_time = now - training.seconds  # as if no time lay between the parts of a resumed run
        self._saved = now

    def fit(self) -> None:
        """Train until the last step, or until early stopping."""
        self.display.begin(self.sampler.step, self.sampler.total_steps)
        try:
            while self.sampler.step < self.sampler.total_steps and not self._stops_early():
                self._step()
                self._save_if_due()
        finally:  # a live bar must not outlive an interrupted training
            self.display.end()
        self.training.seconds = time.monotonic() - self._start_time

    def predict(
        self, examples: dict[str, Examples], progress: Callable[[Iterable[str]], Iterable[str]] = iter
    ) -> Evaluation:
        """Evaluate the model as it is; each process predicts its part of the examples.

        Args:
            examples: examples by task.
            progress: iterates over the task names, to show progress.
        """
        size = self.config.evaluation.batch_size
        if processes.count() == 1:
            return evaluate(self.training.model, examples, size, progress)
        share = slice(processes.rank(), None, processes.count())
        parts = {name: whole.at(range(len(whole))[share]) for name, whole in examples.items()}
        own = {name: part for name, part in parts.items() if len(part)}
        outputs = processes.collected(dict(evaluate(self.training.model, own, size, progress).outputs))
        merged = {}
        for name, whole in examples.items():
            first = outputs[0][name]
            merged[name] = first.new_empty((len(whole), *first.shape[1:]))
            for rank, part in enumerate(outputs):
                if name in part:
                    merged[name][rank :: len(outputs)] = part[name]
        return Evaluation(examples, merged)

    def _step(self) -> None:
        """Take a step, with all that follows it: log, end of an epoch, average, evaluation."""
        training, sampler = self.training, self.sampler
        places = sampler.next()
        training.latest |= places
        watch = self._watches_gradients() and len(places) == len(training.data.train)
        self._report(self._update(training.context, places, watch=watch), places)
        if sampler.step % sampler.steps_per_epoch == 0:
            self._end_epoch()
        training.average.update(sampler.step)
        every = self.config.evaluation.eval_steps or sampler.steps_per_epoch
        if sampler.step % every == 0 or sampler.step == sampler.total_steps:
            self._evaluate()

    def _update(self, context: StepContext, places: dict[str, Places], *, watch: bool = False) -> StepReport:
        """Make one update at the learning rates of this step."""
        o, number = self.config.optimizer, self.sampler.step
        factor = schedule(number - 1, self.sampler.total_steps, o.warmup_ratio, o.lr_schedule)
        for group in context.optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        context.objective.teacher.begin_step((number - 1) / max(1, self.sampler.total_steps - 1))
        try:
            report = step(context, self.training.batches(places), watch=watch, exact=self._keeps_bits())
        except TrainingError as error:
            raise TrainingError(f"step {number}: {error}") from None
        context.objective.after_update()
        return report

    def _report(self, report: StepReport, places: dict[str, Places]) -> None:
        """Log and show a step."""
        training, number = self.training, self.sampler.step
        for task, figures in report.losses.items():
            past = training.smoothed.get(task, figures["loss"])
            training.smoothed[task] = SMOOTHING * past + (1 - SMOOTHING) * figures["loss"]
        for warning in training.idle.watch(report):
            self._warn(warning)
        seconds = time.monotonic() - self._start_time
        self.display.step(number, training.smoothed, sum(self.sampler.seen().values()) / seconds)
        if number % self.config.log.logging_steps == 0:
            self.writer.log({"step": number, "losses": report.losses, "gradient_norm": report.gradient_norm})
        if self._watches_gradients():
            if len(places) == len(training.data.train):
                conflicts = diagnostics.conflict_figures(list(places), report.layer_gramians)
            else:
                batches = training.batches(self._latest())
                conflicts = diagnostics.conflicts(training.context, batches, training.generators)
            self.writer.log({"step": number, "conflicts": conflicts})

    def _warn(self, warning: str) -> None:
        self.display.say(f"warning: {warning}")
        self.writer.log({"step": self.sampler.step, "warning": warning})

    def _end_epoch(self) -> None:
        """Update by surgery if that is due after each epoch, and let the order prepare the next epoch."""
        training, number = self.training, self.sampler.step
        if training.epoch_context is not None and not self._has_seen_all_tasks():
            self._warn("no update after this epoch, because not every task has had a batch yet")
        elif training.epoch_context is not None:
            report = self._update(training.epoch_context, self._latest())
            line = {"step": number, "epoch_surgery": report.losses, "gradient_norm": report.gradient_norm}
            self.writer.log(line)
        decided = self.sampler.order.end_epoch(self._train_scores)
        if decided:
            self.writer.log({"step": number, **decided})

    def _train_scores(self) -> dict[str, float]:
        """Each task's main score on the train sample, on [0, 1]; an undefined one counts as 0."""
        scores = self.predict(self.training.data.train_sample).main_scores()
        metrics = {name: task.scored_by for name, task in self.config.tasks.items()}
        return {name: 0.0 if s is None else on_unit_scale(metrics[name], s) for name, s in scores.items()}

    def _evaluate(self) -> None:
        """Score dev; keep the weights if they are the best."""
        training, number = self.training, self.sampler.step
        with training.average.applied():
            evaluation = self.predict(training.data.watched, self.display.evaluating)
            score, best = evaluation.selection(), training.best
            better = score > best.score
            training.best = Best(score, number) if better else replace(best, since=best.since + 1)
            if better or self.config.evaluation.final_weights == "last":
                self.writer.save_model(training.model)
        scores = evaluation.main_scores()
        score_text = "  ".join(f"{name} {_score_text(value)}" for name, value in scores.items())
        self.display.say(f"step {number}: dev {score_text}  overall {score:.4f}{'  (best so far)' if better else ''}")
        self.writer.log({"step": number, "dev": scores, "overall": score, "seen": self.sampler.seen()})

    def _stops_early(self) -> bool:
        """Whether so many evaluations in a row were no better that training ends."""
        patience, since = self.config.evaluation.early_stopping_patience, self.training.best.since
        if not patience or since < patience:
            return False
        self.display.say(f"stopped early: no better score in {since} evaluations")
        if self.training.average.expected_later:
            self.training.data.cautions.append("stopped early, before its average began: the weights are not averaged")
        return True

    def _save_if_due(self) -> None:
        """A checkpoint every few minutes."""
        now = time.monotonic()
        if not processes.from_first(now - self._saved >= 60 * self.config.checkpoint.save_minutes):
            return
        self._saved, self.training.seconds = now, now - self._start_time
        self.writer.save_checkpoint(self.sampler.step, self.training.state_dict())

    def _latest(self) -> dict[str, Places]:
        """The latest examples of each task, in the order of the tasks."""
        return {name: self.training.latest[name] for name in self.training.data.train}

    def _has_seen_all_tasks(self) -> bool:
        return len(self.training.latest) == len(self.training.data.train)

    def _watches_gradients(self) -> bool:
        """Whether the tasks' gradients are compared after this step: all were seen, and share an encoder."""
        due = self.sampler.step % self.config.log.diagnostics_steps == 0
        tasks = len(self.training.data.train)
        return due and self._has_seen_all_tasks() and tasks > 1 and not self.config.model.freeze_encoder

    def _keeps_bits(self) -> bool:
        """Whether measured gradients change no bit of an update; at every step that would be too dear."""
        return self.config.log.diagnostics_steps > 1


def _score_text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
