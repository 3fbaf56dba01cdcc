"""The losses and their penalties, for every kind of task, head and encoding; and what is refused beforehand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common import child_processes
from tests.common.quick import quick_only
from tests.common.trainings import NO_DROPOUT, begin_training, copy_weights, equal_weights, take_steps, tiny_config

from bertram import options, smart
from bertram.errors import ConfigError
from bertram.tasks import QUORA, SST, STS, Task
from bertram.training.objective import LOWEST_LOG_VARIANCE
from bertram.training.smart_losses import smart_settings
from bertram.training.state import Training
from bertram.training.step import packed_gradients

METHODS = ("type", "keys", "values")  # of ModuleDict and ParameterDict
EVERY_OUTPUT: dict[str, tuple[Task, dict[str, Any]]] = {  # each kind, loss, head and encoding, as tasks of one training
    "classes": (SST, {}),
    "classes-mlp": (SST, {"head": "mlp"}),
    "ordinal": (SST, {"loss": "coral"}),
    "yes-cross": (QUORA, {}),
    "yes-features": (QUORA, {"encoding": "bi", "head": "features"}),
    "yes-cosine": (QUORA, {"encoding": "bi", "head": "cosine"}),
    "yes-embedding": (QUORA, {"encoding": "bi", "head": "cosine", "loss": "cosine-embedding"}),
    "score-cross": (STS, {}),
    "score-dot": (STS, {"encoding": "bi", "head": "dot"}),
    "score-euclidean": (STS, {"encoding": "bi", "head": "euclidean"}),
    "score-manhattan": (STS, {"encoding": "bi", "head": "manhattan"}),
    "score-share": (STS, {"loss": "binary-cross-entropy"}),
    "score-cosine": (STS, {"encoding": "bi", "head": "cosine", "loss": "cosine-mse"}),
}


def every_output() -> dict[str, Task]:
    return {
        name: Task.model_validate(task.model_dump() | changes | {"max_train_samples": 8})
        for name, (task, changes) in EVERY_OUTPUT.items()
    }


def config_of_every_output(encoder: Path, **changes: Any) -> Any:
    return options.make(options.dump(tiny_config(encoder, **changes)) | {"tasks": every_output()})


def first_batches(training: Training) -> list[Any]:
    return training.batches({name: torch.arange(4).numpy() for name in training.data.train})


def test_a_run_has_the_defaults_of_the_library(tiny_encoder: Path) -> None:
    assert smart_settings(tiny_config(tiny_encoder)) == smart.Settings()


@pytest.mark.parametrize("dropout", quick_only({"same"}, ["same", "off", "independent"]))
def test_smart_has_a_penalty_for_every_kind_of_output(dropout: str, tiny_encoder: Path) -> None:
    changes = {"smart": {"tasks": ["all"], "dropout_masks": dropout, "radius": 0.5, "noise_std": 0.1, "step_size": 0.5}}
    training = begin_training(config_of_every_output(tiny_encoder, **changes))
    found = training.context.objective(first_batches(training), None)
    radius = training.context.objective.of_task["classes"].settings.radius  # type: ignore[attr-defined]
    for loss in found:
        assert loss.penalty is not None, loss.batch.task
        assert loss.penalty.item() > 1e-9, loss.batch.task
        assert 0 < float(loss.figures["smart/radius"]) <= radius
        if dropout == "same":
            (gradient,) = torch.autograd.grad(
                loss.penalty, [training.model.network.encoder.word_embeddings], retain_graph=True
            )
            assert float(gradient.abs().max()) > 0, loss.batch.task


@pytest.mark.parametrize("technique", ["smart", "rdrop"])
def test_a_task_s_penalty_does_not_depend_on_the_tasks_packed_with_it(
    technique: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_processes.fix_noise(monkeypatch.setattr)
    training = begin_training(config_of_every_output(tiny_encoder, model=NO_DROPOUT, **{technique: {"tasks": ["all"]}}))
    objective, batches = training.context.objective, first_batches(training)
    for loss in objective(batches, None):
        (alone,) = objective([loss.batch], None)
        assert loss.penalty is not None
        assert alone.penalty is not None
        torch.testing.assert_close(alone.loss, loss.loss)
        torch.testing.assert_close(alone.penalty, loss.penalty, rtol=1e-3, atol=1e-10)


@pytest.mark.slow
def test_rdrop_compares_two_masks_and_nothing_where_there_is_no_dropout(tiny_encoder: Path) -> None:
    training = begin_training(config_of_every_output(tiny_encoder, model=NO_DROPOUT, rdrop={"tasks": ["all"]}))
    for loss in training.context.objective(first_batches(training), None):
        assert loss.penalty is not None
        assert loss.penalty.item() == pytest.approx(0.0, abs=1e-10)
    training = begin_training(config_of_every_output(tiny_encoder, rdrop={"tasks": ["all"], "alpha": 3.0}))
    for loss in training.context.objective(first_batches(training), None):
        assert loss.penalty is not None
        assert loss.penalty.item() > 0, loss.batch.task
        torch.testing.assert_close(loss.penalty, 3.0 / 4 * loss.figures["rdrop/divergence"])


def test_bregman_holds_the_model_at_its_teacher(tiny_encoder: Path) -> None:
    smart = {"tasks": ["all"], "weight": 0.0, "bregman": "momentum", "bregman_weight": 2.0}
    training = begin_training(config_of_every_output(tiny_encoder, model=NO_DROPOUT, smart=smart))
    batches = first_batches(training)
    for loss in training.context.objective(batches, None):
        assert float(loss.figures["bregman/penalty"]) == pytest.approx(0.0, abs=1e-10)  # the teacher is the model
    with torch.no_grad():
        for parameter in training.model.network.parameters():
            parameter.mul_(1.1)
    moved = training.context.objective(batches, None)
    assert all(float(loss.figures["bregman/penalty"]) > 0 for loss in moved)
    for loss in moved:
        assert loss.penalty is not None
        assert torch.equal(loss.total, loss.loss + loss.penalty)
    training.context.objective.after_update()
    for closer, loss in zip(training.context.objective(batches, None), moved, strict=True):
        assert float(closer.figures["bregman/penalty"]) < float(loss.figures["bregman/penalty"])


@pytest.mark.parametrize("tasks", [["sst"], ["all"]])
@pytest.mark.parametrize("order", quick_only({"joint"}, ["joint", "sequential"]))
def test_smart_of_weight_0_is_bit_identical_to_no_smart(tasks: list[str], order: str, tiny_encoder: Path) -> None:
    sampling = {"order": order}
    plain = begin_training(tiny_config(tiny_encoder, sampling=sampling))
    idle = begin_training(tiny_config(tiny_encoder, sampling=sampling, smart={"tasks": tasks, "weight": 0.0}))
    take_steps(plain, 4)
    take_steps(idle, 4)
    assert equal_weights(copy_weights(plain), copy_weights(idle))


@pytest.mark.parametrize("dropout", quick_only({"off"}, ["same", "off", "independent"]))
def test_smart_changes_the_training_and_its_own_noise_only(dropout: str, tiny_encoder: Path) -> None:
    plain = begin_training(tiny_config(tiny_encoder))
    smart = begin_training(tiny_config(tiny_encoder, smart={"tasks": ["all"], "dropout_masks": dropout, "radius": 0.5}))
    noise = smart.generators.noise.get_state()
    take_steps(plain, 2)
    take_steps(smart, 2)
    assert not equal_weights(copy_weights(plain), copy_weights(smart))
    assert not torch.equal(smart.generators.noise.get_state(), noise)
    masks_are_the_same = torch.equal(plain.generators.dropout.get_state(), smart.generators.dropout.get_state())
    assert masks_are_the_same == (dropout == "same")


def test_the_variant_of_the_public_package_trains(tiny_encoder: Path) -> None:
    smart = {"tasks": ["sst"], "variant": "smart-pytorch", "unit": "absolute", "radius": 1e-6, "noise_std": 0.01,
             "step_size": 1e-3}  # fmt: skip
    training = begin_training(tiny_config(tiny_encoder, smart=smart))
    (report,) = take_steps(training, 1)
    assert report.losses["sst"]["smart/penalty"] > 0
    assert report.losses["sst"]["smart/radius"] == pytest.approx(
        1.0, rel=1e-3
    )  # the offset is as large as its infinity norm


@pytest.mark.slow
def test_the_public_package_s_penalty_is_a_sum_over_the_batch_in_however_many_parts(tiny_encoder: Path) -> None:
    smart = {"tasks": ["sst"], "variant": "smart-pytorch", "unit": "absolute", "radius": 1e-6, "noise_std": 0.01,
             "step_size": 1e-3}  # fmt: skip
    found = []
    for parts in (1, 4):
        training = begin_training(
            tiny_config(tiny_encoder, model=NO_DROPOUT, smart=smart, sampling={"gradient_accumulation_steps": parts})
        )
        found.append(take_steps(training, 1)[0].losses["sst"]["smart/penalty"])
    assert found[1] == pytest.approx(found[0], rel=0.5)  # the random starts differ; a mean would be a quarter


# ------------------------------------------------------------------------------------------ learned task weights


def test_uncertainty_weighs_losses_as_kendall_et_al_do(tiny_encoder: Path) -> None:
    training = begin_training(
        tiny_config(tiny_encoder, model=NO_DROPOUT, uncertainty_weighting=True, tasks={"sst": {"weight": 3.0}})
    )
    objective = training.context.objective
    assert objective.log_variances is not None
    with torch.no_grad():
        for number, task in enumerate(("sst", "quora", "sts")):
            objective.log_variances[task].fill_(number - 0.5)
    sst, quora, sts = objective(training.batches(training.sampler.next()), None)
    for loss, s, half, factor in ((sst, -0.5, 1.0, 3.0), (quora, 0.5, 1.0, 1.0), (sts, 1.5, 0.5, 1.0)):
        expected = factor * (half * math.exp(-s) * loss.loss.item() + s / 2)
        assert objective.weighted(loss).item() == pytest.approx(expected, rel=1e-5)


def test_tasks_may_have_the_names_of_methods(tiny_encoder: Path) -> None:
    """PyTorch's containers keep their entries as attributes, and refuse such names."""
    tasks = {
        name: task.model_copy(update={"max_train_samples": 8})
        for name, task in zip(METHODS, (SST, QUORA, STS), strict=True)
    }
    config = options.make(options.dump(tiny_config(tiny_encoder, uncertainty_weighting=True)) | {"tasks": tasks})
    first, second = begin_training(config), begin_training(config)
    take_steps(first, 2)
    second.model.network.load_state_dict(copy_weights(first))
    second.context.objective.load_state_dict(first.context.objective.state_dict())
    moved, loaded = (
        {name: s.item() for name, s in (training.context.objective.log_variances or {}).items()}
        for training in (first, second)
    )
    assert moved == loaded
    assert list(moved) == list(METHODS)
    assert all(moved.values())


