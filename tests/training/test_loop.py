"""The loop: what runs have in common, what it does between epochs, when it stops, and what it leaves behind."""

import csv
import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.common.quick import quick_only
from tests.common.trainings import begin_training, equal_weights, fingerprint, logged_lines, tiny_config

from bertram import options
from bertram.config import Config
from bertram.errors import ConfigError, RunError, TrainingError
from bertram.model.linear import Linear
from bertram.runs.directory import create, read_predictions
from bertram.training import step, trainer
from bertram.training.display import Silent
from bertram.training.state import Training
from bertram.training.train import train
from bertram.training.trainer import Trainer
from bertram.training.writer import NoWriter, RunWriter

QUICK = {"max_eval_samples": 2}


def fitted(config: Config, out: Path) -> Training:
    """A training after its last step, whose parts can be looked at."""
    training = begin_training(config)
    with RunWriter(create(out, config), checkpoints=2) as writer:
        Trainer(training, writer, Silent()).fit()
    return training


def saved(run: Path) -> dict[str, torch.Tensor]:
    return load_file(str(run / "model" / "model.safetensors"))


# ------------------------------------------------------------------------------------------ pairs of runs


TECHNIQUES: dict[str, dict[str, Any]] = {
    "none": {},
    "SMART": {"smart": {"tasks": ["all"], "bregman": "momentum"}},
    "PCGrad": {"surgery": {"method": "pcgrad"}},
    "PCGrad after each epoch": {"surgery": {"method": "pcgrad", "frequency": "epoch"}},
    "R-Drop": {"rdrop": {"tasks": ["all"]}},
    "averaging": {"average": {"method": "tail", "tail_start": 0.1}},
    "uncertainty": {"uncertainty_weighting": True},
    "diagnostics": {"log": {"diagnostics_steps": 1}},
    "another head": {"tasks": {"sst": {"head": "mlp"}}},
}


@pytest.mark.slow
def test_switching_a_technique_on_leaves_order_and_content_of_the_batches_alone(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[Any]] = {}
    really = step.step
    for technique, changes in TECHNIQUES.items():
        seen = drawn.setdefault(technique, [])

        def watched(context: Any, batches: Any, seen: list[Any] = seen, **options: Any) -> Any:
            seen.append([(batch.task, batch.ids, batch.sequences) for batch in batches])
            return really(context, batches, **options)

        monkeypatch.setattr(trainer, "step", watched)
        sampling = {"order": "joint", "epochs": 2, "steps_per_epoch": 2}
        fitted(tiny_config(tiny_encoder, sampling=sampling, evaluation=QUICK, **changes), tmp_path / technique)
    plain = drawn.pop("none")
    assert len(plain) == 4
    after_epochs = drawn.pop("PCGrad after each epoch")
    assert [after_epochs[i] for i in (0, 1, 3, 4)] == plain  # the extra update takes the batches just seen
    assert [after_epochs[i] for i in (2, 5)] == [plain[1], plain[3]]
    assert all(found == plain for found in drawn.values())


def test_pairs_read_together_are_trained_in_both_orders_where_a_run_reads_both(tiny_encoder: Path) -> None:
    tasks = {"quora": {"encoding": "cross"}, "sts": {"encoding": "bi", "head": "cosine"}}
    one, both = (
        begin_training(tiny_config(tiny_encoder, tasks=tasks, model={"both_orders": flag})) for flag in (False, True)
    )
    for task in ("sst", "quora", "sts"):  # a single text, a pair read together, a pair read apart
        for places in (np.array([2, 1]), np.array([3, 2])):  # an even one first, and an odd one
            (plain,), (batch,) = one.batches({task: places}), both.batches({task: places})
            swapped = task == "quora" and int(places[0]) % 2 == 1
            assert plain.sequences == one.data.train[task].batch(places).sequences
            assert batch.sequences == both.data.train[task].batch(places, swapped=swapped).sequences
            assert (batch.sequences != plain.sequences) == swapped
            assert batch.ids == plain.ids


def test_a_task_of_one_batch_is_trained_in_both_orders(tiny_encoder: Path) -> None:
    tasks = {"quora": {"encoding": "cross", "max_train_samples": 8}}
    training = begin_training(tiny_config(tiny_encoder, tasks=tasks, model={"both_orders": True}))
    whole = training.data.train["quora"]
    found = set()
    for _ in range(20):
        places = training.sampler.next()["quora"]
        (batch,) = training.batches({"quora": places})
        assert sorted(places) == list(range(8))
        found.add(batch.sequences == whole.batch(places).sequences)
    assert found == {True, False}


