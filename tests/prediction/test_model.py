"""Texts in, classes and scores out; and every task that is admitted learns and predicts."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bertram import options, recipe, task_kinds
from bertram.data.examples import Batch, Examples
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import BertramError
from bertram.model.dropout import NO_DROPOUT
from bertram.model.multitask import Multitask
from bertram.model.outputs import output_of
from bertram.model.pretrained import read_encoder
from bertram.prediction.model import Model, Prediction, checked, predictions
from bertram.task_kinds import Encoding, Head
from bertram.tasks import QUORA, SST, STS, Task
from bertram.training import setup
from bertram.training.objective import Objective
from bertram.training.step import step

TASKS = {
    "sst": SST,
    "coral": Task.model_validate(SST.model_dump() | {"name": "coral", "loss": "coral"}),
    "quora": QUORA,
    "bi": Task.model_validate(QUORA.model_dump() | {"name": "bi", "encoding": "bi", "head": "cosine"}),
    "sts": STS,
}
TEXTS = ["a fine film", "dull", "it is what it is and that is all there is to say of it", "Fine !", "so so"]
PAIRS = [(a, b) for a in TEXTS[:3] for b in TEXTS[1:4]]
KINDS: dict[str, dict[str, Any]] = {
    "class": {"kind": "class", "labels": ["a", "b", "c"]},
    "binary": {"kind": "binary"},
    "score": {"kind": "score", "range": [1, 4]},
    "multi-label": {"kind": "multi-label", "labels": ["a", "b", "c"]},
}


def build(tiny_encoder: Path, tasks: dict[str, Task], pooling: str, *, both_orders: bool = False) -> Model:
    network = Multitask(read_encoder(tiny_encoder), tasks, pooling)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("heads.") or name == "encoder.word_embeddings":
                parameter.normal_(generator=generator)
    return Model(network, load_tokenizer(tiny_encoder), 64, both_orders=both_orders)


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    return build(tiny_encoder, TASKS, "mean")


def numbers(found: list[Prediction]) -> list[float]:
    return [number for one in found for number in (one.value, *(one.probabilities or ()))]


@pytest.mark.parametrize("task", TASKS)
def test_predictions_depend_neither_on_the_batch_nor_on_the_order(model: Model, task: str) -> None:
    texts: list[Any] = PAIRS if TASKS[task].pair else TEXTS
    together = model.predict(task, texts)
    assert len({one.probabilities or one.value for one in together}) > 1
    for size in (1, 2, 3):
        assert numbers(model.predict(task, texts, size)) == pytest.approx(numbers(together), abs=1e-5)
    backwards = model.predict(task, texts[::-1])[::-1]
    assert numbers(backwards) == pytest.approx(numbers(together), abs=1e-5)
    alone = [model.predict(task, [text])[0] for text in texts]
    assert numbers(alone) == pytest.approx(numbers(together), abs=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_pooling_makes_one_vector_of_a_text(tiny_encoder: Path, pooling: str) -> None:
    network = build(tiny_encoder, TASKS, pooling).network
    encoder = network.encoder
    ids = [[5, 6, 7, 8], [9], [3, 4]]
    inputs = [(tokens, [0] * len(tokens)) for tokens in ids]
    packed = network.inputs([Batch("sst", ("a", "b", "c"), inputs, None)]).packed
    with torch.no_grad():
        found, pooler = network.pooled(packed), encoder.pooler
        assert pooler is not None
        for one, states in zip(found, encoder.hidden_states(ids), strict=True):
            expected = {
                "cls": states[0],
                "mean": states.mean(0),
                "pooler": torch.tanh(pooler.weight @ states[0] + pooler.bias),
            }[pooling]
            assert torch.allclose(one, expected, atol=1e-5)


def test_features_of_a_pair_read_together_are_the_means_of_its_texts(tiny_encoder: Path) -> None:
    tasks = {"sst": SST, "sts": Task.model_validate(STS.model_dump() | {"head": "features"})}
    network = build(tiny_encoder, tasks, "mean").network
    pairs = [([5, 6, 7, 8, 9], [0, 0, 0, 1, 1]), ([9, 4], [0, 1]), ([3, 4, 6], [0, 0, 1])]
    single = Batch("sst", ("s", "t"), [([8, 7, 6], [0, 0, 0]), ([4], [0])], None)
    states = network.encoder.hidden_states([ids for ids, _ in pairs], [segments for _, segments in pairs])
    halves = [[one[torch.tensor(of) == k].mean(0) for one, (_, of) in zip(states, pairs, strict=True)] for k in (0, 1)]
    with torch.no_grad():
        sst, sts = network([single, Batch("sts", ("a", "b", "c"), pairs, None)])
        assert torch.allclose(sts, network.head("sts")(torch.stack(halves[0] + halves[1]), NO_DROPOUT), atol=1e-5)
        assert torch.allclose(sst, network([single])[0], atol=1e-5)  # whose head takes the mean of everything


def test_both_orders_of_a_pair_are_averaged(tiny_encoder: Path) -> None:
    one, both = (build(tiny_encoder, TASKS, "mean", both_orders=flag) for flag in (False, True))
    swapped = [(b, a) for a, b in PAIRS]
    for task in ("quora", "sts"):
        expected = (
            torch.tensor(numbers(one.predict(task, PAIRS))) + torch.tensor(numbers(one.predict(task, swapped)))
        ) / 2
        found = torch.tensor(numbers(both.predict(task, PAIRS)))
        chosen = slice(None) if task == "sts" else torch.arange(len(found)) % 3 > 0  # the class itself is no mean
        assert torch.allclose(found[chosen], expected[chosen], atol=1e-5)
        assert numbers(both.predict(task, swapped)) == pytest.approx(numbers(both.predict(task, PAIRS)), abs=1e-5)
    for task, texts in (("bi", PAIRS), ("sst", TEXTS)):
        assert both.predict(task, texts) == one.predict(task, texts)


def test_values_are_what_the_probabilities_say(model: Model) -> None:
    for task in ("sst", "quora", "bi"):
        for one in model.predict(task, PAIRS if TASKS[task].pair else TEXTS):
            assert one.probabilities is not None
            assert sum(one.probabilities) == pytest.approx(1, abs=1e-5)
            assert isinstance(one.value, int)
            assert one.value == max(range(len(one.probabilities)), key=one.probabilities.__getitem__)
    for one in model.predict("sts", PAIRS):
        assert one.probabilities is None
        assert isinstance(one.value, float)
        assert 0 <= one.value <= 5


@settings(deadline=None, max_examples=40)
@given(above=st.lists(st.floats(0.001, 0.999).filter(lambda p: abs(p - 0.5) > 1e-3), min_size=4, max_size=4))
def test_an_ordinal_class_is_the_number_of_levels_that_are_likely(above: list[float]) -> None:
    levels = torch.tensor(sorted(above, reverse=True))
    ends = torch.cat([torch.ones(1), levels, torch.zeros(1)])
    outputs = (ends[:-1] - ends[1:])[None]
    expected = int((levels > 0.5).sum())
    assert output_of(TASKS["coral"]).decide(outputs).tolist() == [expected]
    assert predictions(TASKS["coral"], outputs)[0].value == expected


def test_an_ordinal_class_need_not_be_the_likeliest() -> None:
    outputs = torch.tensor([[0.3, 0.15, 0.15, 0.15, 0.25]])
    assert output_of(TASKS["coral"]).decide(outputs).tolist() == [2]  # the median
    assert output_of(SST).decide(outputs).tolist() == [0]


def test_texts_are_styled_as_in_training(model: Model) -> None:
    assert model.predict("sst", [" A Fine FILM\n"]) == model.predict("sst", ["a fine film"])
    assert checked(QUORA, 0, ("What's up?", "no.")) == ("what 's up ?", "no .")


def test_a_text_of_100_000_characters_is_cut(model: Model) -> None:
    long = "fine film " * 10_000
    assert model.predict("sst", [long]) == model.predict("sst", [long[:2000]])
    assert numbers(model.predict("sts", [(long, "dull"), ("dull", long)]))
    unbroken = "x" * 100_000
    assert model.predict("sst", [unbroken])[0].probabilities is not None


def test_nothing_in_gives_nothing_out(model: Model) -> None:
    assert model.predict("sst", []) == []


def test_columns_of_arrays_are_texts_too(model: Model) -> None:
    assert model.predict("sst", np.array(TEXTS)) == model.predict("sst", TEXTS)
    assert model.predict("sst", np.array([], dtype=str)) == []


@pytest.mark.parametrize(
    ("task", "texts", "said"),
    [
        ("none", ["a"], "unknown task 'none'; choose one of sst, coral, quora, bi, sts"),
        ("sst", "a fine film", "put a single text in a list"),
        ("sst", ["a", ("b", "c")], "input 1: task sst takes one text"),
        ("sst", [None], "input 0: task sst takes one text"),
        ("sst", [3], "input 0: task sst takes one text"),
        ("sst", ["a", ""], "input 1: text is empty"),
        ("sst", [" \t\n"], "input 0: text is empty"),
        ("sst", ["a\0b"], "input 0: text holds a NUL byte"),
        ("sst", ["\ud800"], "input 0: text holds half a character"),
        ("sts", ["a"], "input 0: task sts takes a pair of texts"),
        ("sts", [("a", "b"), ("a", "b", "c")], "input 1: task sts takes a pair of texts"),
        ("sts", [("a", None)], "input 0: task sts takes a pair of texts"),
        ("sts", [["a", " "]], "input 0: text is empty"),
    ],
)
def test_what_cannot_be_predicted_is_named(model: Model, task: str, texts: Any, said: str) -> None:
    with pytest.raises(BertramError) as refused:
        model.predict(task, texts)
    assert said in str(refused.value)


def admitted() -> list[Task]:
    """Every combination of kind, texts, encoding, head and loss that a task may have."""
    found = []
    for kind in task_kinds.KINDS:
        for texts in (1, 2):
            for encoding in get_args(Encoding):
                for head in get_args(Head):
                    for loss in task_kinds.KINDS[kind].losses:
                        chosen = {"encoding": encoding, "head": head, "loss": loss}
                        try:
                            files = {"texts": ["a", "b"][:texts]}
                            found.append(Task.model_validate({"name": "t", "files": files, **KINDS[kind], **chosen}))
                        except ValidationError:
                            continue
    return found


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return load_tokenizer(tiny_encoder)


def examples_of(task: Task, tokenizer: Tokenizer) -> Examples:
    texts: list[tuple[str, ...]] = [*PAIRS] if task.pair else [(text,) for text in TEXTS]
    count = len(texts)
    labels = torch.linspace(1, 4, count) if task.kind == "score" else torch.arange(count) % task.classes
    return Examples(task, [str(i) for i in range(count)], tokenizer.encode_rows(texts), labels, tokenizer, 64)


def described(task: Task) -> str:
    return f"{task.kind}-{len(task.files.texts)}-{task.encoding}-{task.head}-{task.trained_by}"


@pytest.mark.parametrize("task", admitted(), ids=described)
def test_every_admitted_task_learns_and_predicts(tiny_encoder: Path, tokenizer: Tokenizer, task: Task) -> None:
    config = options.change(recipe("cross"), sampling={"epoch_of": None}, optimizer={"lr": 3e-3})
    config = config.model_copy(update={"tasks": {"t": task}})
    torch.manual_seed(0)
    network = Multitask(read_encoder(tiny_encoder), {"t": task}, "mean")
    network.head("t").initialize(torch.Generator().manual_seed(0))
    examples = examples_of(task, tokenizer)
    batch = examples.batch(range(len(examples)))
    assert examples.labels is not None
    network.head("t").fit_start(examples.labels, network.similarities([batch]))
    objective = Objective(network, config, NO_DROPOUT, torch.Generator(), total_steps=5)
    context, _ = setup.step_contexts(config, network, objective, torch.Generator())
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    losses = [step(context, [batch]).losses["t"]["loss"] for _ in range(5)]
    assert losses[-1] < losses[0]
    unmoved = {name for name, parameter in network.named_parameters() if torch.equal(before[name], parameter)}
    assert unmoved == {"encoder.pooler.weight", "encoder.pooler.bias"}
    found = Model(network, tokenizer, 64).outputs(examples)
    assert found.shape == ((len(examples),) if task.kind == "score" else (len(examples), task.classes))
    assert bool(torch.isfinite(found).all())
    if task.kind == "score":
        assert bool(((found >= 1) & (found <= 4)).all())
