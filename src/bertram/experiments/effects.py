"""Effects of factors from the runs of a design, each with an interval and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import Contrast, Evidence, measure
from bertram.comparison.outcomes import Outcome
from bertram.experiments.design import Design, Effect


@dataclass(frozen=True, kw_only=True)
class Measured(Evidence):
    """An effect of a design on one outcome.

    Main effects: mean score with the factor minus without. Interactions: half the difference between one factor's
    effects with and without the other, that is half of what both together have beyond the sum of their effects.

    Attributes:
        name: name of the effect; sums of aliased effects are named as such.
        order: 1 for a main effect, 2 for an interaction.
        aliases: names of further effects that are part of a sum.
    """

    name: str
    order: int
    aliases: tuple[str, ...]


def contrasts(design: Design) -> list[Contrast]:
    """The effects of a design as contrasts of its cells, which are named by their numbers."""
    return [contrast(effect) for effect in design.effects()]


def contrast(effect: Effect) -> Contrast:
    """An effect as a contrast of cells."""
    weights = {str(number): weight for number, weight in enumerate(effect.weights) if weight}
    return Contrast(effect.name, weights, main=effect.order == 1)


def effects(
    design: Design,
    outcomes: Sequence[Outcome],
    runs: Mapping[str, Mapping[int, str]],
    *,
    primary: str | None = None,
    smallest: float = SMALLEST_EFFECT,
) -> list[Measured]:
    """Estimate every effect of a design on every outcome.

    Args:
        design: design that was run.
        outcomes: scores of the runs.
        runs: cell (its number as text) -> seed -> run.
        primary: the primary outcome; default: overall, or the only task's main score.
        smallest: smallest effect of interest.
    """
    by_name = {effect.name: effect for effect in design.effects()}
    measured = measure(contrasts(design), outcomes, runs, primary=primary, smallest=smallest)
    return [
        Measured(**vars(evidence), name=name, order=by_name[name].order, aliases=by_name[name].aliases)
        for name, evidence in ((contrast.name, evidence) for contrast, evidence in measured)
    ]
