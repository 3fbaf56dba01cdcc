"""Trained models as directories: they come back bit by bit, or the fault is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertram.data.tokenizer import load_tokenizer
from bertram.errors import BertramError, RunError
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_encoder
from bertram.model.storage import load_state, state_of
from bertram.prediction.load import load_model, save_model
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS, Task

TASKS = {
    "sst": SST.model_copy(update={"loss": "coral"}),
    "quora": Task.model_validate(QUORA.model_dump() | {"encoding": "bi", "head": "cosine"}),
    "sts": Task.model_validate(STS.model_dump() | {"encoding": "bi", "head": "features", "range": (1.0, 4.0)}),
    "reviews": Task(name="reviews", kind="binary", files=QUORA.files),  # no labels named: no or yes
    "type": Task.model_validate(SST.model_dump() | {"name": "type", "head": "mlp"}),
}
PAIRS = [("a man sleeps", "a man is asleep"), ("one", "two words")]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    network = Multitask(read_encoder(tiny_encoder), TASKS, "mean")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.normal_(generator=generator)
    return Model(network, load_tokenizer(tiny_encoder), 48, both_orders=True)


@pytest.fixture
def saved(model: Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def reconfigure(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["bertram"] |= values
    path.write_text(json.dumps(config))


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    state = load_file(directory / "model.safetensors")
    change(state)
    save_file(state, directory / "model.safetensors")


def test_a_model_comes_back_as_it_went(model: Model, saved: Path) -> None:
    again = load_model(saved)
    assert again.tasks == TASKS
    assert (again.max_tokens, again.both_orders, again.network.pooling) == (48, True, "mean")
    ours, theirs = state_of(model.network), state_of(again.network)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    for name in ("quora", "sts"):
        assert again.predict(name, PAIRS) == model.predict(name, PAIRS)
    for name in ("sst", "type"):
        assert again.predict(name, ["a fine film", "dull"]) == model.predict(name, ["a fine film", "dull"])


def test_the_directory_is_enough_and_holds_nothing_else(saved: Path) -> None:
    expected = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert {path.name for path in saved.iterdir()} == expected


def test_the_directory_serves_as_an_encoder_here_and_elsewhere(model: Model, saved: Path) -> None:
    ids = model.tokenizer.encode(["a fine film"])
    expected = model.network.encoder.hidden_states(ids)[0]
    assert torch.equal(read_encoder(saved).hidden_states(ids)[0], expected)
    transformers = pytest.importorskip("transformers")
    peer = transformers.BertModel.from_pretrained(saved).eval()
    with torch.no_grad():
        assert torch.allclose(peer(torch.tensor(ids)).last_hidden_state[0], expected, atol=1e-5)


def test_other_weights_than_the_models_own_can_be_written(model: Model, tmp_path: Path) -> None:
    halved = {name: value / 2 for name, value in state_of(model.network).items()}
    save_model(model, tmp_path, halved)
    found = state_of(load_model(tmp_path).network)
    assert all(torch.equal(found[name], halved[name]) for name in halved)


def test_the_precision_is_chosen_when_loading(saved: Path) -> None:
    exact, rounded = load_model(saved), load_model(saved, "bf16")
    for name in ("quora", "sts"):
        first, second = exact.predict(name, PAIRS)[0].value, rounded.predict(name, PAIRS)[0].value
        assert first == pytest.approx(second, abs=0.2)
    ids = exact.tokenizer.encode(["a fine film"])
    states = [one.network.encoder.hidden_states(ids)[0] for one in (exact, rounded)]
    assert 0 < float((states[0] - states[1]).norm() / states[0].norm()) < 0.03


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": 99}, "format version 99 is unknown; this BERTram reads 1"),
        ({"pooling": "max"}, "damaged.*pooling"),
        ({"max_tokens": "many"}, "damaged.*max_tokens"),
        ({"tasks": None}, "damaged.*tasks"),
        ({"tasks": {"sst": {"kind": "class"}}}, "damaged.*files"),
        ({"tasks": {"sst": {"kind": "class", "files": {"texts": ["a"]}}}}, "damaged.*labels"),
    ],
)
def test_a_damaged_config_is_named(saved: Path, values: dict[str, Any], said: str) -> None:
    reconfigure(saved, **values)
    with pytest.raises(RunError, match=rf"(?s)config\.json: .*{said}"):
        load_model(saved)


def test_what_is_no_trained_model_is_refused(saved: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"an encoder without heads"):
        load_model(tiny_encoder)
    with pytest.raises(RunError, match=r"it has no config\.json"):
        load_model(tmp_path / "nothing")
    for text in ("{", "[]"):
        (saved / "config.json").write_text(text)
        with pytest.raises(RunError, match=r"config\.json"):
            load_model(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("bert.encoder.layer.0.output.dense.bias"), "missing .*layer.0.output.dense.bias"),
        (lambda state: state.pop("heads.sts.compare.weight"), "missing .*heads.sts.compare.weight"),
        (lambda state: state.update({"heads.other.weight": torch.zeros(1)}), "unknown .*heads.other.weight"),
        (lambda state: state.update({"heads.sts.compare.weight": torch.zeros(1, 3)}), r"shape \[1, 3\], not"),
        (lambda state: state.update({"bert.embeddings.LayerNorm.bias": torch.zeros(3)}), r"shape \[3\], not"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    saved: Path, change: Callable[[dict[str, Tensor]], object], said: str
) -> None:
    rewrite(saved, change)
    with pytest.raises(RunError, match=rf"(?s)weights do not fit config\.json.*{said}"):
        load_model(saved)


@pytest.mark.parametrize("kept", [0, 50, -1])
def test_damaged_weights_are_named(saved: Path, kept: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunError, match=r"model\.safetensors: damaged"):
        load_model(saved)
    path.unlink()
    with pytest.raises(RunError, match=r"model\.safetensors: missing"):
        load_model(saved)


def test_a_missing_tokenizer_is_named(saved: Path) -> None:
    (saved / "tokenizer.json").unlink()
    (saved / "vocab.txt").unlink()
    with pytest.raises(BertramError, match=r"no tokenizer\.json and no vocab\.txt"):
        load_model(saved)


def test_a_state_goes_back_into_the_network_it_came_from(tiny_encoder: Path) -> None:
    network = Multitask(read_encoder(tiny_encoder), TASKS, "cls")
    before = {name: value + 1 for name, value in state_of(network).items()}
    load_state(network, before)
    after = state_of(network)
    assert all(torch.equal(before[name], after[name]) for name in before)
