"""An ensemble's outputs are the mean of its members', whatever these are like inside."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.common.families import save_tokenizer
from tests.common.trainings import tiny_config

from bertram import load
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import RunError
from bertram.merging.ensemble import ensemble
from bertram.merging.merge import meaning, require_alike
from bertram.prediction.load import Ensemble
from bertram.runs.directory import Run
from bertram.runs.record import write_record
from bertram.tasks import QUORA, STS
from bertram.training.train import train

TEXTS = ["A dazzling show.", "The gym stole money from my account.", "It is a film."]
PAIRS = [("How do I remove red wine?", "How to get wine out?"), ("A b c", "Where do lemon trees bloom in the spring?")]


@pytest.mark.slow
def test_outputs_are_the_mean_of_members_that_encode_pairs_differently(tiny_runs: Path, tmp_path: Path) -> None:
    members = [tiny_runs / name for name in ("cross-0", "bi-0", "cross-1")]
    together = load(ensemble(members, tmp_path / "together"))
    assert isinstance(together, Ensemble)
    alone = [load(member) for member in members]
    for task, texts in (("sst", TEXTS), ("quora", PAIRS), ("sts", PAIRS)):
        several = [model.predict(task, texts) for model in alone]
        for number, found in enumerate(together.predict(task, texts)):
            own = [one[number] for one in several]
            if task == "sts":
                assert found.value == pytest.approx(sum(one.value for one in own) / 3, abs=1e-6)
                continue
            mean = torch.tensor([one.probabilities for one in own]).mean(0)
            assert found.probabilities == pytest.approx(mean.tolist(), abs=1e-6)
            assert found.value == int(mean.argmax())


def test_it_is_a_run_with_copies_of_its_members(tiny_runs: Path, tmp_path: Path) -> None:
    made = ensemble([tiny_runs / "cross-0", tiny_runs / "cross-1"], tmp_path / "together")
    found = {str(path.relative_to(made.path)) for path in made.path.rglob("*") if path.is_file()}
    model = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    assert found == {
        "config.toml",
        "record.json",
        "model/ensemble.json",
        *(f"model/member-{number}/{name}" for number in (0, 1) for name in model),
        *(f"predictions/dev/{task}.jsonl.gz" for task in ("sst", "quora", "sts")),
    }
    for number in (0, 1):
        ours = made.path / "model" / f"member-{number}" / "model.safetensors"
        assert ours.read_bytes() == (tiny_runs / f"cross-{number}" / "model" / "model.safetensors").read_bytes()
    single = Run(tiny_runs / "cross-0").record["parameters"]["all"]
    assert made.record["parameters"]["all"] == 2 * single


@pytest.mark.slow
def test_the_members_of_an_ensemble_count_one_each(tiny_runs: Path, tmp_path: Path) -> None:
    names = ("cross-0", "bi-0", "cross-1")
    two = ensemble([tiny_runs / names[0], tiny_runs / names[1]], tmp_path / "two")
    three = ensemble([two.path, tiny_runs / names[2]], tmp_path / "three")
    flat = ensemble([tiny_runs / name for name in names], tmp_path / "flat")
    assert json.loads((three.model / "ensemble.json").read_text())["members"] == ["member-0", "member-1", "member-2"]
    assert three.record["scores"] == flat.record["scores"]


@pytest.mark.slow
def test_runs_of_other_tasks_are_refused(tiny_encoder: Path, tiny_runs: Path, tmp_path: Path) -> None:
    other = {"sts": {"range": [0.0, 10.0]}, "quora": {"text_normalization": "plain"}}
    train(tiny_config(tiny_encoder, tasks=other, sampling={"epochs": 1}), tmp_path / "other")
    with pytest.raises(RunError) as error:
        ensemble([tiny_runs / "cross-0", tmp_path / "other"], tmp_path / "together")
    assert str(error.value).splitlines() == [
        f"{tmp_path / 'other'}: tasks.quora.text_normalization is plain, but course in {tiny_runs / 'cross-0'}",
        f"{tmp_path / 'other'}: tasks.sts.range is (0.0, 10.0), but (0.0, 5.0) in {tiny_runs / 'cross-0'}",
    ]


def test_a_member_that_reads_marked_targets_differs_from_one_that_reads_texts(tmp_path: Path) -> None:
    plain = STS.model_copy(update={"encoding": "bi", "head": "features"})
    with pytest.raises(RunError, match=r"b: tasks\.sts\.pooling is target, but None in a"):
        require_alike(
            {
                Path(name): meaning({"sts": plain.model_copy(update={"pooling": pooling})}, tmp_path)
                for name, pooling in (("a", None), ("b", "target"))
            }
        )


def test_members_whose_thresholds_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"b: tasks\.quora\.thresholds is \(0\.05,\), but \(0\.9,\) in a"):
        require_alike(
            {
                Path(name): meaning({"quora": QUORA.model_copy(update={"thresholds": (threshold,)})}, tmp_path)
                for name, threshold in (("a", 0.9), ("b", 0.05))
            }
        )


@pytest.mark.slow
def test_every_member_of_an_ensemble_is_looked_at(tiny_runs: Path, tmp_path: Path) -> None:
    made = ensemble([tiny_runs / "cross-0", tiny_runs / "bi-0"], tmp_path / "two")
    second = made.model / "member-1"
    (second / "vocab.txt").write_text((second / "vocab.txt").read_text().replace("\nthe\n", "\nthx\n"))
    write_record(made.path, replace(made.record, files={}))
    with pytest.raises(RunError) as error:
        ensemble([tiny_runs / "cross-1", made.path], tmp_path / "together")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{second}: vocab.txt is SHA-256 ")
    assert line.endswith(f" in {tiny_runs / 'cross-1'}")


def test_the_tokenizers_must_agree(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-1", tmp_path / "cased")
    settings_file = tmp_path / "cased" / "model" / "tokenizer_config.json"
    settings_file.write_text(settings_file.read_text().replace("true", "false", 1))
    write_record(tmp_path / "cased", replace(Run(tmp_path / "cased").record, files={}))
    with pytest.raises(RunError, match=r"tokenizer_config.json is SHA-256 \w+, but SHA-256 \w+ in"):
        ensemble([tiny_runs / "cross-0", tmp_path / "cased"], tmp_path / "together")


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "modernbert"])
def test_the_words_of_every_family_must_agree(family: str, tmp_path: Path) -> None:
    for name, text in (("a", "the good film"), ("b", "a bad play")):
        (tmp_path / name).mkdir()
        save_tokenizer(family, tmp_path / name, [text])
        load_tokenizer(tmp_path / name).save(tmp_path / f"{name}-of-a-model")
    load_tokenizer(tmp_path / "a-of-a-model").save(tmp_path / "a-of-a-model-again")
    a, again, b = (meaning({}, tmp_path / name) for name in ("a-of-a-model", "a-of-a-model-again", "b-of-a-model"))
    assert a == again != b


@pytest.mark.slow
def test_what_a_member_adds_is_the_score_minus_that_without_it(tiny_runs: Path, tmp_path: Path) -> None:
    names = ("cross-0", "bi-0", "cross-1")
    whole = ensemble([tiny_runs / name for name in names], tmp_path / "whole").record
    rest = ensemble([tiny_runs / "cross-0", tiny_runs / "cross-1"], tmp_path / "rest").record
    assert whole.merged is not None
    added = whole.merged.members[1].contributions
    assert added.keys() == {"sst", "quora", "sts", "overall"}
    scores = [record["scores"]["dev"] for record in (whole, rest)]
    for outcome, metric in (("sst", "accuracy"), ("quora", "accuracy"), ("sts", "pearson")):
        values = [dev[outcome][metric]["value"] for dev in scores]
        assert added[outcome].value == pytest.approx(values[0] - values[1], abs=1e-9)
    values = [dev["overall"]["value"] for dev in scores]
    assert added["overall"].value == pytest.approx(values[0] - values[1], abs=1e-9)
    low, high = added["sts"].ci95 or (0, 0)
    assert low < added["sts"].value < high
