"""Scores of systems trained elsewhere get the verdicts that runs get."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel
from tests.common.commands import call

from bertram.comparison.comparison import compare_scores
from bertram.comparison.verdict import Decision
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
    assert rows["sst"].ci95_new == pytest.approx(rows["sst"].ci95)
    assert rows["sst"].verdict.decision is rows["sst nll"].verdict.decision is Decision.BETTER
    assert rows["sts"].verdict.decision is Decision.EQUIVALENT
    assert rows["overall"].effect == pytest.approx(((rows["sst"].effect or 0) + (rows["sts"].effect or 0) / 2) / 2)


def test_the_command_shows_verdicts_and_noise(tmp_path: Path) -> None:
    code, out, err = call("compare", "--scores", table(tmp_path / "scores.csv"))
    assert (code, err) == (0, "")
    assert "sst: new is better than base by 0.020" in out
    assert "noise of overall, standard deviations over 4 seeds" in out
    assert "Only scores are known" in out
    assert call("compare")[0] == 2


def test_all_faults_of_a_table_are_listed(tmp_path: Path) -> None:
    path = table(tmp_path / "scores.csv", "new,x,sst,accuracy,0.5", "new,0,sst,accuracy,0.5", "new,9,sst,accuracy,inf")
    with pytest.raises(DataError) as error:
        compare_scores(path)
    for part in (
        "line 26: seed must be a whole number",
        "line 27: new, seed 0, sst accuracy stands twice",
        "line 28: inf",
    ):
        assert part in str(error.value)
    (tmp_path / "other.csv").write_text("system,seed\na,1\n")
    with pytest.raises(DataError, match="no column task, metric, value"):
        compare_scores(tmp_path / "other.csv")
