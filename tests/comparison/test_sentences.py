"""Verdicts are values; sentences are made of them, and say the numbers."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bertram.comparison.components import Components
from bertram.comparison.evidence import Evidence
from bertram.comparison.sentences import noise_sentence, pair_sentence, scaled, sum_sentence, superiority_text
from bertram.comparison.verdict import Decision, Reason, Verdict, untestable, verdict
from bertram.runs.typed_json import typed

CI = (0.004, 0.02)
ROW = Evidence(outcome="overall", task="overall", metric="overall", effect=0.012, seeds=3, ci95=CI, ci90=(0.006, 0.018),
               ci95_new=(-0.001, 0.03), p=0.003, p_holm=0.012, superiority=0.97, superiority_ci95=(0.61, 1.0),
               smallest=0.005, verdict=Verdict(Decision.BETTER))  # fmt: skip


def test_the_corrected_p_decides_and_the_interval_must_exclude_zero() -> None:
    assert verdict(0.012, CI, p=0.012).decision is Decision.BETTER
    assert verdict(-0.012, (-0.02, -0.004), p=0.0001).decision is Decision.WORSE
    assert verdict(0.012, CI, p=0.09) == Verdict(Decision.UNDECIDED, excluded=0.02)
    assert verdict(0.012, (-0.001, 0.02), p=0.04).decision is Decision.UNDECIDED
    assert verdict(0.012, CI, p=0.01, p_new=0.06) == Verdict(Decision.BETTER, these_examples_only=True)
    assert verdict(0.012, CI, p=0.01, p_new=0.04) == Verdict(Decision.BETTER)


def test_a_difference_can_be_equivalent_and_also_significant() -> None:
    assert verdict(0.001, (-0.003, 0.004), p=0.3, ci90=(-0.002, 0.003), smallest=0.005).decision is Decision.EQUIVALENT
    for_these = verdict(0.001, (-0.003, 0.004), p=0.3, ci90=(-0.002, 0.003), smallest=0.005, ci90_new=(-0.004, 0.006))
    assert for_these == Verdict(Decision.EQUIVALENT, these_examples_only=True)
    both = verdict(0.003, (0.001, 0.005), p=0.01, ci90=(0.0015, 0.0045), smallest=0.005)
    assert both == Verdict(Decision.BETTER, negligible=True)
    assert verdict(0.001, (-0.003, 0.004), p=0.3, ci90=(-0.002, 0.003)).decision is Decision.UNDECIDED


@pytest.mark.parametrize(
    "one",
    [
        ROW.verdict,
        untestable(Reason.MISSING_RUNS, "no score"),
        Verdict(Decision.UNDECIDED, excluded=0.01, more_seeds=4),
    ],
)
def test_a_verdict_is_read_back_from_a_table(one: Verdict) -> None:
    assert typed(asdict(one), Verdict, Path("table.json")) == one


def test_a_pair_in_words() -> None:
    sides = ("A", "B")
    assert pair_sentence(sides, ROW) == (
        "A is better than B by 0.012 [0.004, 0.020], p = 0.003 (Holm = 0.012), 3 seeds"
    )
    worse = replace(ROW, effect=-0.012, ci95=(-0.02, -0.004), p=0.0001, p_holm=0.0002, verdict=Verdict(Decision.WORSE))
    assert pair_sentence(sides, worse) == (
        "B is better than A by 0.012 [0.004, 0.020], p < 0.001 (Holm < 0.001), 3 seeds"
    )
    undecided = Verdict(Decision.UNDECIDED, excluded=0.02, more_seeds=1)
    assert pair_sentence(sides, replace(ROW, ci95=(-0.001, 0.02), p=0.04, p_holm=0.08, verdict=undecided)) == (
        "no significant difference between A and B: +0.012 [-0.001, 0.020], p = 0.040 (Holm = 0.080), 3 seeds; effects "
        "above 0.020 are excluded; about 1 more seed would decide"
    )
    reaching = Verdict(Decision.UNDECIDED, excluded=0.0074)
    assert pair_sentence(sides, replace(ROW, ci95=(-0.0054, 0.0074), verdict=reaching)).endswith(
        "; effects above 0.008 are excluded"
    )
    only = replace(ROW, verdict=Verdict(Decision.BETTER, these_examples_only=True))
    assert pair_sentence(sides, only).endswith(
        "; on these examples only: the interval for other examples is [-0.001, 0.030]"
    )
    small = replace(ROW, verdict=Verdict(Decision.BETTER, negligible=True))
    assert pair_sentence(sides, small).endswith("; smaller than the smallest effect of interest, 0.005")
    equivalent = replace(ROW, effect=0.001, ci90=(-0.002, 0.003), verdict=Verdict(Decision.EQUIVALENT))
    assert pair_sentence(sides, equivalent) == (
        "A and B differ by less than 0.005: +0.0010, 90 % interval [-0.0020, 0.0030], 3 seeds"
    )
    corrected = replace(only, ci95_new=(0.001, 0.03))
    assert pair_sentence(sides, corrected).endswith(": for other examples it is not significant after the correction")
    marked = replace(equivalent.verdict, these_examples_only=True)
    assert pair_sentence(sides, replace(equivalent, ci90_new=(-0.004, 0.006), verdict=marked)).endswith(
        "; on these examples only: the 90 % interval for other examples is [-0.0040, 0.0060]"
    )
    assert pair_sentence(sides, replace(ROW, verdict=Verdict(Decision.SAME_PREDICTIONS))) == (
        "A and B have the same predictions"
    )


def test_what_cannot_be_tested_is_said_with_its_reason() -> None:
    few = replace(ROW, effect=0.15, seeds=2, verdict=untestable(Reason.TOO_FEW_SEEDS))
    assert pair_sentence(("A", "B"), few) == (
        "no verdict on A against B: +0.150 over 2 seeds compares these models only; a verdict needs 3 seeds, 5 are "
        "advised"
    )
    undefined = replace(ROW, verdict=untestable(Reason.UNDEFINED_SCORE, "A: the predictions are constant"))
    assert pair_sentence(("A", "B"), undefined) == "no verdict on A against B: A: the predictions are constant"
    assert sum_sentence(replace(ROW, verdict=untestable(Reason.NO_COMMON_SEED)), "a×b + c×d") == (
        "no verdict on a×b + c×d: no seed in common"
    )


def test_a_sum_in_a_study_with_looks_has_no_interval_that_knows_none_of_them() -> None:
    looked = replace(ROW, verdict=Verdict(Decision.UNDECIDED, detail="open after 5 seeds"))
    assert sum_sentence(looked, "a + b×c") == "no decision on the sum a + b×c: +0.012, open after 5 seeds"


def test_the_whole_of_an_interaction_is_twice_its_contrast() -> None:
    whole = scaled(replace(ROW, verdict=Verdict(Decision.UNDECIDED, excluded=0.02)), 2.0)
    assert (whole.effect, whole.ci95, whole.smallest) == (0.024, (0.008, 0.04), 0.01)
    assert whole.verdict.excluded == 0.04


def test_probability_and_noise_in_words() -> None:
    assert superiority_text(ROW) == "0.97 [0.61, 1.00]"
    noise = Components(seeds=3, common=0.004, effects={"smart": 0.0014, "cross": 0.0106}, rest=0.002)
    assert noise_sentence("overall", noise, {"smart": 0.0011, "cross": None}) == (
        "noise of overall, standard deviations over 3 seeds: common to a seed 0.0040 (no contrast has it); seed × "
        "factor: smart 0.0014, cross 0.0106; rest of a run 0.0020; standard error over examples: smart 0.0011"
    )
