"""Techniques are compared over seeds on the same examples, and only where there are enough seeds."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bertram.comparison.arms import Arm
from bertram.comparison.models import TaskPredictions
from bertram.comparison.techniques import TechniqueDifference, compare_techniques
from bertram.comparison.verdict import Decision, Reason, Verdict, untestable
from bertram.evaluation.intervals import holm
from bertram.evaluation.metrics import overall, score_task
from bertram.tasks import QUORA, STS

SEEDS = range(4)


def keyed(values: np.ndarray) -> dict[str, float]:
    return {f"id{i}": float(value) for i, value in enumerate(values)}


def simulated(accuracies: dict[str, float], n: int = 600) -> tuple[dict[str, TaskPredictions], list[Arm]]:
    """Runs of several arms and seeds on a yes/no task and a score; a run's own skill varies with its seed."""
    generator = np.random.default_rng(0)
    yes, score = generator.integers(0, 2, n), generator.random(n) * 5
    said: dict[str, dict[str, float]] = {}
    scored: dict[str, dict[str, float]] = {}
    for arm, accuracy in accuracies.items():
        for seed in SEEDS:
            right = generator.random(n) < accuracy + generator.normal(scale=0.01)
            said[f"{arm}{seed}"] = keyed(np.where(right, yes, 1 - yes))
            scored[f"{arm}{seed}"] = keyed(score + generator.normal(scale=1, size=n))
    tasks = {
        "quora": TaskPredictions(QUORA.label_space, keyed(yes), said),
        "sts": TaskPredictions(STS.label_space, keyed(score), scored),
    }
    return tasks, [Arm(arm, {seed: f"{arm}{seed}" for seed in SEEDS}) for arm in accuracies]


def row(rows: list[TechniqueDifference], technique: str, task: str) -> TechniqueDifference:
    (found,) = [one for one in rows if (one.technique, one.task) == (technique, task)]
    return found


def accuracies(tasks: dict[str, TaskPredictions], arm: Arm) -> list[float]:
    quora = tasks["quora"]
    gold = list(quora.gold.values())
    scores = [
        score_task(QUORA.label_space, gold, list(quora.predicted[run].values()), resamples=10)
        for run in arm.runs.values()
    ]
    return [float(score["accuracy"]["value"] or 0) for score in scores]


def test_two_arms_give_the_paired_t_test_over_seeds() -> None:
    tasks, arms = simulated({"plain": 0.70, "better": 0.78})
    found = row(compare_techniques(tasks, arms), "better", "quora")
    plain, better = (accuracies(tasks, arm) for arm in arms)
    expected = ttest_rel(better, plain)
    low, high = expected.confidence_interval(0.95)
    assert (found.baseline_value, found.value) == (pytest.approx(np.mean(plain)), pytest.approx(np.mean(better)))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.ci95 == (pytest.approx(low), pytest.approx(high))
    assert found.seeds == len(SEEDS)
    assert found.verdict == Verdict(Decision.BETTER)


def test_a_real_gain_is_found_and_no_gain_is_not() -> None:
    tasks, arms = simulated({"plain": 0.70, "same": 0.70, "better": 0.80})
    rows = compare_techniques(tasks, arms)
    assert [(one.technique, one.task) for one in rows] == [
        (arm, task) for arm in ("same", "better") for task in ("quora", "sts", "overall")
    ]
    assert row(rows, "better", "quora").verdict.decision is Decision.BETTER
    assert row(rows, "same", "quora").verdict.decision is Decision.UNDECIDED
    assert [one.p_holm for one in rows] == pytest.approx(holm([one.p for one in rows if one.p is not None]))


def test_overall_is_the_mean_over_tasks_on_the_unit_scale() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    rows = compare_techniques(tasks, arms)
    quora, sts = row(rows, "better", "quora"), row(rows, "better", "sts")
    expected = overall({"quora": ("accuracy", quora.value), "sts": ("pearson", sts.value)})
    assert row(rows, "better", "overall").value == pytest.approx(expected)


def test_the_interval_for_new_examples_holds_the_one_for_these() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.78, "same": 0.7}, n=150)
    for one in compare_techniques(tasks, arms):
        assert one.ci95 is not None
        assert one.ci95_new is not None
        assert one.ci95_new[0] <= one.ci95[0] < one.ci95[1] <= one.ci95_new[1]


def test_a_gain_that_other_examples_may_not_show_is_said_to_be_one_on_these() -> None:
    generator = np.random.default_rng(3)
    gold = generator.integers(0, 2, 60)
    said = {}
    for arm, wrong in (("plain", 20), ("better", 17)):  # the same 3 examples more with each seed
        for seed in SEEDS:
            errors = np.where(np.arange(60) < wrong, 1 - gold, gold)
            said[f"{arm}{seed}"] = keyed(errors)
    tasks = {"quora": TaskPredictions(QUORA.label_space, keyed(gold), said)}
    (found,) = compare_techniques(tasks, [Arm(a, {s: f"{a}{s}" for s in SEEDS}) for a in ("plain", "better")])
    assert found.ci95 == (pytest.approx(0.05), pytest.approx(0.05))
    half = 1.96 * np.sqrt(3 / 60 - (3 / 60) ** 2) / np.sqrt(60)
    assert found.ci95_new == (pytest.approx(0.05 - half, abs=0.005), pytest.approx(0.05 + half, abs=0.005))
    assert found.verdict == Verdict(Decision.BETTER, these_examples_only=True)


def test_fewer_than_three_common_seeds_give_an_interval_of_the_examples_and_no_verdict() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    few = [arms[0], Arm("better", {seed: run for seed, run in arms[1].runs.items() if seed < 2})]
    found = row(compare_techniques(tasks, few), "better", "quora")
    assert (found.p, found.p_holm, found.ci95, found.seeds) == (None, None, None, 2)
    assert found.ci95_new is not None
    assert found.ci95_new[0] < (found.difference or 0) < found.ci95_new[1]
    assert found.verdict == untestable(Reason.TOO_FEW_SEEDS)
    plain, better = (accuracies(tasks, Arm(arm.name, {s: arm.runs[s] for s in (0, 1)})) for arm in few)
    assert found.difference == pytest.approx(np.mean(better) - np.mean(plain))


def test_a_difference_is_the_mean_over_the_common_seeds_whatever_other_runs_there_are() -> None:
    tasks, (plain, better, other) = simulated({"plain": 0.7, "better": 0.8, "other": 0.7})
    fewer = Arm("plain", {seed: run for seed, run in plain.runs.items() if seed != max(SEEDS)})
    found = row(compare_techniques(tasks, [fewer, better, other]), "better", "quora")
    assert found.seeds == len(SEEDS) - 1
    assert found.difference == pytest.approx((found.value or 0) - (found.baseline_value or 0))


def test_arms_without_a_common_seed_and_undefined_scores_are_named() -> None:
    tasks, arms = simulated({"plain": 0.7, "better": 0.8})
    other = [arms[0], Arm("better", {seed + 10: run for seed, run in arms[1].runs.items()})]
    verdicts = {one.verdict for one in compare_techniques(tasks, other)}
    assert verdicts == {untestable(Reason.NO_COMMON_SEED)}
    tasks["sts"].predicted["better2"] |= dict.fromkeys(tasks["sts"].gold, 2.5)  # type: ignore[operator]
    rows = compare_techniques(tasks, arms)
    reason = untestable(Reason.UNDEFINED_SCORE, "better2: the predictions are constant")
    assert row(rows, "better", "sts").verdict == row(rows, "better", "overall").verdict == reason
    assert row(rows, "better", "quora").p is not None
