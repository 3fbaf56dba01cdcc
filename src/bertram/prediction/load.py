"""Models and ensembles, loaded from and saved to directories."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertram.data.examples import Examples
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import RunError
from bertram.model.linear import Precision
from bertram.model.storage import StoredNetwork, load_network, save_network
from bertram.model.stored_settings import FORMAT
from bertram.prediction.decided_tasks import decided
from bertram.prediction.frames import predict_frame
from bertram.prediction.model import Model, Prediction, predict
from bertram.runs.directory import MEMBERS, Run, open_run
from bertram.runs.typed_json import one_line, read_object, typed


class Ensemble:
    """An ensemble: probabilities and scores are averaged over models of the same tasks.

    The members may differ in encoder, heads, losses and pair encoding. They must have the same tasks, labels and
    tokenizer.

    Args:
        members: one model or more; tasks, tokenizer and maximum length are taken from the first.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = list(members)
        self.tasks = self.members[0].tasks
        self.tokenizer = self.members[0].tokenizer
        self.max_tokens = self.members[0].max_tokens

    def predict(self, task: str, texts: Any, batch_size: int = 64) -> list[Prediction]:
        """Predict texts, or pairs of texts; see `Model.predict`."""
        return predict(self, task, texts, batch_size)

    def predict_frame(self, task: str, table: Any, batch_size: int = 64) -> Any:
        """A table with a column of predictions and one for each probability; see `frames.predict_frame`."""
        return predict_frame(self, task, table, batch_size)

    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        """Mean of the members' outputs, [n, K] or [n]."""
        return self.member_outputs(examples, batch_size).mean(0)

    def member_outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        """Outputs of each member, [members, n, K] or [members, n]."""
        name = examples.task.name
        inputs = [replace(examples, task=member.tasks[name], max_tokens=member.max_tokens) for member in self.members]
        members = zip(self.members, inputs, strict=True)
        return torch.stack([member.outputs(part, batch_size) for member, part in members])


def load(run: Path | str | Run, precision: Precision = "fp32") -> Model | Ensemble:
    """The model of a finished run.

    Args:
        run: run, or path of its directory.
        precision: precision of the matrix multiplications.

    Raises:
        RunError: the run is missing, unfinished or damaged, or has an unknown format version.
    """
    opened = run if isinstance(run, Run) else open_run(Path(run))
    directory = opened.model
    opened.check_model()
    if not directory.is_dir():
        raise RunError(f"{opened.path}: no model yet; continue the training with --resume")
    if not (directory / MEMBERS).is_file():
        return with_decisions(load_model(directory, precision), opened)
    return Ensemble([load_model(member, precision) for member in members(directory)])


def with_decisions(model: Model, run: Run) -> Model:
    """The model with the temperature and the thresholds that were fitted for its run, if any were.

    Raises:
        RunError: the file is damaged, or does not belong to the tasks of the model.
    """
    for task in decided(model.tasks, run).values():
        model.network.set_task(task)
    return model


def save_model(model: Model, directory: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write weights, config.json and tokenizer; not atomic, see `bertram.runs`.

    Args:
        model: the model to write.
        directory: directory to write; created if it is missing.
        state: weights to write in place of the model's own, named as by `storage.state_of`.
    """
    save_network(StoredNetwork(model.network, model.max_tokens, model.both_orders), directory, state)
    model.tokenizer.save(directory)


def load_model(directory: Path, precision: Precision = "fp32") -> Model:
    """A single model from its directory.

    Raises:
        RunError: the model is missing or damaged, or has an unknown format version.
    """
    stored, tokenizer = load_network(directory, precision), load_tokenizer(directory)
    words = stored.network.encoder.config.vocabulary
    if tokenizer.vocab_size > words:
        raise RunError(f"{directory}: damaged: its tokenizer has {tokenizer.vocab_size} tokens, its encoder {words}")
    return Model(stored.network, tokenizer, stored.max_tokens, both_orders=stored.both_orders)


def members(directory: Path) -> list[Path]:
    """The model directories of an ensemble.

    Raises:
        RunError: the list of members is damaged or has an unknown format version.
    """
    path = directory / MEMBERS
    listing = typed(read_object(path), _Members, path)
    if listing.format != FORMAT:
        raise RunError(f"{path}: unknown format version {listing.format!r}; this BERTram reads {FORMAT}")
    if not listing.members:
        raise RunError(f"{path}: damaged: it names no members")
    for name in listing.members:
        if name in ("", ".", "..") or Path(name).name != name:
            raise RunError(f"{path}: damaged: member {one_line(repr(name))} is not a folder beside it")
    return [directory / name for name in listing.members]


@dataclass(frozen=True)
class _Members:
    """The content of ensemble.json."""

    format: int
    members: list[str]
