"""What a run would do and take, from its configuration and a few measured steps."""

import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bertram import options
from bertram.config import Config
from bertram.data.examples import Examples
from bertram.evaluation.evaluate import evaluate, sample
from bertram.prediction.load import save_model
from bertram.runs.provenance import peak_memory_mib
from bertram.training import setup
from bertram.training.state import Training, begin
from bertram.training.step import step
from bertram.training.train import choose_device

JOINT = "joint"  # the kind of a step that is of all tasks
WARM_UP, MEASURED = 3, 12  # steps of each task (or joint ones)
DEV_SAMPLE = 256  # examples of each task that are predicted to measure the speed of evaluation


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        steps: of the whole run.
        training_minutes: of them, with what is done between them.
        evaluation_minutes: of all evaluations, the final one included.
        peak_memory_mib: of the process; None where the operating system does not say.
        examples: seen in an epoch, on average, by task.
        tokens: real ones of an epoch, by task.
        parameters: all, and trained ones.
    """

    steps: int
    training_minutes: float
    evaluation_minutes: float
    peak_memory_mib: int | None
    examples: dict[str, float]
    tokens: dict[str, int]
    parameters: tuple[int, int]

    @property
    def minutes(self) -> float:
        """Of the whole run."""
        return self.training_minutes + self.evaluation_minutes


def estimate(config: Config) -> tuple[Estimate, Training]:
    """Measure a few steps and a part of an evaluation, and extrapolate.

    Raises:
        ConfigError: what cannot work, all of it together.
    """
    training = begin(config, choose_device(config))
    sampler = training.sampler
    steps, seen = _course(training)
    examples = {name: count / config.sampling.epochs for name, count in seen.items()}
    seconds = _step_seconds(training)
    in_steps = sum(seconds[kind] * count for kind, count in steps.items())
    evaluations = -(-sampler.total_steps // (config.evaluation.eval_steps or sampler.steps_per_epoch))
    whole, each = _evaluation_seconds(training), _save_seconds(training)
    watched = sum(whole[name] * len(one) for name, one in training.data.watched.items())
    final = sum(
        whole[name] * len(one) for name, one in [*training.data.dev.items(), *training.data.train_sample.items()]
    )
    if config.sampling.order == "worst-last":
        final += config.sampling.epochs * sum(
            whole[name] * len(one) for name, one in training.data.train_sample.items()
        )
    saves = evaluations * each + in_steps / (60 * config.checkpoint.save_minutes) * 3 * each
    network = training.model.network
    parameters = list(network.parameters())
    made = Estimate(
        steps=sampler.total_steps,
        training_minutes=(in_steps + saves) / 60,
        evaluation_minutes=(watched * evaluations + final) / 60,
        peak_memory_mib=peak_memory_mib(),
        examples=examples,
        tokens={name: round(examples[name] * _tokens(one)) for name, one in training.data.train.items()},
        parameters=(sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)),
    )
    return made, training


def render(config: Config) -> Group:
    """The resolved configuration, what is trained on what, and the estimate, for a terminal."""
    made, training = estimate(config)
    table = Table(title="What would be trained", title_justify="left")
    for heading in ("task", "train examples", "seen in an epoch", "tokens in an epoch", "dev examples", "loss", "head"):
        table.add_column(heading, justify="left" if heading in ("task", "loss", "head") else "right")
    for name, task in config.tasks.items():
        own, seen, tokens = (column.get(name, 0) for column in (training.data.own, made.examples, made.tokens))
        dev = len(training.data.dev[name])
        table.add_row(name, f"{own:,}", f"{seen:,.0f}", f"{tokens:,}", f"{dev:,}", task.trained_by, task.head)
    everything, trained = made.parameters
    memory = "unknown on this system" if made.peak_memory_mib is None else f"about {made.peak_memory_mib:,} MiB"
    text = Text(
        f"steps       {made.steps:,} ({training.sampler.steps_per_epoch:,} an epoch)\n"
        f"parameters  {everything:,}, of which {trained:,} are trained\n"
        f"time        about {made.minutes:.1f} minutes: {made.training_minutes:.1f} training, "
        f"{made.evaluation_minutes:.1f} evaluation\n"
        f"memory      {memory}\n"
    )
    return Group(Text(options.to_toml(config)), table, text)


def _course(training: Training) -> tuple[Counter[str], dict[str, int]]:
    """How many steps of the run each task will have (or all together), and how many examples of it will be seen."""
    config = training.config
    sampler = setup.sampler(config, training.data)
    steps: Counter[str] = Counter()
    while sampler.step < sampler.total_steps:
        names = sampler.next()
        steps[JOINT if config.sampling.order == "joint" else next(iter(names))] += 1
    return steps, sampler.seen()


def _tokens(examples: Examples) -> float:
    """Mean number of real tokens of an example, special ones included."""
    each = sample(examples, 500, seed=0)
    return sum(len(ids) for ids, _ in each.batch(range(len(each))).sequences) / len(each)


def _step_seconds(training: Training) -> dict[str, float]:
    """Seconds of a step of each task, or of a joint one, with what follows a step."""
    joint = training.config.sampling.order == "joint"
    kinds = {JOINT: training.sampler.names} if joint else {name: [name] for name in training.sampler.names}
    found, number = {}, 0
    for kind, names in kinds.items():
        times = []
        for turn in range(WARM_UP + MEASURED):
            begun = time.perf_counter()
            places = {name: training.sampler.draw(name) for name in names}
            step(training.learner, training.batches(places))
            training.learner.objective.after_update()
            training.average.update(number := number + 1)
            if turn >= WARM_UP:
                times.append(time.perf_counter() - begun)
        found[kind] = sum(times) / len(times)
    return found


def _evaluation_seconds(training: Training) -> dict[str, float]:
    """Seconds to predict one example of each task."""
    found = {}
    for name, examples in training.data.dev.items():
        some = sample(examples, DEV_SAMPLE, seed=1)
        begun = time.perf_counter()
        evaluate(training.model, {name: some}, training.config.evaluation.batch_size)
        found[name] = (time.perf_counter() - begun) / len(some)
    return found


def _save_seconds(training: Training) -> float:
    """Seconds to write the weights once."""
    with tempfile.TemporaryDirectory() as directory:
        begun = time.perf_counter()
        save_model(training.model, Path(directory) / "model")
        return time.perf_counter() - begun
