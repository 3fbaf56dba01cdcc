"""Further pretraining: the masks, the head of each family, resumption, and what is read."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.common.commands import call
from tests.common.encoders import TINY, VOCABULARY, save_encoder
from tests.common.families import FAMILIES
from tests.common.quick import quick_only
from tests.common.trainings import tiny_config

from bertram import options
from bertram.config import Config, PretrainConfig
from bertram.data.labels import with_labels
from bertram.data.rows import read_rows
from bertram.data.splits import config_source
from bertram.data.tables import open_table
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import BertramError, ConfigError, RunError, TrainingError, WeightsError
from bertram.model.masked_head import LAYOUTS, MaskedHead
from bertram.model.pretrained import find, load_encoder, read_encoder
from bertram.tasks import Task
from bertram.training import pretrain as module
from bertram.training.masking import Masking
from bertram.training.pretrain import pretrain
from bertram.training.pretraining_texts import tokenize, training_texts
from bertram.training.setup import build_model
from bertram.training.train import train

MASKING = Masking(0.15, mask_id=103, vocabulary=30522)
SHORT = PretrainConfig(max_steps=4, batch_size=8, lr=1e-3)


def quiet(_: str) -> None:
    """Show nothing."""


@given(st.lists(st.integers(1000, 2000), min_size=1, max_size=60), st.integers(0, 99), st.floats(0.01, 0.9))
@settings(deadline=None, max_examples=60)
def test_so_many_tokens_are_chosen_and_all_others_stay(ids: list[int], seed: int, share: float) -> None:
    masking = Masking(share, mask_id=103, vocabulary=30522)
    sequence, words = [101, *ids, 102], [-1, *range(len(ids)), -1]
    masked = masking(sequence, words, np.random.default_rng(seed))
    assert sum(masked.chosen) == max(1, round(share * len(ids)))
    assert masked.chosen[0] == masked.chosen[-1] == 0
    for before, after, chosen in zip(sequence, masked.token_ids, masked.chosen, strict=True):
        assert chosen or before == after
    again = masking(sequence, words, np.random.default_rng(seed))
    assert again == masked


def test_of_the_chosen_tokens_a_tenth_stays_and_a_tenth_is_random() -> None:
    ids = [5000] * 20_000
    masked = Masking(0.5, 103, 30522)(ids, list(range(len(ids))), np.random.default_rng(0))
    after = [token for token, chosen in zip(masked.token_ids, masked.chosen, strict=True) if chosen]
    shares = [sum(token == 103 for token in after), sum(token == 5000 for token in after)]
    assert np.allclose(np.array(shares) / len(after), [0.8, 0.1], atol=0.02)


def test_the_tokens_of_a_word_are_chosen_together() -> None:
    tokenizer = load_tokenizer(find("minilm"))
    texts = ["unbelievably thoughtful filmmaking, undoubtedly", "plain words"]
    whole = tokenize(texts, tokenizer, 64, whole_words=True)
    assert max(map(len, whole.words)) > len(set(whole.words[0]))
    for seed in range(20):
        masked = MASKING(whole.token_ids[0], whole.words[0], np.random.default_rng(seed))
        by_word: dict[int, set[int]] = {}
        for word, chosen in zip(whole.words[0], masked.chosen, strict=True):
            by_word.setdefault(word, set()).add(chosen)
        assert all(len(chosen) == 1 for chosen in by_word.values())
    single = tokenize(texts, tokenizer, 8, whole_words=False)
    assert single.token_ids[0] == [*whole.token_ids[0][:7], tokenizer.sep_id]
    assert single.words[0] == [-1, *range(6), -1]


@pytest.mark.parametrize("family", quick_only({"bert", "mpnet"}, FAMILIES))
def test_the_encoder_and_its_head_are_those_of_the_peer(family: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from tests.common.families import save_peer, save_tokenizer
    from tests.common.models import TEXTS

    source, out = tmp_path / "source", tmp_path / "out"
    save_peer(family, source)
    save_tokenizer(family, source, [*TEXTS, "a lovely film about the best way to play the piano"])
    config = tiny_config(source)
    pretrain(config, PretrainConfig(max_steps=2, batch_size=4, max_length=32), out, say=quiet)
    assert json.loads((out / "pretraining.json").read_text())["new_head"]
    peer, info = transformers.AutoModelForMaskedLM.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    encoder = read_encoder(out)
    head = MaskedHead(encoder)
    assert head.read(out)
    assert peer.__class__.__name__ == head.layout.architecture
    ids = load_tokenizer(out).encode(["a lovely film"])[0]
    sequence = load_tokenizer(out).joined([ids], 32)[0]
    with torch.no_grad():
        ours = head(encoder.hidden_states([sequence])[0], encoder.word_embeddings)
        reference = peer.eval()(input_ids=torch.tensor([sequence])).logits[0]
    assert float((ours - reference).abs().max()) < 1e-4
    again = tmp_path / "again"  # with the head of the first
    pretrain(tiny_config(out), PretrainConfig(max_steps=1, batch_size=4, max_length=32), again, say=quiet)
    assert not json.loads((again / "pretraining.json").read_text())["new_head"]


def test_every_family_that_is_read_has_a_head() -> None:
    from bertram.model.encoders import BY_MODEL_TYPE

    assert LAYOUTS.keys() == BY_MODEL_TYPE.keys()


@pytest.mark.slow
def test_the_loss_falls_and_the_result_is_an_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder)
    said: list[str] = []
    settings = PretrainConfig(max_steps=25, batch_size=16, lr=3e-3)
    out = pretrain(config, settings, tmp_path / "out", say=said.append)
    before = float(said[0].rpartition(" ")[2])
    facts = json.loads((out / "pretraining.json").read_text())
    assert facts["held_out_loss"] < before - 0.5
    assert facts["steps"] == 25
    assert not (out / "checkpoint").exists()
    assert not torch.equal(load_encoder(str(out)).word_embeddings, load_encoder(str(tiny_encoder)).word_embeddings)
    run = train(tiny_config(out, sampling={"epochs": 1}), tmp_path / "run")
    assert run.record["encoder"]["source"] == str(out)
    said.clear()
    pretrain(config, settings, out, resume=True, say=said.append)
    assert said == [f"{out}: this encoder is already finished"]


def test_only_chosen_tokens_have_a_loss_and_the_decoder_is_tied(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder)
    texts, _ = module._texts(config, list(config.tasks))
    training = module._begin(config, SHORT, "fp32", texts, {})
    some = training.texts.at(range(5))
    losses = training.model.losses(some, training.masking, np.random.default_rng(0), training.dropout)
    expected = sum(max(1, round(0.15 * (len(ids) - 2))) for ids in some.token_ids)
    assert losses.shape == (expected,)
    gradients = torch.autograd.grad(losses.mean(), [training.model.encoder.word_embeddings])
    assert bool(gradients[0].any(1).all())  # as a decoder, all rows have a gradient


@pytest.mark.slow
def test_dev_and_test_files_are_never_read(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    really = open_table

    def watched(path: Path, *more: Any) -> Any:
        opened.append(path.name)
        return really(path, *more)

    monkeypatch.setattr("bertram.data.rows.open_table", watched)
    config = tiny_config(tiny_encoder)
    pretrain(config, SHORT, tmp_path / "out", tasks=["sst", "quora"], say=quiet)
    assert opened == ["ids-sst-train.csv", "quora-train.csv"]
    facts = json.loads((tmp_path / "out" / "pretraining.json").read_text())
    assert list(facts["data"]) == opened
    texts, _ = training_texts({name: config.tasks[name] for name in ("sst", "quora")}, "sample")
    assert len(texts) == len(set(texts)) == facts["texts"]["count"]


INTERRUPTED = """
import os, sys
from pathlib import Path
from bertram import options
from bertram.config import PretrainConfig
from bertram.runs import checkpoint
from bertram.training.pretrain import pretrain
import tomllib
really = checkpoint.save
def save(directory, step, *more):
    really(directory, step, *more)
    if step == 2:
        os.kill(os.getpid(), 9)
