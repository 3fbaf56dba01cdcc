"""The graphs of a run, made once and kept beside it: not part of the run, and made again when they are damaged.

They lie in the directory `.engines` beside the run, or in the user's cache where that cannot be written, under the hash
of the model that they were made from: other weights have other graphs.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from bertram.errors import RunError
from bertram.prediction.engines.processor import weight_levels
from bertram.prediction.engines.reading import GraphTask
from bertram.runs.files import write_json
from bertram.runs.hashes import sha256_of
from bertram.runs.typed_json import read_object, typed

FORMAT = 3
MANIFEST = "engine.json"
GRAPH = "graph.onnx"  # sequences to pooled states and answers
PAIRS = "pairs.onnx"  # pooled states or answers of two sequences to an answer
HASH_DIGITS = 20


@dataclass(frozen=True)
class Manifest:
    """The description of an engine's graphs.

    Attributes:
        format: version of this description and of the graphs.
        model: hash of the model.
        engine: onnx or onnx-int8.
        runtime: version of onnxruntime.
        files: SHA-256 by file.
        tasks: task -> its place in the graphs.
        segments: True if the graph reads token_type_ids.
        wide: True if one sequence keeps several threads busy.
        difference: largest difference from PyTorch's answers on the probe, in probabilities or shares of a score range.
        speed: time of PyTorch over that of the engine, on the batch of the probe.
        single_speed: the same for its texts one at a time.
        levels: largest int8 weight; 0 without weights in int8.
        fp32: parts of the encoder left in fp32.
    """

    format: int
    model: str
    engine: str
    runtime: str
    files: dict[str, str]
    tasks: dict[str, GraphTask]
    segments: bool
    wide: bool
    difference: float
    speed: float
    single_speed: float
    levels: int
    fp32: list[str] = field(default_factory=list)


def places(run: Path, model: str, engine: str) -> list[Path]:
    """The directories where the graphs of a model can be: beside the run, and in the user's cache.

    Args:
        run: run directory.
        model: hash of the model.
        engine: onnx or onnx-int8.
    """
    name = f"{model[:HASH_DIGITS]}-{engine}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [run.absolute().parent / ".engines" / name, user / "bertram" / "engines" / name]


def find(run: Path, model: str, engine: str, notify: Callable[[str], None]) -> tuple[Path, Manifest] | None:
    """The graphs of a model with their description, checked; None where there are none that can be used.

    Args:
        run: run directory.
        model: hash of the model.
        engine: onnx or onnx-int8.
        notify: called with a line about graphs that are damaged.
    """
    for directory in places(run, model, engine):
        try:
            manifest = _read(directory, model, engine)
        except (RunError, OSError) as error:
            notify(f"{error}; the ONNX graph is made again")
            continue
        if manifest is not None:
            return directory, manifest
    return None


def _read(directory: Path, model: str, engine: str) -> Manifest | None:
    """The description of the graphs in a directory; None without any, or if they are not for this computer.

    Raises:
        RunError, OSError: they are damaged, or of another model.
    """
    if not (directory / MANIFEST).is_file():
        return None
    values = read_object(directory / MANIFEST)
    if (values.get("format"), values.get("runtime")) != (FORMAT, version("onnxruntime")):
        return None  # of another version of the software
    manifest = typed(values, Manifest, directory / MANIFEST)
    if (manifest.model, manifest.engine) != (model, engine):
        raise RunError(f"{directory}: graphs of another model")
    if manifest.levels > weight_levels():
        return None  # of a processor that multiplies larger weights
    for name, sha256 in manifest.files.items():
        if sha256_of(directory / name) != sha256:
            raise RunError(f"{directory / name}: damaged: its SHA-256 is not the recorded one")
    return manifest


def keep(run: Path, model: str, engine: str, fill: Callable[[Path], Manifest]) -> tuple[Path, Manifest]:
    """Make the graphs of a model in the first place that can be written.

    Args:
        run: run directory.
        model: hash of the model.
        engine: onnx or onnx-int8.
        fill: writes the graphs into a directory and describes them, without their hashes.

    Raises:
        RunError: no place can be written.
    """
    faults = []
    for directory in places(run, model, engine):
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=directory.parent))
        except OSError as error:
            faults.append(f"{directory.parent}: {error.strerror}")
            continue
        try:
            manifest = _with_hashes(fill(temporary), temporary)
            write_json(temporary / MANIFEST, asdict(manifest))
            _put(temporary, directory, model, engine)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return directory, manifest
    raise RunError(f"the ONNX graph cannot be kept: {'; '.join(faults)}; use --engine torch")


def _with_hashes(manifest: Manifest, directory: Path) -> Manifest:
    files: Mapping[str, str] = {path.name: sha256_of(path) for path in sorted(directory.iterdir())}
    return Manifest(**{**vars(manifest), "files": dict(files)})


def _put(temporary: Path, directory: Path, model: str, engine: str) -> None:
    """Give a whole directory its name, unless another process was quicker to make the same one."""
    with suppress(RunError, OSError):
        if _read(directory, model, engine) is not None:
            return
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # not empty: made since
        temporary.rename(directory)
