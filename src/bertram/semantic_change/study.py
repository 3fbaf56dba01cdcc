"""Values of a study of change: measures of each word, and their comparison with gold."""

from dataclasses import dataclass

from bertram.semantic_change.gold import CorrelationDifference, RankCorrelation

SUM = "sum"


@dataclass(frozen=True)
class Settings:
    """Settings of a study.

    Attributes:
        layers: layers whose hidden states are added, from 1; empty for all.
        window: most tokens around the target, [CLS] and [SEP] included.
        resamples: bootstrap draws and permutations of each measure; 0 for values without intervals.
        seed: random seed of the draws and of the starting centres of the usage types.
    """

    layers: tuple[int, ...] = ()
    window: int = 128
    resamples: int = 2000
    seed: int = 0

    @property
    def layer_name(self) -> str:
        """``sum`` of all layers, or the layers' numbers joined by ``+``."""
        return "+".join(map(str, self.layers)) if self.layers else SUM


@dataclass(frozen=True)
class Estimate:
    """A measure of change between two periods.

    Attributes:
        value: the measure.
        ci95: interval over usages; None without resamples.
        p: p-value of "the periods do not differ"; None without resamples.
        p_holm: p-value after Holm's correction over the words.
    """

    value: float
    ci95: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class PeriodChange:
    """A word's change from one period to the next."""

    earlier: str
    later: str
    measures: dict[str, Estimate]


@dataclass(frozen=True)
class Exemplar:
    """A usage near the centre of its type, with the target's character span."""

    id: str
    period: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class UsageType:
    """A usage type of a word.

    Attributes:
        counts: usages by period.
        exemplars: the usages nearest to its centre.
    """

    counts: dict[str, int]
    exemplars: list[Exemplar]


@dataclass(frozen=True)
class Point:
    """A usage on the map of its word: the first two principal components, its period and its type."""

    x: float
    y: float
    period: int
    type: int


@dataclass(frozen=True)
class WordChange:
    """Results for a word.

    Attributes:
        counts: usages by period.
        changes: between consecutive periods.
        mean, largest: mean and maximum of each measure's absolute values over `changes`.
        types: usage types, the largest first; empty where the usages do not differ.
        silhouette: mean silhouette of the usage types.
        map: one point a usage.
    """

    word: str
    counts: dict[str, int]
    changes: list[PeriodChange]
    mean: dict[str, float]
    largest: dict[str, float]
    types: list[UsageType]
    silhouette: float | None
    map: list[Point]


@dataclass(frozen=True)
class GoldComparison:
    """Measured change against gold.

    Attributes:
        correlations: correlation of each measure, for the chosen layers and for each layer alone.
        differences: every pair of measures, with the chosen layers.
        unknown_words: words of gold without measured change.
        words_without_gold: measured words that gold has not.
        values: word -> gold.
    """

    correlations: list[RankCorrelation]
    differences: list[CorrelationDifference]
    unknown_words: list[str]
    words_without_gold: list[str]
    values: dict[str, float]


@dataclass(frozen=True)
class ChangeStudy:
    """Everything that `bertram change` finds out.

    Attributes:
        encoder: name that the user gave.
        fingerprint: SHA-256 of its weights and tokenizer.
        settings: settings of the study.
        periods: periods in order.
        words: the word that changed most first, by average pairwise distance (cosine).
        left_out: word -> why it has no measure.
        rejected: a line for each row that was not used.
        not_found: word -> rows without a form of it.
        gold: the comparison with gold, or None.
    """

    encoder: str
    fingerprint: str
    settings: Settings
    periods: list[str]
    words: list[WordChange]
    left_out: dict[str, str]
    rejected: list[str]
    not_found: dict[str, int]
    gold: GoldComparison | None = None