checkpoint.save = save
config = options.make(tomllib.loads(Path(sys.argv[1]).read_text()))
pretrain(config, PretrainConfig(max_steps=4, batch_size=8, lr=1e-3), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_pretraining_ends_with_the_same_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder, checkpoint={"save_minutes": 1e-9})
    whole = pretrain(config, SHORT, tmp_path / "whole", say=quiet)
    (tmp_path / "config.toml").write_text(options.to_toml(config))
    killed = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, tmp_path / "config.toml", killed], check=False)
    assert done.returncode == -9
    assert not (killed / "config.json").exists()
    with pytest.raises(RunError, match="exists already; continue it with --resume"):
        pretrain(config, SHORT, killed, say=quiet)
    with pytest.raises(RunError, match="was started with other settings"):
        pretrain(config, PretrainConfig(max_steps=5, batch_size=8, lr=1e-3), killed, resume=True, say=quiet)
    with pytest.raises(RunError, match="was started with other precision"):
        pretrain(config.model_copy(update={"precision": "bf16"}), SHORT, killed, resume=True, say=quiet)
    pretrain(config, SHORT, killed, resume=True, say=quiet)
    with pytest.raises(RunError, match="was started with other seed"):  # finished, but not what is asked for
        pretrain(config.model_copy(update={"seed": 7}), SHORT, killed, resume=True, say=quiet)
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()


