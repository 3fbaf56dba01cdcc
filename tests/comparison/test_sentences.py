"""Verdicts are values; sentences are made of them, and say the numbers."""

from dataclasses import asdict

import pytest

from bertram.comparison.sentences import pair_sentence, sum_sentence
from bertram.comparison.verdict import Decision, Reason, Verdict, untestable, verdict

BETTER = Verdict(Decision.BETTER)
CI = (0.004, 0.02)


def test_the_corrected_p_decides_and_the_interval_must_exclude_zero() -> None:
    assert verdict(0.012, CI, p=0.003, p_holm=0.012).decision is Decision.BETTER
    assert verdict(-0.012, (-0.02, -0.004), p=0.0001).decision is Decision.WORSE
    assert verdict(0.012, CI, p=0.03, p_holm=0.09).decision is Decision.UNDECIDED
    assert verdict(0.012, (-0.001, 0.02), p=0.04).decision is Decision.UNDECIDED
    assert verdict(0.012, CI, p=0.01, ci95_new=(-0.001, 0.025)) == Verdict(Decision.BETTER, these_examples_only=True)


@pytest.mark.parametrize("one", [BETTER, untestable(Reason.MISSING_RUNS, "no score"), Verdict(Decision.UNDECIDED)])
def test_a_verdict_is_read_back_from_a_table(one: Verdict) -> None:
    assert Verdict.from_json(asdict(one)) == one


def test_a_pair_in_words() -> None:
    sides = ("A", "B")
    assert pair_sentence(sides, BETTER, difference=0.012, ci95=CI, p=0.003, p_holm=0.012) == (
        "A is better than B by 0.012 [0.004, 0.020], p = 0.003 (Holm = 0.012)"
    )
    worse = Verdict(Decision.WORSE)
    assert pair_sentence(sides, worse, difference=-0.012, ci95=(-0.02, -0.004), p=0.0001, seeds=3) == (
        "B is better than A by 0.012 [0.004, 0.020], p < 0.001, 3 seeds"
    )
    open_ = Verdict(Decision.UNDECIDED)
    assert pair_sentence(sides, open_, difference=0.012, ci95=(-0.001, 0.02), p=0.04) == (
        "no significant difference between A and B: +0.012 [-0.001, 0.020], p = 0.040"
    )
    only = Verdict(Decision.BETTER, these_examples_only=True)
    assert pair_sentence(sides, only, difference=0.012, ci95=CI, ci95_new=(-0.001, 0.03), p=0.01).endswith(
        "; on these examples only: the interval for other examples is [-0.001, 0.030]"
    )
    same = Verdict(Decision.SAME_PREDICTIONS)
    assert pair_sentence(sides, same) == "A and B have the same predictions"


def test_what_cannot_be_tested_is_said_with_its_reason() -> None:
    few = untestable(Reason.TOO_FEW_SEEDS)
    assert pair_sentence(("A", "B"), few, difference=0.15, seeds=2) == (
        "no verdict on A against B: +0.150 over 2 seeds compares these models only; a verdict needs 3 seeds"
    )
    undefined = untestable(Reason.UNDEFINED_SCORE, "A: the predictions are constant")
    assert pair_sentence(("A", "B"), undefined) == "no verdict on A against B: A: the predictions are constant"
    assert sum_sentence("a×b + c×d", untestable(Reason.NO_COMMON_SEED), value=None, ci95=None) == (
        "no verdict on a×b + c×d: no seed in common"
    )
