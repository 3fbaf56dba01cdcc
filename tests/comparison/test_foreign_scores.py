"""Scores of systems trained elsewhere get the verdicts that runs get."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel
from tests.common.commands import call

from bertram.cli.show_comparison import parts
from bertram.comparison.comparison import compare_scores
from bertram.comparison.sentences import technique_sentence
from bertram.comparison.verdict import Decision, Reason
from bertram.errors import DataError

BASE = [0.70, 0.71, 0.69, 0.705]
GAIN = [0.02, 0.021, 0.019, 0.02]


def table(path: Path, *further: str) -> Path:
    lines = ["system,seed,task,metric,value"]
    for seed, (value, gain) in enumerate(zip(BASE, GAIN, strict=True)):
        lines += [f"base,{seed},sst,accuracy,{value}", f"new,{seed},sst,accuracy,{value + gain}"]
        lines += [f"base,{seed},sst,nll,{1.2 + value / 100}", f"new,{seed},sst,nll,{1.1 - gain}"]
        lines += [f"base,{seed},sts,pearson,{value}", f"new,{seed},sts,pearson,{value + 0.001 * (-1) ** seed}"]
    path.write_text("\n".join([*lines, *further]) + "\n")
    return path


def test_systems_are_compared_by_seed_with_the_first_one(tmp_path: Path) -> None:
    rows = {row.outcome: row for row in compare_scores(table(tmp_path / "scores.csv")).techniques}
    assert list(rows) == ["sst", "sst nll", "sts", "overall"]
    expected = ttest_rel(np.add(BASE, GAIN), BASE)
    assert rows["sst"].p == pytest.approx(expected.pvalue)
    assert (rows["sst"].ci95_new, rows["sst"].example_error) == (None, None)  # of other examples nothing is known
    assert rows["sst"].verdict.decision is rows["sst nll"].verdict.decision is Decision.BETTER
    assert rows["sts"].verdict.decision is Decision.EQUIVALENT
    assert rows["overall"].effect == pytest.approx(((rows["sst"].effect or 0) + (rows["sts"].effect or 0) / 2) / 2)


def test_one_missing_score_leaves_the_common_seeds(tmp_path: Path) -> None:
    further = ("base,9,sst,accuracy,0.7", "new,9,sst,accuracy,0.72", "base,9,sts,pearson,0.7")
    path = table(tmp_path / "scores.csv", *further)
    rows = {row.outcome: row for row in compare_scores(path).techniques}
    assert {name: row.seeds for name, row in rows.items()} == {"sst": 5, "sst nll": 4, "sts": 4, "overall": 4}
    path.write_text("system,seed,task,metric,value\na,0,t,accuracy,0.5\na,0,u,accuracy,0.5\nb,0,t,accuracy,0.6\n")
    rows = {row.outcome: row for row in compare_scores(path).techniques}
    assert technique_sentence(rows["u"]) == "no verdict on b against a: b, seed 0: no score"


def test_two_seeds_of_scores_say_nothing_of_other_examples(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    lines = [f"{system},{seed},t,accuracy,{0.5 + 0.1 * seed}" for system in "ab" for seed in (0, 1)]
    path.write_text("\n".join(["system,seed,task,metric,value", *lines]) + "\n")
    comparison = compare_scores(path)
    assert comparison.techniques[0].verdict.reason is Reason.TOO_FEW_SEEDS
    assert comparison.techniques[0].ci95_new is None
    assert not any("for other examples" in str(part) for part in parts(comparison, "dev"))


def test_without_a_repeated_baseline_no_noise_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    runs = [("a", 0), *((system, seed) for system in "bc" for seed in (0, 1, 2))]
    lines = [f"{system},{seed},t,accuracy,{0.5 + 0.01 * seed**2}" for system, seed in runs]
    path.write_text("\n".join(["system,seed,task,metric,value", *lines]) + "\n")
    assert compare_scores(path).noise is None


def test_the_command_shows_verdicts_and_noise(tmp_path: Path) -> None:
    code, out, err = call("compare", "--scores", table(tmp_path / "scores.csv"))
    assert (code, err) == (0, "")
    assert "sst: new is better than base by 0.020" in out
    assert "noise of overall, standard deviations over 4 seeds" in out
    assert "Only scores are known" in out
    assert call("compare")[0] == 2


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("new,x,sst,accuracy,0.5", "seed 'x' is not a whole number"),
        ("new,0,sst,accuracy,0.5", "the same system, seed, task and metric as in line 3"),
        ("new,9,sst,accuracy,inf", "value 'inf' is not a finite number"),
        ('new,9,sst,accuracy,"0,5"', "value '0,5' is not a finite number"),
        ("new,9,sst,accuracy,51.2", "accuracy 51.2 is not from 0 to 1; divide percentages by 100"),
        ("new,9,sts,pearson,-1.5", "pearson -1.5 is not from -1 to 1; divide percentages by 100"),
        ("new,9,sst,accuracy", "value is empty"),
        (",9,sst,,0.5", "system, metric is empty"),
        ("new,9,sst,accuracy,0.5,0.6", "more cells than columns"),
        ("new,9,overall,accuracy,0.5", "a task cannot be called overall, which is the mean of the tasks"),
    ],
)
def test_a_fault_of_a_table_is_one_line(tmp_path: Path, line: str, fault: str) -> None:
    path = table(tmp_path / "scores.csv", line)
    code, _, err = call("compare", "--scores", path)
    assert (code, err) == (1, f"bertram: {path}: lines that cannot be used: 1 (line 26: {fault})\n")


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    for text, fault in (
        ("system;seed;task;metric;value\na;1;t;accuracy;0.5\n", "no column system, seed, task, metric, value"),
        ("system,seed\na,1\n", "no column task, metric, value; the first line must be system,seed,task,metric,value"),
        ("", "no column system, seed, task, metric, value"),
        ("system,seed,task,metric,value\n", "a comparison needs the scores of at least two systems"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=fault):
            compare_scores(path)
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        compare_scores(tmp_path / "absent.csv")
    assert call("compare", "--scores", path, "--data", "sample")[0] == 2


def test_of_metrics_that_are_not_known_higher_is_said_to_be_better(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    lines = [f"{system},{seed},t,bleu,{30 + gain + seed}" for system, gain in (("a", 0), ("b", 2)) for seed in range(3)]
    path.write_text("\n".join([" System, Seed, Task, Metric, Value", *lines]) + "\n")
    comparison = compare_scores(path)
    assert comparison.notes[1].startswith("bleu: not known here, so higher is taken to be better")
    assert comparison.techniques[0].verdict.reason is Reason.NO_SPREAD
