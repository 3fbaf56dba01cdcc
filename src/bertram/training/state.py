"""All that changes while a run is trained, and how it goes into a checkpoint and comes back."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bertram import surgery
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.errors import RunError
from bertram.model.linear import Precision
from bertram.optimizer import AdamW
from bertram.prediction.model import Model
from bertram.training import processes, setup
from bertram.training.average import Average
from bertram.training.diagnostics import Idle
from bertram.training.objective import Objective
from bertram.training.sampler import Places, Sampler
from bertram.training.setup import Data, Generators
from bertram.training.step import Learner


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
    data: Data
    generators: Generators
    sampler: Sampler
    learner: Learner
    epoch_learner: Learner | None  # for one update by surgery after each epoch
    average: Average
    idle: Idle
    best: Best = field(default_factory=Best)
    latest: dict[str, Places] = field(default_factory=dict)  # the latest batch of each task
    smoothed: dict[str, float] = field(default_factory=dict)  # losses, for show
    seconds: float = 0.0  # of training so far, over all resumptions

    def batches(self, places: dict[str, Places]) -> list[Batch]:
        """The examples at these places, as batches; where pairs are read in both orders, each batch in one of them."""
        batches = []
        for name, chosen in places.items():
            orders = self.model.orders(self.config.tasks[name])
            swapped = orders[int(chosen[0]) % len(orders)]  # by the chance that chose the places
            batches.append(self.data.train[name].batch(chosen, swapped=swapped))
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs; all processes call it together."""
        generators = {name: generator.get_state() for name, generator in vars(self.generators).items()}
        return {
            "data": self.data.files,
            "precision": self.precision,
            "device": self.model.network.device.type,
            "network": dict(self.model.network.state_dict()),
            "optimizer": _optimizer_state(self.learner.optimizer),
            "epoch_optimizer": _optimizer_state(self.epoch_learner.optimizer) if self.epoch_learner else None,
            "objective": self.learner.objective.state_dict(),
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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            RunError: the data are not those that the run began with, or the device is of another kind.
        """
        here = self.model.network.device.type
        begun_on = state.get("device", here)
        if begun_on != here:
            raise RunError(f"was begun on {begun_on}, whose random numbers cannot go on on {here}; resume it there")
        if state["data"] != self.data.files:
            changed = [name for name, facts in self.data.files.items() if state["data"].get(name) != facts]
            raise RunError(f"the data have changed since the run began: {', '.join(changed)}; start a new run")
        self.precision = state["precision"]  # auto might measure something else now
        self.model.network.encoder.set_precision(self.precision)
        self.learner.objective.set_teacher_precision(self.precision)
        self.model.network.load_state_dict(state["network"])
        _load_optimizer_state(self.learner.optimizer, state["optimizer"])
        if self.epoch_learner is not None:
            _load_optimizer_state(self.epoch_learner.optimizer, state["epoch_optimizer"])
        self.learner.objective.load_state_dict(state["objective"])
        for weighting, saved in zip(self._stateful(), state["weightings"], strict=True):
            weighting.load_state_dict(saved)
        self.average.load_state_dict(state["average"])
        mine = state["generators"][processes.rank() % len(state["generators"])]
        for name, generator in vars(self.generators).items():
            generator.set_state(mine[name])
        self.sampler.load_state_dict(state["sampler"])
        self.idle.load_state_dict(state["idle"])
        self.best = Best(**state["best"])
        self.latest = {name: torch.tensor(places).numpy() for name, places in state["latest"].items()}
        self.smoothed, self.seconds = state["smoothed"], state["seconds"]

    def _stateful(self) -> list[surgery.GradVac]:
        found = []
        for learner in (self.learner, self.epoch_learner):
            weighting = None if learner is None else learner.weighting
            several = weighting if isinstance(weighting, list) else [weighting]
            found += [one for one in several if isinstance(one, surgery.GradVac)]
        return found


def begin(config: Config, device: torch.device) -> Training:
    """A training before its first step.

    Raises:
        ConfigError: what cannot work, all of it together.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    setup.check_method(config)
    model, precision = setup.build_model(config, device)
    data = setup.read_data(config, model.tokenizer, model.max_tokens)
    setup.fit_starts(model.network, data)
    generators = setup.generators(config.seed, device)
    sampler = setup.sampler(config, data)
    dropout = setup.training_dropout(config, model.network.encoder, generators.dropout)
    objective = Objective(model.network, config, dropout, generators.noise, sampler.total_steps)
    learner = setup.learner(config, model.network, objective, generators.surgery)
    epoch_learner = None
    if config.surgery.method != "none" and config.surgery.frequency == "epoch":
        own = setup.optimizer(config, model.network, objective)
        epoch_learner = setup.operating(learner, config, generators.surgery, own)
    average = Average(model.network, config.average, sampler.total_steps)
    idle = Idle(config)
    return Training(config, precision, model, data, generators, sampler, learner, epoch_learner, average, idle)


def _optimizer_state(optimizer: AdamW) -> list[dict[str, Any]]:
    """The state of each parameter, in the order of the groups."""
    return [dict(optimizer.state.get(parameter, {})) for parameter in _parameters(optimizer)]


def _load_optimizer_state(optimizer: AdamW, states: list[dict[str, Any]]) -> None:
    for parameter, saved in zip(_parameters(optimizer), states, strict=True):
        if saved:
            step = saved["step"].to(parameter.device)
            optimizer.state[parameter] = {"step": step, **{k: saved[k].to(parameter.device) for k in ("m", "v")}}


def _parameters(optimizer: AdamW) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
