"""Averaged weights of several runs: a soup (Wortsman et al., 2022, "Model soups")."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bertram.errors import RunError
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.merging.contributions import contributions as leave_one_out
from bertram.merging.merge import MergedModel, config_of, meaning, open_members, read_dev, require_alike, write
from bertram.model.storage import WEIGHTS, load_state
from bertram.prediction.load import load_model, save_model
from bertram.runs.directory import MEMBERS, Run, refuse_existing
from bertram.runs.tensors import read_tensors

State = dict[str, Tensor]
HEAD_FIELDS = ("encoding", "head", "trained_by", "raw_cosine", "temperature")  # what makes two heads the same
MODEL_FIELDS = ("pooling", "max_length", "both_orders")
UNIFORM = "uniform: all runs"
GREEDY = "greedy: the members were chosen by the dev overall, so this soup's own dev scores are optimistic"


def soup(
    paths: Sequence[Path],
    out: Path,
    *,
    greedy: bool = False,
    contributions: bool = False,
    data: str | None = None,
    say: Callable[[str], None],
) -> Run:
    """Average the weights of runs of the same shape.

    Args:
        paths: two or more finished runs, fine-tuned from the same encoder.
        out: run directory to create.
        greedy: add runs one by one, best first, and keep those that do not lower the overall dev score (recipe 1
            of the paper); otherwise all runs.
        contributions: score the soup without each of its members too.
        data: data to score the soup and to rank the runs on; default: the data of the first run.
        say: called with the score of each soup that is tried.

    Raises:
        RunError: runs that cannot be averaged, a damaged model, or `out` exists already.
        DataError: dev cannot be read.
    """
    start = time.monotonic()
    refuse_existing(out, resumable=False)
    runs = open_members(paths)
    ensembles = [str(run.path) for run in runs if (run.model / MEMBERS).is_file()]
    if ensembles:
        raise RunError(f"{', '.join(ensembles)}: an ensemble; a soup averages the weights of single models")
    require_alike({run.path: _shape(run) for run in runs})
    config = config_of(runs, data)
    model = load_model(runs[0].model)
    dev = read_dev(config, model, runs)

    def judge(state: State) -> Evaluation:
        load_state(model.network, state)
        return evaluate(model, dev.examples, config.evaluation.batch_size)

    def alone(run: Run) -> float:
        return _recorded_overall(run) if data is None else judge(_read(_weights(run))).selection()

    chosen, state = _greedy(runs, alone, judge, say) if greedy else (runs, averaged([_weights(run) for run in runs]))
    evaluation = judge(state)
    without = [judge(mean) for mean in _without_each(chosen)] if contributions and len(chosen) > 1 else []
    added = leave_one_out(evaluation, without) if without else []
    left_out = [run for run in runs if run not in chosen]
    parameters = sum(value.numel() for value in state.values())
    merged = MergedModel("soup", GREEDY if greedy else UNIFORM, chosen, left_out, parameters, evaluation, start, added)
    return write(out, config, merged, dev, lambda directory: save_model(model, directory, state))


def averaged(weights: Sequence[Path]) -> State:
    """The plain mean of several files of weights; besides it, one of them is in memory at a time.

    Raises:
        RunError: a file is missing or damaged, or the files do not hold the same weights.
    """
    mean = _read(weights[0])
    for count, path in enumerate(weights[1:], start=2):
        mean = _mixed(mean, path, count)
    return mean


def _without_each(runs: Sequence[Run]) -> Iterator[State]:
    """The mean weights without each run."""
    for left_out in runs:
        yield averaged([_weights(run) for run in runs if run is not left_out])


def _mixed(mean: State, path: Path, count: int) -> State:
    """The mean of `count` files of weights, from the mean of all but the last and the last."""
    newest = _read(path)
    if {name: value.shape for name, value in newest.items()} != {name: value.shape for name, value in mean.items()}:
        raise RunError(f"{path}: its weights have other names or shapes than those of the other runs")
    return {name: torch.lerp(value, newest[name], 1 / count) for name, value in mean.items()}


def _greedy(
    runs: Sequence[Run],
    alone: Callable[[Run], float],
    judge: Callable[[State], Evaluation],
    say: Callable[[str], None],
) -> tuple[list[Run], State]:
    """Greedy choice: runs in the order of their own scores, each kept only if the soup is not worse with it."""
    ranked = sorted(runs, key=alone, reverse=True)
    chosen, mean = [ranked[0]], _read(_weights(ranked[0]))
    best = judge(mean).selection()
    say(f"{ranked[0].path}: dev overall {best:.4f}")
    for run in ranked[1:]:
        tried = _mixed(mean, _weights(run), len(chosen) + 1)
        score = judge(tried).selection()
        say(f"with {run.path}: dev overall {score:.4f}, {'kept' if score >= best else 'left out'}")
        if score >= best:
            chosen, mean, best = [*chosen, run], tried, score
    return chosen, mean


def _read(path: Path) -> State:
    if not path.exists():
        raise RunError(f"{path}: missing; the run has no model of its own")
    return read_tensors(path)


def _weights(run: Run) -> Path:
    return run.model / WEIGHTS


def _recorded_overall(run: Run) -> float:
    """The dev overall that a run has recorded; an undefined one counts as 0."""
    return run.record.scores.dev.overall.value or 0.0


def _shape(run: Run) -> dict[str, object]:
    """Facts that must be equal so that weights can be averaged: encoder, pooling and heads, beside the tasks."""
    config = run.config
    encoder = run.record.encoder
    shape = {} if encoder is None else encoder.shape
    return meaning(run.config.tasks, run.model) | {
        "encoder": config.encoder,
        **{f"encoder.{name}": value for name, value in shape.items() if not name.endswith("dropout")},
        **{f"model.{field}": getattr(config.model, field) for field in MODEL_FIELDS},
        **{f"tasks.{n}.{field}": getattr(t, field) for n, t in config.tasks.items() for field in HEAD_FIELDS},
    }
