"""The model of a run on an engine: PyTorch, or onnxruntime with graphs that are made once and kept.

Nothing here imports PyTorch before it is needed: with the graphs at hand a sentence is answered without it.
"""

import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from bertram.errors import BertramError, RunError
from bertram.prediction.engines.cache import Manifest, find, keep
from bertram.prediction.engines.reading import Calls, Engine
from bertram.prediction.model_hash import model_hash
from bertram.runs.directory import MEMBERS, Run, open_run
from bertram.runs.hashes import directory_hash
from bertram.tasks import Task

if TYPE_CHECKING:
    from bertram.model.linear import Precision
    from bertram.prediction.engines.session import OnnxModel
    from bertram.prediction.load import Ensemble
    from bertram.prediction.model import Model

TOLERANCE = 1e-4  # largest difference from PyTorch's answers with which auto takes another engine
SLOW_WEIGHTS = 5_000_000  # weights from which the making of a graph takes noticeable time
log = logging.getLogger("bertram")
Notify = Callable[[str], None]


def load(
    run: Path | str | Run,
    engine: Engine = "auto",
    precision: "Precision" = "fp32",
    notify: Notify = log.info,
    *,
    calls: Calls = "batches",
) -> "Model | Ensemble | OnnxModel":
    """The model of a finished run, ready to predict.

    Args:
        run: run, or path of its directory.
        engine: torch; onnx or onnx-int8 by onnxruntime, with graphs that are made once and kept beside the run; or
            auto, the faster one of torch and onnx, if their answers agree to 1e-4.
        precision: precision of the matrix multiplications of PyTorch; with bf16, auto is torch.
        notify: called with a line about what takes time or was not as asked for.
        calls: what auto chooses the faster engine for: single texts, or batches.

    Raises:
        RunError: the run is missing, unfinished or damaged, or has an unknown format version.
        BertramError: the engine is not installed, or cannot compute the model.
    """
    opened = run if isinstance(run, Run) else open_run(Path(run))
    if engine == "torch" or (engine == "auto" and precision != "fp32"):
        return _by_torch(opened, precision)
    if precision != "fp32":
        raise BertramError(f"--precision {precision} is for --engine torch; --engine {engine} has its own")
    missing = find_spec("onnxruntime") is None
    if missing and engine == "auto":
        notify("onnxruntime is not installed, so PyTorch computes; several times faster: pip install 'bertram[onnx]'")
        return _by_torch(opened, precision)
    if missing:
        raise BertramError(f"--engine {engine} needs onnxruntime; run: pip install 'bertram[onnx]'")
    if not opened.model.is_dir() or (opened.model / MEMBERS).is_file():
        return _ensemble_or_fault(opened, engine, precision, notify)
    sha256 = model_hash(opened, opened.check_model())
    return _single(opened, opened.model, sha256, engine, notify, calls)


def engine_name(model: object) -> str:
    """Name of the engine that computes a model; of an ensemble, that of its members."""
    members = getattr(model, "members", [model])
    return str(getattr(members[0], "engine", "torch"))


def engine_hash(run: Run, engine: Engine) -> str:
    """SHA-256 of what predictions come from: the model, and int8, which has answers of its own."""
    sha256 = model_hash(run)
    return f"{sha256} {engine}" if engine == "onnx-int8" else sha256


def _by_torch(run: Run, precision: "Precision") -> "Model | Ensemble":
    from bertram.prediction.load import load as load_torch  # noqa: PLC0415 - PyTorch

    return load_torch(run, precision)


def _ensemble_or_fault(run: Run, engine: Engine, precision: "Precision", notify: Notify) -> "Model | Ensemble":
    """An ensemble whose members are computed by an engine; PyTorch's where any of them is."""
    from bertram.prediction.load import Ensemble, members  # noqa: PLC0415 - PyTorch

    if not run.model.is_dir() or engine == "auto":
        return _by_torch(run, precision)
    run.check_model()
    loaded = [_single(run, path, directory_hash(path), engine, notify) for path in members(run.model)]
    return Ensemble(cast("list[Model]", loaded))  # whose outputs are all that it asks for


