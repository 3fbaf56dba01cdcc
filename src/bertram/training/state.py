"""The state of a training, and its way into a checkpoint and back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from bertram import surgery
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.errors import RunError
from bertram.model.linear import Precision
from bertram.prediction.model import Model
from bertram.runs.checkpoint import State
from bertram.training import processes
from bertram.training.average import Average
from bertram.training.diagnostics import Idle
from bertram.training.generators import Generators
from bertram.training.kept_outputs import KeptOutputs
from bertram.training.run_data import RunData
from bertram.training.sampler import Places, Sampler
from bertram.training.step import StepContext
from bertram.training.teachers import Teachers


@dataclass
class Best:
    """The best evaluation so far."""

    score: float = float("-inf")
    step: int = 0
    since: int = 0  # evaluations without a better one


@dataclass
class Training:
    """A run while it is trained."""

    config: Config
    precision: Precision
    model: Model
    data: RunData
    teachers: Teachers
    generators: Generators
    sampler: Sampler
    context: StepContext
    epoch_context: StepContext | None  # for one update by surgery after each epoch
    average: Average
    idle: Idle
    encoder_files: dict[str, str] = field(default_factory=dict)  # of an encoder's directory: name -> SHA-256
    best: Best = field(default_factory=Best)
    latest: dict[str, Places] = field(default_factory=dict)  # the latest batch of each task
    smoothed: dict[str, float] = field(default_factory=dict)  # losses, for show
    seconds: float = 0.0  # of training so far, over all resumptions

    def learn_from_teachers(self, run: Path, say: Callable[[str], None]) -> None:
        """Compute the teachers' outputs for the training examples that the run draws, or read those that are kept.

        Args:
            run: run directory.
            say: shows a message.

        Raises:
            RunError: a teacher has changed since the run began, or its outputs cannot be written.
        """
        directory = self.config.distill.outputs
        outputs = KeptOutputs(
            run,
            None if directory is None else Path(directory).expanduser(),
            batch_size=self.config.evaluation.batch_size,
            precision=self.precision,
            say=say,
        )
        self.data = self.teachers.teach(self.config, self.data, outputs)

    def batches(self, places: dict[str, Places]) -> list[Batch]:
        """The examples at these places, as batches; where pairs are read in both orders, each batch in one of them."""
        batches = []
        for name, chosen in places.items():
            orders = self.model.orders(self.config.tasks[name])
            turn = self.sampler.step if len(chosen) == 1 else 0  # an example alone has both orders, too
            swapped = orders[(int(chosen[0]) + turn) % len(orders)]  # by the chance that chose the places
            batches.append(self.data.train[name].batch(chosen, swapped=swapped))
        return batches

    def state_dict(self) -> State:
        """State for a checkpoint; all processes call it together."""
        generators = {name: generator.get_state() for name, generator in vars(self.generators).items()}
        return {
            "data": self._files(),
            "encoder": dict(self.encoder_files),
            "precision": self.precision,
            "device": self.model.network.device.type,
            "network": dict(self.model.network.state_dict()),
            "optimizer": _optimizer_state(self.context),
            "epoch_optimizer": _optimizer_state(self.epoch_context) if self.epoch_context else None,
            "objective": self.context.objective.state_dict(),
            "weightings": [w.state_dict() for w in self._stateful()],
            "average": self.average.state_dict(),
            "generators": processes.collected(generators),
            "sampler": self.sampler.state_dict(),
            "idle": self.idle.state_dict(),
            "best": vars(self.best),
            "latest": {name: places.tolist() for name, places in self.latest.items()},
            "smoothed": self.smoothed,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state of a checkpoint.

        Raises:
            RunError: the data are not those that the run began with, or the device or number of processes is another.
        """
        device = self.model.network.device.type
        started_on = state.get("device", device)
        if started_on != device:
            raise RunError(
                f"this run was started on {started_on} and its random state cannot be restored on {device}; "
                f"resume it on {started_on}"
            )
        count = len(state["generators"])
        if count != processes.count():
            raise RunError(
                f"this run was started with {count} processes, each with its own random numbers; resume it with {count}"
            )
        hashes = {name: facts["sha256"] for name, facts in state["data"].items()}
        changed = [name for name, file in self.data.files.items() if hashes.get(name) != file.sha256]
        if changed:
            raise RunError(f"the data have changed since the run began: {', '.join(changed)}; start a new run")
        source, files = self.config.encoder, state.get("encoder", self.encoder_files)
        changed = sorted(name for name, _ in files.items() ^ self.encoder_files.items())
        if changed:
            raise RunError(f"the encoder {source} has changed since the run began ({changed[0]}); start a new run")
        self.precision = state["precision"]  # auto might measure something else now
        self.model.network.encoder.set_precision(self.precision)
        self.context.objective.set_teacher_precision(self.precision)
        self.model.network.load_state_dict(state["network"])
        _load_optimizer_state(self.context, state["optimizer"])
        if self.epoch_context is not None:
            _load_optimizer_state(self.epoch_context, state["epoch_optimizer"])
        self.context.objective.load_state_dict(state["objective"])
        for weighting, saved in zip(self._stateful(), state["weightings"], strict=True):
            weighting.load_state_dict(saved)
        self.average.load_state_dict(state["average"])
        own = state["generators"][processes.rank()]
        for name, generator in vars(self.generators).items():
            generator.set_state(own[name])
        self.sampler.load_state_dict(state["sampler"])
        self.idle.load_state_dict(state["idle"])
        self.best = Best(**state["best"])
        self.latest = {name: torch.tensor(places).numpy() for name, places in state["latest"].items()}
        self.smoothed, self.seconds = state["smoothed"], state["seconds"]

    def _files(self) -> dict[str, dict[str, object]]:
        """The data files as plain values, by which a checkpoint knows them."""
        return {name: asdict(file) for name, file in self.data.files.items()}

    def _stateful(self) -> list[surgery.StatefulWeighting]:
        stateful = []
        for context in (self.context, self.epoch_context):
            weighting = None if context is None else context.weighting
            weightings = weighting if isinstance(weighting, list) else [weighting]
            stateful += [rule for rule in weightings if isinstance(rule, surgery.StatefulWeighting)]
        return stateful


def _optimizer_state(context: StepContext) -> dict[str, State]:
    """The optimizer's state of each parameter by name."""
    return {name: dict(context.optimizer.state.get(p, {})) for name, p in context.parameters.items()}


def _load_optimizer_state(context: StepContext, states: dict[str, State]) -> None:
    for name, parameter in context.parameters.items():
        if states[name]:
            context.optimizer.state[parameter] = {k: value.to(parameter.device) for k, value in states[name].items()}
