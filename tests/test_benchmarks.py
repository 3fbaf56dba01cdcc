"""The benchmarks compare equal things and count right, and each runs in its smallest setting."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.encoders import TINY
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("transformers")
pytest.importorskip("smart_pytorch")
pytest.importorskip("torchjd")

from benchmarks.common import counting, machine, peers, side_by_side, targets
from benchmarks.common import workload as workloads
from benchmarks.common.peers import PeerStep
from benchmarks.common.short_training import Plan, measure_and_write
from benchmarks.common.side_by_side import Settings
from benchmarks.common.workload import Workload
from benchmarks.growth import gpu_forecast, scaling
from benchmarks.prediction import phases as prediction
from benchmarks.smart import calibration
from benchmarks.smart import public_code as public_smart
from benchmarks.surgery import public_code as public_surgery
from benchmarks.training import compiled, families, memory, precision, row_multiples, techniques
from benchmarks.training import phases as training
from bertram.data.examples import Batch
from bertram.training.step import step
from tools import pages
from tools.comparison_tables import VARIANTS, comparison_tables
from tools.growth_tables import draw, growth_tables
from tools.markdown import between
from tools.serving_tables import serving_tables

pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop"),  # torchjd's vmap over PyTorch's attention
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the peers
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SHAPE = TINY
LARGE_VOCABULARY = replace(SHAPE, vocabulary=30_522)  # MiniLM's, whose token ids the growth series draws
MEASUREMENTS = {
    "smart": (public_smart, {"offset", "literal_radius", "dropout", "detached_targets"}),
    "calibration": (calibration, {"radius", "start", "trained_without", "trained_with"}),
    "surgery": (public_surgery, {"conflict_rate", "three_tasks", "mean_instead_of_sum"}),
}


@pytest.fixture(scope="module")
def settings(tiny_encoder: Path) -> Settings:
    precisions = ("fp32",) if machine.reason_against_bf16() else ("fp32", "bf16")
    return Settings("sample", str(tiny_encoder), precisions, warm_up=0, rounds=1, passes=1, calls=1, sentences=20)


@pytest.fixture(scope="module")
def work(settings: Settings) -> Workload:
    return workloads.workload(settings.data, settings.encoder, 2)


@pytest.fixture(scope="module")
def record(settings: Settings) -> dict[str, Any]:
    pytest.importorskip("sentence_transformers")
    phases = {**training.PHASES, **prediction.PHASES}
    del phases["memory"]  # tested on its own
    return side_by_side.run(settings, phases)


@pytest.mark.slow
def test_both_sides_have_the_same_losses_before_and_after_an_update(record: dict[str, Any]) -> None:
    agreement = record["agreement"]
    assert agreement.keys() == {"plain", "smart", "pcgrad", "smart+pcgrad", "cross"}
    assert max(losses["apart"] for losses in agreement.values()) < 5e-6
    assert agreement["plain"]["apart_after_update"] < 1e-4  # the same gradients and, nearly, the same AdamW


@pytest.mark.slow
def test_sides_that_differ_are_not_timed(settings: Settings, work: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    masked = peers.padded

    def without_mask(sequences: Any) -> dict[str, torch.Tensor]:
        inputs = masked(sequences)
        return inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])}

    monkeypatch.setattr(peers, "padded", without_mask)
    with pytest.raises(RuntimeError, match="plain: the two sides do not compute the same"):
        training.agreement(work, settings)


@pytest.mark.slow
def test_torchjds_options_differ_in_cost_only(settings: Settings, work: Workload) -> None:
    bertram = settings.bertram_step("smart+pcgrad", work)
    weights = []
    for choice in (peers.FIRST_OPTIONS, peers.LEAST_MEMORY_OPTIONS):
        side = PeerStep(bertram.config, bertram.model.network, choice)
        torch.manual_seed(0)  # the order of the projections and smart-pytorch's noise are drawn from it
        with side.without_dropout():
            side.step(work.plain[0])
        weights.append(torch.cat([p.detach().flatten() for p in side.network.parameters()]))
    # Adam's first step is lr * g / (|g| + eps): where g is around eps its rounding shows.
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-6)


def test_counted_operations_are_those_of_our_step(settings: Settings, work: Workload) -> None:
    bertram, batches = settings.bertram_step("plain", work), work.plain[0]
    with FlopCounterMode(display=False) as counter:
        bertram.step(batches)
    performed = sum(
        n for name, n in counter.get_flop_counts()["Global"].items() if str(name) in ("aten.mm", "aten.addmm")
    )
    sequences = sum(len(batch.sequences) for batch in batches)
    counted = counting.cls_only_flop(SHAPE, counting.tokens_of(batches), sequences)
    heads = 3 * 2 * 8 * SHAPE.hidden * 5  # forward and backward of the one linear head
    assert performed == counted + heads
    assert counted < counting.step_flop(SHAPE, counting.tokens_of(batches))


def test_padding_is_counted_text_by_text_as_the_peers_pad() -> None:
    pair = Batch("quora", ("1", "2"), [([1] * length, [0] * length) for length in (3, 5, 7, 4)], None)  # 3|7 and 5|4
    assert counting.tokens_of([pair]) == 19
    assert counting.padded_tokens_of([pair]) == 2 * 5 + 2 * 7
    assert [tuple(peers.padded(text)["input_ids"].shape) for text in peers.texts_of(pair)] == [(2, 5), (2, 7)]


@pytest.mark.parametrize("rows", [None, 11])
def test_message_holds_every_gradient(rows: int | None, settings: Settings, work: Workload) -> None:
    context = settings.bertram_step("plain", work).context
    numbers = sum(p.numel() for p in context.parameters.values())
    if rows is not None:
        numbers -= (SHAPE.vocabulary - rows) * SHAPE.hidden
    heads = [parameter for own in context.own.values() for parameter in own.values()]
    assert counting.message_bytes(SHAPE, rows, sum(p.numel() for p in heads)) == 4 * numbers


@pytest.mark.slow
def test_launches_and_bytes_of_four_small_steps_give_those_of_a_larger_one(
    work: Workload,
) -> None:
    tasks = {name: examples.task for name, examples in work.data.train.items()}

    def stepper(layers: int) -> gpu_forecast.Stepper:
        context = scaling.new_random_context(replace(SHAPE, layers=layers), tasks, "fp32")
        return lambda batches: step(context, batches)

    counted = gpu_forecast.count(stepper, scaling.drawn(work, 1), scaling.drawn(work, 4))
    batches, large_step = scaling.drawn(work, 8), stepper(4)
    large_step(batches)
    with gpu_forecast.Traffic() as traffic:
        large_step(batches)
    launches, moved = counted.of(4, batches)
    assert launches == pytest.approx(traffic.launches, rel=0.1)
    assert moved == pytest.approx(traffic.bytes, rel=0.2)


@pytest.mark.slow
def test_record_has_its_form(record: dict[str, Any]) -> None:
    record = json.loads(json.dumps(record))
    assert set(record) == {
        "format", "finished", "host", "versions", "data", "encoder", "default_precision", "not_timed", "agreement",
        "bf16_loss_difference", "steps", "evaluation", "prediction", "targets", "minutes",
    }  # fmt: skip
    assert set(record["steps"]["variants"]) == set(workloads.VARIANTS)
    for variant, figures in record["steps"]["variants"].items():
        alone = variant in workloads.WITHOUT_PEER
        assert set(figures["fp32"]) == ({"ours"} if alone else {"ours", "theirs", "ratio"})
        assert figures["fp32"]["ours"].keys() == {"median", "low", "high"}
    assert record["bf16_loss_difference"] < 0.05
    assert str(Path.home()) not in json.dumps(record)


@pytest.mark.slow
def test_every_target_names_something_that_a_record_has(record: dict[str, Any]) -> None:
    unmeasured = {state["what"] for state in targets.states(record) if state["found"] is None}
    expected = {"peak memory with SMART and PCGrad, share of the peers'"}
    if record["default_precision"] == "fp32":  # then bf16 is not measured
        expected |= {target.title for target in targets.TARGETS if target.title.endswith("bf16")}
    assert unmeasured == expected


@pytest.mark.slow
def test_tables_show_every_variant(record: dict[str, Any]) -> None:
    tables = comparison_tables(record)
    assert all(title in tables for title in VARIANTS.values())
    assert tables.count("\n| ") > 20


def test_pages_have_the_marks_that_tables_are_put_between() -> None:
    for section in pages.SECTIONS:
        page = (pages.DOCS / section.page).read_text(encoding="utf-8")
        changed = between(page, section.mark, "new")
        assert f"<!-- {section.mark}: begin -->\nnew\n<!-- {section.mark}: end -->" in changed
    with pytest.raises(ValueError, match="no marks"):
        between("nothing", "benchmark", "new")


def test_pages_show_the_newest_records() -> None:
    for section in pages.SECTIONS:
        record = section.record()
        page = (pages.DOCS / section.page).read_text(encoding="utf-8")
        shown = "" if record is None else section.tables(record)
        assert between(page, section.mark, shown) == page


@pytest.mark.slow
def test_growth_covers_its_series(tmp_path: Path) -> None:
    record = scaling.run("sample", {"tiny": LARGE_VOCABULARY}, rounds=1, largest=2e8)
    assert record["series"].keys() == {"batch size", "length", "tasks"}
    points = [p for series in record["series"].values() for line in series["points"].values() for p in line]
    assert all(counting.step_flop(SHAPE, p["tokens"]) <= 2e8 for p in points)
    assert [p["size"] for p in record["series"]["tasks"]["points"]["tiny, PCGrad"]] == list(scaling.TASKS)
    assert "prediction, not a measurement" in growth_tables(record)
    draw(record, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


@pytest.mark.slow
def test_memory_is_measured_for_each_side_in_its_own_process(settings: Settings, work: Workload) -> None:
    figures = memory.peak_memory(work, settings.encoder)
    assert figures.keys() == {"ours", "theirs", "theirs, saving memory"}
    assert all(side["peak"] >= side["before"] > 50 for side in figures.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurement_of_public_code_writes_its_record(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    module, figures = MEASUREMENTS[name]
    plan = Plan(batch_size=4, steps=1, head_steps=1, encoder=str(tiny_encoder))
    arguments = ["--data", "sample", "--out", str(tmp_path)]
    measure_and_write(module.measure, plan, module.__name__, module.__doc__, "record.json", arguments)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["script"] == module.__name__
    assert record["settings"]["steps"] == 1
    assert record["results"].keys() >= figures


@pytest.mark.slow
def test_row_multiples_are_measured_in_both_precisions() -> None:
    results = row_multiples.measure(row_multiples.Repetitions(batches=1, rounds=1, warm_up=0))
    assert results["any_over_filled"].keys() == {"bf16", "fp32"}
    assert results["fp32_over_bf16"].keys() == {"any", "filled"}
    assert len(results["seconds"]) == 4


@pytest.mark.slow
def test_techniques_are_set_against_the_plain_step() -> None:
    work = workloads.workload("sample", "minilm", 1)
    turns = techniques.turns(work, "sample", "fp32", batches=1)
    assert turns.keys() == {*techniques.VARIANTS, "watched", "watched exactly", "floor"}
    turns["watched"](0)
    turns["floor"](0)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_layers_that_are_compiled_compute_what_the_usual_ones_do(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # the parts as they are written
    work = workloads.workload("sample", "minilm", 1)
    results = compiled.measure(work, "sample", precision, 1, time.process_time)  # refuses losses that differ
    assert results.keys() == {"usual_over_compiled", "compiling_seconds", "run_usual_over_compiled", "seconds"}


TINY_SHAPE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40}


@pytest.mark.parametrize("family", families.FAMILIES)
def test_both_forms_of_each_family_are_timed_on_the_same_sequences(family: str, work: Workload) -> None:
    pair = families.random_pair(family, TINY_SHAPE)
    results = families.measure(pair, work.cross, ["fp32"], 1, time.process_time)
    assert results["apart"] < 1e-5
    assert results["fp32"].keys() == {"training", "prediction"}
    weights = dict(pair.encoder.named_parameters())
    assert {name for name, p in weights.items() if not p.requires_grad} == {"word_embeddings"}


def test_forms_that_differ_are_not_timed(work: Workload) -> None:
    pair = families.random_pair("bert", TINY_SHAPE)
    with torch.no_grad():
        pair.encoder.get_parameter("embedding_norm.bias").add_(1.0)
    with pytest.raises(RuntimeError, match="hidden states of both forms differ by"):
        families.measure(pair, work.cross, ["fp32"], 1, time.process_time)


@pytest.mark.slow
def test_precision_trains_each_variant_once(tiny_encoder: Path, tmp_path: Path) -> None:
    budget = {**precision.BUDGET, "evaluation": {"max_eval_samples": 8, "final_weights": "last"}}
    for _ in range(2):  # the second time there is nothing to train
        precision.run(tmp_path, [0], budget, data="sample", encoder=str(tiny_encoder), threads=1)
    assert {path.parent.name for path in tmp_path.glob("*/record.json")} == {f"{v}-seed0" for v in precision.VARIANTS}
    assert not list(tmp_path.glob("*/model"))


@pytest.mark.slow
def test_server_is_loaded_with_each_part(tiny_runs: Path) -> None:
    pytest.importorskip("uvicorn")
    from benchmarks.serving import load

    settings = load.Settings(
        tiny_runs / "bi-0", clients=2, seconds=0.2, hostile=12, stops=1, mixed=4, seconds_to_stop=0.2
    )
    record = load.run(settings)
    assert record["mixed"]["alive"]
    assert len(record["mixed"]["resident_mib"]) == 4
    small = record["largest"]["small"]
    assert small["failed"] == 0
    assert small["answered"] > 0
    assert all(turn["failed"] == 0 < turn["answered"] for name in load.BATCH_SIZES for turn in record["load"][name])
    assert record["hostile"]["alive"]
    assert sum(record["hostile"]["statuses"].values()) == 12
    assert (record["schema"]["alive"], record["schema"]["faults"]) == (True, [])
    assert (record["stop"]["lost"], record["stop"]["exit_codes"]) == (0, [0])
    assert "runs on" in serving_tables(record)


def test_rounded_products_are_those_of_bf16_kernels() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 64, generator=generator).bfloat16().requires_grad_()
    weight = torch.randn(5, 64, generator=generator).bfloat16().requires_grad_()
    upstream = torch.randn(7, 5, generator=generator).bfloat16()
    rounded = precision.RoundedLinear.apply(x, weight)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    kernel = torch.nn.functional.linear(x, weight)
    ulp = 2.0**-7  # of a bf16 number, relative; sums in another order may round to the neighbour
    torch.testing.assert_close(rounded, kernel, rtol=ulp, atol=1e-6)
    for mine, theirs in zip(
        torch.autograd.grad(rounded, [x, weight], upstream),
        torch.autograd.grad(kernel, [x, weight], upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=ulp, atol=1e-6)
