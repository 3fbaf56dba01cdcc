"""Usages of words from a table, or from a directory in the form of the Diachronic Word Usage Graphs (DWUG)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bertram.data.tables import Record, open_table
from bertram.data.targets import read_span
from bertram.errors import DataError, Fault
from bertram.label_spaces import as_text

COLUMNS = {  # what a usage needs: the columns that may hold it, the first that exists is read
    "word": ("word", "lemma"),
    "period": ("period", "grouping"),
    "text": ("text", "context", "sentence"),
    "start": ("start",),
    "end": ("end",),
    "span": ("span", "indexes_target_token"),
    "id": ("id", "identifier"),
}
DWUG_COLUMNS = {
    "word": "lemma",
    "period": "grouping",
    "text": "context",
    "span": "indexes_target_token",
    "id": "identifier",
}
MAX_REJECTED = 0.01


@dataclass(frozen=True)
class Usage:
    """One occurrence of a word.

    Attributes:
        word: the target word, as it is called in the results.
        period: name of the period.
        text: the text around the target.
        start, end: character span [start, end) of the target in the text.
        id: the row's id, or FILE:LINE without one.
        place: file and line, for messages.
    """

    word: str
    period: str
    text: str
    start: int
    end: int
    id: str
    place: str


@dataclass
class Usages:
    """Usages of a file, with the rejected rows.

    Attributes:
        rows: the usages, in the order of the files.
        rejected: one line for each row that cannot be used, with place, reason and remedy.
        not_found: word -> rows of it (without a word column: texts) in which no form of the word occurs.
    """

    rows: list[Usage] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    not_found: dict[str, int] = field(default_factory=dict)

    def check(self, *, allow_rejects: bool) -> None:
        """Raise DataError if there is no usage, or if over 1 % of the rows are rejected and that is not allowed."""
        total = len(self.rows) + len(self.rejected)
        too_many = len(self.rejected) > MAX_REJECTED * total and not allow_rejects
        if self.rows and not too_many:
            return
        first_lines = "\n".join(self.rejected[:10])
        rest = f"\n… and {len(self.rejected) - 10} more" if len(self.rejected) > 10 else ""
        allow = "; correct them, or leave them out with --allow-rejects" if self.rows else ""
        raise DataError(f"{len(self.rejected)} of {total} rows cannot be used{allow}\n{first_lines}{rest}".strip())


def read_usages(
    path: Path, *, columns: Mapping[str, str] | None = None, forms: Mapping[str, Sequence[str]] | None = None
) -> Usages:
    """Read usages.

    A table (CSV, TSV, JSONL or Parquet) has a text and a period in each row, a word, and the character span of the
    target: columns ``start`` and ``end``, or ``span`` written ``start:end``. Without a span, the first form of the word
    in the text is the target (whole words, case ignored). Without a word column, every occurrence of every word of
    `forms` is a usage.

    Args:
        path: a table, or a DWUG directory (``data/WORD/uses.csv``).
        columns: names of the table's columns where they differ from `COLUMNS`, such as ``{"word": "lemma"}``.
        forms: word -> its forms; a word that is missing has itself as its only form.

    Raises:
        DataError: the file cannot be read, or a column that is needed is missing.
    """
    usages = Usages()
    if path.is_dir():
        files = sorted(path.glob("data/*/uses.csv"))
        if not files:
            raise DataError(f"{path}: no data/WORD/uses.csv in this directory; name a table, or a DWUG directory")
        for file in files:
            _read_dwug_file(file, usages)
    else:
        _read_table(path, columns or {}, forms, usages)
    return usages


def read_forms(path: Path) -> dict[str, list[str]]:
    """Words and their forms, from a table with the columns ``word`` and ``form`` (one form a row).

    Raises:
        DataError: the file cannot be read, or a row lacks its word or form.
    """
    forms: dict[str, list[str]] = {}
    with open_table(path) as table:
        table.require(["word", "form"])
        for record in table.read(["word", "form"]):
            word, form = (as_text(record.values.get(name)) for name in ("word", "form"))
            if record.fault or not word or not form:
                raise DataError(f"{path}:{record.line}: {record.fault or 'the word or its form is empty'}")
            forms.setdefault(word, []).append(form)
    return forms


def _read_dwug_file(path: Path, usages: Usages) -> None:
    with open_table(path, quoting="none") as table:  # a quotation mark is a character like any other
        table.require(DWUG_COLUMNS.values())
        for record in table.read(list(DWUG_COLUMNS.values())):
            _add(usages, record, str(path), DWUG_COLUMNS, {})


def _read_table(
    path: Path, columns: Mapping[str, str], forms: Mapping[str, Sequence[str]] | None, usages: Usages
) -> None:
    wrong = sorted(set(columns) - set(COLUMNS))
    if wrong:
        raise DataError(f"unknown column kind {wrong[0]!r}; choose one of {', '.join(COLUMNS)}")
    with open_table(path) as table:
        table.require(columns.values())
        chosen = {}
        for kind, names in COLUMNS.items():
            name = columns.get(kind) or next((name for name in names if name in table.columns), None)
            if name is not None:
                chosen[kind] = name
        if "word" not in chosen and not forms:
            raise DataError(f"{path}: no column word; name it with --column word=NAME, or give the words with --forms")
        for kind in ("period", "text"):
            if kind not in chosen:
                raise DataError(
                    f"{path}: no column {kind}; name it with --column {kind}=NAME "
                    f"(the columns are: {', '.join(table.columns)})"
                )
        table.require(chosen.values())
        patterns = {word: _pattern(names) for word, names in (forms or {}).items()}
        for record in table.read(list(chosen.values())):
            if "word" in chosen:
                _add(usages, record, str(path), chosen, patterns)
            else:
                _add_occurrences(usages, record, str(path), chosen, patterns)


def _values(record: Record, columns: Mapping[str, str]) -> dict[str, str]:
    """The row's values by kind, those that are needed not empty."""
    if record.fault:
        raise Fault(record.fault)
    values = {kind: "" if (value := record.values.get(name)) is None else str(value) for kind, name in columns.items()}
    for kind in ("word", "period", "text"):
        if kind in values and not values[kind].strip():
            raise Fault(f"the {kind} is empty")
    return values


