"""Measured change against gold: rank correlations over words, with what so few words can tell."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import atanh, sqrt, tanh
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from bertram.data.tables import open_lines, open_table
from bertram.errors import DataError
from bertram.evaluation.holm import holm
from bertram.label_spaces import finite
from bertram.semantic_change.measures import Floats

WORD_COLUMNS = ("word", "lemma")
GOLD_COLUMNS = ("change_graded", "gold", "value", "score")
LEAST_WORDS = 4
RESAMPLES = 10_000
Z_95 = float(ndtri(0.975))
POWER = float(ndtri(0.975) + ndtri(0.8))  # standard errors of an effect that is found in 80 % of cases


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of a measure with gold.

    Attributes:
        measure: name of the measure.
        layer: layer's number from 1, or the name of a sum of layers.
        value: the correlation.
        ci95: interval over words (Fisher's z with the variance of Bonett & Wright 2000).
        words: number of words.
    """

    measure: str
    layer: str
    value: float
    ci95: tuple[float, float]
    words: int


@dataclass(frozen=True)
class CorrelationDifference:
    """Difference of two measures' correlations with gold, on the same words.

    Attributes:
        first, second: names of the measures.
        value: correlation of the first minus that of the second.
        ci95: percentile interval of a bootstrap of the words, paired.
        p, p_holm: two-sided p-value of "no difference", and after Holm's correction over all pairs.
        standard_error: standard error of the difference, over words.
    """

    first: str
    second: str
    value: float
    ci95: tuple[float, float]
    p: float
    p_holm: float
    standard_error: float


def read_gold(path: Path) -> dict[str, float]:
    """Each word's gold change.

    The file has two columns without a header, or is a table such as DWUG's ``stats_groupings.csv``.

    Raises:
        DataError: a line without a word and a number, or a word that occurs twice.
    """
    with open_lines(path) as lines:
        text = [(line.number, line.text) for line in lines if line.text.strip()]
    if not text:
        raise DataError(f"{path}: it is empty")
    rows: list[tuple[int, object, object]]
    if {cell.strip(' "') for cell in re.split(r"[\t,;]", text[0][1])} & set(GOLD_COLUMNS):
        rows = _table_rows(path)
    elif len(text[0][1].split()) == 2:
        rows = [(number, *_two_columns(line)) for number, line in text]
    else:
        raise DataError(f"{path}: needs lines of a word and a number, or columns word and {' or '.join(GOLD_COLUMNS)}")
    gold: dict[str, float] = {}
    for number, name, text_value in rows:
        try:
            change = finite(text_value)
        except ValueError as fault:
            raise DataError(f"{path}:{number}: {fault}") from None
        if not name or str(name) in gold:
            raise DataError(f"{path}:{number}: {'the word is empty' if not name else f'{name!r} occurs twice'}")
        gold[str(name)] = change
    return gold


def rank_correlation(
    measure: str, layer: str, values: Sequence[float], gold: Sequence[float]
) -> RankCorrelation | None:
    """Spearman's correlation with its interval; None with fewer than 4 words or where either does not vary."""
    if len(values) < LEAST_WORDS or len(set(values)) < 2 or len(set(gold)) < 2:
        return None
    rho = _pearson(rankdata(values), rankdata(gold))
    half = Z_95 * sqrt((1 + rho**2 / 2) / (len(values) - 3))
    middle = atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    return RankCorrelation(measure, layer, rho, (tanh(middle - half), tanh(middle + half)), len(values))


def compare_measures(
    values: Mapping[str, Sequence[float]], gold: Sequence[float], generator: np.random.Generator
) -> list[CorrelationDifference]:
    """Every pair of measures, on the same resampled words.

    Args:
        values: measure -> its values of n words.
        gold: [n].
        generator: source of the resampled words.
    """
    n = len(gold)
    values = {name: column for name, column in values.items() if len(set(column)) > 1}
    if n < LEAST_WORDS or len(values) < 2 or len(set(gold)) < 2:
        return []
    words = generator.integers(0, n, size=(RESAMPLES, n))
    golden = rankdata(np.asarray(gold)[words], axis=1)
    draws = {
        name: _rows_pearson(rankdata(np.asarray(column)[words], axis=1), golden) for name, column in values.items()
    }
    exact = {name: _pearson(rankdata(column), rankdata(gold)) for name, column in values.items()}
    differences = []
    for first, second in combinations(values, 2):
        difference = draws[first] - draws[second]
        defined = difference[~np.isnan(difference)]  # a draw of one word alone does not vary
        tail = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
        low, high = np.quantile(defined, [0.025, 0.975])
        p = min(1.0, 2 * (1 + tail) / (1 + defined.size))
        differences.append(
            (first, second, exact[first] - exact[second], (float(low), float(high)), p, float(defined.std()))
        )
    adjusted = holm([difference[4] for difference in differences])
    return [
        CorrelationDifference(*values[:5], p_holm, values[5])
        for values, p_holm in zip(differences, adjusted, strict=True)
    ]


def what_words_can_tell(correlations: Sequence[RankCorrelation], differences: Sequence[CorrelationDifference]) -> str:
    """A sentence on the width of the intervals, and on the smallest significant difference of two measures."""
    if not correlations:
        return "Too few words have gold for a correlation."
    best = max(correlations, key=lambda correlation: correlation.value)
    text = (
        f"With {best.words} words, even the highest correlation, {best.value:.2f}, is known only to lie between "
        f"{best.ci95[0]:.2f} and {best.ci95[1]:.2f}."
    )
    if differences:
        error = float(np.median([difference.standard_error for difference in differences]))
        text += (
            f" Two measures differ visibly only if their correlations are about {POWER * error:.2f} apart (80 % power)."
        )
    return text


def _table_rows(path: Path) -> list[tuple[int, object, object]]:
    """Line, word and gold of each row of a table."""
    with open_table(path) as table:
        word = next((name for name in WORD_COLUMNS if name in table.columns), WORD_COLUMNS[0])
        gold = next((name for name in GOLD_COLUMNS if name in table.columns), GOLD_COLUMNS[0])
        table.require([word, gold])
        return [(record.line, record.values.get(word), record.values.get(gold)) for record in table.read([word, gold])]


def _two_columns(line: str) -> tuple[str, str]:
    parts = line.split()
    return (parts[0], parts[1]) if len(parts) == 2 else (line.strip(), "")


def _pearson(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _rows_pearson(a: Floats, b: Floats) -> Floats:
    """Correlation of each row of a [B, n] with that of b; nan where one does not vary."""
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))
