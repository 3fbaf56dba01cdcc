"""Tables made again: from records and what was asked, and from their own values where the data are away."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.common.gold import dev_labels
from tests.common.records import files_of, record_of

from bertram.config import Config
from bertram.errors import RunError
from bertram.evaluation.scoring import TaskOutputs, score_run
from bertram.experiments import ablation
from bertram.experiments.budget import Budget
from bertram.experiments.design import fractional, full, leave_one_out
from bertram.experiments.factors import parse
from bertram.experiments.forecast import EffectForecast, Forecast, LookForecast, Noise
from bertram.experiments.request import REQUEST, note_ablation
from bertram.minbert import catalogue, reproduce
from bertram.minbert.published import EXPERIMENTS
from bertram.minbert.remake import make_again, note_study
from bertram.minbert.render import row_sentence
from bertram.minbert.table_1_values import read_table_1
from bertram.report.forest import write_forest
from bertram.runs.directory import create, write_predictions
from bertram.runs.files import write_json
from bertram.runs.record import write_record

BUDGET = Budget(epochs=2, fraction=0.5, dev_limit=60)


def made_up(path: Path, config: Config, good: float) -> None:
    """A finished run with random predictions, of which a share is right."""
    run = create(path, config)
    generator = np.random.default_rng([config.seed, int(good * 100)])
    outputs = {}
    for name, task in config.tasks.items():
        gold = dev_labels(task, config.data)
        values = np.array(list(gold.values()))
        said = values + generator.normal(scale=2, size=len(values))
        if task.kind != "score":
            said = np.where(generator.random(len(values)) < good, values, (values + 1) % task.classes)
        write_predictions(run.predictions(name), list(gold), said.tolist(), None)
        outputs[name] = TaskOutputs(task.label_space, values, said, task.scored_by)
    write_record(run.path, record_of(config, score_run(outputs), data=files_of(config)))


@pytest.mark.slow
def test_table_1_comes_out_as_it_was(tmp_path: Path) -> None:
    asked = reproduce.Study([EXPERIMENTS["e4"], EXPERIMENTS["e5"]], range(3), BUDGET, tmp_path)
    for one in asked.experiments:
        for seed in asked.seeds:
            config = BUDGET.applied(one.config(), seed)
            made_up(tmp_path / f"{one.name}-{seed}", config, 0.6)
    note_study(asked)
    reproduce.write_table(tmp_path, reproduce.table(asked))
    before = (tmp_path / "table.json").read_bytes(), (tmp_path / "table.md").read_bytes()
    for name in ("table.json", "table.md"):
        (tmp_path / name).unlink()
    assert make_again(tmp_path) is None
    assert before == ((tmp_path / "table.json").read_bytes(), (tmp_path / "table.md").read_bytes())

    request = json.loads((tmp_path / REQUEST).read_text())
    write_json(tmp_path / REQUEST, {**request, "budget": {**request["budget"], "epochs": 3}})  # as if rows had changed
    reason = make_again(tmp_path)
    assert reason is not None
    assert reason.startswith("6 of its runs, such as e4-0, are no longer what")
    assert before == ((tmp_path / "table.json").read_bytes(), (tmp_path / "table.md").read_bytes())

    moved = request
    moved["budget"]["changes"]["data"] = str(tmp_path / "away")
    write_json(tmp_path / REQUEST, moved)
    (tmp_path / "table.md").unlink()
    assert make_again(tmp_path) == "its data are not here"
    assert before == ((tmp_path / "table.json").read_bytes(), (tmp_path / "table.md").read_bytes())

    (tmp_path / "away").mkdir()  # a directory, but not with the data of the records
    assert make_again(tmp_path) == "its data are not here"
    assert before == ((tmp_path / "table.json").read_bytes(), (tmp_path / "table.md").read_bytes())


@pytest.mark.slow
def test_an_ablation_comes_out_as_it_was_and_is_drawn(tmp_path: Path) -> None:
    factors = parse("mse,rotating,model.head_dropout=0.1:0.3,mean")
    design = fractional([one.name for one in factors], 4)
    asked = ablation.Ablation(
        "e4", catalogue.recipe("e4"), factors, design, range(2), BUDGET, tmp_path / "out", (tmp_path / "further",)
    )
    one = EffectForecast("mse", "overall", Noise(0.01, 3, 0.01, own=True), 0.02, (9, None), (12, 30), 0.028)
    expected = Forecast("nothing", 2, 0.005, 0.1, (one,))
    for number, job in enumerate(ablation.jobs(asked)):
        folder = tmp_path / "further" if number == 0 else tmp_path / "out"
        mse = (job.config.tasks["sts"].loss or "").startswith("mse")
        made_up(folder / job.path.name, job.config, 0.5 + 0.1 * mse)
    assert note_ablation(asked, expected) == expected
    later = replace(expected, source="the runs themselves")
    assert note_ablation(replace(asked, seeds=range(3)), later) == expected  # it was made before the runs
    assert note_ablation(replace(asked, budget=Budget(fraction=0.5)), later) == later
    sequential = replace(later, effects=(replace(one, looks=(LookForecast(0.005, (0.8, 0.6), (4.0, 6.0)),)),))
    note_ablation(asked, expected)
    assert note_ablation(asked, sequential) == sequential  # another kind of study
    (tmp_path / "out" / REQUEST).unlink()
    note_ablation(asked, expected)
    found = ablation.result(asked, ablation.jobs(asked), expected)
    ablation.write(tmp_path / "out", found)
    before = (tmp_path / "out" / "ablation.json").read_bytes()
    (tmp_path / "out" / "ablation.json").unlink()
    assert make_again(tmp_path / "out") is None
    assert before == (tmp_path / "out" / "ablation.json").read_bytes()
    request = json.loads((tmp_path / "out" / REQUEST).read_text())
    request["factors"][-1]["on"] = {"model": {"pooling": "pooler"}}  # half of the configurations are others now
    write_json(tmp_path / "out" / REQUEST, request)
    reason = make_again(tmp_path / "out")
    assert reason is not None
    assert reason.startswith("8 of its runs")
    assert before == (tmp_path / "out" / "ablation.json").read_bytes()
    picture = write_forest(tmp_path / "out", found)
    assert picture is not None
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert write_forest(tmp_path, replace(found, effects=[])) is None


@pytest.mark.slow
def test_rows_until_they_are_decided_stop_one_by_one_and_keep_their_verdicts(tmp_path: Path) -> None:
    experiments = [EXPERIMENTS[name] for name in ("e1", "e6", "e12", "e13", "sentiment")]
    asked = reproduce.Study(experiments, (0,), BUDGET, tmp_path, smallest_effect=0.01)
    sequential = reproduce.until_decided(asked, 4)
    assert sequential.plan.effects == ("e6", "e12")  # row 13 is the run of row 12; row 1 trains nothing
    for job in sequential.next_jobs([]):
        made_up(job.path, job.config, {"e4": 0.2, "e6": 1.0, "e12": 0.25}[job.name])
    looks = [sequential.next_look([])]
    assert looks[0].decisions == {"e6": "better"}
    assert [job.key for job in sequential.next_jobs(looks) if not job.finished] == ["e4 seed 3", "e12 seed 3"]

    note_study(asked)
    reproduce.write_table(tmp_path, reproduce.table(asked))
    rows = {row.experiment: row for row in read_table_1(tmp_path / "table.json").rows}
    assert row_sentence(rows["e6"], "e4").endswith("3 seeds, decided by the look after 3 seeds")
    for row in ("e12", "e13"):
        assert "no decision between e12 and e4: +0.012, open after 3 seeds" in row_sentence(rows[row], "e4")
    before = (tmp_path / "table.md").read_bytes()
    assert b"Look after 3 seeds of at most 4: e6 better." in before
    made_up(tmp_path / "later", asked.budget.applied(EXPERIMENTS["e6"].config(), 3), 0.5)  # the look is not remade
    assert make_again(tmp_path) is None
    assert b"Look after 3 seeds of at most 4: e6 better." in (tmp_path / "table.md").read_bytes()
    rows = {row.experiment: row for row in read_table_1(tmp_path / "table.json").rows}
    difference = rows["e6"].differences["overall"]
    assert difference is not None
    assert difference.verdict.decision == "better"


@pytest.mark.slow
def test_an_ablation_with_looks_comes_out_as_it_was(tmp_path: Path) -> None:
    factors = parse("mse,rotating")
    design = leave_one_out([one.name for one in factors])
    asked = ablation.Ablation("e4", catalogue.recipe("e4"), factors, design, range(3), BUDGET, tmp_path)
    sequential = ablation.until_decided(asked, 4)
    for job in sequential.next_jobs([]):
        made_up(job.path, job.config, 1.0 if (job.config.tasks["sts"].loss or "").startswith("mse") else 0.2)
    look = sequential.next_look([])
    assert look.decisions.get("mse") == "better"
    note_ablation(asked, None)
    ablation.write(tmp_path, ablation.result(asked, ablation.jobs(asked), None))
    before = (tmp_path / "ablation.json").read_bytes()
    assert "decided by the look after 3 seeds" in (tmp_path / "ablation.md").read_text()
    assert make_again(tmp_path) is None
    assert before == (tmp_path / "ablation.json").read_bytes()


@pytest.mark.slow
def test_runs_of_one_name_in_two_folders_keep_their_own_scores(tmp_path: Path) -> None:
    folders = [tmp_path / f"arm{number}" for number in range(4)]
    asked = ablation.Ablation(
        "e4", catalogue.recipe("e4"), parse("mse,mean"), full(["mse", "mean"]), range(1), BUDGET, tmp_path, folders
    )
    for number, job in enumerate(ablation.jobs(asked)):
        made_up(folders[number] / "seed0", job.config, 0.1 + 0.25 * number)
    table = ablation.result(asked, ablation.jobs(asked), None)
    scores = [cell.scores["sst"][0] for cell in table.design.cells]
    assert scores == sorted(set(scores))
    path = folders[0] / "seed0" / "record.json"
    record = json.loads(path.read_text())
    del record["sha256"]
    record["scores"]["dev"]["sst"]["accuracy"]["value"] = 0.9
    path.write_text(json.dumps(record))
    notes = ablation.result(asked, ablation.jobs(asked), None).design.notes
    assert any("its record says accuracy 0.9000 on sst" in note for note in notes)


@pytest.mark.slow
def test_a_record_of_another_run_in_the_place_of_one_is_refused(tmp_path: Path) -> None:
    asked = ablation.Ablation(
        "e4", catalogue.recipe("e4"), parse("mse,mean"), full(["mse", "mean"]), range(1), BUDGET, tmp_path
    )
    wanted, other, *_ = ablation.jobs(asked)
    made_up(wanted.path, other.config, 0.5)
    with pytest.raises(RunError, match="its record is of another configuration or other data"):
        ablation.jobs(asked)
    (wanted.path / "record.json").write_text("{")
    with pytest.raises(RunError, match=re.escape(str(wanted.path))):
        ablation.jobs(asked)


def test_a_folder_that_was_asked_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"neither asked\.json"):
        make_again(tmp_path)
    (tmp_path / REQUEST).write_text('{"form": 1, "kind": "reproduction", "budget": {"changes": {}, "months": 3}}')
    with pytest.raises(RunError, match=r"asked\.json: damaged"):
        make_again(tmp_path)
