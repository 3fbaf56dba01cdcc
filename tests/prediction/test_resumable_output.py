"""Predicting long files: in order, within bounded memory, and on from where a kill has cut them off."""

import io
import itertools
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.models import random_model, study_tasks
from torch import Tensor

from bertram.data.examples import Examples
from bertram.errors import DataError
from bertram.prediction import files, resumable_output
from bertram.prediction.files import predict_file
from bertram.prediction.model import Model
from bertram.prediction.model_hash import model_hash
from bertram.prediction.resumable_output import Output, count_lines
from bertram.runs.directory import Run
from bertram.tasks import SST, STS


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    return random_model(tiny_encoder, study_tasks())


class Counting:
    """Predicts the number of tokens, quickly, and notes what it was given."""

    def __init__(self, inner: Model) -> None:
        self.tasks, self.tokenizer, self.max_tokens = inner.tasks, inner.tokenizer, inner.max_tokens
        self.sizes: list[int] = []

    def outputs(self, examples: Examples, _: int = 64) -> Tensor:
        self.sizes.append(len(examples))
        lengths = torch.from_numpy(examples.lengths())
        return lengths.float() if examples.task.kind == "score" else torch.eye(5)[lengths % 5]


def lines(count: int, words: int = 8) -> Iterator[bytes]:
    return (b"word " * (number % words + 1) + b"\n" for number in range(count))


def into(out: Path, model: Any, source: Any, task: str = "sst", stop_after: int | None = None) -> Output:
    """Predict into a file; `stop_after` is where a kill comes."""
    with Output(out, model.tasks[task], "hash of the model") as there:
        found = predict_file(model, task, source, remaining=there.remaining, complain=lambda _: None)
        for line in itertools.islice(found, stop_after):
            there.write(line)
    return there


