"""The phrases of the Stanford Sentiment Treebank (Socher et al., 2013) as further training rows.

The treebank's files have a tree a line, ``(3 (2 The) (4 (3 good) (2 film)))``: a label from 0 to 4, then two subtrees
or a word.
"""

import re
from pathlib import Path

from bertram.data.tables import open_lines
from bertram.errors import DataError
from bertram.runs.files import disk_errors, write_output

COLUMNS = ("phrase", "sentiment", "n_words", "is_sentence", "eq_dev_or_test_sentence")
SPLITS = ("train", "dev", "test")
_PARTS = re.compile(r"\(|\)|[^\s()]+")


def write_phrases(trees: Path, out: Path) -> int:
    """Write the distinct phrases of the training trees as tab-separated values, each with its label.

    Args:
        trees: the directory that holds train.txt, dev.txt and test.txt.
        out: the file, whose last column is 1 for a phrase that is also a whole sentence of dev or test.

    Returns:
        How many phrases there are.

    Raises:
        DataError: a file is missing, or a line of it is no tree.
    """
    train, dev, test = (_trees(trees / f"{split}.txt") for split in SPLITS)
    held_back = {tree[-1][0] for tree in (*dev, *test)}
    sentences = {tree[-1][0] for tree in train}
    labels: dict[str, int] = {}
    for tree in train:
        for phrase, label in tree:
            labels.setdefault(phrase, label)
    lines = ["\t".join(COLUMNS)]
    for phrase, label in labels.items():
        words = phrase.count(" ") + 1
        lines.append(f"{phrase}\t{label}\t{words}\t{phrase in sentences:d}\t{phrase in held_back:d}")
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_output(out, "\n".join(lines) + "\n")
    return len(labels)


def _trees(path: Path) -> list[list[tuple[str, int]]]:
    if not path.is_file():
        raise DataError(f"{path}: No such file; the trees are train.txt, dev.txt and test.txt")
    sentences = []
    with open_lines(path) as lines:
        for line in lines:
            if line.fault:
                raise DataError(f"{path}:{line.number}: {line.fault}")
            if line.text.strip():
                try:
                    sentences.append(phrases(line.text))
                except ValueError as error:
                    raise DataError(f"{path}:{line.number}: {error}") from None
    return sentences


def phrases(tree: str) -> list[tuple[str, int]]:
    """The phrases of a tree with their labels, inner ones first, the whole sentence last.

    Raises:
        ValueError: the brackets do not match, or a label is not one of 0 to 4.
    """
    phrases: list[tuple[str, int]] = []
    open_: list[tuple[int, list[str]]] = []
    parts = iter(_PARTS.findall(tree))
    for part in parts:
        if part == "(":
            label = next(parts, "")
            if label not in ("0", "1", "2", "3", "4"):
                raise ValueError(f"a label is {label!r}, not 0 to 4")
            open_.append((int(label), []))
        elif not open_:
            raise ValueError("the brackets do not match")
        elif part == ")":
            label_, words = open_.pop()
            phrases.append((" ".join(words), label_))
            if open_:
                open_[-1][1].extend(words)
        else:
            open_[-1][1].append(part)
    if open_ or not phrases:
        raise ValueError("the brackets do not match")
    return phrases