def _add(
    usages: Usages, record: Record, file: str, columns: Mapping[str, str], patterns: dict[str, re.Pattern[str]]
) -> None:
    """Add a row that names its word."""
    place = f"{file}:{record.line}"
    try:
        values = _values(record, columns)
        word, text = values["word"], values["text"]
        span = _span(values)
        if span is None:
            pattern = patterns.setdefault(word, _pattern([word]))
            match = pattern.search(text)
            if match is None:
                usages.not_found[word] = usages.not_found.get(word, 0) + 1
                raise Fault(f"no form of {word!r} in the text; give its forms with --forms, or the span")
            span = match.span()
        start, end = span
        if not 0 <= start < end <= len(text):
            raise Fault(
                f"the span {start}:{end} is outside the text of {len(text)} characters; spans are [start, end), from 0"
            )
    except Fault as fault:
        usages.rejected.append(f"{place}: {fault}")
        return
    usages.rows.append(Usage(word, values["period"], text, start, end, values.get("id") or place, place))


def _add_occurrences(
    usages: Usages, record: Record, file: str, columns: Mapping[str, str], patterns: Mapping[str, re.Pattern[str]]
) -> None:
    """Add every occurrence of every word in a row that names no word."""
    place = f"{file}:{record.line}"
    try:
        values = _values(record, columns)
    except Fault as fault:
        usages.rejected.append(f"{place}: {fault}")
        return
    for word, pattern in patterns.items():
        spans = [match.span() for match in pattern.finditer(values["text"])]
        if not spans:
            usages.not_found[word] = usages.not_found.get(word, 0) + 1
        for start, end in spans:
            row_id = values.get("id") or place
            usages.rows.append(Usage(word, values["period"], values["text"], start, end, row_id, place))


def _span(values: Mapping[str, str]) -> tuple[int, int] | None:
    """The span that the row states; None where it states none."""
    if values.get("span"):
        return read_span(values["span"])
    if values.get("start") and values.get("end"):
        return read_span(f"{values['start']}:{values['end']}")
    return None


def _pattern(forms: Sequence[str]) -> re.Pattern[str]:
    """Any of the forms as whole words, case ignored; the longest form wins."""
    alternatives = "|".join(re.escape(form) for form in sorted(set(forms), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def by_word(usages: Sequence[Usage]) -> Iterator[tuple[str, list[Usage]]]:
    """Each word with its usages, words in alphabetical order."""
    groups: dict[str, list[Usage]] = {}
    for usage in usages:
        groups.setdefault(usage.word, []).append(usage)
    yield from sorted(groups.items())
