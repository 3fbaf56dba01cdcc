"""Engines: the answers of onnxruntime beside PyTorch's, and the graphs that are made once and kept beside a run."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.common.models import CASES, PAIRS, TEXTS, changed_task, inputs_for, random_model, study_tasks

import bertram
from bertram.errors import BertramError, RunError
from bertram.prediction import files
from bertram.prediction.answers import Text
from bertram.prediction.engines import cache
from bertram.prediction.engines import load as loading
from bertram.prediction.engines.cache import Manifest
from bertram.prediction.engines.load import load
from bertram.prediction.engines.making import Int8Choice, engine_of
from bertram.prediction.engines.multitask_graph import int8_parts
from bertram.prediction.engines.processor import weight_levels
from bertram.prediction.engines.session import OnnxModel
from bertram.prediction.files import predict_file
from bertram.prediction.load import Ensemble, save_model
from bertram.prediction.model import Model
from bertram.recipes import quick
from bertram.runs.directory import Run, create
from bertram.tasks import SST, Task

LONG = "a long text that goes on and on " * 12


@pytest.fixture(autouse=True)
def tell_of_every_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say of tiny models, too, that their graph is made."""
    monkeypatch.setattr(loading, "SLOW_WEIGHTS", 0)


def on_onnxruntime(model: Model, directory: Path, *, int8: bool = False) -> OnnxModel:
    weights = frozenset(name for names in int8_parts(model).values() for name in names) if int8 else frozenset()
    return engine_of(model, directory, choice=Int8Choice(weights))


def texts_for(task: Task) -> list[Text]:
    long: Text = (LONG, TEXTS[0]) if task.pair else LONG
    return [*inputs_for(task), long, *inputs_for(task), long]


