"""Runs compared from their own predictions: which kind of verdict is given, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from tests.common.commands import call

from bertram import options
from bertram.comparison.comparison import compare_runs, distinct_names
from bertram.comparison.sentences import model_sentence
from bertram.comparison.verdict import Decision
from bertram.runs.directory import Run, read_predictions, write_predictions


@pytest.fixture
def arms(tiny_runs: Path, tmp_path: Path) -> Path:
    """Copies of runs as if each of two configurations had been run with three seeds: plain-0..2 and warm-0..2."""
    for name, source, warmup in (("plain", "cross-0", 0.0), ("warm", "cross-1", 0.5)):
        for seed in range(3):
            path = tmp_path / f"{name}-{seed}"
            shutil.copytree(tiny_runs / source, path)
            config = options.change(Run(path).config, seed=seed, optimizer={"warmup_ratio": warmup})
            (path / "config.toml").write_text(options.to_toml(config))
            turned = Run(path).predictions("sts")  # each seed has other mistakes
            lines = read_predictions(turned)
            write_predictions(turned, [x["id"] for x in lines], [x["value"] + seed * (i % 3) for i, x in
                                                                 enumerate(lines)], None)  # fmt: skip
    return tmp_path


def test_two_models_are_compared_on_each_task_and_overall(tiny_runs: Path) -> None:
    code, out, err = call("compare", tiny_runs / "cross-0", tiny_runs / "bi-0")
    assert (code, err) == (0, "")
    assert out.startswith("bi-0 against cross-0 on dev")
    assert "Holm's correction over all 4 rows" in out
    for row in compare_runs([tiny_runs / "cross-0", tiny_runs / "bi-0"]).models:
        assert f"\n{row.task}: {model_sentence(row)}\n" in out
    assert "a verdict on a technique needs 3 seeds" in out
    assert "The sample is a toy" in out


def test_values_are_those_of_the_records(tiny_runs: Path) -> None:
    found = compare_runs([tiny_runs / "cross-0", tiny_runs / "bi-0"])
    for row in found.models:
        for run, value in ((row.baseline, row.baseline_value), (row.run, row.value)):
            scores = Run(tiny_runs / run).record["scores"]["dev"]
            recorded = scores["overall"] if row.task == "overall" else scores[row.task][row.metric]
            assert value == pytest.approx(recorded["value"])


def test_a_task_that_a_run_did_not_train_is_named(tiny_runs: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    shutil.copytree(tiny_runs / "cross-1", one)
    config = options.change(Run(one).config, tasks={"sts": {"trained": False}})
    (one / "config.toml").write_text(options.to_toml(config))
    said = compare_runs([tiny_runs / "cross-0", one]).notes
    assert said[0] == "one did not train sts: its scores there, and overall, are of new heads."
    assert not any("cross-0" in note for note in said)


def test_runs_that_differ_by_seed_are_taken_together_and_the_verdict_is_on_the_technique(arms: Path) -> None:
    runs = [arms / f"{name}-{seed}" for name in ("plain", "warm") for seed in range(3)]
    code, out, _ = call("compare", *runs)
    assert code == 0
    assert "warm against plain on dev, means over common seeds" in out
    assert "warm-0, warm-1, warm-2" in out
    assert "each difference by its own variance" in out
    assert "noise of overall, standard deviations over 3 seeds" in out
    assert "3 seeds" in out
    assert "compares these" not in out
    found = compare_runs(runs)
    assert [(arm.name, list(arm.runs)) for arm in found.arms] == [("plain", [0, 1, 2]), ("warm", [0, 1, 2])]
    (sts,) = [row for row in found.techniques if row.outcome == "sts"]
    means = [
        sum(row.value or 0 for row in compare_runs([runs[3], run]).models if row.task == "sts") for run in runs[:3]
    ]
    assert sts.baseline_value == pytest.approx(sum(means) / 3)


def test_two_seeds_give_no_verdict_on_a_technique(arms: Path) -> None:
    code, out, _ = call("compare", *[arms / f"{name}-{seed}" for name in ("plain", "warm") for seed in range(2)])
    assert code == 0
    assert "sst: no verdict on warm against plain" in out
    assert "With fewer than 3 common seeds the interval is for other examples" in out
    assert "Tests:" not in out


def test_one_configuration_with_several_seeds_is_a_comparison_of_models(arms: Path) -> None:
    found = compare_runs([arms / f"plain-{seed}" for seed in range(3)])
    assert len(found.arms) == 1
    assert {row.run for row in found.models} == {"plain-1", "plain-2"}


def test_a_merged_run_is_not_another_seed_of_its_first_member(tiny_runs: Path, tmp_path: Path) -> None:
    members = [tiny_runs / "cross-0", tiny_runs / "cross-1"]
    call("soup", *members, "--greedy", "--out", tmp_path / "soup")
    found = compare_runs([*members, tmp_path / "soup"])
    assert [list(arm.runs.values()) for arm in found.arms] == [["cross-0", "cross-1"], ["soup"]]
    assert found.notes[0].startswith("soup: a soup, greedy: the members were chosen by the dev overall")
    assert any(note.startswith("soup: no seed of its own, so it is compared with the mean") for note in found.notes)
    sts = next(row for row in found.techniques if row.outcome == "sts")
    assert sts.baseline_value is not None
    assert sts.effect == pytest.approx((sts.value or 0) - sts.baseline_value)
    assert sts.verdict.decision is Decision.SAME_PREDICTIONS or sts.ci95_new is not None


def test_names_are_as_short_as_they_can_be() -> None:
    assert distinct_names([Path("x/a"), Path("x/b/")]) == ["a", "b"]
    assert distinct_names([Path("x/one/run"), Path("x/two/run")]) == ["one/run", "two/run"]


def test_missing_unfinished_and_repeated_runs_are_listed_together(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-1", tmp_path / "unfinished")
    (tmp_path / "unfinished" / "record.json").unlink()
    first = tiny_runs / "cross-0"
    code, _, err = call("compare", first, tmp_path / "none", tmp_path / "unfinished", first)
    assert code == 1
    assert err.splitlines() == [
        f"bertram: {tmp_path}/none: there is no such run directory",
        f"{tmp_path}/unfinished: not a finished run: it has no record.json; train on with --resume",
        f"{first}: is named twice",
    ]
    assert call("compare", first) == (1, "", f"bertram: name at least 2 runs; there is only {first}\n")


def test_other_examples_and_other_tasks_are_refused(tiny_runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_runs / "cross-1", other)
    path = Run(other).predictions("sst")
    lines = read_predictions(path)[1:]
    write_predictions(path, [line["id"] for line in lines], [line["value"] for line in lines], None)
    code, _, err = call("compare", tiny_runs / "cross-0", other)
    assert code == 1
    assert "the runs are not on the same examples; evaluate them all on one data set" in err
    assert "sst: ids only in 'cross-0': 1 (" in err
    config = options.change(Run(other).config, tasks={"sts": {"range": [0.0, 10.0]}})
    (other / "config.toml").write_text(options.to_toml(config))
    code, _, err = call("compare", tiny_runs / "cross-0", other)
    assert code == 1
    assert err == "bertram: task sts differs between cross-0 and other (kind, labels or range)\n"


def test_a_split_without_labels_and_predictions_that_were_not_kept_are_refused(tiny_runs: Path, tmp_path: Path) -> None:
    runs = [tiny_runs / "cross-0", tmp_path / "other"]
    shutil.copytree(tiny_runs / "cross-1", runs[1])
    code, _, err = call("compare", *runs, "--split", "test")
    assert code == 1
    assert "ids-sst-test-student.csv: no column 'sentiment'" in err
    (runs[1] / "predictions" / "dev" / "quora.jsonl.gz").unlink()
    code, _, err = call("compare", *runs)
    path = runs[1] / "predictions" / "dev" / "quora.jsonl.gz"
    assert (code, err) == (1, f"bertram: {path}: missing; write it with: bertram evaluate\n")


def test_runs_on_dev_files_with_other_contents_are_refused(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-1", tmp_path / "other")
    record = tmp_path / "other" / "record.json"
    values = json.loads(record.read_text())
    values["data"]["ids-sst-dev.csv"]["sha256"] = "0" * 64
    del values["sha256"]  # a record without it is not checked
    record.write_text(json.dumps(values))
    code, _, err = call("compare", tiny_runs / "cross-0", tmp_path / "other")
    assert code == 1
    assert "the runs were scored on different dev files" in err
    assert "sst: the dev rows of cross-0 and of other are not the same" in err


def test_a_recorded_score_that_the_predictions_do_not_give_is_said(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-1", tmp_path / "other")
    record = tmp_path / "other" / "record.json"
    values = json.loads(record.read_text())
    values["scores"]["dev"]["sst"]["accuracy"]["value"] = 0.999
    del values["sha256"]  # a record without it is not checked
    record.write_text(json.dumps(values))
    notes = compare_runs([tiny_runs / "cross-0", tmp_path / "other"]).notes
    assert any(note.startswith("other: its record says accuracy 0.9990 on sst") for note in notes)
    assert not any(
        "its record says" in note for note in compare_runs([tiny_runs / "cross-0", tiny_runs / "bi-0"]).notes
    )


def test_an_unknown_primary_outcome_is_refused_for_single_runs_too(tiny_runs: Path) -> None:
    code, _, err = call("compare", tiny_runs / "cross-0", tiny_runs / "bi-0", "--primary", "sentiment")
    assert code == 1
    assert err.startswith("bertram: there is no outcome 'sentiment'; choose one of sst, quora, sts, overall, ")
