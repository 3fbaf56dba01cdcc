"""Runs are compared on the same examples only, with one correction over all rows."""

from dataclasses import replace

import numpy as np
import pytest

from bertram.comparison.models import compare_models
from bertram.comparison.outcomes import TaskPredictions, outcomes, weighted_sum
from bertram.comparison.verdict import Decision, Reason, untestable
from bertram.errors import DataError
from bertram.evaluation.holm import holm
from bertram.evaluation.scoring import score_task
from bertram.tasks import QUORA, SST, STS

GENERATOR = np.random.default_rng


def keyed(values: np.ndarray) -> dict[str, float]:
    return {f"id{i}": float(value) for i, value in enumerate(values)}


def three_runs(generator: np.random.Generator) -> dict[str, TaskPredictions]:
    """Runs `weak`, `same` (as good, but other mistakes) and `strong` on the study's three kinds of task."""
    sst = generator.integers(0, 5, 400)
    quora = generator.integers(0, 2, 1000)
    sts = generator.integers(0, 26, 300) / 5

    def said(gold: np.ndarray, classes: int, right: float) -> dict[str, float]:
        other = (gold + generator.integers(1, classes, len(gold))) % classes
        return keyed(np.where(generator.random(len(gold)) < right, gold, other))

    def scored(noise: float) -> dict[str, float]:
        return keyed(sts + generator.normal(scale=noise, size=len(sts)))

    quality = {"weak": (0.5, 0.7, 1.5), "same": (0.5, 0.7, 1.5), "strong": (0.65, 0.8, 0.8)}
    return {
        "sst": TaskPredictions(SST.label_space, keyed(sst), {run: said(sst, 5, q[0]) for run, q in quality.items()}),
        "quora": TaskPredictions(
            QUORA.label_space,
            keyed(quora),
            {run: said(quora, 2, q[1]) for run, q in quality.items()},
        ),
        "sts": TaskPredictions(STS.label_space, keyed(sts), {run: scored(q[2]) for run, q in quality.items()}),
    }


def test_every_run_is_compared_with_the_first_on_every_task_and_overall() -> None:
    tasks = three_runs(GENERATOR(0))
    rows = compare_models(tasks)
    assert [(row.run, row.task) for row in rows] == [
        (run, task) for run in ("same", "strong") for task in ("sst", "quora", "sts", "overall")
    ]
    assert {row.test for row in rows} == {"McNemar, mid-p", "Steiger & Hakstian", "normal, over examples"}
    for row in rows[4:]:
        assert row.verdict.decision is Decision.BETTER
    for row in rows[:4]:
        assert row.verdict.decision is Decision.UNDECIDED
    assert [row.p_holm for row in rows] == holm([row.p for row in rows if row.p is not None])


def test_values_are_those_of_scoring_and_swapping_two_runs_turns_the_sign() -> None:
    tasks = three_runs(GENERATOR(1))
    sts = replace(tasks["sts"], predicted={run: tasks["sts"].predicted[run] for run in ("weak", "strong")})
    (row,) = compare_models({"sts": sts})
    scored = score_task(STS.label_space, list(sts.gold.values()), list(sts.predicted["strong"].values()))
    assert row.value == scored["pearson"].value
    assert row.n == 300
    swapped = replace(sts, predicted=dict(reversed(list(sts.predicted.items()))))
    (back,) = compare_models({"sts": swapped})
    assert row.difference is not None
    assert back.difference == -row.difference
    assert back.p == pytest.approx(row.p)
    assert back.verdict.decision is Decision.WORSE


def test_the_overall_interval_is_narrower_than_that_of_its_worst_task() -> None:
    rows = {row.task: row for row in compare_models(three_runs(GENERATOR(2))) if row.run == "strong"}
    width = {task: row.ci95[1] - row.ci95[0] for task, row in rows.items() if row.ci95}
    expected = np.sqrt(width["sst"] ** 2 + width["quora"] ** 2 + (width["sts"] / 2) ** 2) / 3
    assert width["overall"] == pytest.approx(expected, rel=0.05)  # independent tasks
    low, high = rows["overall"].ci95 or (0, 0)
    assert low < (rows["overall"].difference or 0) < high


