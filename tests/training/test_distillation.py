"""Distillation: what a student learns from its teachers, and that their outputs are computed once."""

import json
import re
import shutil
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import save
from tests.common.commands import call
from tests.common.encoders import save_encoder
from tests.common.quick import quick_only
from tests.common.trainings import begin_training, equal_weights, fingerprint, step_gradients, tiny_config

from bertram import options
from bertram.config import Config
from bertram.data.rows import read_rows
from bertram.data.splits import write_held_out
from bertram.errors import BertramError, ConfigError, RunError
from bertram.experiments.crossval import make_jobs
from bertram.merging.ensemble import ensemble
from bertram.model.outputs import output_of
from bertram.runs.directory import Run, open_run
from bertram.runs.files import write_bytes
from bertram.tasks import QUORA, SST, STS
from bertram.training import kept_outputs
from bertram.training.display import Silent
from bertram.training.estimate import estimate
from bertram.training.kept_outputs import KeptOutputs
from bertram.training.state import Training
from bertram.training.step_cost import step_cost
from bertram.training.teacher_faults import space_faults
from bertram.training.teachers import drawn_examples
from bertram.training.train import train
from bertram.training.trained_teachers import TrainedTeacher, read_teachers
from bertram.training.trainer import Trainer
from bertram.training.writer import NoWriter

PAIRS = "pairs.tsv"


