"""Candidate pairs: neighbours by the encoder's vectors and random pairs of training texts, none of them a row."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.common.commands import call

from bertram.data.describe import words_of
from bertram.data.rows import read_rows
from bertram.data.sources import DataSource, HeldOut
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import ConfigError
from bertram.model.pretrained import load_encoder
from bertram.prediction.candidate_pairs import candidate_pairs
from bertram.tasks import SST, STS, Task


def sts(tmp_path: Path, rows: int = 12) -> tuple[Task, str]:
    """A task with some pairs of training texts."""
    header = "id\tsentence1\tsentence2\tsimilarity"
    lines = [f"{n}\ta dog runs {n}\ta cat sleeps {n}\t{n % 5}" for n in range(rows)]
    for name in ("train", "dev"):
        (tmp_path / f"sts-{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    return STS.model_copy(update={"files": STS.files.model_copy(update={"test": None})}), str(tmp_path)


def made(encoder: Path, task: Task, data: str | DataSource, **more: Any) -> Any:
    return candidate_pairs(task, data, load_encoder(str(encoder)), load_tokenizer(encoder), **more)


def text_vectors(texts: list[str], directory: Path) -> torch.Tensor:
    """The mean of each text's hidden states, of length 1, [n, H]."""
    encoder, tokenizer = load_encoder(str(directory)), load_tokenizer(directory)
    states = encoder.hidden_states([tokenizer.joined([ids], 64)[0] for ids in tokenizer.encode(texts)])
    return F.normalize(torch.stack([state.mean(0) for state in states]), dim=1)


@pytest.mark.slow
def test_half_are_nearest_neighbours_and_half_random_and_none_is_a_row(tiny_encoder: Path, tmp_path: Path) -> None:
    task, data = sts(tmp_path)
    found = made(tiny_encoder, task, data, neighbours=2)
    origins = [candidate.origin for candidate in found]
    assert origins == ["neighbour"] * (len(found) // 2) + ["random"] * (len(found) // 2)
    assert len(found) > 20
    words = [words_of(candidate.texts) for candidate in found]
    assert len(set(words)) == len(words)
    rows = read_rows(task, data, "train")
    assert not set(words) & set(map(words_of, rows.texts))
    texts = {text for pair in rows.texts for text in pair}
    assert all(set(candidate.texts) <= texts for candidate in found)
    vectors = text_vectors(sorted(texts), tiny_encoder)
    similarity = dict(zip(sorted(texts), vectors, strict=True))
    for candidate in found:
        first, second = candidate.texts
        assert candidate.similarity == pytest.approx(float(similarity[first] @ similarity[second]), abs=1e-5)
    nearest = found[0]
    others = torch.stack([similarity[nearest.texts[0]] @ v for t, v in similarity.items() if t != nearest.texts[0]])
    assert nearest.similarity >= float(others.topk(2).values[-1]) - 1e-5
    assert found == made(tiny_encoder, task, data, neighbours=2)
    assert found != made(tiny_encoder, task, data, neighbours=2, seed=1)


def test_the_command_writes_rows_that_a_teacher_can_label(tiny_encoder: Path, tmp_path: Path) -> None:
    sts(tmp_path)
    (tmp_path / "sts-test-student.csv").write_text("id\tsentence1\tsentence2\nx\ta dog runs 1\ta dog runs 2\ny\ta\tb\n")
    out = tmp_path / "pairs.tsv"
    code, said, _ = call("data", "pairs", tmp_path, "--task", "sts", "--encoder", tiny_encoder, "--out", out)
    assert code == 0
    with out.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    near = [row for row in rows if row["origin"] == "neighbour"]
    assert f"{len(rows)} pairs: {len(near)} of nearest neighbours and {len(rows) - len(near)} random ones" in said
    assert {row["origin"] for row in rows} == {"neighbour", "random"}
    held_out = words_of(("a dog runs 1", "a dog runs 2"))
    assert held_out not in {words_of((row["sentence1"], row["sentence2"])) for row in rows}
    code, _, err = call("data", "pairs", tmp_path, "--task", "sst", "--out", tmp_path / "sst.tsv")
    assert code == 1
    assert "exists already" not in err
    kept = out.read_bytes()
    for task in ("sts", "sst"):
        code, _, err = call("data", "pairs", tmp_path, "--task", task, "--out", out)
        assert (code, err) == (1, f"bertram: {out}: exists already; choose another --out\n")
    assert out.read_bytes() == kept


def test_dev_rows_that_are_held_out_are_no_candidates(tiny_encoder: Path, tmp_path: Path) -> None:
    sides = [(n, first, second) for n in range(6) for first, second in ("ab", "bc", "ca")]
    rows = [f"{n}\t{first} dog {n}\t{second} dog {n}\t{n % 5}" for n, first, second in sides]
    (tmp_path / "train.csv").write_text("\n".join(["id\tsentence1\tsentence2\tsimilarity", *rows]) + "\n")
    files = STS.files.model_copy(update={"train": "train.csv", "dev": None, "test": None})
    task = STS.model_copy(update={"files": files})
    whole = read_rows(task, str(tmp_path), "train")
    dev_rows = HeldOut("train.csv", whole.sha256, whole.lines[::3].tolist(), "every third")
    source = DataSource(str(tmp_path), held_out={"sts": dev_rows})
    candidates = made(tiny_encoder, task, source, neighbours=9)
    assert len(candidates) > 20
    assert not {words_of(candidate.texts) for candidate in candidates} & set(map(words_of, whole.texts))


def test_a_sentence_with_two_targets_is_one_text_and_its_vector_knows_no_marks(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    rows = ["a <t>bank</t> by a river\tmy <t>bank</t>\t0", "a bank by a <t>river</t>\ta <t>river</t>\t1"]
    (tmp_path / "train.tsv").write_text("\n".join(["a\tb\tlabel", *rows]) + "\n")
    files = {"train": "train.tsv", "texts": ["a", "b"], "label": "label"}
    task = Task.model_validate(
        {"name": "wic", "kind": "binary", "encoding": "bi", "head": "features", "pooling": "target", "files": files}
    )
    candidates = made(tiny_encoder, task, str(tmp_path), neighbours=2)
    assert {text for candidate in candidates for text in candidate.texts} == {
        "a <t>bank</t> by a river", "my <t>bank</t>", "a <t>river</t>"
    }  # fmt: skip
    plain = ["my bank", "a river"]
    vectors = text_vectors(plain, tiny_encoder)
    (pair,) = [candidate for candidate in candidates if set(candidate.texts) == {"my <t>bank</t>", "a <t>river</t>"}]
    assert pair.similarity == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)


def test_a_task_of_single_texts_has_no_pairs(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError, match="task sst reads single texts"):
        made(tiny_encoder, SST, "sample")