def test_a_pair_that_is_a_batch_of_its_own_is_trained_in_both_orders(tiny_encoder: Path) -> None:
    tasks = {"quora": {"encoding": "cross"}}
    training = begin_training(tiny_config(tiny_encoder, tasks=tasks, model={"both_orders": True}))
    place = np.array([2])
    found = []
    for training.sampler.step in range(2):
        (batch,) = training.batches({"quora": place})
        found.append(batch.sequences)
    assert found[0] != found[1]


@pytest.mark.slow
def test_diagnostics_do_not_change_a_run(tiny_encoder: Path, tmp_path: Path) -> None:
    changes = {
        "smart": {"tasks": ["sst"]},
        "surgery": {"method": "pcgrad"},
        "uncertainty_weighting": True,
        "evaluation": QUICK,
    }
    without = fitted(tiny_config(tiny_encoder, **changes), tmp_path / "without")
    every_step = fitted(tiny_config(tiny_encoder, **changes, log={"diagnostics_steps": 1}), tmp_path / "with")
    assert len(logged_lines(tmp_path / "with", "conflicts")) == 6
    assert logged_lines(tmp_path / "without", "losses") == logged_lines(tmp_path / "with", "losses")
    assert equal_weights(without.model.network.state_dict(), every_step.model.network.state_dict())


# ------------------------------------------------------------------------------------------ between epochs


def test_an_epoch_without_an_update_by_surgery_is_warned_of(tiny_encoder: Path, tmp_path: Path) -> None:
    sampling = {"order": "proportional", "steps_per_epoch": 1, "epochs": 1}  # a step has the batch of one task
    surgery = {"method": "pcgrad", "frequency": "epoch"}
    fitted(tiny_config(tiny_encoder, sampling=sampling, surgery=surgery, evaluation=QUICK), tmp_path / "run")
    (line,) = logged_lines(tmp_path / "run", "warning")
    assert line["warning"] == "no update after this epoch, because not every task has had a batch yet"
    assert not logged_lines(tmp_path / "run", "epoch_surgery")