def _single(
    run: Run, directory: Path, sha256: str, engine: Engine, notify: Notify, calls: Calls = "batches"
) -> "Model | OnnxModel":
    """A single model on an engine.

    Args:
        run: run of the model.
        directory: directory of the model.
        sha256: hash of the model.
        engine: auto, onnx or onnx-int8.
        notify: called with messages.
        calls: what auto chooses for.
    """
    kind = "onnx" if engine == "auto" else engine
    try:
        graphs = find(run.path, sha256, kind, notify)
        model: Model | None = None
        if graphs is None:
            model, graphs = _make(run, directory, sha256, kind, notify)
        if engine == "auto" and (reason := _why_torch(graphs[1], calls)):
            log.info("%s: computed by PyTorch: %s", run.path, reason)
            return model or _single_by_torch(run, directory)
        return _opened(*graphs, directory)
    except BertramError as error:
        if engine != "auto":
            raise
        notify(f"{error}; PyTorch computes instead")
        return _single_by_torch(run, directory)


def _single_by_torch(run: Run, directory: Path) -> "Model":
    from bertram.prediction.load import load_model, with_decisions  # noqa: PLC0415 - PyTorch

    model = load_model(directory)
    return with_decisions(model, run) if directory == run.model else model


def _why_torch(manifest: Manifest, calls: Calls) -> str:
    """The reason why auto takes PyTorch; empty where it takes onnxruntime."""
    if manifest.difference > TOLERANCE:
        return f"the answers of onnxruntime differ by {manifest.difference:.1e}"
    speed = manifest.single_speed if calls == "single" else manifest.speed
    kind = "single texts" if calls == "single" else "batches"
    return f"for {kind} it is {1 / speed:.2f} times as fast as onnxruntime" if speed < 1 else ""


def _make(run: Run, directory: Path, sha256: str, kind: str, notify: Notify) -> "tuple[Model, tuple[Path, Manifest]]":
    if find_spec("onnx") is None:
        raise BertramError("making an ONNX graph needs the package onnx; run: pip install 'bertram[onnx]'")
    from bertram.prediction.engines.int8 import choose_int8  # noqa: PLC0415 - PyTorch
    from bertram.prediction.engines.making import write_graphs  # noqa: PLC0415 - PyTorch

    model = _single_by_torch(run, directory)
    if sum(value.numel() for value in model.network.parameters()) >= SLOW_WEIGHTS:
        notify(f"{run.path}: making the {'int8 ' if kind == 'onnx-int8' else ''}ONNX graph, once")
    fill = partial(write_graphs, model, sha256=sha256)
    if kind == "onnx-int8":
        fill = partial(fill, choice=choose_int8(model, run, notify))
    return model, keep(run.path, sha256, kind, fill)


def _opened(graphs: Path, manifest: Manifest, directory: Path) -> "OnnxModel":
    from bertram.data.tokenizer import load_tokenizer  # noqa: PLC0415
    from bertram.prediction.engines.session import OnnxModel  # noqa: PLC0415 - onnxruntime

    return OnnxModel(graphs, manifest, _tasks(manifest), load_tokenizer(directory))


def _tasks(manifest: Manifest) -> dict[str, Task]:
    """The tasks of a model; kinds of output that are not in the tables need PyTorch to become known."""
    try:
        return {name: _task(name, values) for name, values in manifest.definitions.items()}
    except ValidationError:
        from bertram.model import outputs  # noqa: F401, PLC0415 - registers them

        try:
            return {name: _task(name, values) for name, values in manifest.definitions.items()}
        except ValidationError as error:
            raise RunError(f"the tasks of the ONNX graph cannot be read: {error.errors()[0]['msg']}") from None


def _task(name: str, values: dict[str, Any]) -> Task:
    return Task.model_validate(values | {"name": name})
