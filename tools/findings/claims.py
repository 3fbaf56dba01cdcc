"""The techniques of the study's ablation, with what the study and other reports say of them."""

from dataclasses import dataclass

from bertram.minbert.published import EXPERIMENTS, Published


@dataclass(frozen=True)
class Technique:
    """A factor of the ablation.

    Attributes:
        factor: name of the factor.
        title: name on the page.
        rows: experiments of the study whose published scores differ by it, with and without; None where the study has
            no such pair.
        caveat: other differences between the two rows.
        elsewhere: what others measured.
    """

    factor: str
    title: str
    rows: tuple[str, str] | None
    caveat: str
    elsewhere: str

    def published(self) -> dict[str, float]:
        """Outcome -> published difference, as far as both rows have the score."""
        if self.rows is None:
            return {}
        first, second = (EXPERIMENTS[name].published for name in self.rows)
        assert first is not None
        assert second is not None
        return {
            name: with_it - without
            for name in ("sst", "quora", "sts", "overall")
            if (with_it := _score(first, name)) is not None and (without := _score(second, name)) is not None
        }


def _score(scores: Published, outcome: str) -> float | None:
    value: float | None = getattr(scores, outcome)
    return value


TECHNIQUES = (
    Technique(
        "smart",
        "SMART's penalty on sentiment",
        ("e6", "e4"),
        "with Bregman",
        "little data: similarity .583 → .680, sentiment +.008; all data: paraphrase .863 → .850, similarity .762 → "
        ".714; its paper, BERT-base: QQP 90.9 → 91.5, STS-B 89.2 → 90.0",
    ),
    Technique(
        "bregman",
        "Bregman proximal point on sentiment",
        ("e6", "e4"),
        "with SMART's penalty",
        "no report of it alone",
    ),
    Technique(
        "pcgrad-step",
        "PCGrad in each step",
        ("e12", "e9"),
        "row 9 has PCGrad once per epoch; row 12 takes 6,040 examples of each task",
        "paraphrase .740 → .782 in one report, nothing in another, sentiment .506 → .491 in a third",
    ),
    Technique(
        "mse",
        "squared error on similarity",
        ("e11", "e8"),
        "row 11 takes 8,000 Quora pairs, row 8 takes 9,000",
        "no report of it alone",
    ),
    Technique(
        "cross",
        "pairs in one pass with a linear head",
        None,
        "",
        "paraphrase .77 → .89, similarity .35 to .5 → .85",
    ),
)
