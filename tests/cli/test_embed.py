"""Vectors of texts: those of sentence-transformers, in both formats, in the order of the rows."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from tests.common.commands import call
from tests.common.models import changed_task, random_model

import bertram
from bertram.errors import RunError
from bertram.export.sentence_transformers import save_vectors
from bertram.prediction import vectors
from bertram.prediction.load import save_model
from bertram.prediction.model import Model
from bertram.prediction.vectors import mean_vectors, normalized
from bertram.recipes import quick
from bertram.runs.directory import create
from bertram.tasks import SST

TEXTS = ["a fine film", "no", "it was filmed in the autumn of last year, and nobody has seen it " * 3, "so so"]


def vectors_of(model: Model, texts: list[str], batch_size: int = 64) -> vectors.Vectors:
    return mean_vectors(model.network.encoder, model.tokenizer, texts, model.max_tokens, batch_size)


def test_vectors_are_those_of_sentence_transformers(tiny_runs: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = bertram.load(tiny_runs / "bi-0", engine="torch")
    assert isinstance(model, Model)
    save_vectors(model, tmp_path)
    peer = library.SentenceTransformer(str(tmp_path), device="cpu")
    ours = vectors_of(model, TEXTS, batch_size=2)
    np.testing.assert_allclose(ours, peer.encode(TEXTS), atol=1e-4)
    np.testing.assert_allclose(normalized(ours), peer.encode(TEXTS, normalize_embeddings=True), atol=1e-4)


def test_both_formats_hold_the_same_vectors(tiny_runs: Path, tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("id,words\n" + "".join(f'r{number},"{text}"\n' for number, text in enumerate(TEXTS)))
    for name in ("vectors.npy", "vectors.parquet"):
        out = tmp_path / "new" / name
        outcome = call("embed", tiny_runs / "cross-0", source, "--column", "words", "--out", out, "--normalize")
        assert outcome.code == 0, outcome.err
        assert "4 vectors with 32 numbers each" in outcome.err
    array = np.load(tmp_path / "new" / "vectors.npy")
    table = polars.read_parquet(tmp_path / "new" / "vectors.parquet")
    assert table["id"].to_list() == ["r0", "r1", "r2", "r3"]
    np.testing.assert_array_equal(table["vector"].to_numpy(), array)
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-6)
    model = bertram.load(tiny_runs / "cross-0", engine="torch")
    assert isinstance(model, Model)
    np.testing.assert_allclose(array, normalized(vectors_of(model, TEXTS)), atol=1e-5)


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.parquet"])
def test_a_failure_leaves_the_vectors_that_were_there(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    vectors.save_vectors(tmp_path / name, ["a"], np.ones((1, 2), np.float32))
    before = (tmp_path / name).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="the disk is full"):
        vectors.save_vectors(tmp_path / name, ["b"], np.zeros((1, 2), np.float32))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_standard_input_and_the_text_style_of_a_task(tiny_runs: Path, tmp_path: Path) -> None:
    for name, words in (("plain", ()), ("task", ("--task", "sst"))):
        outcome = call("embed", tiny_runs / "cross-0", "--out", tmp_path / f"{name}.npy", *words, stdin=b"A film\nNo\n")
        assert outcome.code == 0, outcome.err
    assert np.load(tmp_path / "plain.npy").shape == np.load(tmp_path / "task.npy").shape == (2, 32)


def test_the_marks_of_targets_are_no_text(tiny_encoder: Path, tmp_path: Path) -> None:
    run = create(tmp_path / "run", bertram.change(quick(), data="sample"))
    model = random_model(tiny_encoder, {"sst": changed_task(SST, pooling="target")})
    save_model(model, run.model)
    out = tmp_path / "vectors.npy"
    outcome = call("embed", run.path, "--task", "sst", "--out", out, stdin=b"the <t>plane</t> left\nno mark\n")
    assert outcome.code == 0, outcome.err
    np.testing.assert_allclose(np.load(out), vectors_of(model, ["the plane left", "no mark"]), atol=1e-5)


@pytest.mark.parametrize(
    ("out", "words", "stdin", "reason"),
    [
        ("vectors.txt", (), b"a\n", "written as .npy or .parquet"),
        ("vectors.npy", ("--task", "mood"), b"a\n", "unknown task 'mood'"),
        ("vectors.npy", (), b"", "empty"),
        ("vectors.npy", ("--input-format", "jsonl"), b'{"text": "a"}\n{"text": ""}\n', "text is empty"),
    ],
)
def test_other_input_is_refused(
    out: str, words: tuple[str, ...], stdin: bytes, reason: str, tiny_runs: Path, tmp_path: Path
) -> None:
    outcome = call("embed", tiny_runs / "cross-0", "--out", tmp_path / out, *words, stdin=stdin)
    assert outcome.code == 1
    assert reason in outcome.err
    assert not (tmp_path / out).exists()


@pytest.mark.slow
def test_vectors_go_to_standard_output(tiny_runs: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "texts.txt", tmp_path / "vectors.npy"
    source.write_text("\n".join(TEXTS) + "\n")
    assert call("embed", tiny_runs / "cross-0", source, "--out", out).code == 0
    command = [sys.executable, "-m", "bertram", "embed", str(tiny_runs / "cross-0"), str(source), "--out", "-"]
    process = subprocess.run(command, capture_output=True, check=True, timeout=300)
    assert process.stdout == out.read_bytes()
