"""What a column of a table nobody has described may be: an id, a text or one of a pair, labels, scores, a group.

Every guess comes with its reason.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bertram.data.checks import label_cautions, listed
from bertram.errors import Fault
from bertram.label_sets import LabelSets
from bertram.label_spaces import NO, YES, in_order, read_number, whole

MOST_LABELS = 30  # different values; more are a score if they are numbers, and else no labels
ROWS_OF_A_LABEL = 2  # a column of labels has so many rows for each of them, on the average
SCORE_VALUES = 12  # different numbers from which on a column is a score, where not all are whole
LONGEST_LABEL = 40  # characters
PAIR_NAMES = (
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "answer"),
    ("query", "document"),
    ("query", "passage"),
    ("left", "right"),
    ("a", "b"),
)
ID_NAME = re.compile(r"(?:.*[_\W])?(?:id|uid|uuid|key|nr|no|index|idx)$|^(?:.*id)$", re.IGNORECASE)
TEXT_NAMES = ("text", "sentence", "body", "review", "comment", "message", "content", "title", "question", "tweet")
SCORE_NAME = re.compile(r"score|similarity|rating|stars|relatedness|grade|points", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # 1,500: or one and a half
GROUP_NAME = re.compile(
    r"(?:^|[\W_])(?:author|user|speaker|writer|source|document)(?:[\W_]?(?:id|name))?$", re.IGNORECASE
)
Guesses = dict[str, tuple[object, str]]  # field of a task table -> value and reason


@dataclass
class Column:
    """A column of a table.

    Attributes:
        name: name of the column.
        values: different values that are there, with their number of rows.
        missing: words that are taken for a missing value, such as NA, with their number of rows.
        rows: rows of the table.
    """

    name: str
    values: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @property
    def filled(self) -> int:
        """Number of rows with a value."""
        return self.values.total()

    @property
    def labels(self) -> Counter[str]:
        """Different labels with their number of rows; of numbers, 3 and 3.0 are one."""
        if len(in_order(self.values)) == len(self.values):
            return self.values
        counts: Counter[str] = Counter()
        for value, count in self.values.items():
            counts[whole(value)] += count
        return counts

    @property
    def words(self) -> float:
        """Mean number of words."""
        return sum(len(value.split()) * count for value, count in self.values.items()) / max(1, self.filled)

    @property
    def comma(self) -> bool:
        """Whether some values can only be numbers with a decimal comma, unlike 1,500."""
        return any(DECIMAL_COMMA.fullmatch(value) and not THOUSANDS.fullmatch(value) for value in self.values)

    def numbers(self) -> list[float] | None:
        """The different values as numbers; None if one is none."""
        comma = self.comma
        try:
            numbers = {read_number(value.replace(",", ".") if comma else value) for value in self.values}
        except ValueError:
            return None
        return sorted(numbers) if numbers and all(map(math.isfinite, numbers)) else None


def id_column(columns: Sequence[Column]) -> tuple[str, str] | None:
    """The column of row ids, and the reason; None if there is none."""
    unique = [column for column in columns if column.filled == len(column.values) == column.rows and column.words == 1]
    for column in unique:
        if ID_NAME.match(column.name):
            return column.name, "its name, and each row has another value"
    if unique and unique[0] is columns[0] and all(any(map(str.isdigit, value)) for value in unique[0].values):
        return unique[0].name, "the first column, and each row has another value with a digit"
    return None


def text_columns(columns: Sequence[Column]) -> tuple[list[str], str]:
    """The columns of the texts of a task, one or a pair, and the reason; none if there are no texts."""
    by_name = {column.name.casefold(): column for column in columns}
    for first, second in PAIR_NAMES:
        if first in by_name and second in by_name:
            pair = [by_name[first], by_name[second]]
            if min(column.words for column in pair) > 1.5:
                return [column.name for column in pair], "a pair, by the names"
    texts = [column for column in columns if column.words > 1.5 and len(column.values) > column.filled / 4]
    if not texts:
        texts = [column for column in columns if column.name.casefold() in TEXT_NAMES and column.numbers() is None]
    if not texts:
        return [], ""
    usual = [column for column in texts if column.name.casefold() in TEXT_NAMES]
    best = max(usual or texts, key=lambda column: column.words)
    why = f"{best.words:.0f} words on the average"
    further = [column.name for column in texts if column is not best]
    if further:
        why += f"; also texts: {', '.join(further)} (for a pair, name two)"
    return [best.name], why


def is_group(column: Column) -> bool:
    """Whether a column says by its name whose a row is, and several rows are of one."""
    repeated = 1 < len(column.values) < column.filled
    return repeated and GROUP_NAME.search(column.name) is not None


def label_fields(column: Column) -> Guesses | None:
    """Kind, labels or range of a column; None if it can be neither labels nor scores."""
    if column.filled < 2 or len(column.labels) < 2 or _unclear_numbers(column):
        return None
    numbers = column.numbers()
    if (numbers is None or _lists_numbers(column)) and (sets := _set_fields(column)) is not None:
        return sets
    if numbers is not None:
        has_fractions = not all(number.is_integer() for number in numbers)
        different = len(numbers)
        is_continuous = different > MOST_LABELS or (has_fractions and different >= min(SCORE_VALUES, column.filled / 2))
        if is_continuous or (has_fractions and (SCORE_NAME.search(column.name) or column.comma)):
            return _score_fields(column, numbers)
    return _class_fields(column, in_words="in the order of numbers" if numbers is not None else "in alphabetical order")


def why_not(column: Column) -> str:
    """The reason why a column can be neither labels nor scores."""
    if not column.values:
        return "it is empty"
    if unclear := _unclear_numbers(column):
        return unclear
    if len(column.labels) == 1:
        return f"all its values are {next(iter(column.labels))!r}"
    return f"{len(column.values):,} different values in {column.filled:,} rows are neither labels nor scores"


def _unclear_numbers(column: Column) -> str:
    """The reason why the numbers of a column can be read in two ways; empty if they cannot."""
    try:
        for value in column.values:
            read_number(value.replace(",", ""))
    except ValueError:
        return ""
    example = next(filter(THOUSANDS.fullmatch, column.values), None)
    if example is not None and not column.comma:
        return f"the comma in {example!r} separates thousands or decimals; write its numbers without it"
    if column.comma and any("." in value for value in column.values):
        return "its numbers have decimal commas and decimal points; write all of them with one mark"
    return ""


def _lists_numbers(column: Column) -> bool:
    """Whether the commas between whole numbers separate labels, as in 1,3, and are no decimal commas.

    The labels are consecutive numbers, they rise in each cell, and the first of a cell also stands alone.
    """
    cells = [value.split(",") for value in column.values]
    parts = {part for cell in cells for part in cell}
    if SCORE_NAME.search(column.name) or not all(part.isdecimal() and part == str(int(part)) for part in parts):
        return False
    codes = [[int(part) for part in cell] for cell in cells]
    items = {code for cell in codes for code in cell}
    alone = {cell[0] for cell in codes if len(cell) == 1}
    starts, ends = ({cell[place] for cell in codes if len(cell) > 1} for place in (0, -1))
    consecutive = max(items) - min(items) < len(items)
    rising = all(cell == sorted(set(cell)) for cell in codes)
    return consecutive and rising and min(len(starts), len(ends)) > 1 and starts <= alone


def _class_fields(column: Column, in_words: str) -> Guesses | None:
    """Fields of a column with one label in a cell; None if its values are no labels."""
    counted = column.labels
    different = len(counted)
    if different > MOST_LABELS or column.filled < ROWS_OF_A_LABEL * different:
        return None
    if max(map(len, counted)) > LONGEST_LABEL:
        return None
    labels = list(in_order(counted))
    counts = listed([f"{label} {count:,}" for label, count in counted.most_common()])
    if {label.casefold() for label in labels} in ({NO[i], YES[i]} for i in range(len(NO))):
        labels.sort(key=lambda label: label.casefold() in YES)
        return {"kind": ("binary", f"two values, no and yes: {counts}"), "labels": (labels, "the first means no")}
    cautions = "; ".join(label_cautions(counted))
    return {
        "kind": ("class", f"{different} different values: {counts}"),
        "labels": (labels, f"{in_words}{'; ' + cautions if cautions else ''}"),
    }


def _set_fields(column: Column) -> Guesses | None:
    """Fields of a column with several labels in a cell; None if it has none such."""
    items: Counter[str] = Counter()
    try:
        cells = {value: LabelSets().items(value) for value in column.values}
    except Fault:
        return None
    for value, cell in cells.items():
        items.update(dict.fromkeys(cell, column.values[value]))
    several = [value for value, cell in cells.items() if len(cell) > 1]
    lists = all(value.startswith("[") and value.endswith("]") for value in cells)
    filler = {"0"} if lists and len({len(cell) for cell in cells.values()}) == 1 else set()
    labels = list(in_order(set(items) - filler))
    if not several or not 2 <= len(labels) <= MOST_LABELS or (len(labels) > len(cells) and not lists):
        return None
    if items.total() < ROWS_OF_A_LABEL * len(items) or max(map(len, labels)) > LONGEST_LABEL:
        return None
    counts = listed([f"{label} {items[label]:,}" for label in sorted(labels, key=lambda label: -items[label])])
    fields: Guesses = {
        "kind": ("multi-label", f"several labels in a cell, such as {several[0]}: {counts}"),
        "labels": (labels, "in the order of numbers or of the alphabet"),
    }
    if filler & set(items):
        fields["absent_labels"] = (sorted(filler), "fills all lists up to one length")
    return fields


def _score_fields(column: Column, numbers: Sequence[float]) -> Guesses:
    low, high = min(numbers), max(numbers)
    wide = [float(math.floor(low)), float(math.ceil(high))]
    fields: Guesses = {
        "kind": ("score", f"{len(numbers):,} different numbers"),
        "range": (wide, f"found {low:g} to {high:g}, widened to whole numbers"),
    }
    if column.comma:
        fields["decimal"] = (",", "numbers such as " + next(v for v in column.values if DECIMAL_COMMA.fullmatch(v)))
    return fields