@pytest.fixture(scope="module")
def teacher(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that teaches, with pairs encoded text by text."""
    config = tiny_config(tiny_encoder, seed=5, tasks={"sts": {"encoding": "bi", "head": "features"}})
    return train(config, tmp_path_factory.mktemp("teacher") / "run").path


@pytest.fixture(scope="module")
def wide_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another encoder, of another width and vocabulary order."""
    directory = tmp_path_factory.mktemp("wide")
    encoder = save_encoder(directory / "encoder", seed=3)
    return train(tiny_config(encoder, seed=6), directory / "run").path


def student(encoder: Path, *teachers: Path, **changes: Any) -> Config:
    distill = {"teachers": [str(path) for path in teachers], **changes.pop("distill", {})}
    return tiny_config(encoder, distill=distill, **changes)


def taught(config: Config, run: Path) -> Training:
    """A training before its first step, with its teachers' outputs."""
    training = begin_training(config)
    training.learn_from_teachers(run, lambda _: None)
    return training


def test_without_a_teacher_nothing_is_taught_and_nothing_kept(tiny_encoder: Path, tmp_path: Path) -> None:
    training = taught(tiny_config(tiny_encoder), tmp_path)
    assert training.data.train["sst"].teaching is None
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_cost_of_a_students_step_can_be_measured(tiny_encoder: Path, teacher: Path) -> None:
    config = student(tiny_encoder, teacher, threads=1)
    assert step_cost(config, config, rounds=2) == pytest.approx(1.0, rel=0.5)


@pytest.mark.slow
def test_targets_are_the_mean_of_the_teachers_outputs_for_the_same_rows(
    tiny_encoder: Path, teacher: Path, wide_teacher: Path, tmp_path: Path
) -> None:
    training = begin_training(student(tiny_encoder, teacher, wide_teacher))
    models = [each.model for each in training.teachers.trained]
    training.learn_from_teachers(tmp_path, lambda _: None)
    for name, examples in training.data.train.items():
        assert examples.teaching is not None
        texts: list[Any] = [texts if len(texts) > 1 else texts[0] for texts in examples.texts]
        outputs = [model.predict(name, texts) for model in models]
        for row, both in enumerate(zip(*outputs, strict=True)):
            values = torch.tensor([each.probabilities or each.value for each in both], dtype=torch.float32).mean(0)
            expected = values[1] if name == "quora" else values
            assert torch.allclose(examples.teaching.targets[row], expected, atol=1e-5)
        assert bool(examples.teaching.labelled.all())


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_the_loss_moves_from_the_teacher_to_the_gold_labels(
    progress: float, tiny_encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    training = taught(student(tiny_encoder, teacher, model={"head_dropout": 0.0, "encoder_dropout": 0.0}), tmp_path)
    batches = training.batches({name: torch.arange(6).numpy() for name in training.data.train})
    objective = training.context.objective
    objective.teacher.begin_step(progress)
    outputs = training.model.network(batches)
    for batch, raw, loss in zip(batches, outputs, objective(batches, None), strict=True):
        output = training.model.network.output(batch.task)
        assert batch.teaching is not None
        assert batch.labels is not None
        gold, soft = output.losses(raw, batch.labels), output.soft_losses(raw, batch.teaching.targets)
        assert loss.loss.item() == pytest.approx((progress * gold + (1 - progress) * soft).mean().item(), rel=1e-5)


@pytest.mark.slow
def test_lambda_is_a_line_over_all_steps(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    weights: list[float] = []
    config = student(tiny_encoder, teacher, distill={"gold_weight": [0.2, 0.7]})
    training = taught(config, tmp_path)
    objective = training.context.objective
    really = objective.teacher.begin_step

    def watched(progress: float) -> None:
        really(progress)
        weights.append(objective.teacher.gold_weight)  # type: ignore[attr-defined]

    objective.teacher.begin_step = watched  # type: ignore[method-assign]
    Trainer(training, NoWriter(), Silent()).fit()
    assert weights == pytest.approx([0.2 + 0.5 * step / 5 for step in range(6)])


@pytest.mark.slow
def test_gold_labels_alone_train_like_no_teacher(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    """With λ = 1 throughout, the teacher's term has weight 0."""
    plain, _ = step_gradients(begin_training(tiny_config(tiny_encoder)))
    training = taught(student(tiny_encoder, teacher, distill={"gold_weight": [1.0, 1.0]}), tmp_path)
    same, _ = step_gradients(training)
    for name, gradient in plain.items():
        assert (gradient is None) == (same[name] is None)
        if gradient is not None:
            assert torch.allclose(gradient, same[name], atol=1e-6), name  # type: ignore[arg-type]


STUDENTS: list[dict[str, Any]] = [
    {"sampling": {"order": "worst-last"}},
    {"sampling": {"order": "annealed"}},
    {"sampling": {"order": "joint"}, "surgery": {"method": "pcgrad"}},
    {"smart": {"tasks": ["all"]}},
    {"rdrop": {"tasks": ["quora"]}, "uncertainty_weighting": True},
    {"tasks": {"sst": {"loss": "coral"}, "sts": {"loss": "cosine-mse", "encoding": "bi", "head": "cosine"}}},
    {"distill": {"temperature": 2.0}, "sampling": {"gradient_accumulation_steps": 3}},
]


@pytest.mark.parametrize("changes", quick_only(STUDENTS[2:4], STUDENTS), ids=str)
def test_a_student_is_trained_with_every_order_and_technique(
    changes: dict[str, Any], tiny_encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    training = taught(student(tiny_encoder, teacher, **changes), tmp_path)
    places = training.sampler.next()
    gradients, report = step_gradients(training)
    assert places
    assert all(figures["loss"] > 0 for figures in report.losses.values())
    assert any(gradient is not None and bool(gradient.any()) for gradient in gradients.values())


def test_a_temperature_softens_both_sides_and_at_one_nothing_changes() -> None:
    raw, probabilities = torch.randn(5, 5), torch.softmax(torch.randn(5, 5), 1)
    softmax = output_of(SST)
    assert torch.allclose(softmax.soft_losses_at(raw, probabilities, 1.0), softmax.soft_losses(raw, probabilities))
    softened = probabilities.sqrt() / probabilities.sqrt().sum(1, keepdim=True)
    expected = -4 * (softened * torch.log_softmax(raw / 2, 1)).sum(1)
    assert torch.allclose(softmax.soft_losses_at(raw, probabilities, 2.0), expected, atol=1e-5)
    ordinal = output_of(SST.model_copy(update={"loss": "coral"}))
    assert torch.allclose(
        ordinal.soft_losses_at(raw[:, :4], probabilities, 1.0),
        ordinal.soft_losses(raw[:, :4], probabilities),
        atol=1e-5,
    )
    yes = output_of(QUORA)
    two = torch.stack([torch.zeros(5), raw[:, 0]], 1)
    both = torch.stack([1 - probabilities[:, 0], probabilities[:, 0]], 1)
    assert torch.allclose(
        yes.soft_losses_at(raw[:, 0], probabilities[:, 0], 3.0), softmax.soft_losses_at(two, both, 3.0), atol=1e-4
    )
    score = output_of(STS)
    assert torch.equal(score.soft_losses_at(raw[:, 0], both[:, 0], 3.0), score.soft_losses(raw[:, 0], both[:, 0]))


def test_a_temperature_keeps_certain_teachers_finite() -> None:
    certain = torch.eye(5)
    for task, raw, targets in [
        (SST, torch.randn(5, 5), certain),
        (SST.model_copy(update={"loss": "coral"}), torch.randn(5, 4), certain),
        (QUORA, torch.randn(5), certain[0]),
    ]:
        losses = output_of(task).soft_losses_at(raw.requires_grad_(), targets, 2.0)
        losses.sum().backward()
        assert bool(losses.isfinite().all())
        assert raw.grad is not None
        assert bool(raw.grad.isfinite().all())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of examples of each pass through a teacher from now on."""
    passes: list[int] = []
    really = TrainedTeacher.outputs

    def watched(teacher: TrainedTeacher, examples: Any, places: Any, batch_size: int) -> Any:
        passes.append(len(places))
        return really(teacher, examples, places, batch_size)

    monkeypatch.setattr(TrainedTeacher, "outputs", watched)
    monkeypatch.setattr(kept_outputs, "CHUNK", 10)
    return passes


@pytest.mark.slow
def test_outputs_are_computed_once_and_an_interruption_loses_only_one_file(
    tiny_encoder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = counted(monkeypatch)
    config = student(tiny_encoder, teacher)
    whole = taught(config, tmp_path / "whole")
    assert passes == 3 * [10, 10, 4, 10, 6]  # 24 training and 16 dev rows of each task
    passes.clear()
    again = taught(config, tmp_path / "whole")
    assert passes == []
    missing = sorted((tmp_path / "whole" / "teachers").glob("*.safetensors"))[0]
    missing.unlink()
    again = taught(config, tmp_path / "whole")
    assert len(passes) == 1
    for name, examples in whole.data.train.items():
        first, second = examples.teaching, again.data.train[name].teaching
        assert first is not None
        assert second is not None
        assert torch.equal(first.targets, second.targets)


@pytest.mark.slow
def test_outputs_are_computed_for_the_rows_that_a_run_draws_and_added_to_for_another(
    tiny_encoder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = counted(monkeypatch)
    shared = {"outputs": str(tmp_path / "outputs")}
    short = {"sampling": {"steps_per_epoch": 1, "epochs": 1}, "distill": shared}
    first = taught(student(tiny_encoder, teacher, **short), tmp_path / "first")
    few = sum(passes) - 3 * 16  # without dev
    drawn = drawn_examples(first.config, first.data)
    assert 0 < sum(int(mask.sum()) for mask in drawn.values()) <= few < 3 * 24
    passes.clear()
    whole = taught(student(tiny_encoder, teacher, distill=shared), tmp_path / "second")
    assert sum(passes) == 3 * 24 - few
    for name, mask in drawn.items():
        part, every = first.data.train[name].teaching, whole.data.train[name].teaching
        assert part is not None
        assert every is not None
        assert torch.equal(part.targets[mask], every.targets[mask])
        assert not bool(every.targets.isnan().any())


def test_scores_that_decide_the_order_need_all_outputs(tiny_encoder: Path, teacher: Path) -> None:
    config = student(tiny_encoder, teacher, sampling={"order": "worst-last", "epochs": 1})
    assert all(bool(mask.all()) for mask in drawn_examples(config, begin_training(config).data).values())


@pytest.mark.slow
def test_several_students_share_outputs_in_a_directory(
    tiny_encoder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = counted(monkeypatch)
    shared = {"outputs": str(tmp_path / "outputs")}
    first = student(tiny_encoder, teacher, distill=shared)
    whole = taught(first, tmp_path / "first")
    passes.clear()
    again = taught(
        student(tiny_encoder, teacher, distill=shared, seed=0, rdrop={"tasks": ["sst"]}), tmp_path / "second"
    )
    assert passes == []
    seconds = [training.teachers.seconds for training in (whole, again)]
    assert seconds[0] == seconds[1] > 0
    assert options.digest(first) == options.digest(student(tiny_encoder, teacher))  # a place changes no result


@pytest.mark.slow
def test_a_teacher_that_changed_is_refused_in_a_run_that_is_continued(
    tiny_encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "teacher"
    shutil.copytree(teacher, copy)
    config = student(tiny_encoder, copy)
    taught(config, tmp_path / "run")
    other = train(tiny_config(tiny_encoder, seed=9), tmp_path / "other").path
    shutil.rmtree(copy)
    shutil.copytree(other, copy)
    with pytest.raises(RunError, match="has changed since its outputs were kept"):
        taught(config, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("out_of", ["run", "ensemble"])
def test_a_distilled_run_resumes_bit_by_bit_and_its_record_shows_teacher_and_agreement(
    out_of: str, tiny_encoder: Path, teacher: Path, wide_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = teacher if out_of == "run" else ensemble([teacher, wide_teacher], tmp_path / "ensemble").path
    config = student(tiny_encoder, source, checkpoint={"save_minutes": 1e-9})
    whole = train(config, tmp_path / "whole")
    really, taken = Trainer._step, list[int]()

    def interrupted(self: Trainer) -> None:
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(1)
        really(self)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "half")
    monkeypatch.setattr(Trainer, "_step", really)
    resumed = train(config, tmp_path / "half", resume=True)
    first, second = fingerprint(whole.path), fingerprint(resumed.path)
    assert {**first, "metrics": 0} == {**second, "metrics": 0}
    distilled = open_run(whole.path).record.distilled
    assert distilled is not None
    assert [info.run for info in distilled.teachers] == [str(source)]
    assert list(distilled.agreement) == ["sst", "quora", "sts"]
    assert distilled.agreement["sst"].measure == "equal decisions"
    assert distilled.agreement["sts"].measure == "pearson"
    if out_of == "run":
        recorded = Run(teacher).record.scores.dev
        assert recorded is not None
        for name in distilled.scores:
            metric = config.tasks[name].scored_by
            assert distilled.scores[name][metric].value == pytest.approx(recorded.tasks[name][metric].value)


@pytest.mark.slow
def test_the_report_shows_teacher_student_and_agreement(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    train(student(tiny_encoder, teacher), tmp_path / "run")
    code, _, err = call("report", tmp_path / "run", "--out", tmp_path / "report.html")
    assert (code, err) == (0, "")
    text = (tmp_path / "report.html").read_text()
    assert "Teachers and student" in text
    assert "equal decisions" in text
    assert str(teacher) in text
    assert re.search(
        r"All outputs of the teachers, computed in this run or kept from an earlier one, took \d+ s\.", text
    )


def pairs_task(tmp_path: Path, rows: list[str]) -> dict[str, Any]:
    path = tmp_path / PAIRS
    path.write_text("sentence1\tsentence2\n" + "".join(f"{row}\n" for row in rows))
    return {"quora": {"unlabelled": {"file": str(path), "texts": ["sentence1", "sentence2"], "share": 0.5}}}


@pytest.mark.slow
def test_unlabelled_rows_have_the_teachers_term_alone(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    tasks = pairs_task(tmp_path, [f"why is {n} ?\twhat is {n} ?" for n in range(6)])
    training = taught(student(tiny_encoder, teacher, tasks=tasks), tmp_path / "run")
    examples = training.data.train["quora"]
    assert len(examples) == 24 + 6
    assert examples.teaching is not None
    assert examples.teaching.labelled.tolist() == [True] * 24 + [False] * 6
    training.context.objective.teacher.begin_step(1.0)  # gold labels only, where there are any
    places = training.sampler.draw("quora")
    assert [place >= 24 for place in places.tolist()] == [False] * 4 + [True] * 4
    (batch,) = training.batches({"quora": torch.arange(24, 30).numpy()})
    assert batch.teaching is not None
    raw = training.model.network([batch])[0]
    output = training.model.network.output("quora")
    expected = output.soft_losses(raw, batch.teaching.targets)
    assert torch.allclose(training.context.objective.teacher.losses(output, raw, batch), expected)
    labels = training.data.own_labels("quora")
    assert labels is not None
    assert len(labels) == 24
    run = train(student(tiny_encoder, teacher, tasks=tasks), tmp_path / "whole")
    assert run.record["data"][str(tmp_path / PAIRS)]["rows"] == 6


@pytest.mark.slow
def test_a_dry_run_counts_the_time_of_the_teachers(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    assert estimate(student(tiny_encoder, teacher)).teacher_minutes > 0
    assert estimate(tiny_config(tiny_encoder)).teacher_minutes == 0
    one_step = {"order": "round-robin", "steps_per_epoch": 1, "epochs": 1}  # of one task
    assert estimate(student(tiny_encoder, teacher, sampling=one_step)).teacher_minutes > 0
    run = train(student(tiny_encoder, teacher, sampling=one_step), tmp_path / "run")
    assert run.record.steps is not None
    assert run.record.steps.taken == 1


def faults(config: Config, run: Path) -> str:
    with pytest.raises(BertramError) as refused:
        train(config, run)
    assert not (run / "record.json").exists()
    return str(refused.value)


@pytest.mark.slow
def test_bad_teachers_are_named_before_training(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    assert "nowhere" in faults(student(tiny_encoder, tmp_path / "nowhere"), tmp_path / "a")
    three = {"labels": ["0", "1", "2", "3"], "label_names": []}
    said = faults(student(tiny_encoder, teacher, tasks={"sst": three}, allow_rejects=True), tmp_path / "b")
    assert said == f"teacher {teacher}: sst has other labels or another range there"
    said = faults(student(tiny_encoder, teacher, tasks={"sts": {"text_normalization": "plain"}}), tmp_path / "c")
    assert "text_normalization = course there, plain here" in said
    mood = SST.model_copy(update={"name": "mood", "max_train_samples": 24})
    only = options.change(student(tiny_encoder, teacher), tasks={"mood": mood})
    assert f"teacher {teacher} was trained on none of the tasks mood" in faults(only, tmp_path / "d")
    both = options.change(student(tiny_encoder, teacher), tasks={"mood": mood, "sst": SST})
    assert faults(both, tmp_path / "e") == "distill.teachers: no teacher was trained on mood"


@pytest.mark.slow
def test_a_task_that_a_teacher_did_not_learn_has_no_teacher(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    half = train(tiny_config(tiny_encoder, seed=7, tasks={"sts": {"trained": False}}), tmp_path / "half").path
    said = faults(student(tiny_encoder, half), tmp_path / "a")
    assert said == "distill.teachers: no teacher was trained on sts"
    together = ensemble([half, teacher], tmp_path / "two").path  # the first member's head would halve what is said
    assert faults(student(tiny_encoder, together), tmp_path / "b") == said
    both = begin_training(student(tiny_encoder, half, teacher)).teachers
    assert [fact.tasks for fact in both.facts] == [["sst", "quora"], ["sst", "quora", "sts"]]


@pytest.mark.slow
def test_a_teacher_that_may_have_been_trained_on_dev_rows_is_refused(
    tiny_encoder: Path, teacher: Path, wide_teacher: Path, tmp_path: Path
) -> None:
    own_dev = {"files": {**SST.files.model_dump(), "dev": None}}
    plain = tiny_config(tiny_encoder, tasks={"sst": own_dev})
    held_out = begin_training(plain).data.held_out
    copy = tmp_path / "teacher"
    shutil.copytree(teacher, copy)
    taught_by_copy = student(tiny_encoder, copy, tasks={"sst": own_dev})
    with pytest.raises(ConfigError, match=r"held out other dev rows of sst than this run, .*--split\.same_as"):
        begin_training(taught_by_copy)
    write_held_out(Run(copy), held_out)
    assert begin_training(taught_by_copy).data.held_out == held_out
    with pytest.raises(ConfigError, match="held out other dev rows of sst"):
        begin_training(options.change(taught_by_copy, split={"seed": 1}))
    on_train = {"sst": {"files": {**SST.files.model_dump(), "dev": SST.files.train}}}
    twice = ensemble([ensemble([teacher, wide_teacher], tmp_path / "two").path, copy], tmp_path / "three").path
    for taught_by in (teacher, twice):  # a merged run was trained on all that its members were
        with pytest.raises(ConfigError, match=r"was trained on ids-sst-train\.csv, the dev file of sst"):
            begin_training(student(tiny_encoder, taught_by, tasks=on_train))
    with pytest.raises(ConfigError, match="a teacher has seen rows of the folds"):
        make_jobs(student(tiny_encoder, teacher), 2, tmp_path)


@pytest.mark.parametrize("in_student", [True, False])
def test_a_teacher_reads_marked_targets_where_its_student_does(in_student: bool) -> None:
    plain = STS.model_copy(update={"encoding": "bi", "head": "features"})
    marked = plain.model_copy(update={"pooling": "target"})
    own, taught = (marked, plain) if in_student else (plain, marked)
    texts = ["marked targets", "whole texts"][:: 1 if in_student else -1]
    assert space_faults("run", {"sts": own}, {"sts": taught}) == [
        f"teacher run: sts reads {texts[1]} there, and {texts[0]} here"
    ]


def test_bad_unlabelled_rows_are_named_before_training(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    tasks = pairs_task(tmp_path, ["a\tb", "c\td"])
    with pytest.raises(ConfigError, match=r"tasks\.quora\.unlabelled: only teachers can label these rows"):
        tiny_config(tiny_encoder, tasks=tasks)
    tasks["quora"]["trained"] = False
    with pytest.raises(ConfigError, match=r"tasks\.quora\.unlabelled: the task is not trained"):
        student(tiny_encoder, teacher, tasks=tasks)
    dev = read_rows(QUORA, "sample", "dev").texts[3]
    tasks = pairs_task(tmp_path, ["a\tb", f"{dev[1].upper()}\t{dev[0]}!"])
    said = faults(student(tiny_encoder, teacher, tasks=tasks), tmp_path / "run")
    assert "1 of its rows are rows of dev, the first in line 3; tasks.quora.unlabelled must not hold" in said


@pytest.mark.slow
def test_the_command_takes_teachers_and_the_options_of_train(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(options.to_toml(tiny_config(tiny_encoder)))
    words = ["--config", tmp_path / "tiny.toml", "--out", tmp_path / "run"]
    code, out, err = call("distill", teacher, *words, "--distill.gold_weight", "0,0.5")
    assert code == 0, err
    assert "rows of quora" in err
    config = json.loads((tmp_path / "run" / "record.json").read_text())["config"]
    assert config["distill"] == {"teachers": [str(teacher)], "gold_weight": [0.0, 0.5], "temperature": 1.0}
    code, out, _ = call("distill", "--resume", "--out", tmp_path / "run")
    assert code == 0
    assert "already finished" in out


def test_a_command_without_a_teacher_trains_nothing(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(options.to_toml(tiny_config(tiny_encoder)))
    out = ("--out", tmp_path / "run")
    for words in ((), ("--config", tmp_path / "tiny.toml")):
        code, _, err = call("distill", *words, *out)
        assert (code, err) == (1, "bertram: name a teacher: bertram distill TEACHER --out RUN\n")
    code, _, err = call("distill", "--distill.temperature", "2", "runs/a", *out)
    assert code == 1
    assert "unexpected argument 'runs/a'" in err
    assert "teachers come first: bertram distill TEACHER --out RUN" in err
    assert not (tmp_path / "run").exists()


def test_a_teacher_named_twice_and_a_file_for_outputs_are_refused(
    tiny_encoder: Path, teacher: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(teacher)
    (tmp_path / "file").write_text("")
    outputs = str(tmp_path / "file" / "outputs")
    config = student(tiny_encoder, teacher, link, distill={"outputs": outputs})
    with pytest.raises(ConfigError) as error:
        read_teachers(config, "fp32", torch.device("cpu"))
    assert error.value.problems == [
        f"distill.outputs: {tmp_path / 'file'} is a file; name a directory",
        f"distill.teachers: {link} is the same model as {teacher}",
    ]


def test_outputs_that_two_students_write_at_once_are_all_kept(
    tiny_encoder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second student wants to write between the first one's reading and writing of the same file."""
    training = begin_training(student(tiny_encoder, teacher))
    examples, trained = training.data.dev["sst"], training.teachers.trained

    def outputs_of(name: str, row: int) -> torch.Tensor:
        kept = KeptOutputs(tmp_path / name, tmp_path, batch_size=64, precision="fp32", say=lambda _: None)
        return kept.mean(trained, examples, torch.arange(len(examples)) == row).outputs

    really, second = write_bytes, Thread(target=outputs_of, args=("second", 5))

    def interrupted(path: Path, content: bytes) -> None:
        monkeypatch.setattr(kept_outputs, "write_bytes", really)
        second.start()
        second.join(0.2)
        really(path, content)

    monkeypatch.setattr(kept_outputs, "write_bytes", interrupted)
    outputs_of("first", 3)
    second.join()
    outputs = outputs_of("first", 3)
    assert [bool(outputs[row].isfinite().all()) for row in (0, 1, 3, 5)] == [True, False, True, True]


def test_damaged_outputs_are_named_with_their_remedy(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    training = begin_training(student(tiny_encoder, teacher))
    trained, examples = training.teachers.trained, training.data.dev["sst"]
    kept = KeptOutputs(tmp_path, tmp_path, batch_size=64, precision="fp32", say=lambda _: None)
    outputs = kept.mean(trained, examples).outputs
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(RunError, match=f"{file.name}.*; delete it, and its outputs are computed again"):
        kept.mean(trained, examples)
    file.unlink()
    assert torch.equal(kept.mean(trained, examples).outputs, outputs)


def test_outputs_that_were_lost_are_no_targets(
    tiny_encoder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = begin_training(student(tiny_encoder, teacher))
    kept = KeptOutputs(tmp_path, tmp_path, batch_size=64, precision="fp32", say=lambda _: None)
    lost = {"outputs": torch.full((16, 5), torch.nan)}
    monkeypatch.setattr(kept_outputs, "read_tensors", lambda _: lost)
    with pytest.raises(RunError, match="outputs were lost while another run wrote there; continue with --resume"):
        kept.mean(training.teachers.trained, training.data.dev["sst"])


@pytest.mark.slow
def test_the_weights_of_a_student_depend_on_its_teacher(
    tiny_encoder: Path, teacher: Path, wide_teacher: Path, tmp_path: Path
) -> None:
    states = []
    for number, source in enumerate([teacher, wide_teacher]):
        training = taught(student(tiny_encoder, source), tmp_path / str(number))
        gradients, _ = step_gradients(training)
        states.append({name: g for name, g in gradients.items() if g is not None})
    assert not equal_weights(states[0], states[1])


def test_older_outputs_have_no_known_cost(tiny_encoder: Path, teacher: Path, tmp_path: Path) -> None:
    training = begin_training(student(tiny_encoder, teacher))
    trained, examples = training.teachers.trained, training.data.dev["sst"]
    kept = KeptOutputs(tmp_path, tmp_path, batch_size=64, precision="fp32", say=lambda _: None)
    outputs, seconds = kept.mean(trained, examples)
    assert bool((seconds > 0).all())
    (file,) = tmp_path.glob("*.safetensors")
    write_bytes(file, save({"outputs": outputs}))
    again = kept.mean(trained, examples)
    assert torch.equal(again.outputs, outputs)
    assert bool(again.seconds.isnan().all())
