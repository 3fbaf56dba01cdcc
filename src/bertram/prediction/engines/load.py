"""The model of a run on an engine: PyTorch, or onnxruntime with graphs that are made once and kept.

Nothing here imports PyTorch before it is needed: with the graphs at hand a sentence is answered without it.
"""

import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bertram.errors import BertramError
from bertram.model.stored_settings import StoredSettings, read_settings
from bertram.prediction.decided_tasks import decided
from bertram.prediction.engines.cache import Manifest, find, keep
from bertram.prediction.engines.reading import Calls, Engine
from bertram.prediction.model_hash import model_hash
from bertram.runs.directory import MEMBERS, Run, open_run
from bertram.runs.hashes import directory_hash

if TYPE_CHECKING:
    from bertram.model.linear import Precision
    from bertram.prediction.engines.session import OnnxModel
    from bertram.prediction.load import Ensemble
    from bertram.prediction.model import Model

TOLERANCE = 1e-4  # largest difference from PyTorch's answers with which auto takes another engine
SLOW_WEIGHTS = 5_000_000  # weights from which the making of a graph takes noticeable time
ADVICE = "; use --engine torch"  # end of the errors of other engines; not news where PyTorch computes
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
    settings = _settings(run, directory)
    if engine == "auto" and any(task.pools_target for task in settings.tasks.values()):
        log.info("%s: computed by PyTorch: a task pools a marked target, which an ONNX graph does not know", run.path)
        return _single_by_torch(run, directory)
    model: Model | None = None
    try:
        graphs = find(run.path, sha256, kind, notify)
        if graphs is None:
            _require_onnx()
            model = _single_by_torch(run, directory)
            graphs = _make(run, model, sha256, kind, notify)
        if engine == "auto" and (reason := _why_torch(graphs[1], calls)):
            log.info("%s: computed by PyTorch: %s", run.path, reason)
            return model or _single_by_torch(run, directory)
        return _opened(*graphs, directory, settings)
    except BertramError as error:
        if engine != "auto":
            raise
        notify(f"{str(error).removesuffix(ADVICE)}; PyTorch computes instead")
        return model or _single_by_torch(run, directory)


def _settings(run: Run, directory: Path) -> StoredSettings:
    """The settings of a model, with what was fitted for its run afterwards."""
    settings = read_settings(directory)
    if directory != run.model:
        return settings
    return settings.model_copy(update={"tasks": decided(settings.tasks, run)})


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
    return f"for {kind} onnxruntime is {speed:.2f} times as fast" if speed < 1 else ""


def _require_onnx() -> None:
    if find_spec("onnx") is None:
        raise BertramError("making an ONNX graph needs the package onnx; run: pip install 'bertram[onnx]'")


def _make(run: Run, model: "Model", sha256: str, kind: str, notify: Notify) -> tuple[Path, Manifest]:
    from bertram.prediction.engines.int8 import choose_int8  # noqa: PLC0415 - PyTorch
    from bertram.prediction.engines.making import write_graphs  # noqa: PLC0415 - PyTorch

    if sum(value.numel() for value in model.network.parameters()) >= SLOW_WEIGHTS:
        notify(f"{run.path}: making the {'int8 ' if kind == 'onnx-int8' else ''}ONNX graph, once")
    fill = partial(write_graphs, model, sha256=sha256)
    if kind == "onnx-int8":
        fill = partial(fill, choice=choose_int8(model, run, notify))
    return keep(run.path, sha256, kind, fill)


def _opened(graphs: Path, manifest: Manifest, directory: Path, settings: StoredSettings) -> "OnnxModel":
    from bertram.data.tokenizer import load_tokenizer  # noqa: PLC0415
    from bertram.prediction.engines.session import OnnxModel  # noqa: PLC0415 - onnxruntime

    tokenizer = load_tokenizer(directory)
    return OnnxModel(
        graphs, manifest, settings.tasks, tokenizer, max_tokens=settings.max_tokens, both_orders=settings.both_orders
    )
