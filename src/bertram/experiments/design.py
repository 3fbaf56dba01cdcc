"""Designs of experiments with factors of two levels: full, regular fractions, leave-one-out, one at a time.

Box, Hunter & Hunter, Statistics for Experimenters (2005), chapters 5, 6: a fraction's generated factors are products
of its basic ones; the products of generators are its defining words; an effect is aliased with the effects
that differ from it by a defining word, its aliases; the resolution is the length of the shortest word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from operator import xor
from typing import Literal

from bertram.errors import BertramError

Kind = Literal["full", "fractional", "leave-one-out", "one-at-a-time"]
ALONE: tuple[Kind, ...] = ("leave-one-out", "one-at-a-time")  # the other factors are all on, or all off
MOST_FACTORS = 10
TIMES = "×"


@dataclass(frozen=True)
class Effect:
    """An effect that a design can estimate: a single one, or the sum of effects that are aliased.

    Attributes:
        name: main effects are named by their factor, interactions as a×b, sums with +.
        order: 1 for a main effect, 2 for an interaction of two factors.
        weights: weight of each cell's mean score [cells]; they sum to 0.
        aliases: effects of one or two factors that are part of the sum, the first one excepted.
    """

    name: str
    order: int
    weights: tuple[float, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """Which combinations of levels are run.

    Attributes:
        kind: kind of design.
        factors: names of the factors.
        cells: levels of all factors, in the order to run.
        words: defining words other than 1, as bit sets of factors.
        generators: generators of a fraction, in words: "d = a×b×c".
    """

    kind: Kind
    factors: tuple[str, ...]
    cells: tuple[tuple[bool, ...], ...]
    words: tuple[int, ...] = ()
    generators: tuple[str, ...] = ()

    @property
    def resolution(self) -> int | None:
        """Length of the shortest defining word; None where there is none: every effect stands alone."""
        return min((word.bit_count() for word in self.words), default=None)

    def effects(self) -> list[Effect]:
        """Main effects, then interactions of two factors: single ones where the design allows, else named sums.

        Interactions of three and more factors are taken to be nothing, as is usual.
        """
        if self.kind in ALONE:
            return [self._alone(number) for number in range(len(self.factors))]
        count = len(self.factors)
        pairs = [1 << a | 1 << b for a, b in combinations(range(count), 2)]
        effects, covered = [], set()
        for mask in [*(1 << number for number in range(count)), *pairs]:
            if mask not in covered:
                together = [mask, *(alias for alias in self._aliases(mask) if alias.bit_count() <= 2)]
                covered |= set(together)
                effects.append(self._sum(together))
        return effects

    def _aliases(self, mask: int) -> list[int]:
        return sorted((mask ^ word for word in self.words), key=lambda alias: (alias.bit_count(), alias))

    def _sum(self, together: Sequence[int]) -> Effect:
        names = [_name(self.factors, mask) for mask in together]
        signs = [sign(cell, together[0]) for cell in self.cells]
        scale = 2 / len(self.cells)
        return Effect(
            " + ".join(names),
            together[0].bit_count(),
            tuple(scale * cell_sign for cell_sign in signs),
            tuple(names[1:]),
        )

    def _alone(self, number: int) -> Effect:
        """Effect of a factor in a fixed company: all factors minus all but this one, or this one alone minus none."""
        sign = 1.0 if self.kind == "leave-one-out" else -1.0
        weights = [sign] + [-sign * (column == number) for column in range(len(self.factors))]
        return Effect(self.factors[number], 1, tuple(weights))

    def in_words(self) -> list[str]:
        """Description of the design for its reader, a line each."""
        count = len(self.cells)
        if self.kind in ALONE:
            level = "on" if self.kind == "leave-one-out" else "off"
            return [
                f"{self.kind}: {count} configurations; each effect is that of one factor with all others {level}, and "
                "interactions cannot be seen"
            ]
        if not self.words:
            return [f"full: all {count} configurations of {len(self.factors)} factors; every effect stands alone"]
        sums = [effect.name for effect in self.effects() if effect.aliases]
        lines = [f"fractional: {count} of {2 ** len(self.factors)} configurations, resolution {self.resolution}"]
        lines += [f"generators: {', '.join(self.generators)}"]
        return [*lines, *(f"aliased: {name}" for name in sums)]


def _name(factors: Sequence[str], mask: int) -> str:
    return TIMES.join(name for number, name in enumerate(factors) if mask >> number & 1)


def sign(cell: Sequence[bool], mask: int) -> int:
    """Sign of a cell in the contrast of an effect: the product of its factors' levels, -1 for off and 1 for on."""
    off = sum(not level for number, level in enumerate(cell) if mask >> number & 1)
    return -1 if off % 2 else 1


