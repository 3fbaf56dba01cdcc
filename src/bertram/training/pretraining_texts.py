"""The texts of further pretraining: distinct training texts of tasks, tokenized with the words of their tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bertram.data.rows import Rows, file_facts, read_further
from bertram.data.sources import DataSource, as_source
from bertram.data.splits import training_side
from bertram.data.texts import unmarked
from bertram.data.tokenizer import Tokenizer
from bertram.errors import ConfigError, DataError
from bertram.tasks import Task


@dataclass(frozen=True)
class Texts:
    """Tokenized texts.

    Attributes:
        token_ids: token ids of each text, special tokens included.
        words: number of the word of each token, -1 for special tokens; without whole words, of the token.
    """

    token_ids: list[list[int]]
    words: list[list[int]]

    def at(self, places: Sequence[int]) -> "Texts":
        """The texts at these places."""
        return Texts([self.token_ids[place] for place in places], [self.words[place] for place in places])

    def __len__(self) -> int:
        return len(self.token_ids)


def training_texts(
    tasks: Mapping[str, Task], data: str | DataSource, *, allow_rejects: bool = False
) -> tuple[list[str], dict[str, Any]]:
    """The distinct training texts of some tasks, those of further files included, and the files that they come from.

    Args:
        tasks: tasks by name.
        data: a directory, ``hub`` or ``sample``, or a source that may know which dev rows are held out.
        allow_rejects: accept training files of which more than 1 % of the rows cannot be used.

    Raises:
        ConfigError: files that cannot be used; all faults are named.
    """
    source = as_source(data)
    faults: list[str] = []
    read: list[tuple[str, Rows]] = []
    for task in tasks.values():
        for place in ("train", *task.further):
            try:
                rows = (
                    training_side(task, source, allow_rejects=allow_rejects)
                    if place == "train"
                    else read_further(task, place, source, allow_rejects=True)
                )
            except DataError as error:
                faults.append(str(error))
            else:
                read.append((task.name, rows))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    texts = dict.fromkeys(text for name, rows in read for row in rows.texts for text in unmarked(tasks[name], row))
    return list(texts), {name: asdict(file) for name, file in file_facts(read).items()}


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int, *, whole_words: bool) -> Texts:
    """The texts as sequences; texts without a token are left out.

    Args:
        texts: texts.
        tokenizer: tokenizer of the encoder.
        max_tokens: maximum sequence length; longer texts are truncated.
        whole_words: choose all tokens of a word together.
    """
    token_ids, word_numbers = [], []
    for ids, words in tokenizer.encode_with_words(texts):
        if ids:
            sequence, *_ = tokenizer.joined([ids], max_tokens)
            inside = len(sequence) - 2
            token_ids.append(sequence)
            word_numbers.append([-1, *(words[:inside] if whole_words else range(inside)), -1])
    return Texts(token_ids, word_numbers)
