"""The rows differ in what the study says they differ in, and in nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bertram import options
from bertram.config import Config
from bertram.errors import BertramError, ConfigError
from bertram.minbert import catalogue, published
from bertram.minbert import rows as e
from bertram.model.outputs import output_of


def difference(one: Config, other: Config) -> dict[str, Any]:
    """Fields of `one` that `other` has not, or has otherwise; None where `one` has none."""
    mine, theirs = dict(options.leaves(options.dump(one))), dict(options.leaves(options.dump(other)))
    changed = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
    return {name: mine.get(name) for name in changed - {"recipe"}}


@pytest.mark.parametrize(
    ("row", "base", "changed"),
    [
        (e.e2, e.e4, {"model.freeze_encoder": True, "tasks.quora.trained": False, "tasks.quora.max_train_samples": None,
                      "tasks.sts.trained": False}),
        (e.e3, e.e4, {"tasks.sts.trained": False, "tasks.sts.loss": "cosine-mse"}),
        (e.e5, e.e4, {"tasks.sts.loss": "cosine-embedding"}),
        (e.e6, e.e4, {"smart.tasks": ["sst"], "smart.bregman": "momentum"}),
        (e.e7, e.e6, {"sampling.order": "worst-last"}),
        (e.e8, e.e6, {"sampling.order": "rotating", "surgery.method": "pcgrad", "surgery.frequency": "epoch",
                      "tasks.quora.max_train_samples": 9000}),
        (e.e9, e.e11, {"sampling.order": "joint"}),
        (e.e10, e.e8, {"tasks.sts.loss": "mse", "tasks.quora.max_train_samples": 8000, "sampling.epochs": 20}),
        (e.e11, e.e10, {"sampling.epochs": 10}),
        (e.e12, e.e9, {"surgery.frequency": "step", "tasks.sst.max_train_samples": 6040,
                       "tasks.quora.max_train_samples": 6040, "tasks.sts.max_train_samples": 6040}),
        (e.e13, e.e12, {}),
        (e.e14, e.e11, {"tasks.quora.max_train_samples": None}),
        (e.e6_literal, e.e6, {"smart.unit": "absolute", "smart.radius": 1e-5, "smart.noise_std": 1e-5,
                              "smart.step_size": 1e-3}),
        (e.smart_all_5, e.smart_all, {"smart.weight": 5.0}),
        (lambda: e.as_published(e.e4()), e.e4, {"tasks.quora.raw_cosine": True}),
    ],
)  # fmt: skip
def test_a_row_differs_in_these_fields_alone(
    row: Callable[[], Config], base: Callable[[], Config], changed: dict[str, Any]
) -> None:
    assert difference(row(), base()) == changed


def test_row_4_is_what_the_study_states() -> None:
    row = e.e4()
    assert (row.model.pooling, row.model.head_dropout) == ("cls", 0.3)
    assert (row.optimizer.lr, row.sampling.batch_size, row.sampling.epochs) == (1e-5, 8, 10)
    assert (row.sampling.order, list(row.tasks)) == ("sequential", ["sst", "quora", "sts"])
    assert row.tasks["quora"].max_train_samples == 8000
    for name in ("quora", "sts"):
        task = row.tasks[name]
        assert (task.encoding, task.head, task.raw_cosine) == ("bi", "cosine", False)
        assert task.trained_by == "binary-cross-entropy"


def test_the_published_overall_is_the_mean_of_the_published_scores() -> None:
    """A check of the figures against each other: the leaderboard's formula gives the overall they report."""
    found = [one.published for one in published.EXPERIMENTS.values() if one.published and one.published.overall]
    assert len(found) == 11
    for row in found:
        assert row.quora is not None
        assert row.sts is not None
        assert (row.sst + row.quora + (row.sts + 1) / 2) / 3 == pytest.approx(row.overall, abs=1.1e-3)


def test_a_cosine_as_logit_calls_every_pair_with_an_acute_angle_a_paraphrase() -> None:
    task = e.as_published(e.e4()).tasks["quora"]
    cosines = torch.tensor([-0.2, 0.01, 0.3, 0.9])
    assert (output_of(task).decide(output_of(task).meaning(cosines)) == 1).tolist() == [False, True, True, True]


def test_sweeps_share_their_middle_with_a_row() -> None:
    rows = {name: options.digest(one.config()) for name, one in published.EXPERIMENTS.items()}
    assert rows["rate-1e-5"] == rows["dropout-0.3"] == rows["epochs-10"] == rows["e11"]
    assert rows["epochs-20"] == rows["e10"]
    assert rows["e13"] == rows["e12"]
    assert len(set(rows.values())) == len(rows) - 5 - 2  # beside those, only rows 1 have a configuration of another


def test_selection() -> None:
    def names(text: str, **how: bool) -> list[str]:
        return [one.name for one in published.select(text, **how)]

    assert names("4,6,11-12") == ["e4", "e6", "e11", "e12"]
    assert names("1") == ["e1", "e1-yes"]
    assert names("6") == ["e6"]
    assert names("extra,4") == ["untouched", "untouched-mean", "e6-literal", "e6-smart-pytorch", "e4"]
    assert names("1-2,4,sentiment", published_logit=True) == ["e2-as-published", "e4-as-published"]
    assert names("e4-as-published") == ["e4-as-published"]
    assert len(names("all")) == len(published.EXPERIMENTS)
    with pytest.raises(BertramError, match="unknown name '15', '9-3', 'nothing'"):
        names("4,15,9-3,nothing")


def test_every_row_but_the_constant_ones_is_a_recipe_of_its_name() -> None:
    for name, one in published.EXPERIMENTS.items():
        if not one.constant:
            assert catalogue.recipe(name).recipe == name
            assert (catalogue.RECIPES[name].__doc__ or "").splitlines()[0].endswith((".", *"0123456789"))
    with pytest.raises(ConfigError, match="bertram reproduce"):
        catalogue.recipe("e1")
