"""Table 1 from run directories with made-up predictions, whose truth is known."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.common.gold import dev_labels
from tests.common.records import files_of, record_of

from bertram import options
from bertram.cli.show_table_1 import table_1
from bertram.comparison.outcomes import TaskPredictions, outcomes
from bertram.config import Config
from bertram.evaluation.scoring import TaskOutputs, score_run
from bertram.experiments.budget import Budget, train_rows
from bertram.experiments.schedule import finished_runs
from bertram.minbert.published import EXPERIMENTS
from bertram.minbert.render import row_sentence
from bertram.minbert.reproduce import Study, expected_hours, jobs, notes, table, write_table
from bertram.minbert.table_1 import Row, _summary
from bertram.minbert.table_1_values import Summary, Table1, TableRow, read_table_1
from bertram.runs.directory import Run, create, write_predictions
from bertram.runs.files import write_text
from bertram.runs.record import read_record, write_record
from bertram.runs.record_parts import Merged, Seconds
from bertram.tasks import QUORA

HOW_GOOD = {"e4": 0.55, "e5": 0.35, "e6": 0.56, "e12": 0.6, "sentiment": 0.56, "e2": 0.4}


def make_run(out: Path, config: Config, good: float, seconds: float = 60.0, *, trained: bool = True) -> Run:
    """A finished run that is right about so many examples, with predictions that differ by seed."""
    run = create(out / f"{config.recipe}-{config.seed}", config)
    generator = np.random.default_rng([config.seed, int(good * 100)])
    outputs = {}
    for name, task in config.tasks.items():
        gold = dev_labels(task, config.data)
        values = np.array(list(gold.values()))
        if task.kind == "score":
            said = values * good + generator.normal(scale=1.5, size=len(values))
        else:
            right = generator.random(len(values)) < good + 0.02 * generator.normal()
            said = np.where(right, values, (values + 1) % task.classes)
        write_predictions(run.predictions(name), list(gold), said.tolist(), None)
        outputs[name] = TaskOutputs(task.label_space, values, said, task.scored_by)
    dev = score_run(outputs)
    record = record_of(config, dev, data=files_of(config), trained=trained, seconds=Seconds(seconds))
    write_record(run.path, record)
    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("study")
    budget = Budget(epochs=2)
    for name, good in HOW_GOOD.items():
        for seed in range(1 if name == "e12" else 3):
            make_run(out, budget.applied(EXPERIMENTS[name].config(), seed), good)
    make_run(out, Budget(epochs=3).applied(EXPERIMENTS["e7"].config(), 0), 0.9)  # at another budget
    chosen = [EXPERIMENTS[name] for name in ("e4", "e5", "e12", "e13")]
    return Study(chosen, range(3), budget, out)


@pytest.fixture(scope="module")
def made(study: Study) -> Table1:
    return table(study)


def row(made: Table1, name: str) -> TableRow:
    return next(one for one in made.rows if one.experiment == name)


def ours(row: TableRow, outcome: str) -> Summary:
    summary = row.ours[outcome]
    assert summary is not None
    return summary


def test_rows_are_all_runs_of_this_budget_also_those_not_asked_for(made: Table1) -> None:
    assert [one.experiment for one in made.rows] == ["e2", "e4", "e5", "e6", "e12", "e13", "sentiment"]
    assert "2 epochs" in made.title
    assert "minilm, which has seen Quora pairs" in made.title


@pytest.mark.slow
def test_a_row_that_trains_nothing_has_no_noise_of_training(study: Study, tmp_path: Path) -> None:
    out = Path(shutil.copytree(study.out, tmp_path / "study"))
    make_run(out, study.budget.applied(EXPERIMENTS["e1"].config(), 0), 0.4, trained=False)
    found = table(replace(study, out=out))
    assert ours(row(found, "e1"), "sst").covers == "examples"
    assert ours(row(found, "e4"), "sst").covers == "examples and seeds"


def test_means_and_paired_differences(made: Table1, study: Study) -> None:
    four, five = row(made, "e4"), row(made, "e5")
    each = [Run(study.out / name).record["scores"]["dev"]["overall"]["value"] for name in four.runs]
    overall = ours(four, "overall")
    assert overall.mean == pytest.approx(np.mean(each))
    assert overall.sd == pytest.approx(np.std(each, ddof=1))
    assert overall.covers == "examples and seeds"
    assert overall.ci95 is not None
    assert overall.ci95[0] < overall.mean < overall.ci95[1]
    found = five.differences["overall"]
    assert found is not None
    assert found.effect == pytest.approx(ours(five, "overall").mean - overall.mean)
    assert found.seeds == 3
    assert "e4 is better than e5 by" in row_sentence(five, "e4")
    assert row_sentence(row(made, "e6"), "e4").startswith("no significant difference between e6 and e4: ")


def test_one_seed_gives_no_verdict_on_a_technique(made: Table1) -> None:
    assert "a verdict needs 3 seeds" in row_sentence(row(made, "e12"), "e4")
    assert ours(row(made, "e12"), "overall").sd is None


def test_a_perfect_row_of_one_run_has_an_interval_that_lies_in_the_scale_and_has_a_width() -> None:
    gold = {str(n): float(n % 2) for n in range(20)}
    experiment = EXPERIMENTS["e4"]
    for wrong in (0, 1):
        predicted = {id_: abs(value - (int(id_) < wrong)) for id_, value in gold.items()}
        task = TaskPredictions(QUORA.label_space, gold, {"run": predicted})
        for outcome in outcomes({"quora": task, "again": task}, losses=False):
            summary = _summary(Row(experiment, {0: Run(Path("run"))}), outcome)
            assert summary is not None
            low, high = summary.ci95 or (0.0, 0.0)
            assert 0 <= low < high <= 1
            assert low <= summary.mean <= high


def test_rows_of_three_near_perfect_runs_have_intervals_that_lie_in_the_scale() -> None:
    gold = {str(n): float(n % 2) for n in range(20)}
    runs = {f"run-{seed}": {id_: abs(value - (int(id_) < seed)) for id_, value in gold.items()} for seed in range(3)}
    task = TaskPredictions(QUORA.label_space, gold, runs)
    three = Row(EXPERIMENTS["e4"], {seed: Run(Path(f"run-{seed}")) for seed in range(3)})
    for outcome in outcomes({"quora": task, "again": task}, losses=False):
        summary = _summary(three, outcome)
        assert summary is not None
        assert summary.covers == "examples and seeds"
        low, high = summary.ci95 or (0.0, 0.0)
        assert 0 <= low < summary.mean < high == 1


def test_rows_13_and_14_have_the_study_s_test_scores_and_row_13_is_row_12_s_run(made: Table1) -> None:
    published = row(made, "e13").study
    assert published is not None
    assert published.split == "test"
    assert row(made, "e13").runs == row(made, "e12").runs
    assert any("test scores" in note for note in made.notes)


@pytest.mark.slow
def test_values_of_a_sweep_are_shown_when_one_of_them_is_a_run_of_its_own(study: Study, tmp_path: Path) -> None:
    for name in ("e4", "e11"):
        make_run(tmp_path, study.budget.applied(EXPERIMENTS[name].config(), 0), 0.5)
    asked = Study([EXPERIMENTS["e4"]], range(1), study.budget, tmp_path)
    assert [one.experiment for one in table(asked).rows] == ["e4", "e11"]
    make_run(tmp_path, study.budget.applied(EXPERIMENTS["dropout-0.5"].config(), 0), 0.6)
    rows = table(asked).rows
    assert [one.experiment for one in rows] == ["e4", "e11", "dropout-0.3", "dropout-0.5"]
    assert row_sentence(rows[2], "e4").startswith("the run of e11: ")


def test_a_single_task_has_no_overall_and_is_compared_on_its_own(made: Table1) -> None:
    alone = row(made, "sentiment")
    assert alone.ours["overall"] is None
    assert alone.differences["overall"] is None
    on_sst = alone.differences["sst"]
    assert on_sst is not None
    assert on_sst.seeds == 3


def test_files_hold_the_table_and_can_be_read_again(made: Table1, tmp_path: Path) -> None:
    write_table(tmp_path, made)
    written = (tmp_path / "table.json").read_bytes()
    write_table(tmp_path, read_table_1(tmp_path / "table.json"))
    assert (tmp_path / "table.json").read_bytes() == written
    text = (tmp_path / "table.md").read_text()
    assert "study, test; not comparable | 0.500 | 0.517 | 0.555 | 0.598" in text
    assert text.count("\n| ") == 1 + sum(1 + (one.study is not None) for one in made.rows)
    table_1(made)


def test_finished_runs_are_known_and_hours_come_from_their_seconds(study: Study) -> None:
    wanted = jobs(study)
    assert len(wanted) == 3 * 3  # row 13 is row 12's run
    todo = [job for job in wanted if not job.finished]
    assert [job.key for job in todo] == ["e12 seed 1", "e12 seed 2"]
    hours = expected_hours(wanted, study.finished())
    assert hours == {job.key: pytest.approx(60 / 3600) for job in todo}


@pytest.mark.slow
def test_hours_are_told_where_the_data_of_the_records_are_not(study: Study, tmp_path: Path) -> None:
    for path in study.out.glob("*/record.json"):
        record, copy = read_record(path.parent), tmp_path / path.parent.name
        copy.mkdir()
        write_record(copy, replace(record, config={**record.config, "data": "elsewhere"}))
        config = options.change(options.make(record.config), data="elsewhere")
        write_text(copy / "config.toml", options.to_toml(config))
    asked = Study(study.experiments, range(4), study.budget, tmp_path)
    hours = expected_hours(jobs(asked), asked.finished())
    assert hours["e5 seed 3"] == pytest.approx(60 / 3600)


def test_a_soup_is_not_taken_for_the_training_of_its_first_member(study: Study, tmp_path: Path) -> None:
    run = make_run(tmp_path, study.budget.applied(EXPERIMENTS["e4"].config(), 0), 0.5)
    assert [one.path for one in finished_runs([tmp_path]).values()] == [run.path]
    write_record(run.path, replace(run.record, merged=Merged("soup", "all", [], [])))
    assert finished_runs([tmp_path]) == {}


def test_notes_name_the_encoder_and_count_the_pairs(tmp_path: Path) -> None:
    config = options.change(EXPERIMENTS["e4"].config(), encoder="mpnet")
    lines = notes(config, [Row(EXPERIMENTS["e14"], {0: Run(tmp_path)})])
    pairs = train_rows(config.tasks["quora"], config)
    assert f"Row 14: the Quora training file here has {pairs:,} pairs, the course's about 280,000." in lines
    assert any(line.startswith("mpnet was pretrained on Quora pairs") for line in lines)
    assert not any("minilm" in line for line in lines)
