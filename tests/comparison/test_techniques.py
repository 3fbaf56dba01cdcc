"""Techniques are compared over seeds on the same examples, and only where there are enough seeds."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bertram.comparison.arms import Arm
from bertram.comparison.outcomes import OVERALL, Outcome, TaskPredictions, outcomes
from bertram.comparison.techniques import TechniqueDifference, compare_techniques
from bertram.comparison.verdict import Decision, Reason, untestable
from bertram.errors import DataError
from bertram.evaluation.scoring import overall, score_task
from bertram.label_spaces import Classes
from bertram.runs.typed_json import typed
from bertram.tasks import QUORA, STS

SEEDS = range(4)


def keyed(values: np.ndarray) -> dict[str, float]:
    return {f"id{i}": float(value) for i, value in enumerate(values)}


def simulated(accuracies: dict[str, float], n: int = 600) -> tuple[dict[str, TaskPredictions], list[Arm]]:
    """Runs of several arms and seeds on a yes/no task and a score; a run's own skill varies with its seed."""
    generator = np.random.default_rng(0)
    yes, score = generator.integers(0, 2, n), generator.random(n) * 5
    answers: dict[str, dict[str, float]] = {}
    scored: dict[str, dict[str, float]] = {}
    for arm, accuracy in accuracies.items():
        for seed in SEEDS:
            right = generator.random(n) < accuracy + generator.normal(scale=0.01)
            answers[f"{arm}{seed}"] = keyed(np.where(right, yes, 1 - yes))
            scored[f"{arm}{seed}"] = keyed(score + generator.normal(scale=1, size=n))
    tasks = {
        "quora": TaskPredictions(QUORA.label_space, keyed(yes), answers),
        "sts": TaskPredictions(STS.label_space, keyed(score), scored),
    }
    return tasks, [Arm(arm, {seed: f"{arm}{seed}" for seed in SEEDS}) for arm in accuracies]


def compared(tasks: dict[str, TaskPredictions], arms: list[Arm]) -> list[TechniqueDifference]:
    return compare_techniques(outcomes(tasks, losses=False), arms)


def row(rows: list[TechniqueDifference], technique: str, outcome: str) -> TechniqueDifference:
    (match,) = [one for one in rows if (one.technique, one.outcome) == (technique, outcome)]
    return match


def accuracies(tasks: dict[str, TaskPredictions], arm: Arm) -> list[float]:
    quora = tasks["quora"]
    gold = list(quora.gold.values())
    scores = [score_task(QUORA.label_space, gold, list(quora.predicted[run].values())) for run in arm.runs.values()]
    return [score["accuracy"].value or 0.0 for score in scores]


def test_two_arms_give_the_paired_t_test_over_seeds_whatever_other_arms_there_are() -> None:
    tasks, arms = simulated({"plain": 0.70, "better": 0.80, "wild": 0.55})
    plain, better, _ = (accuracies(tasks, arm) for arm in arms)
    expected = ttest_rel(better, plain)
    for several in (arms[:2], arms):
        difference = row(compared(tasks, several), "better", "quora")
        assert (difference.baseline_value, difference.value) == pytest.approx((np.mean(plain), np.mean(better)))
        assert difference.p == pytest.approx(expected.pvalue)
        assert difference.ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert difference.seeds == len(SEEDS)
        assert difference.verdict.decision is Decision.BETTER
        assert (difference.superiority or 0) > 0.95


def test_overall_is_primary_and_everything_else_is_corrected_for_the_whole_table() -> None:
    tasks, arms = simulated({"plain": 0.70, "same": 0.70, "better": 0.80})
    rows = compared(tasks, arms)
    assert [(one.technique, one.outcome) for one in rows] == [
        (arm, task) for arm in ("same", "better") for task in ("quora", "sts", OVERALL)
    ]
    assert [one.primary for one in rows] == [False, False, True] * 2
    assert row(rows, "better", OVERALL).p_holm == pytest.approx(2 * (row(rows, "better", OVERALL).p or 0))
    worst = min(rows, key=lambda one: one.p or 1)
    assert worst.primary or worst.p_holm == pytest.approx(6 * (worst.p or 0))
    on_sts = compare_techniques(outcomes(tasks), arms, primary="sts")
    assert [one.outcome for one in on_sts if one.primary] == ["sts", "sts"]
    with pytest.raises(DataError, match="no outcome 'sst'; choose one of quora, sts, overall"):
        compare_techniques(outcomes(tasks), arms, primary="sst")


