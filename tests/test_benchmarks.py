"""The benchmark compares equal things and counts right; nothing here looks at a time."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("transformers")
pytest.importorskip("smart_pytorch")
pytest.importorskip("torchjd")

from benchmarks import __main__ as bench
from benchmarks.common import counting, peers, targets
from benchmarks.common import workload as ours
from benchmarks.growth import gpu_forecast as prediction
from benchmarks.growth import scaling as growth
from benchmarks.training import precision
from benchmarks.training import side_by_side as measure
from bertram.data.examples import Batch
from bertram.model.encoder import EncoderConfig
from tools import pages as tables

pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop"),  # torchjd's vmap over PyTorch's attention
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the peers
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SHAPE = EncoderConfig(hidden=32, layers=2, heads=4, intermediate=64, max_tokens=64)


@pytest.fixture(scope="module")
def settings(tiny_encoder: Path) -> measure.Settings:
    few = {"warm_up": 0, "rounds": 1, "passes": 1, "calls": 1, "sentences": 20}
    return measure.Settings("sample", str(tiny_encoder), memory=False, **few)


@pytest.fixture(scope="module")
def work(settings: measure.Settings) -> ours.Workload:
    return ours.workload(settings.data, settings.encoder, 2)


@pytest.fixture(scope="module")
def record(settings: measure.Settings) -> dict[str, Any]:
    pytest.importorskip("sentence_transformers")
    return bench.run(settings)


def test_both_sides_have_the_same_losses_before_and_after_an_update(record: dict[str, Any]) -> None:
    found = record["agreement"]
    assert found.keys() == {"plain", "smart", "pcgrad", "smart+pcgrad", "cross"}
    assert max(one["apart"] for one in found.values()) < 5e-6
    assert found["plain"]["apart_after_update"] < 1e-4  # the same gradients and, nearly, the same AdamW


def test_sides_that_differ_are_not_timed(
    settings: measure.Settings, work: ours.Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = peers.padded

    def without_mask(sequences: Any) -> dict[str, torch.Tensor]:
        inputs = right(sequences)
        return inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])}

    monkeypatch.setattr(peers, "padded", without_mask)
    with pytest.raises(RuntimeError, match="plain: the two sides do not compute the same"):
        measure.agreement(work, settings)


def test_torchjds_ways_differ_in_cost_only(settings: measure.Settings, work: ours.Workload) -> None:
    mine = measure.build_ours("smart+pcgrad", work, settings)
    weights = []
    for way in (peers.WAYS[0], peers.WAYS[-1]):
        side = peers.Peers(mine.config, mine.model.network, way)
        torch.manual_seed(0)  # the order of the projections and smart-pytorch's noise are drawn from it
        with side.without_dropout():
            side.step(work.plain[0])
        weights.append(torch.cat([p.detach().flatten() for p in side.network.parameters()]))
    # Adam's first step is lr * g / (|g| + eps): where g is around eps its rounding shows.
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-6)


def test_counted_operations_are_those_of_our_step(settings: measure.Settings, work: ours.Workload) -> None:
    mine, batches = measure.build_ours("plain", work, settings), work.plain[0]
    with FlopCounterMode(display=False) as counter:
        mine.step(batches)
    done = sum(n for name, n in counter.get_flop_counts()["Global"].items() if str(name) in ("aten.mm", "aten.addmm"))
    sequences = sum(len(batch.sequences) for batch in batches)
    counted = counting.first_only_flop(SHAPE, counting.tokens_of(batches), sequences)
    heads = 3 * 2 * 8 * SHAPE.hidden * 5  # forward and backward of the one linear head
    assert done == counted + heads
    assert counted < counting.step_flop(SHAPE, counting.tokens_of(batches))


def test_padding_is_counted_text_by_text_as_the_peers_pad() -> None:
    pair = Batch("quora", ("1", "2"), [([1] * length, [0] * length) for length in (3, 5, 7, 4)], None)  # 3|7 and 5|4
    assert counting.tokens_of([pair]) == 19
    assert counting.padded_tokens_of([pair]) == 2 * 5 + 2 * 7
    assert [tuple(peers.padded(one)["input_ids"].shape) for one in peers.texts(pair)] == [(2, 5), (2, 7)]


@pytest.mark.parametrize("rows", [None, 11])
def test_message_holds_every_gradient(rows: int | None, settings: measure.Settings, work: ours.Workload) -> None:
    learner = measure.build_ours("plain", work, settings).learner
    heads = [parameter for task in learner.network.tasks for parameter in learner.own(task)]
    numbers = sum(p.numel() for p in [*learner.shared, *heads])
    if rows is not None:
        numbers -= (SHAPE.vocabulary - rows) * SHAPE.hidden
    assert counting.message_bytes(SHAPE, rows, sum(p.numel() for p in heads)) == 4 * numbers


def test_launches_and_bytes_of_four_small_steps_give_those_of_a_larger_one(
    settings: measure.Settings, work: ours.Workload
) -> None:
    tasks = {name: one.task for name, one in work.data.train.items()}

    def stepper(layers: int) -> prediction.Stepper:
        learner = growth._learner(EncoderConfig(**{**vars(SHAPE), "layers": layers}), tasks, "fp32")
        return lambda batches: growth.step(learner, batches)

    counted = prediction.count(stepper, growth._drawn(work, 1), growth._drawn(work, 3))
    batches, step = growth._drawn(work, 6), stepper(4)
    step(batches)
    with prediction.Traffic() as traffic:
        step(batches)
    launches, moved = counted.of(4, batches)
    assert launches == pytest.approx(traffic.launches, rel=0.1)
    assert moved == pytest.approx(traffic.bytes, rel=0.2)


def test_record_has_its_form(record: dict[str, Any]) -> None:
    record = json.loads(json.dumps(record))
    assert set(record) == {
        "format", "finished", "host", "versions", "data", "encoder", "default_precision", "not_timed", "agreement",
        "bf16_loss_difference", "steps", "evaluation", "prediction", "targets", "minutes",
    }  # fmt: skip
    assert set(record["steps"]["variants"]) == set(ours.VARIANTS)
    assert ("bf16" in record["not_timed"]) == (record["default_precision"] == "fp32")
    for variant, found in record["steps"]["variants"].items():
        assert set(found["fp32"]) == ({"ours"} if variant in measure.OURS_ONLY else {"ours", "theirs", "ratio"})
        assert found["fp32"]["ours"].keys() == {"median", "low", "high"}
    assert record["bf16_loss_difference"] < 0.05
    assert str(Path.home()) not in json.dumps(record)


def test_every_target_names_something_that_a_record_has(record: dict[str, Any]) -> None:
    unmeasured = {one["what"] for one in targets.reached(record) if one["found"] is None}
    expected = {"peak memory with SMART and PCGrad, share of the peers'"}
    if "bf16" in record["not_timed"]:
        expected.add("plain step over the floor in bf16")
    assert unmeasured == expected


def test_tables_show_every_variant(record: dict[str, Any]) -> None:
    shown = tables.benchmark_tables(record)
    assert all(name in shown for name in tables.NAMES.values())
    assert shown.count("\n| ") > 20


def test_page_has_the_marks_that_tables_are_put_between() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    for mark in ("benchmark", "growth"):
        changed = tables.between(page, mark, "new")
        assert f"<!-- {mark}: begin -->\nnew\n<!-- {mark}: end -->" in changed
    with pytest.raises(ValueError, match="no marks"):
        tables.between("nothing", "benchmark", "new")


def test_growth_covers_its_series(tmp_path: Path) -> None:
    record = growth.run("sample", {"tiny": SHAPE}, rounds=1, largest=2e8)
    assert record["series"].keys() == {"batch size", "length", "tasks"}
    points = [p for series in record["series"].values() for several in series["points"].values() for p in several]
    assert all(counting.step_flop(SHAPE, p["tokens"]) <= 2e8 for p in points)
    assert [p["size"] for p in record["series"]["tasks"]["points"]["tiny, PCGrad"]] == list(growth.TASKS)
    assert "prediction, not a measurement" in tables.growth_tables(record)
    growth.plot(record, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_rounded_products_are_those_of_bf16_kernels() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 64, generator=generator).bfloat16().requires_grad_()
    weight = torch.randn(5, 64, generator=generator).bfloat16().requires_grad_()
    upstream = torch.randn(7, 5, generator=generator).bfloat16()
    rounded, kernel = precision.RoundedLinear.apply(x, weight), torch.nn.functional.linear(x, weight)
    ulp = 2.0**-7  # of a bf16 number, relative; sums in another order may round to the neighbour
    torch.testing.assert_close(rounded, kernel, rtol=ulp, atol=1e-6)
    for mine, theirs in zip(
        torch.autograd.grad(rounded, [x, weight], upstream),
        torch.autograd.grad(kernel, [x, weight], upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=ulp, atol=1e-6)