def full(factors: Sequence[str]) -> Design:
    """All combinations."""
    _check(factors)
    cells = tuple(tuple(reversed(levels)) for levels in product((False, True), repeat=len(factors)))
    return Design("full", tuple(factors), cells)


def leave_one_out(factors: Sequence[str]) -> Design:
    """All factors on, and all but each."""
    _check(factors)
    all_on = tuple(True for _ in factors)
    without = [tuple(column != number for column in range(len(factors))) for number in range(len(factors))]
    return Design("leave-one-out", tuple(factors), (all_on, *without))


def one_at_a_time(factors: Sequence[str]) -> Design:
    """No factor, and each factor alone."""
    _check(factors)
    alone = [tuple(column == number for column in range(len(factors))) for number in range(len(factors))]
    return Design("one-at-a-time", tuple(factors), (tuple(False for _ in factors), *alone))


def fractional(factors: Sequence[str], resolution: int = 4) -> Design:
    """The smallest regular fraction of at least a resolution; of those the one with the fewest short words.

    Args:
        factors: names of the factors.
        resolution: 3 mixes main effects with interactions of two factors, 4 these with each other, 5 neither.

    Raises:
        BertramError: no fraction has it.
    """
    _check(factors)
    count = len(factors)
    for generated in range(count - 2, 0, -1):
        basic = count - generated
        products = [mask for mask in range(1, 1 << basic) if mask.bit_count() + 1 >= resolution]
        candidates = ((_words(chosen, basic), chosen) for chosen in combinations(products, generated))
        sound = [candidate for candidate in candidates if min(word.bit_count() for word in candidate[0]) >= resolution]
        if sound:
            words, chosen = min(sound, key=lambda candidate: _lengths(candidate[0], count))
            return _fraction(tuple(factors), words, chosen)
    raise BertramError(
        f"--resolution {resolution}: no fraction of {count} factors has it; use --design full, or a lower resolution"
    )


def _fraction(factors: tuple[str, ...], words: Sequence[int], chosen: Sequence[int]) -> Design:
    basic = len(factors) - len(chosen)
    basics = full(factors[:basic]).cells
    cells = [(*levels, *(sign(levels, mask) > 0 for mask in chosen)) for levels in basics]
    generators = [f"{factors[basic + number]} = {_name(factors, mask)}" for number, mask in enumerate(chosen)]
    return Design("fractional", factors, tuple(cells), tuple(words), tuple(generators))


def _words(chosen: Iterable[int], basic: int) -> list[int]:
    """All products of the generators' words."""
    own = [mask | 1 << (basic + number) for number, mask in enumerate(chosen)]
    return [reduce(xor, factors) for count in range(1, len(own) + 1) for factors in combinations(own, count)]


def _lengths(words: Sequence[int], longest: int) -> tuple[int, ...]:
    """Number of words of each length, the shortest first; fewer is better (minimum aberration)."""
    return tuple(sum(word.bit_count() == length for word in words) for length in range(longest + 1))


def _check(factors: Sequence[str]) -> None:
    if not 2 <= len(factors) <= MOST_FACTORS:
        raise BertramError(f"--factors: a design has 2 to {MOST_FACTORS} factors, not {len(factors)}")


def make_design(kind: Kind, factors: Sequence[str], resolution: int) -> Design:
    """The design that a command line asks for."""
    if kind == "fractional":
        return fractional(factors, resolution)
    makers = {"full": full, "leave-one-out": leave_one_out, "one-at-a-time": one_at_a_time}
    return makers[kind](factors)


def named_levels(design: Design) -> Iterator[dict[str, bool]]:
    """The levels of each cell by factor."""
    for cell in design.cells:
        yield dict(zip(design.factors, cell, strict=True))
