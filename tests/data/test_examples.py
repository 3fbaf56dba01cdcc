"""Tokenized examples: which sequences an example becomes, and how batches are taken apart."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertram.data.examples import Batch, Examples, together, tokenized
from bertram.data.rows import Rows
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.tasks import QUORA, SST, STS, Task

ANY = settings(deadline=None, max_examples=50)
BI = Task.model_validate(QUORA.model_dump() | {"encoding": "bi", "head": "cosine"})
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"]
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    directory = tmp_path_factory.mktemp("words")
    (directory / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return load_tokenizer(directory)


def rows(task: Task, texts: Sequence[tuple[str, ...]], labels: Sequence[float] | None) -> Rows:
    count = len(texts)
    ids = [f"id{i}" for i in range(count)]
    made = None if labels is None else np.array(labels, np.float64)
    if made is not None and task.kind != "score":
        return Rows(
            ids, list(texts), made.astype(np.int64), np.arange(count), [], Path("rows.csv"), "rows.csv", "", "dev"
        )
    return Rows(ids, list(texts), made, np.arange(count), [], Path("rows.csv"), "rows.csv", "", "dev")


def examples(task: Task, tokenizer: Tokenizer, count: int = 5, max_tokens: int = 16) -> Examples:
    words = ["a", "b", "c", "d", "a", "b"]
    texts = [
        tuple(" ".join(words[n : n + n + 1]) for n in (i % 3, (i + 1) % 3)[: 2 if task.pair else 1])
        for i in range(count)
    ]
    return tokenized(task, rows(task, texts, [i % 2 for i in range(count)]), tokenizer, max_tokens)


def test_one_text_is_one_sequence(tokenizer: Tokenizer) -> None:
    made = tokenized(SST, rows(SST, [("a b",), ("d",)], [4, 0]), tokenizer, 16)
    batch = made.batch([1, 0])
    assert batch.sequences == [([CLS, 7, SEP], [0, 0, 0]), ([CLS, 4, 5, SEP], [0, 0, 0, 0])]
    assert batch.ids == ("id1", "id0")
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 4]
    assert batch.labels.dtype == torch.int64
    assert (batch.task, batch.share, len(batch)) == ("sst", 1.0, 2)


def test_a_pair_is_one_sequence_or_two(tokenizer: Tokenizer) -> None:
    texts = [("a", "b c"), ("d", "a")]
    cross = tokenized(QUORA, rows(QUORA, texts, [1, 0]), tokenizer, 16).batch([0, 1])
    assert cross.sequences == [
        ([CLS, 4, SEP, 5, 6, SEP], [0, 0, 0, 1, 1, 1]),
        ([CLS, 7, SEP, 4, SEP], [0, 0, 0, 1, 1]),
    ]
    apart = tokenized(BI, rows(BI, texts, [1, 0]), tokenizer, 16).batch([0, 1])
    assert [ids for ids, _ in apart.sequences] == [[CLS, 4, SEP], [CLS, 7, SEP], [CLS, 5, 6, SEP], [CLS, 4, SEP]]
    assert not any(any(segments) for _, segments in apart.sequences)


def test_a_swapped_pair_has_its_second_text_first(tokenizer: Tokenizer) -> None:
    made = tokenized(QUORA, rows(QUORA, [("a", "b c")], [1]), tokenizer, 16)
    assert made.batch([0], swapped=True).sequences == [([CLS, 5, 6, SEP, 4, SEP], [0, 0, 0, 0, 1, 1])]


def test_scores_stay_real_numbers(tokenizer: Tokenizer) -> None:
    made = tokenized(STS, rows(STS, [("a", "b"), ("c", "d")], [3.8, 0.25]), tokenizer, 16)
    assert made.labels is not None
    assert made.labels.dtype == torch.float32
    assert made.labels.tolist() == [pytest.approx(3.8), 0.25]


def test_rows_without_labels_make_batches_without(tokenizer: Tokenizer) -> None:
    made = tokenized(SST, rows(SST, [("a",), ("b",)], None), tokenizer, 16)
    assert made.labels is None
    assert made.batch([0]).labels is None
    assert made.batch([0, 1]).split(2)[1].labels is None


@ANY
@given(count=st.integers(1, 12), parts=st.integers(1, 15), bi=st.booleans())
def test_parts_are_the_whole_with_shares_that_add_up(tokenizer: Tokenizer, count: int, parts: int, bi: bool) -> None:
    whole = examples(BI if bi else QUORA, tokenizer, count).batch(range(count))
    split = whole.split(parts)
    assert len(split) == min(parts, count)
    assert sum(part.share for part in split) == pytest.approx(1)
    sizes = [len(part) for part in split]
    assert max(sizes) - min(sizes) <= 1
    assert [number for part in split for number in part.ids] == list(whole.ids)
    assert whole.labels is not None
    assert torch.equal(torch.cat([part.labels for part in split if part.labels is not None]), whole.labels)
    for text in range(2 if bi else 1):
        again = [sequence for part in split for sequence in part.sequences[text * len(part) : (text + 1) * len(part)]]
        assert again == whole.sequences[text * count : (text + 1) * count]


@ANY
@given(data=st.data(), bi=st.booleans())
def test_a_mean_is_the_sum_of_share_times_mean_of_its_parts(
    tokenizer: Tokenizer, data: st.DataObject, bi: bool
) -> None:
    count = data.draw(st.integers(2, 12))
    whole = examples(BI if bi else QUORA, tokenizer, count).batch(range(count))
    values = torch.arange(count, dtype=torch.float64) ** 2
    cuts = data.draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True))
    edges = [0, *sorted(cuts), count]
    unequal = [whole.part(range(a, b)) for a, b in pairwise(edges) if b > a]
    nested = [small for part in unequal for small in part.split(2)]
    for parts in (unequal, nested):
        mean = sum(part.share * float(values[[int(i[2:]) for i in part.ids]].mean()) for part in parts)
        assert mean == pytest.approx(float(values.mean()))


def test_cut_sequences_are_counted(tokenizer: Tokenizer) -> None:
    texts = [("a b c d a b", "a b"), ("a", "b"), ("a b c d a b", "a b c d a b")]
    assert tokenized(QUORA, rows(QUORA, texts, [0, 1, 0]), tokenizer, 8).cut() == 2
    assert tokenized(BI, rows(BI, texts, [0, 1, 0]), tokenizer, 7).cut() == 3
    short = tokenized(BI, rows(BI, texts, [0, 1, 0]), tokenizer, 7).batch(range(3))
    assert max(len(ids) for ids, _ in short.sequences) == 7
    assert tokenized(BI, rows(BI, texts, [0, 1, 0]), tokenizer, 8).cut() == 0


def test_lengths_leave_special_tokens_out(tokenizer: Tokenizer) -> None:
    made = tokenized(QUORA, rows(QUORA, [("a b", "c"), ("a", "b")], [0, 1]), tokenizer, 16)
    assert made.lengths().tolist() == [3, 2]
    assert len(made) == 2


def test_further_examples_follow_the_tasks_own(tokenizer: Tokenizer) -> None:
    own, more = examples(SST, tokenizer, 3), examples(SST, tokenizer, 2)
    both = together(own, more)
    assert len(both) == 5
    assert both.batch([3, 4]).sequences == more.batch([0, 1]).sequences
    assert both.batch([0, 1, 2]).sequences == own.batch([0, 1, 2]).sequences
    assert both.labels is not None
    assert both.labels.tolist() == [0, 1, 0, 0, 1]


def test_texts_are_tokenized_by_column(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_rows([("a", "b c"), ("", "d")]) == [([4], [5, 6]), ([], [7])]


def test_a_batch_may_be_of_any_places(tokenizer: Tokenizer) -> None:
    made = examples(BI, tokenizer, 4)
    from_array, from_list = made.batch(np.array([2, 2, 0])), made.batch([2, 2, 0])
    assert isinstance(from_array, Batch)
    assert from_array.sequences == from_list.sequences
    assert from_array.ids == ("id2", "id2", "id0")
    assert from_array.part([1]).sequences == [from_array.sequences[1], from_array.sequences[4]]