def test_overall_is_the_mean_over_tasks_on_the_unit_scale() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    rows = compared(tasks, arms)
    quora, sts = row(rows, "better", "quora"), row(rows, "better", "sts")
    expected = overall({"quora": ("accuracy", quora.value), "sts": ("pearson", sts.value)})
    assert row(rows, "better", OVERALL).value == pytest.approx(expected)


def test_the_interval_for_new_examples_holds_the_one_for_these() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.78, "same": 0.7}, n=150)
    for one in compared(tasks, arms):
        assert one.ci95 is not None
        assert one.ci95_new is not None
        assert one.ci95_new[0] <= one.ci95[0] < one.ci95[1] <= one.ci95_new[1]


def fewer_errors(per_seed: tuple[int, ...]) -> TechniqueDifference:
    """The comparison of 20 errors of 60 with fewer of the same, with each seed."""
    gold = np.random.default_rng(3).integers(0, 2, 60)
    answers = {}
    for seed in SEEDS:
        for arm, wrong in (("plain", 20), ("better", 20 - per_seed[seed])):
            answers[f"{arm}{seed}"] = keyed(np.where(np.arange(60) < wrong, 1 - gold, gold))
    tasks = {"quora": TaskPredictions(QUORA.label_space, keyed(gold), answers)}
    (only,) = compared(tasks, [Arm(a, {s: f"{a}{s}" for s in SEEDS}) for a in ("plain", "better")])
    return only


def test_a_gain_that_other_examples_may_not_show_is_said_to_be_one_on_these() -> None:
    only = fewer_errors((3, 3, 3, 2))
    assert only.ci95 is not None
    assert only.ci95[0] > 0
    half = 1.96 * np.sqrt(2.75 / 60 - (2.75 / 60) ** 2) / np.sqrt(60)
    assert only.ci95_new == pytest.approx((2.75 / 60 - half, 2.75 / 60 + half), abs=0.01)
    assert only.verdict.decision is Decision.BETTER
    assert only.verdict.these_examples_only


def test_the_same_difference_with_every_seed_has_no_verdict_since_its_noise_is_not_known() -> None:
    only = fewer_errors((3, 3, 3, 3))
    assert only.effect == pytest.approx(0.05)
    assert (only.ci95, only.p) == (None, None)
    assert only.verdict == untestable(Reason.NO_SPREAD)


def test_fewer_than_three_common_seeds_give_an_interval_of_the_examples_and_no_verdict() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    few = [arms[0], Arm("better", {seed: run for seed, run in arms[1].runs.items() if seed < 2})]
    only = row(compared(tasks, few), "better", "quora")
    assert (only.p, only.p_holm, only.ci95, only.seeds) == (None, None, None, 2)
    assert only.ci95_new is not None
    assert only.ci95_new[0] < (only.effect or 0) < only.ci95_new[1]
    assert only.verdict == untestable(Reason.TOO_FEW_SEEDS)
    plain, better = (accuracies(tasks, Arm(arm.name, {s: arm.runs[s] for s in (0, 1)})) for arm in few)
    assert only.effect == pytest.approx(np.mean(better) - np.mean(plain))


def test_equal_predictions_are_said_to_be_the_same() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    twins = {
        name: replace(task, predicted={run: task.predicted[f"plain{run[-1]}"] for run in task.predicted})
        for name, task in tasks.items()
    }
    assert {one.verdict.decision for one in compared(twins, arms)} == {Decision.SAME_PREDICTIONS}


def test_arms_without_a_common_seed_and_undefined_scores_are_named() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    other = [arms[0], Arm("better", {seed + 10: run for seed, run in arms[1].runs.items()})]
    assert {one.verdict for one in compared(tasks, other)} == {untestable(Reason.NO_COMMON_SEED)}
    constant = {"better2": dict.fromkeys(tasks["sts"].gold, 2.5)}
    tasks["sts"] = replace(tasks["sts"], predicted={**tasks["sts"].predicted, **constant})
    rows = compared(tasks, arms)
    reason = untestable(Reason.UNDEFINED_SCORE, "better2: the predictions are constant")
    assert row(rows, "better", "sts").verdict == row(rows, "better", OVERALL).verdict == reason
    assert row(rows, "better", "quora").p is not None