def test_order_of_ids_does_not_matter_and_unpredicted_gold_is_left_out() -> None:
    tasks = three_runs(GENERATOR(3))
    sst = tasks["sst"]
    strong = dict(reversed(list(sst.predicted["strong"].items())))
    shuffled = replace(sst, gold={**sst.gold, "extra": 0.0}, predicted={**sst.predicted, "strong": strong})
    assert compare_models({"sst": shuffled}) == compare_models({"sst": sst})


def test_other_examples_are_refused_with_what_differs_and_how_many() -> None:
    tasks = three_runs(GENERATOR(4))
    del tasks["sst"].predicted["same"]["id3"]  # type: ignore[attr-defined]
    tasks["quora"].predicted["strong"] |= {f"new{i}": 1.0 for i in range(9)}  # type: ignore[index, operator]
    del tasks["sts"].gold["id0"]  # type: ignore[attr-defined]
    with pytest.raises(DataError) as error:
        compare_models(tasks)
    message = str(error.value)
    assert "sst: ids only in 'weak': 1 ('id3')" in message
    assert "quora: ids only in 'strong': 9 ('new0'; 'new1'; 'new2'; 'new3'; 'new4'; …)" in message
    assert "sts: ids without a gold label: 1 ('id0')" in message


def test_a_run_without_a_task_is_compared_on_the_others_but_not_overall() -> None:
    tasks = three_runs(GENERATOR(5))
    only = {"weak": tasks["sts"].predicted["weak"], "strong": tasks["sts"].predicted["strong"]}
    tasks["sts"] = replace(tasks["sts"], predicted=only)
    rows = compare_models(tasks)
    assert [row.task for row in rows if row.run == "same"] == ["sst", "quora"]
    assert [row.task for row in rows if row.run == "strong"] == ["sst", "quora", "sts", "overall"]


def test_an_undefined_score_is_named_and_takes_no_part_in_the_correction() -> None:
    tasks = three_runs(GENERATOR(6))
    constant = dict.fromkeys(tasks["sts"].gold, 2.5)
    tasks["sts"] = replace(tasks["sts"], predicted={**tasks["sts"].predicted, "same": constant})
    rows = compare_models(tasks)
    undefined = {row.task: row for row in rows if row.run == "same" and row.p is None}
    assert undefined["sts"].verdict == untestable(Reason.UNDEFINED_SCORE, "same: the predictions are constant")
    assert undefined["sts"].difference is None
    assert undefined["overall"].verdict == untestable(Reason.UNDEFINED_SCORE, "no comparison on sts")
    assert sum(row.p_holm is not None for row in rows) == 6


def test_identical_predictions_are_said_to_be_the_same() -> None:
    tasks = three_runs(GENERATOR(7))
    twins = {
        name: replace(task, predicted={"a": task.predicted["weak"], "b": task.predicted["weak"]})
        for name, task in tasks.items()
    }
    for row in compare_models(twins):
        assert (row.difference, row.ci95, row.p) == (0.0, None, 1.0)
        assert row.verdict.decision is Decision.SAME_PREDICTIONS