@pytest.mark.parametrize("stop_after", [0, 1, 64, 150, 199])
@pytest.mark.parametrize("torn", [b"", b'{"id": "', b'{"id": "7", "value": 1, "label": "negat'])
def test_a_file_that_was_cut_off_is_gone_on_with_to_the_same_bytes(
    stop_after: int, torn: bytes, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WINDOW", 64)
    counting = Counting(model)
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    into(whole, counting, lines(200))
    into(cut, counting, lines(200), stop_after=stop_after)
    if stop_after:
        cut.write_bytes(cut.read_bytes() + torn)
    counting.sizes.clear()
    there = into(cut, counting, lines(200))
    assert cut.read_bytes() == whole.read_bytes()
    assert (there.existing, there.added) == (stop_after, 200 - stop_after)
    assert sum(counting.sizes) == 200 - stop_after  # what is there is not computed again


def test_a_finished_file_stays_as_it_is(model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    into(out, model, lines(5))
    before = out.read_bytes()
    assert into(out, model, lines(5)).added == 0
    assert out.read_bytes() == before


def test_rejected_rows_do_not_shift_what_is_skipped(model: Model, tmp_path: Path) -> None:
    source = b"id,sentence\na,good\nb,\nc,bad\nd,fine\n"
    into(tmp_path / "out.jsonl", model, io.BytesIO(source), stop_after=1)
    said: list[str] = []
    with Output(tmp_path / "out.jsonl", SST, "hash of the model") as there:
        found = predict_file(model, "sst", io.BytesIO(source), remaining=there.remaining, complain=said.append)
        assert [line["id"] for line in found] == ["c", "d"]
    assert said == ["rejected: <stdin>:3: sentence is empty"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,sentence\n1,good\n", "out.jsonl:1: not a prediction; choose another --out"),
        (b'{"id": "1", "sentence": "good"}\n{"id": "2", "sentence": "bad"}', "out.jsonl:1: not a prediction"),
        (b"no line at all", "out.jsonl:1: not a prediction"),
        (b'{"id": "1", "value": 2.5}\n', "out.jsonl:1: a prediction of another task"),
        (b"[" * 100_000, "out.jsonl:1: not a prediction"),
    ],
    ids=["a table", "texts", "no line", "another task", "deep"],
)
def test_a_file_of_something_else_is_refused_and_left_alone(
    content: bytes, says: str, model: Model, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_bytes(content)
    with pytest.raises(DataError, match=says):
        into(out, model, lines(3))
    assert out.read_bytes() == content


def test_an_output_of_another_input_is_refused(model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    into(out, model, io.BytesIO(b"id,sentence\na,good\nb,bad\n"))
    before = out.read_bytes()
    with pytest.raises(DataError, match="prediction 2 has id 'b', but row 2 of the input has 'c'"):
        into(out, model, io.BytesIO(b"id,sentence\na,good\nc,bad\n"))
    with pytest.raises(DataError, match="has prediction 2, but the input has only 1 usable rows"):
        into(out, model, io.BytesIO(b"id,sentence\na,good\n"))
    with pytest.raises(DataError, match=r"belongs to another input, whose ids are the same; choose another --out"):
        into(out, model, io.BytesIO(b"id,sentence\na,good\nb,worse\nc,fine\n"))
    assert out.read_bytes() == before


def test_an_output_of_another_model_or_task_is_refused(model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    into(out, model, lines(3))
    before = out.read_bytes()
    for task, of_model in ((SST, "another"), (SST.model_copy(update={"name": "other"}), "hash of the model")):
        with pytest.raises(DataError, match="belongs to another run or task; choose another --out"):
            Output(out, task, of_model)
    (tmp_path / "out.jsonl.source").unlink()
    with pytest.raises(DataError, match=r"out.jsonl.source is missing, so that nothing says which run"):
        into(out, model, lines(3))
    assert out.read_bytes() == before


def test_an_input_that_has_grown_is_gone_on_with(model: Model, tmp_path: Path) -> None:
    into(tmp_path / "out.jsonl", model, lines(3))
    grown = into(tmp_path / "out.jsonl", model, lines(5))
    assert (grown.existing, grown.added) == (3, 2)


def test_a_prediction_that_is_killed_before_its_first_hash_begins_anew(model: Model, tmp_path: Path) -> None:
    with Output(tmp_path / "out.jsonl", model.tasks["sst"], "hash of the model") as there:
        header = there.source.read_text()
    assert header == '{"task": "sst", "model": "hash of the model"}\n'  # before any prediction
    there.path.write_text('{"id": "1", "value": 0}\n')
    there.source.write_text(header)
    assert into(there.path, Counting(model), lines(4)).added == 4


@pytest.mark.parametrize("lost", [2, 30, 70])
def test_predictions_without_a_recorded_hash_are_computed_again(
    lost: int, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: the file beside the output ends early, in the middle of a line."""
    monkeypatch.setattr(resumable_output, "ROWS_PER_HASH", 10)
    out, beside = tmp_path / "out.jsonl", tmp_path / "out.jsonl.source"
    into(out, Counting(model), lines(40))
    whole = out.read_bytes()
    beside.write_bytes(beside.read_bytes()[:-lost])
    there = into(out, Counting(model), lines(40))
    assert out.read_bytes() == whole
    assert (there.existing, there.added) == (30, 10) if lost < 70 else (20, 20)


def test_the_hash_of_a_model_is_that_of_its_files(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-0", tmp_path / "copy")
    assert model_hash(Run(tmp_path / "copy")) == model_hash(Run(tiny_runs / "cross-0"))
    weights = tmp_path / "copy" / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert model_hash(Run(tmp_path / "copy")) != model_hash(Run(tiny_runs / "cross-0"))


def test_an_output_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        Output(tmp_path / "nowhere" / "out.jsonl", STS, "")


def test_order_is_kept_across_windows_of_mixed_lengths(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW", 7)
    texts = [b"word " * (number * 7919 % 23 + 1) for number in range(40)]
    found = list(predict_file(model, "sst", [text + b"\n" for text in texts], complain=print))
    wanted = model.predict("sst", [text.decode() for text in texts])
    assert [line["id"] for line in found] == [str(number) for number in range(1, 41)]
    for line, one in zip(found, wanted, strict=True):
        assert list(line["probabilities"].values()) == pytest.approx(one.probabilities, abs=1e-5)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW", 256)

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in predict_file(Counting(model), "sst", lines(count), complain=print):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small = peak(512)
    assert peak(8 * 512) < 1.2 * small


def test_long_texts_make_windows_smaller(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW_CHARACTERS", 1000)
    counting = Counting(model)
    list(predict_file(counting, "sst", (b"word " * 100 + b"\n" for _ in range(20)), complain=print))
    assert max(counting.sizes) <= 3


def test_lines_are_counted_without_reading_a_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_bytes(b"".join(lines(1234)))
    assert count_lines(path) == 1234
