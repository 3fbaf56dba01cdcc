"""Configurations: every fault at once, TOML both ways, what overrides what, and which fields there are."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertram import options, recipe
from bertram.cli.settings import resolved
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.minbert.catalogue import RECIPES
from bertram.options.command_line import pairs
from bertram.task_files import Files
from bertram.tasks import SST, STS, Task
from bertram.training.train import train

ANY = settings(deadline=None, max_examples=60)
BY_COSINE = {"encoding": "bi", "head": "cosine", "loss": "cosine-mse"}
OWN = {"kind": "binary", "files": {"train": "train.tsv", "dev": "dev.tsv", "texts": ["review"]}}

FIELDS = """
recipe seed data encoder precision threads device allow_rejects uncertainty_weighting
tasks.NAME.name tasks.NAME.kind tasks.NAME.labels tasks.NAME.label_names tasks.NAME.range tasks.NAME.encoding
tasks.NAME.head tasks.NAME.loss tasks.NAME.metric tasks.NAME.margin tasks.NAME.pooling
tasks.NAME.raw_cosine tasks.NAME.weight
tasks.NAME.trained tasks.NAME.max_train_samples tasks.NAME.batch_size tasks.NAME.text_normalization
tasks.NAME.label_separator tasks.NAME.absent_labels tasks.NAME.class_weights tasks.NAME.label_smoothing
tasks.NAME.temperature tasks.NAME.thresholds tasks.NAME.files.label_columns tasks.NAME.hub.label_columns
tasks.NAME.extra.label_columns tasks.NAME.files.encoding
tasks.NAME.files.quoting tasks.NAME.files.train tasks.NAME.files.dev tasks.NAME.files.test
tasks.NAME.files.targets tasks.NAME.files.texts
tasks.NAME.files.label tasks.NAME.files.decimal tasks.NAME.files.group
tasks.NAME.files.id tasks.NAME.files.repo
tasks.NAME.hub.encoding
tasks.NAME.hub.quoting tasks.NAME.hub.train tasks.NAME.hub.dev tasks.NAME.hub.test
tasks.NAME.hub.targets tasks.NAME.hub.texts
tasks.NAME.hub.label tasks.NAME.hub.decimal tasks.NAME.hub.group
tasks.NAME.hub.id tasks.NAME.hub.repo
tasks.NAME.extra.encoding
tasks.NAME.extra.quoting tasks.NAME.extra.file tasks.NAME.extra.texts tasks.NAME.extra.label tasks.NAME.extra.exclude
tasks.NAME.extra.share tasks.NAME.extra.match_labels tasks.NAME.extra.decimal
tasks.NAME.unlabelled.encoding tasks.NAME.unlabelled.quoting tasks.NAME.unlabelled.file tasks.NAME.unlabelled.texts
tasks.NAME.unlabelled.exclude tasks.NAME.unlabelled.share
distill.teachers distill.gold_weight distill.temperature distill.outputs
model.pooling model.head_dropout model.encoder_dropout model.freeze_encoder model.both_orders model.max_length
optimizer.lr optimizer.head_lr optimizer.betas optimizer.eps optimizer.weight_decay optimizer.correct_bias
optimizer.layerwise_lr_decay optimizer.warmup_ratio optimizer.lr_schedule optimizer.max_grad_norm
optimizer.embedding_update
sampling.order sampling.batch_size sampling.gradient_accumulation_steps sampling.epochs sampling.steps_per_epoch
sampling.epoch_of sampling.first_task sampling.fraction sampling.size_exponent sampling.size_cap
smart.tasks smart.weight smart.unit smart.radius smart.noise_std smart.step_size smart.ascent_steps
smart.dropout_masks smart.variant smart.bregman smart.bregman_weight smart.bregman_beta smart.bregman_update_steps
surgery.method surgery.frequency surgery.granularity surgery.main_task surgery.gradients
rdrop.tasks rdrop.alpha
average.method average.ema_decay average.tail_start
evaluation.eval_steps evaluation.batch_size evaluation.early_stopping_patience evaluation.final_weights
evaluation.max_interim_samples evaluation.max_eval_samples
split.dev_share split.seed split.keep_together split.same_as split.folds split.fold
checkpoint.save_minutes checkpoint.save_total_limit
log.logging_steps log.diagnostics_steps
"""


def problems(values: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        options.make(values)
    return refused.value.problems


def changed(**values: Any) -> dict[str, Any]:
    """The values of the usual recipe, with some changes."""
    return options.merge(options.dump(recipe("cross")), values)


def test_the_fields_are_these_and_every_change_of_them_is_meant() -> None:
    assert sorted(name for name, *_ in options.fields()) == sorted(FIELDS.split())


def test_every_field_has_a_type_and_a_default_in_words() -> None:
    known = {name: (kind, default) for name, kind, default, _ in options.fields()}
    assert known["sampling.order"][0].startswith("sequential|rotating|worst-last|joint")
    assert known["optimizer.betas"] == ("2 values, each a number >= 0, < 1", "0.9,0.999")
    assert known["model.encoder_dropout"] == ("number >= 0, < 1", "none")
    assert known["tasks.NAME.kind"] == ("class|binary|score|multi-label", "required")
    assert known["allow_rejects"] == ("true|false", "false")
    assert known["tasks.NAME.extra.exclude"] == ("table", "none")
    assert all(kind and default for kind, default in known.values())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_whole_configuration_that_toml_gives_back(name: str) -> None:
    config = recipe(name)
    text = options.to_toml(config)
    again = options.make(tomllib.loads(text))
    assert again == config
    assert options.to_toml(again) == text
    assert options.digest(again) == options.digest(config)
    assert options.overlay(config, {}, {}) == config
    assert options.overlay(recipe("cross"), tomllib.loads(text), {}) == config  # a run's config.toml, given as a file


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAME = st.from_regex(r"[A-Za-z0-9é][A-Za-z0-9é_-]{0,8}", fullmatch=True).filter(
    lambda name: "overall" not in name.lower()
)
NUMBER = st.floats(1e-12, 1e6, allow_nan=False)


@ANY
@given(
    tasks=st.dictionaries(NAME, st.tuples(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=2)), min_size=1, max_size=3),
    data=TEXT, rate=NUMBER, betas=st.tuples(*[st.floats(0, 0.99)] * 2), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_configuration_survives_toml(
    tasks: dict[str, Any], data: str, rate: float, betas: tuple[float, float], seed: int
) -> None:
    if len({name.casefold() for name in tasks}) < len(tasks):
        return
    made = {
        name: {
            **OWN,
            "files": {**OWN["files"], "label": label, "repo": repo},  # type: ignore[dict-item]
            "extra": {"file": repo, "texts": ["t"], "label": label, "exclude": exclude},
        }
        for name, (label, repo, exclude) in tasks.items()
    }
    config = options.make({"tasks": made, "data": data, "seed": seed, "optimizer": {"lr": rate, "betas": betas}})
    assert options.make(tomllib.loads(options.to_toml(config))) == config


def test_all_faults_come_at_once() -> None:
    found = problems(
        changed(
            sed=1,
            seed=-1,
            sampling={"order": "rotatng", "batch_size": 0, "cap": 5},
            optimizer={"lr": "fast", "layerwise_lr_decay": 2},
            tasks={"sst": {"loss": "mse", "hed": "mlp"}, "quora": {"head": "cosine"}, "sts": {"range": [5, 5]}},
            surgery={"method": "asymmetric"},
            smart={"tasks": ["sts"], "bregman": "vanilla", "bregman_update_steps": 1},
        )
    )
    expected = [
        "sed: unknown field; did you mean seed?",
        "seed = -1: input should be greater",
        "sampling.order = 'rotatng': input should be 'sequential', 'rotating'",
        "sampling.batch_size = 0: input should be greater",
        "optimizer.lr = 'fast': input should be a valid number",
        "optimizer.layerwise_lr_decay = 2: input should be less",
        "tasks.sst.hed: unknown field; did you mean tasks.sst.head?",
        "tasks.sst: loss 'mse' does not fit a class task; use cross-entropy or coral",
        "tasks.quora: head 'cosine' compares two texts",
        "tasks.sts: range must be [lowest, highest]",
        "sampling.size_cap: used only",
        "surgery.main_task: method asymmetric needs a main task, one of sst, quora, sts",
        "smart.bregman_update_steps: ",
    ]
    for start in expected:
        assert any(line.startswith(start) for line in found), start
    assert len(found) == len(expected)
    assert str(ConfigError(found)).splitlines()[0] == f"{len(expected)} problems:"


@pytest.mark.parametrize(
    "fault", [{"loss": "mse"}, {"kind": "clas"}, {"files": {"texts": []}}, {"extra": {"file": "x"}}]
)
def test_a_fault_of_one_task_hides_no_other(fault: dict[str, Any]) -> None:
    found = problems(changed(tasks={"sst": fault}, smart={"tasks": ["nobody"]}))
    assert len([line for line in found if line.startswith("tasks.sst")]) == len(found) - 1
    assert "smart.tasks: 'nobody' is not a trained task; choose from sst, quora, sts" in found


def test_a_field_of_several_types_is_named_without_them() -> None:
    extra = {"file": "x", "texts": ["text"], "label": "label", "share": "row"}
    lines = problems(changed(tasks={"sst": {"class_weights": ["heavy"], "extra": extra}}))
    assert len(lines) == 4
    assert sum(line.startswith("tasks.sst.class_weights") for line in lines) == 2
    assert any(line.startswith("tasks.sst.class_weights.0 = 'heavy': input should be a valid number") for line in lines)
    assert "tasks.sst.extra.0.share = 'row': input should be 'rows'" in lines


@pytest.mark.parametrize("tasks", [None, 5, [], ["sst"], {}, {"sst": 5}, {"sst": None}, {"sst": {}}, {"sst": "x"}])
def test_what_is_no_table_of_tasks_is_refused(tasks: Any) -> None:
    values = {"tasks": tasks, "seed": -1}
    found = problems(values)
    assert any(line.startswith("tasks") for line in found)
    assert any(line.startswith("seed") for line in found)
    assert any(line.startswith("tasks") for line in problems({}))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("smart.wieght", "smart.weight"),
        ("batch_size", "sampling.batch_size"),
        ("optimiser.encoder_rate", "optimizer"),
        ("modle", "model"),
        ("tasks.sst.file", "tasks.sst.files"),
        ("tasks.sst.files.lable", "tasks.sst.files.label"),
        ("sampling.lr", "optimizer.lr"),
        ("sampling.xyzzy", None),
        ("smart.pooling", "model.pooling"),
        ("smart.order", "sampling.order"),
        ("task", "tasks"),
        ("tasks.sst.max_length", "model.max_length"),
    ],
)
def test_a_misspelt_field_is_answered_with_the_nearest(name: str, near: str | None) -> None:
    found = problems(changed(**options.nest([(name, "1")])))
    assert len(found) == 1
    asked = name.split(".", maxsplit=1)[0] if near == "optimizer" else name
    assert found[0] == f"{asked}: unknown field" + (f"; did you mean {near}?" if near else "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": {"SST": options.dump(SST)}}, "task names 'sst' and 'SST' differ only in case"),
        ({"tasks": {"straße": OWN, "STRASSE": OWN}}, "task names 'straße' and 'STRASSE' differ only in case"),
        ({"tasks": {"a.b": OWN}}, "tasks: invalid name 'a.b'; use letters, digits, - and _"),
        ({"tasks": {"../x": OWN}}, "tasks: invalid name '../x'"),
        ({"tasks": {"": OWN}}, "tasks: invalid name ''"),
        ({"tasks": {"Overall": OWN}}, "tasks: the name 'Overall' is reserved"),
        ({"tasks": {name: {"trained": False} for name in ("sst", "quora", "sts")}}, "tasks: no task is trained"),
        ({"sampling": {"epoch_of": "imdb"}}, "epoch_of: 'imdb' is not a trained task; choose from sst, quora, sts"),
        ({"sampling": {"order": "rotating"}}, "use --sampling.epoch_of none"),
        ({"sampling": {"steps_per_epoch": 5}}, "sampling: epoch_of and steps_per_epoch both define an epoch"),
        ({"sampling": {"alpha": 0.5}}, "sampling.size_exponent: used only by order = \"temperature\""),
        ({"sampling": {"batch_size": 1}, "tasks": {"sst": {"extra": {"file": "x", "texts": ["a"], "label": "b"}}}},
         "tasks.sst.extra: needs a batch_size of at least 2"),
        ({"surgery": {"method": "pcgrad"}, "sampling": {"order": "round-robin"}}, "use --sampling.order joint"),
        ({"surgery": {"method": "pcgrad"}, "model": {"freeze_encoder": True}}, "use --surgery.method none"),
        ({"surgery": {"method": "pcgrad"}, "tasks": {"sst": {"trained": False}, "sts": {"trained": False}}},
         "surgery.method: surgery needs at least two trained tasks"),
        ({"smart": {"tasks": ["sts"], "variant": "smart-pytorch"}}, "use --smart.variant paper"),
        ({"smart": {"tasks": ["sst"]}, "model": {"freeze_encoder": True}}, "use --smart.tasks none"),
        ({"smart": {"tasks": ["all"]}, "rdrop": {"tasks": ["sst"]}}, "SMART and R-Drop cannot apply to the same task"),
        ({"model": {"freeze_encoder": True}, "tasks": {"sts": BY_COSINE}}, "the head of sts has no weights to train"),
        ({"optimizer": {"lr": math.inf}}, "optimizer.lr = inf: input should be a finite number"),
        ({"tasks": {"sts": {"range": [0, math.nan]}}}, "tasks.sts.range.1 = nan: input should be a finite number"),
        ({"tasks": {"sst": {"labels": ["a", "a"], "names": []}}}, "tasks.sst: labels holds a value twice"),
        ({"tasks": {"sst": {"labels": ["a", "b"], "names": ["x", "x"]}}}, "tasks.sst: label_names holds a value twice"),
        ({"surgery": {"main_task": "imdb"}}, "surgery.main_task: 'imdb' is not a trained task; choose from sst"),
        ({"tasks": {"sst": {"max_train_samples": 1}}}, "tasks.sst.max_train_samples = 1: input should be greater"),
        ({"optimizer": {"betas": [0.9]}}, "optimizer.betas: takes 2 values, each a number >= 0, < 1 (decay rates of"),
        ({"distill": {"gold_weight": [0.5]}}, "distill.gold_weight: takes 2 values, each a number >= 0, <= 1 (λ, "
         "weight of the gold labels' loss at the first and at the last step"),
        ({"distill": {"gold_weight": 0.5}}, "distill.gold_weight: takes 2 values"),
        ({"smart": {"bregman_beta": [0.5, 0.5, 0.5]}}, "smart.bregman_beta: takes 2 values"),
        ({"tasks": {"sts": {"range": [1]}}}, "tasks.sts.range: takes 2 values, each a number (lowest and highest"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(change: dict[str, Any], said: str) -> None:
    assert any(said in line for line in problems(changed(**change)))


def test_a_list_of_another_length_hides_no_other_fault() -> None:
    lines = problems(changed(optimizer={"betas": []}, surgery={"main_task": "imdb"}))
    assert len(lines) == 2
    assert lines[0].startswith("optimizer.betas: takes 2 values")
    assert lines[1].startswith("surgery.main_task: 'imdb' is not a trained task")


def test_remedies_work() -> None:
    """What a message tells the user to type makes the fault go away."""
    for given_, remedy in (
        ([("sampling.order", "rotating")], [("sampling.epoch_of", "none")]),
        ([("surgery.method", "pcgrad"), ("model.freeze_encoder", "true")], [("surgery.method", "none")]),
        ([("smart.tasks", "sst"), ("model.freeze_encoder", "true")], [("smart.tasks", "none")]),
        ([("surgery.method", "pcgrad"), ("sampling.order", "round-robin")], [("surgery.frequency", "epoch")]),
        ([("smart.tasks", "sts"), ("smart.variant", "smart-pytorch")], [("smart.variant", "paper")]),
    ):
        with pytest.raises(ConfigError):
            options.overlay(recipe("cross"), {}, options.nest(given_))
        options.overlay(recipe("cross"), {}, options.nest([*given_, *remedy]))


def test_the_command_line_is_over_the_file_and_the_file_over_the_recipe() -> None:
    file = {"seed": 1, "optimizer": {"head_lr": 0.5, "lr": 0.25}}
    config = options.overlay(recipe("cross"), file, {"optimizer": {"head_lr": 2}})
    assert (config.seed, config.optimizer.head_lr, config.optimizer.lr) == (1, 2, 0.25)
    assert config.optimizer.max_grad_norm == recipe("cross").optimizer.max_grad_norm
    assert list(config.tasks) == ["sst", "quora", "sts"]


def test_a_file_with_task_tables_trains_exactly_these() -> None:
    both = options.overlay(recipe("cross"), {"tasks": {"sts": {}, "imdb": OWN}}, {})
    assert set(both.tasks) == {"sts", "imdb"}
    assert both.tasks["sts"] == recipe("cross").tasks["sts"]
    assert both.tasks["imdb"].name == "imdb"
    part = options.overlay(
        recipe("cross"), {"tasks": {"sst": {"max_train_samples": 100}}}, {"tasks": {"sst": {"head": "mlp"}}}
    )
    assert part.tasks["sst"] == SST.model_copy(update={"max_train_samples": 100, "head": "mlp"})


def test_the_epoch_of_a_recipe_goes_with_its_task() -> None:
    assert recipe("cross").sampling.epoch_of == "sst"
    assert options.overlay(recipe("cross"), {"tasks": {"imdb": OWN}}, {}).sampling.epoch_of is None
    assert options.overlay(recipe("cross"), {"tasks": {"imdb": OWN, "sst": {}}}, {}).sampling.epoch_of == "sst"
    own = {"tasks": {"imdb": OWN}, "sampling": {"epoch_of": "imdb"}}
    assert options.overlay(recipe("cross"), own, {}).sampling.epoch_of == "imdb"
    with pytest.raises(ConfigError, match="'sst' is not a trained task"):
        options.overlay(recipe("cross"), {"tasks": {"imdb": OWN}, "sampling": {"epoch_of": "sst"}}, {})


def test_the_epoch_of_a_recipe_goes_with_its_task_in_a_copy_too() -> None:
    own = {"imdb": Task.model_validate({"name": "imdb", **OWN})}
    copy = recipe("cross").model_copy(update={"tasks": own})
    assert copy.sampling.epoch_of is None
    assert options.make(options.dump(copy)) == options.change(recipe("cross"), tasks=own)
    assert recipe("cross").model_copy(update={"seed": 3}).sampling.epoch_of == "sst"
    assert recipe("cross").model_copy(update={"tasks": own | {"sst": SST}}).sampling.epoch_of == "sst"


def test_tasks_may_be_named_like_anything_in_letters() -> None:
    config = options.make({"tasks": dict.fromkeys(("type", "keys", "forward", "2", "größe", "a-b_c"), OWN)})
    assert [task.name for task in config.tasks.values()] == list(config.tasks)


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("seed", "3", ["seed"], 3),
        ("optimizer.head-lr", "1e-4", ["optimizer", "head_lr"], 1e-4),
        ("optimizer.correct-bias", "false", ["optimizer", "correct_bias"], False),
        ("optimizer.betas", "0.8,0.9", ["optimizer", "betas"], ["0.8", "0.9"]),
        ("optimizer.betas", "[0.8, 0.9]", ["optimizer", "betas"], [0.8, 0.9]),
        ("smart.tasks", "sst, sts", ["smart", "tasks"], ["sst", "sts"]),
        ("smart.tasks", '["sst"]', ["smart", "tasks"], ["sst"]),
        ("smart.tasks", "none", ["smart", "tasks"], []),
        ("smart.tasks", "", ["smart", "tasks"], []),
        ("threads", "none", ["threads"], None),
        ("average.method", "none", ["average", "method"], "none"),
        ("data", "2024", ["data"], "2024"),
        ("data", "none", ["data"], "none"),
        ("sampling.epoch_of", "2", ["sampling", "epoch_of"], "2"),
        ("sampling.epoch_of", "none", ["sampling", "epoch_of"], None),
        ("tasks.my-task.batch-size", "4", ["tasks", "my-task", "batch_size"], 4),
        ("tasks.my-task.files.train", "2024-01-01", ["tasks", "my-task", "files", "train"], "2024-01-01"),
        ("tasks.t.labels", "0,1", ["tasks", "t", "labels"], ["0", "1"]),
        ("tasks.t.loss", "none", ["tasks", "t", "loss"], None),
        ("tasks.t.class_weights", "balanced", ["tasks", "t", "class_weights"], "balanced"),
        ("tasks.t.class_weights", "1,2", ["tasks", "t", "class_weights"], ["1", "2"]),
        ("tasks.t.labels", "{a},{b}", ["tasks", "t", "labels"], ["{a}", "{b}"]),
        ("tasks.t.extra", "a.csv,b.csv", ["tasks", "t", "extra"], ["a.csv", "b.csv"]),
        ("tasks.t.extra", '["a.csv"]', ["tasks", "t", "extra"], ["a.csv"]),
        ("tasks.t.extra", "[1].csv", ["tasks", "t", "extra"], "[1].csv"),
        (
            "tasks.t.unlabelled",
            '{file="x.csv",texts=["a","b"],share="rows"}',
            ["tasks", "t", "unlabelled"],
            {"file": "x.csv", "texts": ["a", "b"], "share": "rows"},
        ),
        ("tasks.t.extra", '[{file="x.csv"}]', ["tasks", "t", "extra"], [{"file": "x.csv"}]),
        ("tasks.t.extra.exclude", '{a="1"}', ["tasks", "t", "extra", "exclude"], {"a": "1"}),
        ("no.such", "x y", ["no", "such"], "x y"),
        ("no.such", "[x]", ["no", "such"], "[x]"),
    ],
)
def test_words_of_the_command_line_are_read_by_the_type_of_their_field(
    name: str, text: str, path: list[str], value: object
) -> None:
    found: Any = options.nest([(name, text)])
    for key in path:
        assert list(found) == [key]
        found = found[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("tasks.t.extra", "[dev.tsv]", """'["a", "b"]'; or write a,b"""),
        ("tasks.t.labels", "[bad,good]", """'["a", "b"]'; or write a,b"""),
        ("tasks.t.unlabelled", "{file=x.csv}", """'{name = "a", other = ["b"]}'"""),
        ("tasks.t.files", "{train=x.csv}", """'{name = "a", other = ["b"]}'"""),
        ("tasks.t.extra.exclude", "{split=dev}", """'{name = "a", other = ["b"]}'"""),
    ],
)
def test_a_list_or_table_that_lost_its_quotes_to_the_shell_is_refused_with_how_to_write_it(
    name: str, text: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        options.nest([(name, text)])
    assert str(refusal.value).startswith(f"{name} = {text}: ")
    assert str(refusal.value).endswith(f"quotes for the shell: {remedy}")


def test_a_part_of_a_list_that_the_shell_has_split_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(ConfigError, match=r"unexpected argument 'b\.tsv\]'; a list in brackets needs quotes"):
        pairs(["--tasks.t.extra", "[a.tsv,", "b.tsv]"])
    with pytest.raises(ConfigError, match="unexpected argument 'b'; options are written --name value"):
        pairs(["--tasks.t.extra", "a", "b"])


def test_nested_options_share_their_tables_and_the_last_one_counts() -> None:
    given_ = [("smart.weight", "3"), ("smart.ascent_steps", "2"), ("seed", "1"), ("smart.weight", "5")]
    assert options.nest(given_) == {"smart": {"weight": 5, "ascent_steps": 2}, "seed": 1}


def test_a_table_that_is_given_a_value_and_fields_is_refused() -> None:
    with pytest.raises(ConfigError, match="smart is given a value and fields"):
        options.nest([("smart", "3"), ("smart.weight", "3")])
    with pytest.raises(ConfigError, match="smart = 3"):
        options.overlay(recipe("cross"), {}, options.nest([("smart.weight", "3"), ("smart", "3")]))


def test_a_file_is_read_and_its_data_directory_counts_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    path = tmp_path / "own.toml"
    for data, expected in (
        ("files", str(tmp_path / "files")),
        ("../x", str(tmp_path / ".." / "x")),
        ("/abs", "/abs"),
        ("~/x", "/home/somebody/x"),
        ("hub", "hub"),
        ("sample", "sample"),
    ):
        path.write_text(f'data = "{data}"\nseed = 4\n')
        assert options.read(path) == {"data": expected, "seed": 4}


def test_the_data_directory_of_a_runs_own_file_counts_from_where_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("runs/mine/config.toml")
    path.parent.mkdir(parents=True)
    path.write_text('data = "files"\n')
    Path("files").mkdir()
    assert options.read(path) == {"data": "files"}
    (path.parent / "files").mkdir()
    assert options.read(path) == {"data": str(path.parent / "files")}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        options.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seed = ")
    (tmp_path / "latin.toml").write_bytes(b'data = "\xe9"')
    for name in ("bad.toml", "latin.toml", ""):
        with pytest.raises(ConfigError, match=r"not a TOML file|cannot be read"):
            options.read(tmp_path / name)


def test_a_change_leaves_the_rest_and_the_original() -> None:
    config = recipe("cross")
    other = options.change(config, smart={"weight": 3}, sampling={"epoch_of": None})
    assert (other.smart.weight, other.sampling.epoch_of) == (3, None)
    assert options.change(other, smart={"weight": 1}, sampling={"epoch_of": "sst"}) == config
    with pytest.raises(ConfigError, match=r"smart\.wieght"):
        options.change(config, smart={"wieght": 3})


ELSEWHERE: dict[str, Any] = {
    "recipe": "other",
    "checkpoint.save_minutes": 99.0,
    "checkpoint.save_total_limit": 9,
    "log.logging_steps": 999,
    "log.diagnostics_steps": 999,
}
OTHERWISE: dict[str, Any] = {
    "seed": 7, "data": "other", "encoder": "other", "precision": "bf16", "threads": 3, "device": "cpu",
    "allow_rejects": True, "uncertainty_weighting": True, "model.pooling": "cls", "model.head_dropout": 0.5,
    "model.encoder_dropout": 0.0, "model.freeze_encoder": True, "model.both_orders": True, "model.max_length": 64,
    "optimizer.lr": 1.0, "optimizer.head_lr": 1.0, "optimizer.betas": [0.1, 0.1], "optimizer.eps": 1.0,
    "optimizer.weight_decay": 1.0, "optimizer.correct_bias": False, "optimizer.layerwise_lr_decay": 0.5,
    "optimizer.warmup_ratio": 0.5, "optimizer.lr_schedule": "cosine", "optimizer.max_grad_norm": 3.0,
    "optimizer.embedding_update": "dense", "sampling.order": "round-robin", "sampling.batch_size": 3,
    "sampling.gradient_accumulation_steps": 2, "sampling.epochs": 7, "sampling.epoch_of": "sts",
    "sampling.fraction": 0.5, "smart.tasks": ["sst"], "smart.weight": 7.0, "smart.radius": 7.0, "smart.ascent_steps": 7,
    "surgery.method": "pcgrad", "surgery.granularity": "layer",
    "surgery.gradients": "task-by-task", "rdrop.tasks": ["sst"], "rdrop.alpha": 7.0,
    "average.method": "none", "average.ema_decay": 0.5, "average.tail_start": 0.25, "evaluation.eval_steps": 7,
    "evaluation.batch_size": 7, "evaluation.early_stopping_patience": 7, "evaluation.final_weights": "last",
    "evaluation.max_interim_samples": 7, "evaluation.max_eval_samples": 7, "tasks.sst.weight": 3.0,
    "tasks.sst.max_train_samples": 30,
    "tasks.sst.batch_size": 3, "tasks.sts.loss": "binary-cross-entropy", "tasks.sts.files.train": "other.csv",
    "tasks.sst.trained": False,
}  # fmt: skip


def digest_with(name: str, value: Any) -> str:
    change: Any = value
    for key in reversed(name.split(".")):
        change = {key: change}
    base = changed(sampling={"epoch_of": "quora"})
    return options.digest(options.make(options.merge(base, change)))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_digest_leaves_out_what_does_not_change_the_result(name: str) -> None:
    assert digest_with(name, ELSEWHERE[name]) == digest_with("seed", 0)


def test_the_digest_sees_everything_else() -> None:
    digests = [digest_with(name, value) for name, value in OTHERWISE.items()]
    assert len({*digests, digest_with("seed", 0)}) == len(digests) + 1


def test_the_digest_is_one_of_meaning_not_of_writing() -> None:
    assert digest_with("optimizer.lr", 1) == digest_with("optimizer.lr", 1.0)
    assert digest_with("smart.tasks", ("sst",)) == digest_with("smart.tasks", ["sst"])
    assert len(digest_with("seed", 0)) == 16


def test_the_chosen_tasks_of_a_technique_are_trained_ones() -> None:
    config = options.make(changed(smart={"tasks": ["all"]}, tasks={"sts": {"trained": False}}))
    assert config.chosen("smart") == ("sst", "quora")
    assert options.make(changed(smart={"tasks": ["sts", "sst"]})).chosen("smart") == ("sst", "sts")
    assert recipe("cross").chosen("rdrop") == ()


def test_values_of_tasks_may_be_given_as_tasks() -> None:
    config = options.make({"tasks": {"a": SST, "b": STS}})
    assert isinstance(config, Config)
    assert [(name, task.name) for name, task in config.tasks.items()] == [("a", "a"), ("b", "b")]
    assert SST.name == "sst"


def test_a_recipe_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown recipe 'crss'; did you mean cross\?"):
        recipe("crss")


def test_who_names_no_recipe_gets_the_best_on_real_data_and_cross_elsewhere(tmp_path: Path) -> None:
    assert resolved(None, None, [], [("data", "DIR")]).recipe == "best"
    assert resolved(None, None, [], []).recipe == "cross"
    own = tmp_path / "own.toml"
    own.write_text('data = "DIR"\n[tasks.sst]\n')
    assert resolved(None, own, [], []).recipe == "cross"
    assert resolved("quick", own, [], []).recipe == "quick"


def test_quoting_none_is_a_value_and_a_field_that_is_not_set_changes_no_hash() -> None:
    quora = recipe("cross").tasks["quora"]
    assert "quoting" not in options.dump(quora.files)
    changed = options.overlay(recipe("cross"), {}, options.nest([("tasks.quora.files.quoting", "none")]))
    assert options.make(options.dump(changed)).tasks["quora"].files.quoting == "none"
    assert options.digest(changed) != options.digest(recipe("cross"))


def test_an_unknown_encoding_is_refused_with_usual_ones() -> None:
    with pytest.raises(ConfigError, match=r"tasks.sst.files.encoding: unknown encoding 'utf8x'; usual ones are utf-8"):
        options.change(recipe("cross"), tasks={"sst": {"files": {"encoding": "utf8x"}}})


def test_a_task_in_a_change_trains_exactly_the_tasks_of_the_change() -> None:
    mood = Task(kind="class", labels=("sad", "glad"), files=Files(train="m.csv", dev="d.csv", texts=("text",)))
    base = recipe("cross")
    assert base.sampling.epoch_of == "sst"
    changed = options.change(base, tasks={"mood": mood, "sts": {}})
    assert list(changed.tasks) == ["sts", "mood"]
    assert changed.sampling.epoch_of is None
    assert changed.tasks["mood"] == mood.model_copy(update={"name": "mood"})
    assert changed.tasks["sts"] == base.tasks["sts"]
    replaced = options.change(base, tasks={"sst": mood}).tasks["sst"]
    assert replaced == mood.model_copy(update={"name": "sst"})
    assert list(options.change(base, tasks={"sst": {"weight": 2}}).tasks) == ["sst", "quora", "sts"]


def test_a_copy_that_cannot_work_is_refused_before_training(tmp_path: Path) -> None:
    mood = Task(name="mood", kind="binary", files=Files(train="m.csv", dev="d.csv", texts=("text",)))
    base = recipe("cross")
    copy = base.model_copy(update={"tasks": {"mood": mood}, "sampling": base.sampling})
    with pytest.raises(ConfigError, match="epoch_of"):
        train(copy, tmp_path / "run")


def test_own_tasks_take_the_place_of_the_recipes() -> None:
    config = recipe("cross").with_tasks(mood=Task(kind="class", files=Files(texts=("text",))))
    assert list(config.tasks) == ["mood"]
    assert config.tasks["mood"].name == "mood"


def test_a_fold_is_one_of_the_folds() -> None:
    values = options.dump(recipe("cross"))
    assert problems(values | {"split": {"fold": 1}}) == ["split: folds and fold belong together; set both, or neither"]
    assert problems(values | {"split": {"folds": 3, "fold": 3}})[0].startswith("split.fold: 3 is not below")


def test_the_split_counts_in_the_hash_only_where_it_is_set() -> None:
    config = recipe("cross")
    values = options.dump(config)
    del values["split"]
    assert options.digest(options.make(values)) == options.digest(config)
    assert options.digest(options.change(config, split={"seed": 1})) != options.digest(config)