def test_log_variances_move_outside_the_surgery_and_without_decay(tiny_encoder: Path) -> None:
    config = tiny_config(
        tiny_encoder, uncertainty_weighting=True, surgery={"method": "pcgrad"}, optimizer={"weight_decay": 0.5}
    )
    training = begin_training(config)
    scalars = training.context.objective.log_variances
    assert scalars is not None
    groups = [group for group in training.context.optimizer.param_groups for p in group["params"] if p.ndim == 0]
    assert [group["weight_decay"] for group in groups] == [0.0] * 3
    gradients = packed_gradients(training.context, training.batches({"sst": torch.arange(8).numpy()}), None)
    of_scalar = gradients.own["log_variances.sst"]
    assert of_scalar is not None
    assert float(of_scalar) == pytest.approx(0.5 - gradients.losses["sst"]["loss"], rel=1e-5)  # of e^(-s)L + s/2 at 0
    take_steps(training, 3)
    assert all(s.item() != 0 for s in scalars.values())


def test_a_log_variance_stops_at_its_bound_and_comes_back(tiny_encoder: Path) -> None:
    training = begin_training(
        tiny_config(tiny_encoder, uncertainty_weighting=True, optimizer={"head_lr": 0.5, "max_grad_norm": 0.0})
    )
    scalars = training.context.objective.log_variances
    assert scalars is not None
    s = scalars["sts"]
    with torch.no_grad():
        s.fill_(LOWEST_LOG_VARIANCE + 0.1)
    state = training.context.optimizer.state[s]
    state |= {"step": torch.tensor(1.0), "m": torch.tensor(1e3), "v": torch.tensor(1.0)}  # a run of small losses
    take_steps(training, 1)
    assert s.item() == LOWEST_LOG_VARIANCE
    state["m"].zero_()
    state["v"].zero_()
    take_steps(training, 1)  # its loss is large: e^4 · L pushes it up again
    assert s.item() > LOWEST_LOG_VARIANCE