def test_what_cannot_be_trained_is_said_in_a_line(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder)
    with pytest.raises(RunError, match="there is no pretraining to continue here"):
        pretrain(config, SHORT, tmp_path / "nowhere", resume=True, say=quiet)
    with pytest.raises(ConfigError, match="max_length: the encoder has 64 positions"):
        pretrain(config, PretrainConfig(max_length=65), tmp_path / "long", say=quiet)
    with pytest.raises(ConfigError, match="no task 'stss'; choose from sst, quora, sts"):
        pretrain(config, SHORT, tmp_path / "out", tasks=["stss"], say=quiet)
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_encoder.iterdir():
        (bare / file.name).write_bytes(file.read_bytes())
    (bare / "vocab.txt").unlink()
    tokenizer = (bare / "tokenizer.json").read_text().replace("[MASK]", "[MUSK]")
    (bare / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(WeightsError, match=r"has no mask token \(\[MASK\] or <mask>\)"):
        pretrain(tiny_config(bare), SHORT, tmp_path / "out", say=quiet)
    assert not list(tmp_path.glob("out/*"))
    assert issubclass(WeightsError, BertramError)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused_everywhere(tmp_path: Path) -> None:
    short = save_encoder(tmp_path / "short", replace(TINY, vocabulary=VOCABULARY - 1))
    fault = "its tokenizer has 6,000 tokens, its encoder embeddings for 5,999"
    with pytest.raises(WeightsError, match=fault):
        pretrain(tiny_config(short), SHORT, tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()
    with pytest.raises(WeightsError, match=fault):
        build_model(tiny_config(short), torch.device("cpu"))
    for words in (["pairs", "sample", "--task", "sts", "--out", tmp_path / "p.tsv"], ["check", "sample"]):
        code, _, err = call("data", *words, "--encoder", short)
        assert (code, err) == (1, f"bertram: {short}: {fault}; fetch the files of one encoder\n")


def test_a_mark_of_a_target_is_no_text_to_train_on(tmp_path: Path) -> None:
    rows = ["a <t>bank</t> by the river\t1", "a bank by the <t>river</t>\t0", "my <t>bank</t>\t1"]
    (tmp_path / "train.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    files = {"train": "train.tsv", "texts": ["text"], "label": "label"}
    task = Task.model_validate({"name": "sense", "kind": "binary", "pooling": "target", "files": files})
    texts, _ = training_texts({"sense": task}, str(tmp_path))
    assert texts == ["a bank by the river", "my bank"]


def test_the_configuration_of_a_file_counts_until_an_option_replaces_it(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[Config] = []
    monkeypatch.setattr(module, "pretrain", lambda config, *_, **__: received.append(config))
    changes: dict[str, Any] = {"seed": 7, "device": "cpu", "checkpoint": {"save_minutes": 9.0}}
    config = tiny_config(tiny_encoder, data=str(tmp_path), **changes)
    (tmp_path / "mine.toml").write_text(options.to_toml(config))
    words = ["pretrain", "--config", tmp_path / "mine.toml", "--out", tmp_path / "out"]
    assert call(*words).code == 0
    assert call(*words, "--seed", "8", "--save-minutes", "2", "--data", "sample").code == 0
    assert received == [config, options.change(config, seed=8, data="sample", checkpoint={"save_minutes": 2.0})]


def posts(directory: Path, *extra: str) -> Config:
    """Two tasks of one table without dev rows; half of the rows lack the label of the second."""
    moods = ("good", "bad", "so")
    rows = [
        f"post number {place} about {place % 7} things\t{moods[place % 3]}\t{(place // 2 % 2, '')[place % 2]}"
        for place in range(60)
    ]
    (directory / "posts.tsv").write_text("\n".join(["text\tmood\turgent", *rows, *extra]) + "\n")
    files = {"train": "posts.tsv", "texts": ["text"]}
    mood = {"kind": "class", "files": {**files, "label": "mood"}}  # its labels are read from the data
    urgent = {"kind": "binary", "files": {**files, "label": "urgent"}}
    return options.make({"recipe": "cross", "data": str(directory), "tasks": {"mood": mood, "urgent": urgent}})


@pytest.mark.parametrize("names", [["mood"], ["urgent"], ["mood", "urgent"]])
def test_dev_rows_that_are_held_out_for_any_task_are_no_texts(names: list[str], tmp_path: Path) -> None:
    config = posts(tmp_path)
    texts, _ = module._texts(config, names)
    source = config_source(with_labels(config).config)
    held_out = {
        text for task in with_labels(config).config.tasks.values() for (text,) in read_rows(task, source, "dev").texts
    }
    assert len(held_out) > 10
    assert held_out.isdisjoint(texts)
    assert len(texts) == 60 - len(held_out)


def test_an_unlabelled_row_with_the_text_of_a_dev_row_is_no_text(tmp_path: Path) -> None:
    config = posts(tmp_path)
    held_out = read_rows(config.tasks["urgent"], config_source(with_labels(config).config), "dev").texts[0][0]
    config = posts(tmp_path, f"{held_out}!\t\t")
    assert f"{held_out}!" not in module._texts(config, ["mood"])[0]


def test_a_resumed_pretraining_has_the_same_texts(tiny_encoder: Path, tmp_path: Path) -> None:
    config = options.change(posts(tmp_path), encoder=str(tiny_encoder), threads=1)
    out = pretrain(config, SHORT, tmp_path / "out", say=quiet)
    with pytest.raises(RunError, match="was started with other texts"):
        pretrain(options.change(config, split={"seed": 1}), SHORT, out, resume=True, say=quiet)


def test_a_gradient_that_is_not_finite_changes_no_weight(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tiny_encoder)
    texts, _ = module._texts(config, ["sst"])
    training = module._begin(config, SHORT, "fp32", texts, {})
    before = training.model.encoder.word_embeddings.clone()
    monkeypatch.setattr("bertram.training.pretraining.global_norm", lambda _: float("inf"))
    with pytest.raises(TrainingError, match="step 1: the gradient is not finite"):
        training.fit(tmp_path, quiet)
    assert torch.equal(training.model.encoder.word_embeddings, before)


@pytest.mark.slow
def test_the_command_trains_and_names_its_faults(tiny_encoder: Path, tmp_path: Path) -> None:
    words = ["--encoder", tiny_encoder, "--max-steps", "2", "--batch-size", "8", "--threads", "1", "--whole-word"]
    code, _, err = call("pretrain", *words, "--tasks", "sst,sts", "--out", tmp_path / "out")
    assert code == 0, err
    assert "held-out loss" in err
    assert json.loads((tmp_path / "out" / "pretraining.json").read_text())["tasks"] == ["sst", "sts"]
    code, _, err = call("pretrain", *words, "--mask-probability", "1.5", "--out", tmp_path / "other")
    assert (code, err) == (1, "bertram: --mask-probability: input should be less than 1\n")
    code, _, err = call("pretrain", *words, "--optimizer.lr", "5", "--smart.tasks", "sst", "--out", tmp_path / "other")
    assert code == 1
    assert "--optimizer.lr: no option of pretrain" in err
    assert "--smart.tasks: no option of pretrain" in err
    assert not (tmp_path / "other").exists()