@pytest.mark.parametrize("case", CASES)
def test_answers_are_those_of_pytorch_for_every_head_and_pooling(case: str, tiny_encoder: Path, tmp_path: Path) -> None:
    task, settings = CASES[case]
    model = random_model(tiny_encoder, {task.name: task}, **settings)
    engine = on_onnxruntime(model, tmp_path)
    for ours, theirs in zip(
        engine.predict(task.name, texts_for(task)), model.predict(task.name, texts_for(task)), strict=True
    ):
        assert (ours.label, ours.probabilities is None) == (theirs.label, theirs.probabilities is None)
        assert (ours.probabilities or ours.value) == pytest.approx(theirs.probabilities or theirs.value, abs=1e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_an_answer_does_not_depend_on_what_is_asked_for_beside_it(
    int8: bool, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    engine = on_onnxruntime(random_model(tiny_encoder, study_tasks(encoding="bi", head="cosine")), tmp_path, int8=int8)
    words = ["a", "the", "of", "and", "to", "in", "it", "is"]  # texts of one length
    texts = {
        name: [*rows(task), *((word, "film") if task.pair else (word,) for word in words)]
        for name, task in engine.tasks.items()
    }
    together = engine.predict_mixed({name: engine.tokenizer.encode_rows(part * 3) for name, part in texts.items()})
    for name, part in texts.items():
        alone = [engine.predict_pieces(name, engine.tokenizer.encode_rows([text]))[0] for text in part]
        assert together[name] == alone * 3


def rows(task: Task) -> list[tuple[str, ...]]:
    return [text if isinstance(text, tuple) else (text.strip(),) for text in normalized(task)]


def normalized(task: Task) -> list[Any]:
    from bertram.prediction.answers import checked

    return [checked(task, 0, text) for text in inputs_for(task)]


def test_what_is_given_up_takes_nothing_from_later_calls(tiny_encoder: Path, tmp_path: Path) -> None:
    engine = on_onnxruntime(random_model(tiny_encoder, study_tasks()), tmp_path)
    stop = threading.Event()
    stop.set()
    pieces = engine.tokenizer.encode(TEXTS)
    given_up = engine.start_predicting("sst", [(piece,) for piece in pieces], stop)
    with pytest.raises(CancelledError):
        given_up.result()
    assert len(engine.predict("sst", TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("leave", [lambda rows: rows.close(), lambda rows: rows.throw(KeyboardInterrupt)])
def test_who_stops_reading_predictions_stops_their_computation(leave: Callable[[Any], None]) -> None:
    stops: list[threading.Event] = []

    class Background:
        def start_predicting(self, _: str, pieces: Any, stop: threading.Event) -> Any:
            stops.append(stop)
            future: Future[Any] = Future()
            future.set_result(pieces)
            return future

    rows = files._in_background(Background(), "sst", iter([(("1",), []), (("2",), []), (("3",), [])]))
    next(rows)
    assert not any(stop.is_set() for stop in stops)
    with suppress(KeyboardInterrupt):
        leave(rows)
    assert stops
    assert all(stop.is_set() for stop in stops)


def test_tasks_of_one_text_share_a_pass_of_the_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    engine = on_onnxruntime(random_model(tiny_encoder, study_tasks(encoding="bi", head="cosine")), tmp_path)
    passes: list[int] = []
    run = engine._run
    engine._run = lambda sequences, batch, fetched: passes.append(len(batch)) or run(sequences, batch, fetched)  # type: ignore[func-returns-value, method-assign]
    [first], [second] = engine.tokenizer.encode_rows([("a film",), ("a play",)])
    engine.predict_mixed({"sst": [(first,), (second,)], "quora": [(first, second)], "sts": [(second, first)]})
    assert sum(passes) == 2


def test_int8_is_near(tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(head="features"))
    engine = on_onnxruntime(model, tmp_path, int8=True)
    for name, task in model.tasks.items():
        ours, theirs = (
            np.array([one.probabilities or one.value for one in side.predict(name, texts_for(task))])
            for side in (engine, model)
        )
        assert 0 < np.abs(ours - theirs).max() < 0.2
    assert weight_levels() in (63, 127)


@pytest.fixture
def run(tiny_encoder: Path, tmp_path: Path) -> Run:
    """A run with a random model; not finished, so that there are no hashes in a record."""
    return saved(tmp_path / "run", tiny_encoder)


def saved(path: Path, encoder: Path, **changes: Any) -> Run:
    opened = create(path, bertram.change(quick(), **{"data": "sample", **changes}))
    save_model(random_model(encoder, study_tasks(encoding="bi", head="cosine")), opened.model)
    return opened


def described(**changes: Any) -> Manifest:
    values: dict[str, Any] = {"format": cache.FORMAT, "model": "m", "engine": "onnx", "files": {}, "tasks": {}}
    values |= {"runtime": version("onnxruntime"), "segments": False, "wide": False, "levels": 0}
    return Manifest(**values | {"difference": 0.0, "speed": 2.0, "single_speed": 2.0} | changes)


def fill(directory: Path) -> Manifest:
    (directory / "graph.onnx").write_bytes(b"a graph")
    return described()


def test_graphs_that_another_process_has_just_made_stay(tmp_path: Path) -> None:
    inodes: list[int] = []

    def fill_slowly(directory: Path) -> Manifest:
        inodes.append(cache.keep(tmp_path / "run", "m", "onnx", fill)[0].stat().st_ino)
        return fill(directory)

    place, _ = cache.keep(tmp_path / "run", "m", "onnx", fill_slowly)
    assert [place.stat().st_ino] == inodes
    (place / "graph.onnx").write_bytes(b"damaged")
    cache.keep(tmp_path / "run", "m", "onnx", fill)
    assert (place / "graph.onnx").read_bytes() == b"a graph"


def test_int8_graphs_of_another_processor_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for levels, found in ((127, (True, False)), (63, (True, True))):
        run = tmp_path / str(levels) / "run"
        cache.keep(run, "m", "onnx-int8", lambda _, levels=levels: described(engine="onnx-int8", levels=levels))  # type: ignore[misc]
        for own, expected in zip((127, 63), found, strict=True):
            monkeypatch.setattr(cache, "weight_levels", lambda own=own: own)
            assert (cache.find(run, "m", "onnx-int8", pytest.fail) is not None) == expected


def test_a_speed_of_zero_is_no_reason_to_fail() -> None:
    assert loading._why_torch(described(speed=0.0), "batches") == "for batches onnxruntime is 0.00 times as fast"
    assert loading._why_torch(described(), "batches") == ""


@pytest.mark.parametrize("pooling", ["target", None])
def test_where_no_graph_can_be_made_auto_loads_the_model_once(
    pooling: str | None, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marked target is known beforehand; an operation without an ONNX form is not, and is told."""
    opened = create(tmp_path / "run", bertram.change(quick(), data="sample"))
    save_model(random_model(tiny_encoder, {"sst": changed_task(SST, pooling=pooling)}), opened.model)
    loads: list[Path] = []
    inner = loading._single_by_torch
    monkeypatch.setattr(loading, "_single_by_torch", lambda run, path: loads.append(path) or inner(run, path))  # type: ignore[func-returns-value]

    def refuse(*_: Any) -> Any:
        raise BertramError("the operation erfinv has no ONNX form here; use --engine torch")

    monkeypatch.setattr(loading, "_make", refuse)
    lines: list[str] = []
    assert isinstance(load(opened, notify=lines.append), Model)
    assert len(loads) == 1
    told = ["the operation erfinv has no ONNX form here; PyTorch computes instead"]
    assert lines == ([] if pooling else told)


def graphs(run: Run) -> list[Path]:
    return sorted((run.path.parent / ".engines").glob("*"))


@pytest.mark.slow
def test_graphs_are_made_once_kept_beside_the_run_and_used_without_pytorch(run: Run) -> None:
    lines: list[str] = []
    expected = load(run, "torch").predict("quora", PAIRS)
    for _ in range(2):
        model = load(run, "onnx", notify=lines.append)
        assert isinstance(model, OnnxModel)
        for ours, theirs in zip(model.predict("quora", PAIRS), expected, strict=True):
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
    assert lines == [f"{run.path}: making the ONNX graph, once"]
    assert sorted(path.name for path in run.path.iterdir()) == ["config.toml", "model"]  # nothing new in the run
    [directory] = graphs(run)
    assert {path.name for path in directory.iterdir()} == {"engine.json", "graph.onnx", "pairs.onnx"}
    code = (
        f"import sys, bertram; bertram.load({str(run.path)!r}, 'onnx').predict('sst', ['a film']); "
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda directory: (directory / "graph.onnx").write_bytes(b"damaged"),
        lambda directory: (directory / "pairs.onnx").unlink(),
        lambda directory: (directory / "engine.json").write_text("{"),
        lambda directory: (directory / "engine.json").write_text(
            (directory / "engine.json").read_text().replace('"wide": ', '"wide": "x", "a": ')
        ),
        lambda directory: (directory / "engine.json").write_text(
            json.dumps(json.loads((directory / "engine.json").read_text()) | {"model": "another"})
        ),
    ],
)
def test_damaged_graphs_are_made_again_and_said(damage: Callable[[Path], None], run: Run) -> None:
    load(run, "onnx")
    [directory] = graphs(run)
    damage(directory)
    lines: list[str] = []
    assert isinstance(load(run, "onnx", notify=lines.append), OnnxModel)
    assert len(lines) == 2
    assert lines[0].endswith("; the ONNX graph is made again")
    assert "\n" not in lines[0]
    assert isinstance(load(run, "onnx", notify=lines.append), OnnxModel)
    assert len(lines) == 2


@pytest.mark.slow
def test_other_weights_have_other_graphs(run: Run, tiny_encoder: Path) -> None:
    load(run, "onnx")
    model = load(run, "torch")
    assert isinstance(model, Model)
    model.network.encoder.word_embeddings.data += 0.5
    save_model(model, run.model)
    changed = load(run, "onnx").predict("sst", TEXTS)
    assert changed[0].probabilities == pytest.approx(model.predict("sst", TEXTS)[0].probabilities, abs=1e-5)
    assert len(graphs(run)) == 2


@pytest.mark.slow
def test_auto_takes_onnxruntime_where_it_agrees_and_is_faster(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    load(run, "onnx")
    [directory] = graphs(run)
    manifest = json.loads((directory / "engine.json").read_text())
    figures = ((0.0, 2.0, 2.0, OnnxModel), (2e-4, 2.0, 2.0, Model), (0.0, 0.5, 2.0, Model), (0.0, 2.0, 0.5, OnnxModel))
    for difference, speed, single_speed, engine in figures:
        values = manifest | {"difference": difference, "speed": speed, "single_speed": single_speed}
        (directory / "engine.json").write_text(json.dumps(values))
        assert isinstance(load(run), engine)
        single = OnnxModel if difference == 0 and single_speed > 1 else Model
        assert isinstance(load(run, calls="single"), single)
    assert isinstance(load(run, precision="bf16"), Model)
    assert not [path for path in graphs(run) if path.name.endswith("int8")]  # never unasked


@pytest.mark.slow
def test_int8_is_made_by_training_rows_and_has_answers_of_its_own(run: Run) -> None:
    lines: list[str] = []
    exact, rounded = (load(run, engine, notify=lines.append).predict("sst", TEXTS) for engine in ("onnx", "onnx-int8"))
    assert exact != rounded
    assert lines[1:] == [f"{run.path}: making the int8 ONNX graph, once"]
    assert [path.name.split("-", 1)[1] for path in graphs(run)] == ["onnx", "onnx-int8"]


@pytest.mark.slow
def test_without_training_rows_int8_says_what_it_is_chosen_by(tiny_encoder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    load(saved(tmp_path / "run", tiny_encoder, data=str(tmp_path / "gone")), "onnx-int8", notify=lines.append)
    assert sum("no training rows to choose the parts in int8 by" in line for line in lines) == 3


def without(name: str) -> Callable[[str], object | None]:
    return lambda package: None if package == name else object()


def test_without_onnxruntime_auto_is_pytorch_and_says_so_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", without("onnxruntime"))
    lines: list[str] = []
    assert isinstance(load(run, notify=lines.append), Model)
    assert len(lines) == 1
    assert "pip install 'bertram[onnx]'" in lines[0]
    with pytest.raises(BertramError, match=r"--engine onnx-int8 needs onnxruntime; run: pip install 'bertram\[onnx\]'"):
        load(run, "onnx-int8")


@pytest.mark.slow
def test_without_the_package_onnx_graphs_are_used_but_not_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", without("onnx"))
    with pytest.raises(BertramError, match="needs the package onnx"):
        load(run, "onnx")
    lines: list[str] = []
    assert isinstance(load(run, notify=lines.append), Model)
    assert lines[0].endswith("; PyTorch computes instead")
    monkeypatch.undo()
    load(run, "onnx")
    monkeypatch.setattr(loading, "find_spec", without("onnx"))
    assert isinstance(load(run, "onnx"), OnnxModel)


@pytest.mark.slow
def test_a_graph_that_onnxruntime_cannot_run_is_one_line_and_auto_goes_on(run: Run) -> None:
    load(run, "onnx")
    [directory] = graphs(run)
    (directory / "graph.onnx").write_bytes(b"no graph")
    manifest = json.loads((directory / "engine.json").read_text())
    from bertram.runs.hashes import sha256_of

    manifest["files"]["graph.onnx"] = sha256_of(directory / "graph.onnx")
    (directory / "engine.json").write_text(json.dumps(manifest | {"speed": 9.0}))
    with pytest.raises(RunError, match="onnxruntime cannot run the graph") as raised:
        load(run, "onnx")
    assert "\n" not in str(raised.value)
    lines: list[str] = []
    assert isinstance(load(run, notify=lines.append), Model)
    assert lines[0].endswith("; PyTorch computes instead")


def test_bf16_is_for_pytorch(run: Run) -> None:
    with pytest.raises(BertramError, match="--precision bf16 is for --engine torch"):
        load(run, "onnx", "bf16")


@pytest.mark.slow
def test_where_the_place_beside_the_run_cannot_be_written_the_users_cache_serves(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (run.path.parent / ".engines").write_text("a file")
    for _ in range(2):
        assert isinstance(load(run, "onnx"), OnnxModel)
    assert len(list((tmp_path / "cache" / "bertram" / "engines").iterdir())) == 1
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file, too")
    with pytest.raises(RunError, match=r"the ONNX graph cannot be kept: .*; use --engine torch"):
        load(run, "onnx")


@pytest.mark.slow
def test_the_members_of_an_ensemble_have_engines_of_their_own(tiny_runs: Path, tmp_path: Path) -> None:
    from bertram.merging.ensemble import ensemble

    run = ensemble([tiny_runs / "cross-0", tiny_runs / "cross-1"], tmp_path / "both")
    model = load(run, "onnx")
    assert isinstance(model, Ensemble)
    assert all(isinstance(member, OnnxModel) for member in model.members)
    for ours, theirs in zip(model.predict("sst", TEXTS), load(run, "torch").predict("sst", TEXTS), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)


@pytest.mark.slow
def test_a_file_is_predicted_window_by_window_in_order(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW", 2)
    model = load(run, "onnx")
    lines = [f"text number {number}\n".encode() for number in range(7)]
    found = list(predict_file(model, "sst", lines, complain=print))
    assert [line["id"] for line in found] == [str(number) for number in range(1, 8)]
    expected = model.predict("sst", [line.decode() for line in lines])
    assert [line["value"] for line in found] == [one.value for one in expected]


@pytest.mark.slow
def test_a_faulty_row_does_not_take_the_rows_before_it_along(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW", 2)

    def lines() -> Any:
        yield from (b"one\n", b"two\n", b"three\n")
        raise OSError("the pipe broke")

    predictions = predict_file(load(run, "onnx"), "sst", lines(), complain=print)
    assert [next(predictions)["id"], next(predictions)["id"]] == ["1", "2"]
    with pytest.raises(OSError, match="the pipe broke"):
        next(predictions)
