"""From usages to a study of change: measures, usage types, intervals, tests and correlations with gold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bertram.errors import DataError
from bertram.evaluation.holm import holm
from bertram.semantic_change.gold import compare_measures, rank_correlation
from bertram.semantic_change.measures import LIMITS, MEASURES, OF_TYPES, Floats, PairOfPeriods, value
from bertram.semantic_change.study import (
    ChangeStudy,
    Estimate,
    Exemplar,
    GoldComparison,
    PeriodChange,
    Point,
    Settings,
    UsageType,
    WordChange,
)
from bertram.semantic_change.uncertainty import bootstrap_interval, permutation_p
from bertram.semantic_change.usage_types import UsageTypes, find_usage_types
from bertram.semantic_change.usages import Usage, Usages, by_word
from bertram.semantic_change.vectors import FoldEncoders, UsageEncoder, usage_vectors

LEAST_USAGES = 5  # of a word in a period
EXEMPLARS = 5  # of a usage type


@dataclass
class _LayerValues:
    """Mean absolute change of each word by layer and measure, for the correlations with gold."""

    values: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # layer -> measure -> word

    def add(self, layer: str, word: str, measures: Mapping[str, float]) -> None:
        """Note the measures of a word."""
        for name, amount in measures.items():
            self.values.setdefault(layer, {}).setdefault(name, {})[word] = amount


def measure_change(
    usages: Usages,
    encoder: UsageEncoder | FoldEncoders,
    cache: Path,
    settings: Settings,
    *,
    gold: Mapping[str, float] | None = None,
    periods: Sequence[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> ChangeStudy:
    """Measure how words changed.

    Args:
        usages: usages of all words.
        encoder: makes the usage vectors, one for all words or one for each fold of words.
        cache: directory of the vectors that were computed, by content.
        settings: layers, window, resamples and seed.
        gold: word -> change, to compare with.
        periods: their order; default: alphabetical, numbers as numbers.
        advance: told how many usages have been encoded.

    Raises:
        DataError: one period only, no word with enough usages, or gold without a word in common.
    """
    order = _ordered_periods(usages.rows, periods)
    _check_settings(settings, encoder)
    rejected, left_out, words, by_layer = list(usages.rejected), {}, [], _LayerValues()
    for word, word_usages in by_word(usages.rows):
        vectors, rows, faults = usage_vectors(word_usages, encoder.of(word), settings.window, cache, advance)
        rejected += faults
        counts = {period: sum(row.period == period for row in rows) for period in order}
        too_small = [f"{count} in {period}" for period, count in counts.items() if count < LEAST_USAGES]
        if too_small:
            left_out[word] = f"{' and '.join(too_small)}; a word needs {LEAST_USAGES} usages in each period"
            continue
        words.append(_word_change(word, rows, _summed(vectors, settings.layers), order, settings))
        if gold is not None and word in gold:
            _add_layers(by_layer, word, vectors, rows, order)
    if not words:
        raise DataError("no word has enough usages: " + "; ".join(f"{word}: {why}" for word, why in left_out.items()))
    words = _with_holm(words)
    words.sort(key=lambda word: -word.mean["apd-cosine"])
    return ChangeStudy(
        encoder.name,
        encoder.fingerprint,
        settings,
        order,
        words,
        left_out,
        rejected,
        dict(usages.not_found),
        None if gold is None else _against_gold(words, gold, by_layer, settings),
    )


def _ordered_periods(rows: Sequence[Usage], periods: Sequence[str]) -> list[str]:
    present = {row.period for row in rows}
    if periods:
        missing = sorted(set(periods) - present) + sorted(present - set(periods))
        if missing or len(set(periods)) < len(periods):
            raise DataError(
                f"the periods given are {', '.join(periods)}, those of the usages {', '.join(sorted(present))}: "
                "name each of them once"
            )
        order = list(periods)
    else:
        order = sorted(present, key=_period_key)
    if len(order) < 2:
        raise DataError(f"all usages are of one period, {order[0]!r}; change needs two")
    return order


def _period_key(period: str) -> tuple[bool, float, str]:
    """Numbers by size and before all else, a range such as 1810-1860 by its beginning."""
    start = period.replace("–", "-").split("-")[0].strip()
    try:
        return False, float(start), period
    except ValueError:
        return True, 0.0, period


def _check_settings(settings: Settings, encoder: UsageEncoder | FoldEncoders) -> None:
    beyond = [layer for layer in settings.layers if not 1 <= layer <= encoder.layers]
    if beyond:
        raise DataError(f"layer {beyond[0]}: this encoder has the layers 1 to {encoder.layers}")
    if not 3 <= settings.window <= encoder.max_tokens:
        raise DataError(f"a window of {settings.window} tokens: this encoder reads 3 to {encoder.max_tokens}")


def _summed(vectors: NDArray[np.float32], layers: Sequence[int]) -> Floats:
    """The sum of the chosen layers, [n, layers, H] to [n, H]."""
    chosen = vectors if not layers else vectors[:, [layer - 1 for layer in layers]]
    return np.asarray(chosen.sum(1, dtype=np.float64))


def _pair(vectors: Floats, rows: Sequence[Usage], types: UsageTypes | None, earlier: str, later: str) -> PairOfPeriods:
    inside = np.array([row.period in (earlier, later) for row in rows])
    is_later = np.array([row.period == later for row in rows])[inside]
    if types is None:
        return PairOfPeriods(vectors[inside], is_later)
    return PairOfPeriods(vectors[inside], is_later, types.types[inside], types.count)


def _names(types: UsageTypes | None) -> list[str]:
    """The measures that can be had."""
    return [name for name in MEASURES if types is not None or name not in OF_TYPES]


def _word_change(word: str, rows: list[Usage], vectors: Floats, order: list[str], settings: Settings) -> WordChange:
    types = find_usage_types(vectors, settings.seed)
    generator = np.random.default_rng([settings.seed, crc32(word.encode())])  # its own, whatever other words there are
    changes = []
    for earlier, later in pairwise(order):
        pair = _pair(vectors, rows, types, earlier, later)
        measures = {name: _estimate(name, pair, generator, settings.resamples) for name in _names(types)}
        changes.append(PeriodChange(earlier, later, measures))
    sizes = {name: [abs(change.measures[name].value) for change in changes] for name in _names(types)}
    return WordChange(
        word,
        {period: sum(row.period == period for row in rows) for period in order},
        changes,
        {name: float(np.mean(values)) for name, values in sizes.items()},
        {name: max(values) for name, values in sizes.items()},
        [] if types is None else [_usage_type(types, number, rows, order) for number in range(types.count)],
        None if types is None else types.silhouette,
        _map(vectors, rows, types, order),
    )


def _estimate(name: str, pair: PairOfPeriods, generator: np.random.Generator, resamples: int) -> Estimate:
    measure = MEASURES[name]
    if not resamples:
        return Estimate(value(measure, pair))
    interval = bootstrap_interval(measure, pair, generator, resamples, LIMITS[name])
    return Estimate(value(measure, pair), interval, permutation_p(measure, pair, generator, resamples))


def _usage_type(types: UsageTypes, number: int, rows: Sequence[Usage], order: Sequence[str]) -> UsageType:
    members = np.flatnonzero(types.types == number)
    nearest = members[np.argsort(types.distances[members, number], kind="stable")][:EXEMPLARS]
    return UsageType(
        {period: sum(rows[int(index)].period == period for index in members) for period in order},
        [Exemplar(row.id, row.period, row.text, row.start, row.end) for row in (rows[int(index)] for index in nearest)],
    )


def _map(vectors: Floats, rows: Sequence[Usage], types: UsageTypes | None, order: list[str]) -> list[Point]:
    """The first two principal components of the standardized vectors."""
    spread = vectors.std(0)
    standardized = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1.0)
    left, scale, _ = np.linalg.svd(standardized, full_matrices=False)
    places = left[:, :2] * scale[:2]
    kinds = np.zeros(len(rows), int) if types is None else types.types
    return [
        Point(round(float(x), 2), round(float(y), 2), order.index(row.period), int(kind))
        for (x, y), row, kind in zip(places, rows, kinds, strict=True)
    ]


def _with_holm(words: Sequence[WordChange]) -> list[WordChange]:
    """The words with p-values corrected over all words and pairs of periods, measure by measure."""
    places = [(word, number) for word in words for number in range(len(word.changes))]
    for name in MEASURES:
        chosen = [(word, number) for word, number in places if name in word.changes[number].measures]
        estimates = [word.changes[number].measures[name] for word, number in chosen]
        p_values = [estimate.p for estimate in estimates if estimate.p is not None]
        if len(p_values) < len(estimates):
            continue
        for (word, number), estimate, adjusted in zip(chosen, estimates, holm(p_values), strict=True):
            word.changes[number].measures[name] = Estimate(estimate.value, estimate.ci95, estimate.p, adjusted)
    return list(words)


def _add_layers(
    by_layer: _LayerValues, word: str, vectors: NDArray[np.float32], rows: Sequence[Usage], order: Sequence[str]
) -> None:
    """The measures that need no usage types, for each layer alone."""
    for layer in range(1, vectors.shape[1] + 1):
        single = _summed(vectors, [layer])
        pairs = [_pair(single, rows, None, earlier, later) for earlier, later in pairwise(order)]
        measures = {name: float(np.mean([abs(value(MEASURES[name], pair)) for pair in pairs])) for name in _names(None)}
        by_layer.add(str(layer), word, measures)


def _against_gold(
    words: Sequence[WordChange], gold: Mapping[str, float], by_layer: _LayerValues, settings: Settings
) -> GoldComparison:
    golden = [word for word in words if word.word in gold]
    if not golden:
        raise DataError(
            f"gold has none of the measured words; it has {', '.join(sorted(gold)[:5])} …, "
            f"measured are {', '.join(word.word for word in words[:5])} …"
        )
    changes = [gold[word.word] for word in golden]
    columns = {
        name: [word.mean[name] for word in golden] for name in MEASURES if all(name in word.mean for word in golden)
    }
    correlations = [rank_correlation(name, settings.layer_name, column, changes) for name, column in columns.items()]
    for layer, measures in by_layer.values.items():
        for name, column in measures.items():
            correlations.append(rank_correlation(name, layer, [column[word.word] for word in golden], changes))
    measured = {word.word for word in words}
    return GoldComparison(
        [correlation for correlation in correlations if correlation is not None],
        compare_measures(columns, changes, np.random.default_rng(settings.seed)),
        sorted(set(gold) - measured),
        sorted(measured - set(gold)),
        {word.word: gold[word.word] for word in golden},
    )