def test_examples_that_all_share_a_text_tell_nothing_and_few_units_have_few_degrees_of_freedom() -> None:
    gold = {str(n): float(n % 2) for n in range(60)}
    predicted = {"a": gold, "b": {id_: 1 - value if int(id_) % 5 else value for id_, value in gold.items()}}
    (row,) = compare_models(
        {"quora": TaskPredictions(QUORA.label_space, gold, predicted, groups=dict.fromkeys(gold, 0))}
    )
    assert row.verdict == untestable(Reason.TOO_FEW_EXAMPLES)
    generator, found = GENERATOR(5), 0
    for _ in range(400):  # two equally good models on six texts, each in ten rows
        answers = {run: np.repeat(generator.random(6) < 0.5, 10) * 1.0 for run in ("a", "b")}
        (row,) = compare_models({
            "quora": TaskPredictions(
                QUORA.label_space, dict.fromkeys(gold, 1.0),
                {run: dict(zip(gold, values.tolist(), strict=True)) for run, values in answers.items()},
                groups={id_: int(id_) // 10 for id_ in gold},
            )
        })  # fmt: skip
        found += row.p is not None and row.p < 0.05
    assert found / 400 <= 0.07


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(DataError, match="at least two runs"):
        compare_models({"x": TaskPredictions(QUORA.label_space, {"a": 1.0}, {"only": {"a": 1.0}})})


def test_another_main_score_is_compared_by_the_influence_of_the_examples() -> None:
    tasks = three_runs(GENERATOR(8))
    rows = compare_models({"quora": replace(tasks["quora"], metric="f1")})
    assert {(row.metric, row.test) for row in rows} == {("f1", "t, over examples")}


def test_opposite_extremes_differ_although_no_example_tells_of_another_difference() -> None:
    gold = {str(n): float(n % 4 == 0) for n in range(400)}
    never, wrong = dict.fromkeys(gold, 0.0), {id_: 1 - value for id_, value in gold.items()}
    f1 = TaskPredictions(QUORA.label_space, gold, {"never": never, "perfect": gold}, "f1")
    pairs = {id_: int(id_) // 2 for id_ in gold}
    accuracy = TaskPredictions(QUORA.label_space, gold, {"wrong": wrong, "right": gold}, groups=pairs)
    for task in (f1, accuracy):
        (row,) = compare_models({"spam": task})
        low, high = row.ci95 or (0.0, 0.0)
        assert row.verdict.decision is Decision.BETTER
        assert 0.9 < low < high
        assert (row.difference, row.test) == (1.0, "sign test, mid-p")
    (row,) = compare_models({"spam": replace(f1, predicted={"never": never, "wrong": wrong})})
    assert (row.difference, row.p, row.verdict.decision) == (0.0, 1.0, Decision.UNDECIDED)


def test_tasks_on_the_same_rows_are_no_more_evidence_than_one_of_them() -> None:
    sst = three_runs(GENERATOR(9))["sst"]
    runs = {run: sst.predicted[run] for run in ("weak", "strong")}
    both = replace(sst, predicted=runs, groups={id_: id_ for id_ in sst.gold})
    turned = {run: dict(reversed(list(values.items()))) for run, values in runs.items()}
    alone = replace(both, groups={id_: f"other {id_}" for id_ in both.gold})
    once, _, overall = compare_models({"a": both, "b": replace(both, predicted=turned)})
    assert overall.ci95 == pytest.approx(once.ci95)
    *_, apart = compare_models({"a": both, "b": alone})
    assert apart == compare_models({"a": replace(both, groups={}), "b": replace(both, groups={})})[-1]
    weights = {"strong": 1.0, "weak": -1.0}
    one, _, joint = outcomes({"a": both, "b": replace(both, predicted=turned)}, losses=False)
    assert joint.example_error(weights) == pytest.approx(one.example_error(weights))
    pair = {"a": both, "b": replace(both, predicted=turned)}
    opposed = weighted_sum("a minus b", outcomes(pair, losses=False)[:2], pair, dict.fromkeys(runs, (1.0, -1.0)))
    assert [score.value for score in opposed.runs.values()] == [0.0, 0.0]
    assert opposed.example_error(weights) == pytest.approx(0.0)  # the same rows cancel
    *_, mixed = outcomes({"a": both, "b": alone, "c": both}, losses=False)
    assert list(mixed.runs["weak"].units) == ["a, c", "b"]
    assert mixed.example_error(weights) == pytest.approx(one.example_error(weights) * np.sqrt(2**2 + 1) / 3)


def test_tasks_that_share_some_rows_are_partly_independent() -> None:
    generator = GENERATOR(10)
    first, second = (generator.random(50) < 0.5 for _ in range(2))
    tasks = {  # rows 20 to 49 of the first task are rows 0 to 29 of the second
        name: TaskPredictions(QUORA.label_space, dict.fromkeys(keyed(right), 1.0), {"run": keyed(right)},
                              groups={f"id{n}": n + offset for n in range(50)})
        for name, right, offset in (("a", first, 0), ("b", second, 20))
    }  # fmt: skip
    *_, overall = outcomes(tasks, losses=False)
    sums = np.zeros(70)
    sums[:50] += (first - first.mean()) / 100
    sums[20:] += (second - second.mean()) / 100
    assert overall.example_error({"run": 1.0}) == pytest.approx(np.sqrt((sums**2).sum() * 70 / 69))