def test_a_merged_run_with_opposite_answers_is_not_said_to_have_the_same() -> None:
    gold = {f"id{i}": 1.0 for i in range(100)}
    wrong = dict.fromkeys(gold, 0.0)
    tasks = {"quora": TaskPredictions(QUORA.label_space, gold, {"a0": wrong, "a1": wrong, "soup": gold})}
    arms = [Arm("a", {0: "a0", 1: "a1"}), Arm("soup", {0: "soup"}, merged=True)]
    (found,) = compared(tasks, arms)
    assert (found.effect, found.verdict) == (1.0, untestable(Reason.TOO_FEW_EXAMPLES))
    same = {"quora": TaskPredictions(QUORA.label_space, gold, {"a0": wrong, "a1": wrong, "soup": wrong})}
    assert compared(same, arms)[0].verdict.decision is Decision.SAME_PREDICTIONS
    f1 = {"quora": TaskPredictions(QUORA.label_space, dict.fromkeys(gold, 0.0), tasks["quora"].predicted, "f1")}
    (undefined,) = compared(f1, arms)
    assert undefined.verdict.reason is Reason.UNDEFINED_SCORE
    assert "a0: no label and no prediction is positive" in undefined.verdict.detail


def test_losses_see_what_accuracy_cannot_and_lower_is_better() -> None:
    generator = np.random.default_rng(4)
    gold = generator.integers(0, 3, 300)
    probabilities, answers = {}, {}
    for arm, sharpness in (("timid", 0.3), ("sure", 1.2)):
        for seed in SEEDS:
            logits = sharpness * (np.eye(3)[gold] * 2 + generator.normal(scale=0.2, size=(300, 3)))
            each = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            answers[f"{arm}{seed}"] = keyed(each.argmax(1))
            probabilities[f"{arm}{seed}"] = {f"id{i}": list(p) for i, p in enumerate(each)}
    task = TaskPredictions(Classes(("a", "b", "c")), keyed(gold), answers, None, probabilities)
    arms = [Arm(arm, {seed: f"{arm}{seed}" for seed in SEEDS}) for arm in ("timid", "sure")]
    rows = compare_techniques(outcomes({"sst": task}), arms)
    assert row(rows, "sure", "sst").verdict.decision in (Decision.EQUIVALENT, Decision.SAME_PREDICTIONS)
    for loss in ("sst nll", "sst brier"):
        assert (row(rows, "sure", loss).effect or 0) < 0
        assert row(rows, "sure", loss).verdict.decision is Decision.BETTER
        assert (row(rows, "sure", loss).superiority or 0) > 0.99
        assert row(rows, "sure", loss).smallest is None


def test_a_table_s_row_is_read_back() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})

    for one in compared(tasks, arms):
        assert typed(asdict(one), TechniqueDifference, Path("table.json")) == one


def test_shared_texts_widen_the_interval_for_other_examples() -> None:
    tasks, _ = simulated({"plain": 0.7, "better": 0.8})
    quora = tasks["quora"]
    threes = replace(quora, groups={one: int(one[2:]) // 3 for one in quora.gold})
    (alone,), (grouped,) = (outcomes({"quora": task}) for task in (quora, threes))
    weights = {"plain0": -1.0, "better0": 1.0}
    assert isinstance(alone, Outcome)
    assert grouped.example_error(weights) == pytest.approx(alone.example_error(weights), rel=0.2)  # nothing is shared
    copies = replace(
        threes,
        gold={one: quora.gold[f"id{int(one[2:]) // 3}"] for one in quora.gold},
        predicted={
            run: {one: values[f"id{int(one[2:]) // 3}"] for one in values} for run, values in quora.predicted.items()
        },
    )
    (counted,) = outcomes({"quora": copies})
    (ignored,) = outcomes({"quora": replace(copies, groups={})})
    assert counted.example_error(weights) == pytest.approx(np.sqrt(3) * ignored.example_error(weights), rel=0.01)