@pytest.mark.parametrize("order", quick_only({"joint"}, ["sequential", "joint", "round-robin"]))
def test_surgery_once_an_epoch_is_one_update_by_an_adam_of_its_own(
    order: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    config = tiny_config(
        tiny_encoder,
        sampling={"order": order, "epochs": 2},
        surgery={"method": "pcgrad", "frequency": "epoch"},
        smart={"tasks": ["sst"]},
        evaluation=QUICK,
    )
    training = fitted(config, tmp_path / "run")
    assert training.epoch_context is not None
    assert training.context.weighting is None
    extra = logged_lines(tmp_path / "run", "epoch_surgery")
    assert [line["step"] for line in extra] == [training.sampler.steps_per_epoch, training.sampler.total_steps]
    for line in extra:
        assert set(line["epoch_surgery"]) == {"sst", "quora", "sts"}
        assert line["epoch_surgery"]["sst"]["smart/penalty"] > 0  # penalties included
    everywhere = training.model.network.encoder.get_parameter("embedding_norm.weight")
    own, usual = training.epoch_context.optimizer, training.context.optimizer
    assert own is not usual
    assert own.state[everywhere]["step"].item() == 2
    assert usual.state[everywhere]["step"].item() == training.sampler.total_steps
    for parameter in training.model.network.heads.parameters():
        assert own.state[parameter]["step"].item() == 2


@pytest.mark.slow
def test_worst_last_trains_the_weakest_task_last(tiny_encoder: Path, tmp_path: Path) -> None:
    sampling = {"order": "worst-last", "epochs": 3}
    fitted(tiny_config(tiny_encoder, sampling=sampling, evaluation=QUICK), tmp_path / "run")
    trained = [next(iter(line["losses"])) for line in logged_lines(tmp_path / "run", "losses")]
    chosen = [line["last_task"] for line in logged_lines(tmp_path / "run", "last_task")]
    assert trained[:9] == ["sst"] * 3 + ["quora"] * 3 + ["sts"] * 3
    for epoch in (1, 2):
        last = chosen[epoch - 1]
        others = [name for name in ("sst", "quora", "sts") if name != last]
        assert trained[9 * epoch : 9 * epoch + 9] == [name for name in (*others, last) for _ in range(3)]
    assert len(chosen) == 3


def test_worst_last_compares_scores_on_one_scale(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = begin_training(tiny_config(tiny_encoder, sampling={"order": "worst-last"}))

    class Scores:
        def __init__(self, **scores: float | None) -> None:
            self.scores = scores

        def main_scores(self) -> dict[str, float | None]:
            return self.scores

    for scores, worst in (
        (Scores(sst=0.3, quora=0.6, sts=-0.2), "sst"),  # a correlation of -0.2 counts as 0.4
        (Scores(sst=0.3, quora=0.6, sts=-0.5), "sts"),
        (Scores(sst=0.3, quora=0.6, sts=None), "sts"),  # an undefined one as 0
    ):
        monkeypatch.setattr(Trainer, "predict", lambda *_, found=scores: found)
        Trainer(training, NoWriter(), Silent())._end_epoch()
        assert training.sampler.order.state_dict() == {"last": worst}


# ------------------------------------------------------------------------------------------ what is kept, when to stop


HARDLY = {"lr": 1e-12, "head_lr": 1e-12}  # so that no score is better than the first


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["best", "last"])
def test_training_stops_after_so_many_evaluations_without_a_better_score(
    keep: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    evaluation = {"eval_steps": 1, "early_stopping_patience": 2, "final_weights": keep, "max_eval_samples": 8}
    run = train(tiny_config(tiny_encoder, optimizer=HARDLY, evaluation=evaluation), tmp_path / "run")
    assert run.record["steps"]["taken"] == 3
    assert run.record["steps"]["best"] == 1
    assert [line["step"] for line in logged_lines(run.path, "dev")] == [1, 2, 3]
    assert not any("average" in caution for caution in run.record["cautions"])
    averaged = {"method": "tail", "tail_start": 0.9}
    late = tiny_config(tiny_encoder, optimizer=HARDLY, evaluation=evaluation, average=averaged)
    assert "stopped early, before its average began" in train(late, tmp_path / "late").record["cautions"][-1]


@pytest.mark.slow
def test_the_run_ends_with_the_best_weights_or_with_the_last_ones(tiny_encoder: Path, tmp_path: Path) -> None:
    def run(name: str, keep: str, epochs: int) -> Any:
        sampling = {"epochs": epochs, "steps_per_epoch": 1}
        rates, evaluation = {"lr": 3e-3, "head_lr": 3e-2}, {"final_weights": keep}
        config = tiny_config(tiny_encoder, seed=1, sampling=sampling, evaluation=evaluation, optimizer=rates)
        return train(config, tmp_path / name)

    best, last = run("best", "best", 6), run("last", "last", 6)
    scores = [line["overall"] for line in logged_lines(best.path, "overall")]
    step = best.record["steps"]["best"]
    assert scores.index(max(scores)) + 1 == step == last.record["steps"]["best"]
    assert step < 6
    assert best.record["scores"]["dev"]["overall"]["value"] == pytest.approx(max(scores))
    assert last.record["scores"]["dev"]["overall"]["value"] == pytest.approx(scores[-1])
    assert not equal_weights(saved(best.path), saved(last.path))
    until_best = run("until", "last", step)
    assert equal_weights(saved(best.path), saved(until_best.path))


@pytest.mark.slow
def test_averaged_weights_are_scored_and_saved_while_training_goes_on_with_its_own(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    sampling, quick = {"epochs": 10}, {"eval_steps": 30, "max_eval_samples": 8}
    plain = fitted(tiny_config(tiny_encoder, sampling=sampling, evaluation=quick), tmp_path / "plain")
    averaging = tiny_config(
        tiny_encoder, sampling=sampling, evaluation=quick, average={"method": "tail", "tail_start": 0.3}
    )
    averaged = fitted(averaging, tmp_path / "averaged")
    assert equal_weights(plain.model.network.state_dict(), averaged.model.network.state_dict())
    assert averaged.average.updates == 11  # after every second step from 10 to 30
    kept = saved(tmp_path / "averaged")["bert.embeddings.LayerNorm.weight"]
    weights = averaged.average.weights
    assert weights is not None
    assert torch.equal(kept, weights["encoder.embedding_norm.weight"])
    assert not torch.equal(kept, plain.model.network.encoder.get_parameter("embedding_norm.weight"))


@pytest.mark.slow
def test_an_average_takes_the_weights_once_a_step_after_all_that_a_step_does(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    config = tiny_config(
        tiny_encoder,
        sampling={"steps_per_epoch": 10, "epochs": 1},
        surgery={"method": "pcgrad", "frequency": "epoch"},
        average={"method": "tail", "tail_start": 0.99},
        evaluation=QUICK,
    )
    training = fitted(config, tmp_path / "run")
    assert training.average.updates == 1  # after step 10, the last, and the epoch's surgery
    assert training.average.weights is not None
    own = {name: p for name, p in training.model.network.named_parameters() if p.requires_grad}
    assert equal_weights(training.average.weights, own)


def test_a_training_that_blows_up_names_the_step_and_leaves_no_record(tiny_encoder: Path, tmp_path: Path) -> None:
    rates = {"lr": 1e38, "head_lr": 1e38, "max_grad_norm": 0.0}
    with pytest.raises(TrainingError, match="step 2: the loss is not finite; task sst, examples ") as failed:
        train(tiny_config(tiny_encoder, optimizer=rates), tmp_path / "run")
    assert "try a lower rate or --precision fp32" in str(failed.value)
    assert [line["step"] for line in logged_lines(tmp_path / "run", "losses")] == [1]
    assert not (tmp_path / "run" / "record.json").exists()


# ------------------------------------------------------------------------------------------ what a run leaves behind


@pytest.fixture(scope="module")
def finished(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_config(tiny_encoder), tmp_path_factory.mktemp("runs") / "run").path


def test_a_finished_run_directory_holds_what_the_design_says(finished: Path) -> None:
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert files == {
        "config.toml", "record.json", "metrics.jsonl",
        "model/model.safetensors", "model/config.json",
        "model/tokenizer.json", "model/tokenizer_config.json", "model/vocab.txt",
        "predictions/dev/sst.jsonl.gz", "predictions/dev/quora.jsonl.gz", "predictions/dev/sts.jsonl.gz",
    }  # fmt: skip


def test_the_record_has_one_form(finished: Path, tiny_encoder: Path) -> None:
    record = json.loads((finished / "record.json").read_text())
    metrics = {"sst": {"accuracy", "f1"}, "quora": {"accuracy", "f1"}, "sts": {"pearson", "spearman"}}
    for split, n in (("dev", 16), ("train", 24)):
        scores = record["scores"][split]
        assert set(scores) == {*metrics, "overall", "overall_plain"}
        for task, names in metrics.items():
            assert names <= set(scores[task])
            for score in scores[task].values():
                low, high = score["ci95"]
                assert low <= score["value"] <= high
                assert score["n"] == n
        sst, quora, sts = (scores["sst"]["accuracy"], scores["quora"]["accuracy"], scores["sts"]["pearson"])
        mean = (sst["value"] + quora["value"] + (sts["value"] + 1) / 2) / 3
        assert scores["overall"]["value"] == pytest.approx(mean)
        plain = (sst["value"] + quora["value"] + sts["value"]) / 3
        assert scores["overall_plain"]["value"] == pytest.approx(plain)
    config = tiny_config(tiny_encoder)
    assert record["config"] == options.dump(config)
    assert record["config_hash"] == options.digest(config)
    assert record["seed"] == 0
    assert record["steps"]["taken"] == 6
    assert record["steps"]["per_epoch"] == 3
    assert record["examples_seen"] == {"sst": 48, "quora": 48, "sts": 48}
    assert record["precision"] == "fp32"
    assert record["processes"] == 1
    assert set(record["data"]) == {f"{f}-{s}.csv" for f in ("ids-sst", "quora", "sts") for s in ("train", "dev")}
    assert all(len(facts["sha256"]) == 64 for facts in record["data"].values())
    assert {"provenance", "seconds", "peak_memory_mib", "baselines", "truncated"} <= set(record)
    assert set(record["provenance"]) == {"versions", "host", "git_commit", "finished"}


def test_predictions_hold_no_text_and_no_gold_label(finished: Path) -> None:
    for task, fields in (("sst", {"probabilities"}), ("quora", {"probabilities"}), ("sts", set())):
        lines = read_predictions(finished / "predictions" / "dev" / f"{task}.jsonl.gz")
        assert len(lines) == 16
        assert len({line["id"] for line in lines}) == 16
        for line in lines:
            assert set(line) == {"id", "value", *fields}
            assert isinstance(line["value"], int if fields else float)
            assert all(isinstance(p, float) for p in line.get("probabilities", []))


def own_tasks(encoder: Path, directory: Path, scores: list[float]) -> Config:
    """A training on one own score task whose dev labels are given."""
    directory.mkdir(exist_ok=True)
    rows = [f"{i}\ta film of {i} hours\t{i / 10}" for i in range(10)]
    (directory / "train.tsv").write_text("\n".join(["id\ttext\trating", *rows]) + "\n")
    rows = [f"{i}\ta play of {i} acts\t{score}" for i, score in enumerate(scores)]
    (directory / "dev.tsv").write_text("\n".join(["id\ttext\trating", *rows]) + "\n")
    files = {"train": "train.tsv", "dev": "dev.tsv", "texts": ["text"], "label": "rating", "id": "id"}
    values = options.dump(tiny_config(encoder, sampling={"epochs": 1}, evaluation={"max_eval_samples": 1000}))
    return options.make(values | {"data": str(directory), "tasks": {"rating": {"kind": "score", "files": files}}})


def test_an_undefined_score_is_null_with_a_reason(tiny_encoder: Path, tmp_path: Path) -> None:
    run = train(own_tasks(tiny_encoder, tmp_path / "data", [0.5, 0.5, 0.5]), tmp_path / "run")
    for name in ("pearson", "spearman"):
        score = run.record["scores"]["dev"]["rating"][name]
        assert score["value"] is None
        assert score["ci95"] is None
        assert "constant" in score["undefined"]
    assert run.record["scores"]["dev"]["overall"]["value"] is None
    assert run.record["scores"]["dev"]["overall"]["undefined"] == "rating has no pearson"
    assert run.record["scores"]["train"]["rating"]["pearson"]["value"] is not None
    assert [line["overall"] for line in logged_lines(run.path, "overall")] == [
        0.0
    ]  # counts as 0 where weights are chosen
    assert [line["dev"] for line in logged_lines(run.path, "dev")] == [{"rating": None}]


# ------------------------------------------------------------------------------------------ resuming what does not fit


@pytest.mark.slow
def test_a_run_is_not_resumed_with_other_settings(tiny_encoder: Path, finished: Path, tmp_path: Path) -> None:
    create(tmp_path / "run", tiny_config(tiny_encoder))
    with pytest.raises(RunError, match="was started with other settings"):
        train(tiny_config(tiny_encoder, seed=1), tmp_path / "run", resume=True)
    how_often_it_is_saved = tiny_config(tiny_encoder, checkpoint={"save_minutes": 1.0}, log={"logging_steps": 2})
    assert train(how_often_it_is_saved, tmp_path / "run", resume=True).finished


@pytest.mark.slow
def test_a_finished_run_of_other_settings_is_not_taken_for_this_one(tiny_encoder: Path, tmp_path: Path) -> None:
    train(tiny_config(tiny_encoder, evaluation=QUICK), tmp_path / "run")
    with pytest.raises(RunError, match="was started with other settings"):
        train(tiny_config(tiny_encoder, evaluation=QUICK, seed=1), tmp_path / "run", resume=True)


def test_what_is_shown_ends_with_an_interrupted_training(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(Silent):
        ended = 0

        def end(self) -> None:
            Seen.ended += 1

    monkeypatch.setattr(Trainer, "_evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(tiny_encoder), tmp_path / "run", display=Seen())
    assert Seen.ended == 1


def test_a_run_goes_on_in_the_precision_it_began_with_its_teacher_too(tiny_encoder: Path) -> None:
    config = tiny_config(tiny_encoder, smart={"tasks": ["sst"], "bregman": "momentum"})
    first, other = begin_training(config), begin_training(options.change(config, precision="bf16"))
    other.load_state_dict(first.state_dict())
    proximal = other.context.objective.proximal
    assert proximal is not None
    linear = [
        one for net in (other.model.network, proximal.teacher) for one in net.modules() if isinstance(one, Linear)
    ]
    assert {one.precision for one in linear} == {other.precision} == {"fp32"}


def test_a_run_is_not_resumed_on_another_kind_of_device(tiny_encoder: Path) -> None:
    state = begin_training(tiny_config(tiny_encoder)).state_dict()
    with pytest.raises(RunError, match=r"this run was started on cuda .* on cpu; resume it on cuda"):
        begin_training(tiny_config(tiny_encoder)).load_state_dict({**state, "device": "cuda"})


@pytest.mark.slow
def test_a_run_whose_data_have_changed_is_not_resumed(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = own_tasks(tiny_encoder, tmp_path / "data", [0.1, 0.5, 0.3])
    config = options.change(config, checkpoint={"save_minutes": 1e-9})
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run")
    own_tasks(tiny_encoder, tmp_path / "data", [0.1, 0.5, 0.4])
    with pytest.raises(RunError, match=r"the data have changed since the run began: dev\.tsv"):
        train(config, tmp_path / "run", resume=True)
    own_tasks(tiny_encoder, tmp_path / "data", [0.1, 0.5, 0.3])
    assert train(config, tmp_path / "run", resume=True).finished


@pytest.mark.slow
def test_the_same_configuration_gives_the_same_run(tiny_encoder: Path, finished: Path, tmp_path: Path) -> None:
    assert fingerprint(train(tiny_config(tiny_encoder), tmp_path / "again").path) == fingerprint(finished)
    other = fingerprint(train(tiny_config(tiny_encoder, seed=1), tmp_path / "other").path)
    assert other["weights"] != fingerprint(finished)["weights"]


def test_further_rows_are_trained_on_but_neither_scored_nor_counted_as_the_task_s_labels(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    further = tmp_path / "further.tsv"
    further.write_text("phrase\tlabel\n" + "so so\t2\n" * 200)
    extra = {"file": str(further), "texts": ["phrase"], "label": "label"}
    data = begin_training(tiny_config(tiny_encoder, tasks={"sst": {"extra": extra}})).data
    assert (len(data.train["sst"]), data.own["sst"], len(data.train_sample["sst"])) == (224, 24, 24)
    labels = data.own_labels("sst")
    assert labels is not None
    assert len(labels) == 24


# ------------------------------------------------------------------------------------------ the caller's process


@pytest.mark.slow
def test_a_training_leaves_the_threads_and_random_numbers_of_its_caller_alone(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - a caller may use it
    torch.manual_seed(1)
    before = torch.get_num_threads()

    def state() -> list[Any]:
        numpy_state = str(np.random.get_state())  # noqa: NPY002 - a caller may use it
        return [random.getstate(), numpy_state, torch.get_rng_state().tolist(), torch.get_num_threads()]

    try:
        torch.set_num_threads(2)
        expected = state()
        train(tiny_config(tiny_encoder, evaluation=QUICK), tmp_path / "run")  # with one thread
        assert state() == expected
        with pytest.raises(ConfigError):
            train(tiny_config(tiny_encoder, model={"max_length": 128}), tmp_path / "refused")
        assert state() == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_a_run_does_not_depend_on_the_random_numbers_of_its_caller(
    tiny_encoder: Path, finished: Path, tmp_path: Path
) -> None:
    torch.manual_seed(77)
    assert fingerprint(train(tiny_config(tiny_encoder), tmp_path / "run").path) == fingerprint(finished)


def test_a_training_reads_each_data_file_once(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "data"
    config = own_tasks(tiny_encoder, directory, [0.1, 0.5, 0.3])
    (directory / "more.tsv").write_text("phrase\tlabel\n" + "so so\t0.5\n" * 9)
    extra = {"file": "more.tsv", "texts": ["phrase"], "label": "label"}
    config = options.change(config, tasks={"rating": {"extra": extra}})
    opened: list[str] = []
    really = io.open

    def watched(file: Any, *given: Any, **more: Any) -> Any:
        if str(file).startswith(str(directory)):
            opened.append(Path(file).name)
        return really(file, *given, **more)

    monkeypatch.setattr(io, "open", watched)
    run = train(config, tmp_path / "run")
    assert sorted(opened) == ["dev.tsv", "more.tsv", "train.tsv"]
    for name, file in run.record["data"].items():
        assert file["sha256"] == hashlib.sha256((directory / name).read_bytes()).hexdigest()


def test_a_training_on_long_texts_leaves_the_limit_of_the_csv_module_alone(tiny_encoder: Path, tmp_path: Path) -> None:
    config = own_tasks(tiny_encoder, tmp_path / "data", [0.1, 0.5, 0.3])
    with (tmp_path / "data" / "train.tsv").open("a") as file:
        file.write('x\t"' + "word " * 40_000 + '"\t0.5\n')
    before = csv.field_size_limit()
    run = train(config, tmp_path / "run")
    assert run.record["data"]["train.tsv"]["rows"] == 11
    assert csv.field_size_limit() == before == 131_072
