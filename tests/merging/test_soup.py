"""A soup is the mean of its members' weights; a greedy one is never worse on dev than its best member."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertram import load, sample
from bertram.errors import RunError
from bertram.merging.ensemble import ensemble
from bertram.merging.soup import averaged, soup
from bertram.runs.directory import Run, read_predictions
from bertram.runs.record import write_record

WEIGHTS = "model/model.safetensors"


def silent(_: str) -> None:
    """Nobody listens."""


def test_weights_are_the_plain_mean(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    states = [{"a": torch.randn(3, 4, generator=generator), "b": torch.randn(1, generator=generator)} for _ in range(5)]
    paths = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for path, state in zip(paths, states, strict=True):
        save_file(state, path)
    for name, mean in averaged(paths).items():
        torch.testing.assert_close(mean, torch.stack([state[name] for state in states]).mean(0))


def test_a_uniform_soup_is_a_run_made_of_all_members(tiny_runs: Path, tmp_path: Path) -> None:
    members = [tiny_runs / "cross-0", tiny_runs / "cross-1"]
    made = soup(members, tmp_path / "soup", say=silent)
    first, second = (load_file(member / WEIGHTS) for member in members)
    for name, value in load_file(made.path / WEIGHTS).items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    merged = made.record["merged"]
    assert (merged["how"], merged["choice"], merged["left_out"]) == ("soup", "uniform: all runs", [])
    assert [one["run"] for one in merged["members"]] == [str(member) for member in members]
    assert [one["dev_overall"] for one in merged["members"]] == [
        Run(member).record["scores"]["dev"]["overall"]["value"] for member in members
    ]
    assert made.record["config_hash"] not in [Run(member).record["config_hash"] for member in members]


def test_it_has_the_cautions_of_its_members(tiny_runs: Path, tmp_path: Path) -> None:
    for name, cautions in (("cross-0", ["sst: a", "sts: b"]), ("cross-1", ["sts: b", "sts: c"])):
        shutil.copytree(tiny_runs / name, tmp_path / name)
        write_record(tmp_path / name, replace(Run(tiny_runs / name).record, cautions=cautions))
    made = soup([tmp_path / "cross-0", tmp_path / "cross-1"], tmp_path / "soup", say=silent)
    assert list(made.record.cautions) == ["sst: a", "sts: b", "sts: c"]


@pytest.mark.slow
def test_its_predictions_and_scores_are_those_of_its_model(tiny_runs: Path, tmp_path: Path) -> None:
    made = soup([tiny_runs / "cross-0", tiny_runs / "cross-1"], tmp_path / "soup", say=silent)
    kept = read_predictions(made.predictions("sts"))
    ids = [line["id"] for line in kept]
    assert ids == [line["id"] for line in read_predictions(Run(tiny_runs / "cross-0").predictions("sts"))]
    assert made.record["scores"]["dev"]["sts"]["pearson"]["n"] == len(ids) == made.config.evaluation.max_eval_samples
    lines = (sample.directory() / "sts-dev.csv").read_text(encoding="utf-8").splitlines()
    pairs = {fields[1]: (fields[2], fields[3]) for fields in (line.split("\t") for line in lines)}
    again = load(made).predict("sts", [pairs[one] for one in ids])
    assert [one.value for one in again] == pytest.approx([line["value"] for line in kept], abs=1e-5)


def test_a_soup_of_equal_runs_is_that_run(tiny_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_runs / "cross-0", tmp_path / "copy")
    made = soup([tiny_runs / "cross-0", tmp_path / "copy"], tmp_path / "soup", say=silent)
    before = Run(tiny_runs / "cross-0").record["scores"]["dev"]
    assert made.record["scores"]["dev"] == before
    for name, value in load_file(made.path / WEIGHTS).items():
        assert torch.equal(value, load_file(tiny_runs / "cross-0" / WEIGHTS)[name])


def test_greedy_leaves_out_what_makes_it_worse_and_says_on_what_it_was_chosen(tiny_runs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_runs / "cross-1", broken)
    state = {name: torch.full_like(value, 50.0) for name, value in load_file(broken / WEIGHTS).items()}
    save_file(state, broken / WEIGHTS)
    record = json.loads((broken / "record.json").read_text())
    record["scores"]["dev"]["overall"] = {"value": None, "ci95": None, "undefined": "broken"}  # so it is tried last
    del record["sha256"], record["files"]  # as before there were hashes
    (broken / "record.json").write_text(json.dumps(record))
    said: list[str] = []
    best = max(Run(tiny_runs / name).record["scores"]["dev"]["overall"]["value"] for name in ("cross-0", "cross-1"))
    made = soup([broken, tiny_runs / "cross-0", tiny_runs / "cross-1"], tmp_path / "soup", greedy=True, say=said.append)
    assert made.record["scores"]["dev"]["overall"]["value"] >= best
    assert str(broken) in [one["run"] for one in made.record["merged"]["left_out"]]
    assert len(said) == 3
    assert said[-1].startswith(f"with {broken}: dev overall ")
    assert said[-1].endswith(", left out")
    assert made.record["merged"]["choice"].startswith("greedy: the members were chosen by the dev overall")


def test_runs_of_another_shape_are_refused_with_what_differs(tiny_runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        soup([tiny_runs / "cross-0", tiny_runs / "bi-0"], tmp_path / "soup", say=silent)
    text = str(error.value)
    bi, cross = tiny_runs / "bi-0", tiny_runs / "cross-0"
    assert f"{bi}: tasks.quora.encoding is bi, but cross in {cross}" in text
    assert f"{bi}: tasks.sts.head is cosine, but linear in {cross}" in text
    assert not (tmp_path / "soup").exists()


def test_an_ensemble_is_refused_by_name(tiny_runs: Path, tmp_path: Path) -> None:
    members = [tiny_runs / "cross-0", tiny_runs / "cross-1"]
    made = ensemble(members, tmp_path / "together")
    with pytest.raises(RunError, match="together: an ensemble; a soup averages the weights of single models"):
        soup([members[0], made.path], tmp_path / "soup", say=silent)


def test_damaged_weights_are_named(tiny_runs: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_runs / "cross-1", damaged)
    changed = {name: 3 * value for name, value in load_file(damaged / WEIGHTS).items()}
    save_file(changed, damaged / WEIGHTS, metadata={"format": "pt"})
    merges: list[Callable[..., Run]] = [partial(soup, say=silent), ensemble]
    for merge in merges:
        with pytest.raises(RunError, match=r"damaged/model/model.safetensors: damaged: its SHA-256 is not"):
            merge([tiny_runs / "cross-0", damaged], tmp_path / "merged")
    write_record(damaged, replace(Run(damaged).record, files={}))  # as before there were hashes
    (damaged / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(RunError, match=r"damaged/model/model.safetensors: damaged, it cannot be read"):
        soup([tiny_runs / "cross-0", damaged], tmp_path / "soup", say=silent)
    save_file({"other": torch.zeros(1)}, damaged / WEIGHTS)
    with pytest.raises(RunError, match="its weights have other names or shapes"):
        soup([tiny_runs / "cross-0", damaged], tmp_path / "soup", say=silent)
    assert list(tmp_path.iterdir()) == [damaged]


@pytest.mark.slow
def test_what_a_member_adds_to_a_soup_is_its_score_minus_that_without_it(tiny_runs: Path, tmp_path: Path) -> None:
    paths = [tiny_runs / "cross-0", tiny_runs / "cross-1"]
    made = soup(paths, tmp_path / "soup", contributions=True, say=print).record
    assert made.merged is not None
    alone = Run(tiny_runs / "cross-1").record.scores.dev.overall.value or 0
    first, _ = made.merged.members
    assert first.contributions["overall"].value == pytest.approx((made.scores.dev.overall.value or 0) - alone, abs=1e-6)
    plain = soup(paths, tmp_path / "plain", say=print).record
    assert plain.merged is not None
    assert not plain.merged.members[0].contributions
    assert plain.scores == made.scores
