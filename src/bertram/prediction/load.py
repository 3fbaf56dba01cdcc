"""Models to and from directories: a single one, or an ensemble whose members' outputs are averaged."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bertram.data.examples import Examples
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import RunError
from bertram.model.linear import Precision
from bertram.model.storage import FORMAT, StoredNetwork, load_network, save_network
from bertram.prediction.model import Model, Prediction, Text, predict
from bertram.runs.directory import Run, open_run

MEMBERS = "ensemble.json"


class Ensemble:
    """Models of the same tasks; probabilities and scores are averaged.

    The members may differ in encoder, heads, losses and in how a pair is encoded; tasks, labels and tokenizer are
    those of the first.

    Args:
        members: at least one.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = list(members)
        self.tasks = self.members[0].tasks
        self.tokenizer = self.members[0].tokenizer
        self.max_tokens = self.members[0].max_tokens

    def predict(self, task: str, texts: Sequence[Text], batch_size: int = 64) -> list[Prediction]:
        """Predict texts, or pairs of texts; see `Model.predict`."""
        return predict(self, task, texts, batch_size)

    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        """The mean of the members' outputs, [n, K] or [n]."""
        name = examples.task.name
        own = [replace(examples, task=one.tasks[name], max_tokens=one.max_tokens) for one in self.members]
        found = [one.outputs(theirs, batch_size) for one, theirs in zip(self.members, own, strict=True)]
        return torch.stack(found).mean(0)


def load(run: Path | str | Run, precision: Precision = "fp32") -> Model | Ensemble:
    """The model of a finished run.

    Args:
        run: a run directory.
        precision: of its matrix products.

    Raises:
        RunError: not a run, not finished, damaged, or of an unknown format version.
    """
    opened = run if isinstance(run, Run) else open_run(Path(run))
    directory = opened.model
    if not directory.is_dir():
        raise RunError(f"{opened.path}: has no model yet; train on with --resume")
    if not (directory / MEMBERS).is_file():
        return load_model(directory, precision)
    return Ensemble([load_model(member, precision) for member in members(directory)])


def save_model(model: Model, directory: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write a model's directory: weights, config.json and tokenizer; not atomic, see `bertram.runs`.

    Args:
        model: the model to write.
        directory: made if it is missing.
        state: other weights than the model's own, under the names of `storage.state_of`.
    """
    save_network(StoredNetwork(model.network, model.max_tokens, model.both_orders), directory, state)
    model.tokenizer.save(directory)


def load_model(directory: Path, precision: Precision = "fp32") -> Model:
    """A single model from its directory.

    Raises:
        RunError: not a model of ours, of an unknown format version, or damaged.
    """
    stored = load_network(directory, precision)
    return Model(stored.network, load_tokenizer(directory), stored.max_tokens, both_orders=stored.both_orders)


def members(directory: Path) -> list[Path]:
    """The directories of an ensemble's models."""
    path = directory / MEMBERS
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        found = head["format"], [directory / str(name) for name in head["members"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    if found[0] != FORMAT:
        raise RunError(f"{path}: format version {found[0]!r} is unknown; this BERTram reads {FORMAT}")
    return found[1]
