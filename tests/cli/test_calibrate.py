"""Calibration from the command line, what predicts with it, and predictions that are withheld."""

import json
import shutil
from pathlib import Path

import pytest
from tests.common.commands import call

import bertram
from bertram.data.rows import read_rows
from bertram.evaluation.caveats import notes, notes_on_new_scores
from bertram.evaluation.files import evaluate_run
from bertram.export.write import export
from bertram.prediction.model_hash import model_hash
from bertram.report.write import write_report
from bertram.runs.decisions import DECISIONS, read_decisions
from bertram.runs.directory import open_run


@pytest.fixture(scope="module")
def run(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run, calibrated on dev."""
    directory = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(tiny_runs / "cross-0", directory)
    outcome = call("calibrate", directory)
    assert outcome.code == 0, outcome.err
    assert "sst: temperature" in outcome.out
    assert "calibration error" in outcome.out
    assert "fitted on dev" in outcome.out
    return directory


@pytest.mark.slow
def test_the_run_predicts_with_what_was_fitted(run: Path, tiny_runs: Path) -> None:
    decisions = read_decisions(run)
    assert decisions is not None
    assert set(decisions.tasks) == {"sst", "quora"}
    model, before = bertram.load(run, engine="torch"), bertram.load(tiny_runs / "cross-0", engine="torch")
    fitted = decisions.tasks["quora"]
    assert model.tasks["quora"].temperature == fitted.temperature
    assert model.tasks["quora"].thresholds == tuple(fitted.thresholds)
    pair = [("a film", "a movie")]
    (cooled,), (plain,) = model.predict("quora", pair), before.predict("quora", pair)
    assert cooled.probabilities is not None
    assert plain.probabilities is not None
    odds = plain.probabilities[1] / plain.probabilities[0]
    assert cooled.probabilities[1] / cooled.probabilities[0] == pytest.approx(
        odds ** (1 / fitted.temperature), rel=1e-3
    )
    assert cooled.value == (cooled.probabilities[1] > fitted.thresholds[0])
    scores = [evaluate_run(path).scores.tasks["sst"]["accuracy"] for path in (run, tiny_runs / "cross-0")]
    assert scores[0] == scores[1]  # a temperature moves no class past another


@pytest.mark.slow
def test_every_reader_of_scores_is_told(run: Path, tiny_runs: Path, tmp_path: Path) -> None:
    assert any("dev scores with them are optimistic" in note for note in notes_on_new_scores(open_run(run)))
    later = "were fitted on dev later: these scores are without them; bertram evaluate shows those with them."
    assert [later in note for note in notes(open_run(run))].count(True) == 1
    assert any("from before are without them" in note for note in notes(open_run(run), "test"))
    assert later in " ".join(call("compare", run, tiny_runs / "cross-0").out.split())
    ensemble = call("ensemble", run, tiny_runs / "cross-1", "--out", tmp_path / "ensemble")
    assert f"Temperature and thresholds that were fitted for {run} are not used." in " ".join(ensemble.out.split())
    page = write_report(run, out=tmp_path / "report.html").read_text()
    assert "Later fitted on dev: temperature" in page


def test_predictions_of_before_are_not_continued(run: Path, tiny_runs: Path) -> None:
    assert model_hash(open_run(run)) != model_hash(open_run(tiny_runs / "cross-0"))


@pytest.mark.slow
def test_a_cross_encoder_has_the_temperature_in_its_last_layer(run: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    out = export(run, "sentence-transformers", tmp_path / "out", "quora")
    pairs = [("a fine film", "a good movie"), ("no", "it was filmed in the autumn")]
    scores = library.CrossEncoder(str(out)).predict(pairs)
    expected = [
        p.probabilities[1] for p in bertram.load(run, engine="torch").predict("quora", pairs) if p.probabilities
    ]
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)


def test_it_is_fitted_on_predictions_of_training_rows_and_undone(tiny_runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_runs / "cross-0", run)
    file = tmp_path / "out-of-fold.jsonl"
    task = open_run(run).config.tasks["quora"]
    ids = read_rows(task, "sample", "train").ids
    lines = [{"id": row_id, "value": 0, "probabilities": {"different": 0.9, "paraphrase": 0.1}} for row_id in ids]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    outcome = call("calibrate", run, "--task", "quora", "--predictions", file)
    assert outcome.code == 0, outcome.err
    assert "fitted on out-of-fold.jsonl" in outcome.out
    assert "optimistic" not in outcome.out
    anew = call("calibrate", run, "--task", "sst")
    assert "quora: what was fitted on out-of-fold.jsonl is forgotten" in anew.out
    assert call("calibrate", run, "--undo").code == 0
    assert not (run / DECISIONS).exists()
    again = call("calibrate", run, "--undo")
    assert (again.code, "nothing was fitted" in again.err) == (1, True)


def test_fitting_one_alone_says_that_the_other_is_forgotten(tiny_runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_runs / "cross-0", run)
    said = [call("calibrate", run, "--only", what).out for what in ("temperature", "temperature", "thresholds")]
    assert ["forgotten" in each for each in said] == [False, False, True]
    assert "quora: the earlier fit of the temperature is forgotten" in said[2]
    again = call("calibrate", run, "--only", "temperature").out
    assert "quora: the earlier fit of the thresholds is forgotten" in again


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no json\n", "not a prediction with id and probabilities"),
        ('{"id": "1", "probabilities": {"different": 2, "paraphrase": 0}}\n', "not a probability for each of"),
        ('{"id": "nobody", "probabilities": [0.5, 0.5]}\n', "no id is that of a row"),
    ],
)
def test_other_files_are_refused(content: str, reason: str, tiny_runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text(content)
    outcome = call("calibrate", tiny_runs / "cross-0", "--task", "quora", "--predictions", file)
    assert outcome.code == 1
    assert reason in outcome.err
    assert not (tiny_runs / "cross-0" / DECISIONS).exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--task", "sts"), "a score has no probabilities"),
        (("--task", "mood"), "unknown task 'mood'"),
        (("--task", "sst", "--only", "thresholds"), "a class task has no thresholds"),
        (("--folds", "1"), "at least 2 are needed"),
    ],
)
def test_what_cannot_be_calibrated_is_told(words: tuple[str, ...], reason: str, tiny_runs: Path) -> None:
    outcome = call("calibrate", tiny_runs / "cross-0", *words)
    assert outcome.code == 1
    assert reason in outcome.err


@pytest.mark.slow
def test_a_damaged_file_is_one_line(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / DECISIONS).read_text())
    for task, fields, reason in (
        ("sst", {"temperature": -1}, "tasks.sst.temperature is -1"),
        ("sst", {"thresholds": [0.4]}, "does not fit the task sst"),
        ("mood", {}, "the run has no task 'mood'"),
    ):
        tasks = {**values["tasks"], task: {**values["tasks"]["sst"], **fields}}
        (copy / DECISIONS).write_text(json.dumps({**values, "tasks": tasks}))
        outcome = call("predict", copy, "--task", "sst", stdin=b"a text\n")
        assert outcome.code == 1
        assert reason in outcome.err


@pytest.mark.slow
def test_unsure_predictions_are_withheld(tiny_runs: Path, tmp_path: Path) -> None:
    texts = b"a fine film\nno\nit was filmed in the autumn of last year\n"
    plain = [
        json.loads(line)
        for line in call("predict", tiny_runs / "cross-0", "--task", "sst", stdin=texts).out.splitlines()
    ]
    sure = sorted(max(line["probabilities"].values()) for line in plain)
    limit = (sure[0] + sure[1]) / 2
    words = ("predict", tiny_runs / "cross-0", "--task", "sst", "--abstain-below", f"{limit:.9f}")
    kept = [json.loads(line) for line in call(*words, stdin=texts).out.splitlines()]
    assert [line["abstained"] for line in kept].count(True) == 1
    for before, after in zip(plain, kept, strict=True):
        assert after["probabilities"] == before["probabilities"]
        assert after["value"] == (None if after["abstained"] else before["value"])
        assert (after["label"] is None) == after["abstained"]
    table = call(*words, "--output-format", "csv", stdin=texts).out.splitlines()
    assert sum(line.split(",")[1:3] == ["", ""] for line in table) == 1
    score = call("predict", tiny_runs / "cross-0", "--task", "sts", "--abstain-below", "0.5", stdin=b"a\tb\n")
    assert (score.code, "gives a score" in score.err) == (1, True)
    wrong = call("predict", tiny_runs / "cross-0", "--task", "sst", "--abstain-below", "50", stdin=texts)
    assert (wrong.code, "at most 1" in wrong.err) == (1, True)
    out = tmp_path / "out.jsonl"
    assert call("predict", tiny_runs / "cross-0", "--task", "sst", "--out", out, stdin=texts).code == 0
    other = call(*words, "--out", out, stdin=texts)
    assert (other.code, "another run or task" in other.err) == (1, True)