# ------------------------------------------------------------------------------------------ what cannot work


def test_combinations_that_cannot_work_are_refused_together(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        tiny_config(
            tiny_encoder,
            tasks={"sts": {"trained": False}, "quora": {"encoding": "bi", "head": "cosine"}},
            sampling={"order": "sequential"},
            surgery={"method": "pcgrad"},
            smart={
                "tasks": ["sts", "quora"],
                "radius": 0.0,
                "variant": "smart-pytorch",
                "bregman": "vanilla",
                "bregman_update_steps": 1,
            },
        )
    problems = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 5
    assert "smart.radius = 0.0" in problems
    assert "smart.tasks: 'sts' is not a trained task; choose from sst, quora" in problems
    assert "smart.bregman_update_steps" in problems
    assert "--smart.bregman momentum" in problems
    assert "smart.variant: the divergence of smart-pytorch is always 0 for quora" in problems
    assert "use --sampling.order joint or --surgery.frequency epoch" in problems


@pytest.mark.parametrize(
    ("method", "explanation"),
    [
        ("graddrop", "it looks at every coordinate of the gradients"),
        ("cr-mogm", "it only smooths the weights of another rule"),
        ("pcgard", "did you mean pcgrad?"),
    ],
)
def test_a_surgery_that_cannot_work_is_refused_with_the_other_faults(
    method: str, explanation: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"surgery\.method") as refused:
        tiny_config(
            tmp_path / "no encoder", surgery={"method": method, "frequency": "step"}, sampling={"order": "rotating"}
        )
    assert len(refused.value.problems) == 2
    assert explanation in str(refused.value)


def test_a_surgery_that_needs_more_tasks_is_refused_before_the_start(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError, match=r"surgery\.method: .*at least 3 rows"):
        begin_training(tiny_config(tiny_encoder, tasks={"sts": {"trained": False}}, surgery={"method": "krum"}))


def test_a_main_task_may_be_left_in_a_configuration_that_does_not_use_it(tiny_encoder: Path) -> None:
    assert (
        begin_training(tiny_config(tiny_encoder, surgery={"method": "pcgrad", "main_task": "sts"})).context.weighting
        is not None
    )


def test_a_surgery_whose_package_is_missing_says_how_to_get_it(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchjd.aggregation", None)
    with pytest.raises(ConfigError, match=r"surgery.method.*pip install 'bertram\[surgery\]'"):
        begin_training(tiny_config(tiny_encoder, surgery={"method": "upgrad"}))


def test_surgery_needs_something_shared_and_two_tasks(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        tiny_config(
            tiny_encoder,
            tasks={"sts": {"trained": False}, "quora": {"trained": False}},
            model={"freeze_encoder": True},
            surgery={"method": "asymmetric", "main_task": "sts"},
            smart={"tasks": ["all"]},
            rdrop={"tasks": ["sst"]},
        )
    problems = "\n".join(refused.value.problems)
    assert "surgery needs at least two trained tasks" in problems
    assert "surgery.method: a frozen encoder has no gradients to combine" in problems
    assert "smart.tasks: SMART has no effect on a frozen encoder" in problems
    assert "surgery.main_task: 'sts' is not a trained task; choose from sst" in problems
    assert "rdrop.tasks: SMART and R-Drop cannot apply to the same task" in problems


def test_a_head_without_weights_on_a_frozen_encoder_is_refused(tiny_encoder: Path) -> None:
    tasks = {name: {"encoding": "bi", "head": "cosine", "raw_cosine": True} for name in ("quora", "sts")}
    with pytest.raises(ConfigError) as refused:
        begin_training(tiny_config(tiny_encoder, model={"freeze_encoder": True}, tasks=tasks))
    fault = "model.freeze_encoder: the head of {} has no weights to train; use another head"
    assert refused.value.problems == [fault.format(name) for name in tasks]
    training = begin_training(
        tiny_config(tiny_encoder, model={"freeze_encoder": True}, sampling={"order": "sequential"})
    )
    before = copy_weights(training)
    take_steps(training, 1)
    moved = {name for name, value in copy_weights(training).items() if not torch.equal(value, before[name])}
    assert moved == {"heads.sst.compare.weight", "heads.sst.compare.bias"}
