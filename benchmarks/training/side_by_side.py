"""What is measured: that both sides compute the same, then how long each takes, in turns."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.common import counting, timing
from benchmarks.common.peers import Peers, predictions, sentence_transformer
from benchmarks.common.workload import VARIANTS, Ours, Workload, configuration
from bertram.evaluation.evaluate import evaluate
from bertram.model.pretrained import read_config

OURS_ONLY = ("smart on all",)
SAME_LOSS = 2e-5  # relative, dropout off, fp32
SAME_LOSS_AFTER_UPDATE = 2e-3  # the peers' AdamW corrects its epsilon and decays every row of the table
SAME_OUTPUT = 1e-3  # probabilities, scores, coordinates of [CLS]
EVALUATION_BATCH = 64
PREDICTION_BATCH = 32  # what sentence-transformers take by default
LONGEST_LATENCY_TEXT = 128  # characters


@dataclass(frozen=True)
class Settings:
    """How much is measured, and on what.

    Attributes:
        data: a directory, or ``sample``.
        encoder: as a run takes it.
        warm_up: rounds of training steps that do not count.
        rounds: of training steps that do.
        passes: over the dev sets and over the sentences to predict.
        calls: of the prediction of one sentence.
        sentences: predicted at once.
        memory: whether to measure it, in processes of their own.
    """

    data: str
    encoder: str
    warm_up: int
    rounds: int
    passes: int
    calls: int
    sentences: int
    memory: bool


def precisions() -> list[str]:
    """Those worth timing here."""
    return ["fp32"] if timing.why_not_bf16() else ["fp32", "bf16"]


def build_ours(variant: str, work: Workload, settings: Settings, precision: str = "fp32") -> Ours:
    """Our side of a variant."""
    config = configuration(variant, data=settings.data, encoder=settings.encoder, precision=precision)
    return Ours(config, work.data)


def agreement(work: Workload, settings: Settings) -> dict[str, Any]:
    """The losses of both sides on the same batches without dropout, before and after one update.

    Raises:
        RuntimeError: they differ.
    """
    found: dict[str, Any] = {}
    for variant in VARIANTS:
        if variant in OURS_ONLY:
            continue
        ours = build_ours(variant, work, settings)
        theirs = Peers(ours.config, ours.model.network)
        with ours.without_dropout(), theirs.without_dropout():
            steps = [(ours.step(batches), theirs.step(batches)) for batches in work.batches(variant)[:2]]
        apart = [_apart(mine, others) for mine, others in steps]
        if apart[0] > SAME_LOSS or apart[1] > SAME_LOSS_AFTER_UPDATE:
            raise RuntimeError(f"{variant}: the two sides do not compute the same: {steps}")
        found[variant] = {"losses": steps[0][0], "apart": apart[0], "apart_after_update": apart[1]}
        del ours, theirs
        gc.collect()
    return found


def _apart(mine: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    """The largest relative difference of a task's losses."""
    assert mine.keys() == theirs.keys()
    return float(f"{max(abs(mine[task] - theirs[task]) / abs(theirs[task]) for task in mine):.2g}")


def bf16_difference(work: Workload, settings: Settings) -> float:
    """How far the losses of one step in bf16 are from those in fp32, relative, without dropout."""
    losses = []
    for precision in ("fp32", "bf16"):
        ours = build_ours("plain", work, settings, precision)
        with ours.without_dropout():
            losses.append(ours.step(work.plain[0]))
    return _apart(losses[1], losses[0])


def steps(work: Workload, settings: Settings) -> dict[str, Any]:
    """Times of the training steps, of all variants, sides and precisions in turns."""
    turns: dict[str, Callable[[int], object]] = {}
    ways: dict[str, str] = {}
    for precision in precisions():
        for variant in VARIANTS:
            ours = build_ours(variant, work, settings, precision)
            if variant not in OURS_ONLY:
                theirs = Peers(ours.config, ours.model.network)
                if theirs.surgery:
                    theirs.take_fastest_way(work.batches(variant)[0])
                    ways[f"{variant} {precision}"] = str(theirs.way)
                turns[f"{variant}/theirs/{precision}"] = _turn(theirs, work, variant)
            turns[f"{variant}/ours/{precision}"] = _turn(ours, work, variant)
        tokens = round(sum(map(counting.tokens_of, work.plain)) / len(work.plain))
        products = counting.products(_shape(settings), tokens, _dtype(precision))
        turns[f"floor/ours/{precision}"] = lambda _, multiply=products: multiply()  # type: ignore[misc]
    times = timing.alternate(turns, settings.rounds, settings.warm_up)
    return {
        "rounds": settings.rounds,
        "torchjd": ways,
        "variants": {variant: _compared(variant, times) for variant in VARIANTS},
        "floor": {precision: _floor(precision, work, settings, times) for precision in precisions()},
        "ours": {precision: _among_ours(precision, times) for precision in precisions()},
    }


def _turn(side: Ours | Peers, work: Workload, variant: str) -> Callable[[int], object]:
    batches = work.batches(variant)
    return lambda number: side.step(batches[number % len(batches)])


def _dtype(precision: str) -> torch.dtype:
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _shape(settings: Settings) -> Any:
    from bertram.model.pretrained import find  # noqa: PLC0415

    return read_config(find(settings.encoder))


def _compared(variant: str, times: timing.Times) -> dict[str, Any]:
    """Both sides of a variant: each precision against itself, and what each takes by default."""
    default = precisions()[-1]
    found: dict[str, Any] = {}
    for precision in precisions():
        ours, theirs = times[f"{variant}/ours/{precision}"], times.get(f"{variant}/theirs/{precision}")
        found[precision] = {"ours": timing.spread(ours)}
        if theirs is not None:
            found[precision] |= {"theirs": timing.spread(theirs), "ratio": timing.ratio(theirs, ours)}
    if variant not in OURS_ONLY:
        found["default"] = {
            "ours": default,
            "theirs": "fp32",
            "ratio": timing.ratio(times[f"{variant}/theirs/fp32"], times[f"{variant}/ours/{default}"]),
        }
    return found


def _floor(precision: str, work: Workload, settings: Settings, times: timing.Times) -> dict[str, Any]:
    """The matrix products of a plain step alone, and how far our step is from them."""
    shape, seconds = _shape(settings), times[f"floor/ours/{precision}"]
    tokens = round(sum(map(counting.tokens_of, work.plain)) / len(work.plain))
    sequences = round(sum(len(batch.sequences) for one in work.plain for batch in one) / len(work.plain))
    flop = counting.step_flop(shape, tokens)
    median = timing.spread(seconds)["median"]
    return {
        "tokens": tokens,
        "padded_tokens": round(sum(map(counting.padded_tokens_of, work.plain)) / len(work.plain)),
        "gflop": round(flop / 1e9, 2),
        "gflop_of_our_step": round(counting.first_only_flop(shape, tokens, sequences) / 1e9, 2),
        "seconds": timing.spread(seconds),
        "gflop_per_second": round(flop / median / 1e9, 1),
        "ours": timing.ratio(times[f"plain/ours/{precision}"], seconds),
        "theirs": timing.ratio(times[f"plain/theirs/{precision}"], seconds),
    }


def _among_ours(precision: str, times: timing.Times) -> dict[str, Any]:
    """What a technique costs on our side, as a multiple of our plain step."""
    plain = times[f"plain/ours/{precision}"]
    return {v: timing.ratio(times[f"{v}/ours/{precision}"], plain) for v in VARIANTS if v != "plain"}


def evaluation(work: Workload, settings: Settings) -> dict[str, Any]:
    """Times of predicting the dev sets.

    Raises:
        RuntimeError: the two sides' outputs differ.
    """
    dev = work.data.dev
    sides = {precision: build_ours("plain", work, settings, precision) for precision in precisions()}
    theirs = Peers(sides["fp32"].config, sides["fp32"].model.network).network.eval()
    _same("evaluation", [
        (evaluate(sides["fp32"].model, {name: one}, EVALUATION_BATCH).outputs[name],
         predictions(theirs, one, EVALUATION_BATCH))
        for name, one in dev.items()
    ])  # fmt: skip
    turns: dict[str, Callable[[int], object]] = {}
    for precision, ours in sides.items():
        bf16 = precision == "bf16"
        turns[f"ours/{precision}"] = lambda _, model=ours.model: evaluate(model, dev, EVALUATION_BATCH)  # type: ignore[misc]
        turns[f"theirs/{precision}"] = lambda _, bf16=bf16: [  # type: ignore[misc]
            predictions(theirs, one, EVALUATION_BATCH, bf16=bf16) for one in dev.values()
        ]
    times = timing.alternate(turns, settings.passes, warm_up=0)
    return {"examples": {name: len(one) for name, one in dev.items()}, **_both_sides(times)}


def prediction(work: Workload, settings: Settings) -> dict[str, Any]:
    """Latency of one sentence and throughput of many, from text on.

    Raises:
        RuntimeError: the two sides' sentence vectors differ.
    """
    texts = (work.texts * -(-settings.sentences // len(work.texts)))[: settings.sentences]
    short = [text for text in texts if len(text) <= LONGEST_LATENCY_TEXT]
    theirs = sentence_transformer(settings.encoder)
    sides = {precision: build_ours("plain", work, settings, precision).model for precision in precisions()}
    _same("prediction", [(_vectors(sides["fp32"], short[:16]), torch.from_numpy(theirs.encode(short[:16])))])
    one: dict[str, Callable[[int], object]] = {
        "theirs/fp32": lambda number: theirs.encode(short[number % len(short)], show_progress_bar=False)
    }
    many: dict[str, Callable[[int], object]] = {
        "theirs/fp32": lambda _: theirs.encode(texts, batch_size=PREDICTION_BATCH, show_progress_bar=False)
    }
    for precision, model in sides.items():
        one[f"ours/{precision}"] = lambda number, m=model: m.predict("sst", [short[number % len(short)]])  # type: ignore[misc]
        many[f"ours/{precision}"] = lambda _, m=model: m.predict("sst", texts, PREDICTION_BATCH)  # type: ignore[misc]
    return {
        "sentences": len(texts),
        "latency": _both_sides(timing.alternate(one, settings.calls, settings.warm_up)),
        "throughput": _both_sides(timing.alternate(many, settings.passes, warm_up=0)),
    }


def _vectors(model: Any, texts: list[str]) -> torch.Tensor:
    """[CLS] of each text, [n, H]."""
    ids = [model.tokenizer.joined((piece,), model.max_tokens)[0] for piece in model.tokenizer.encode(texts)]
    return torch.stack([hidden[0] for hidden in model.network.encoder.hidden_states(ids)])


def _same(what: str, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    apart = max(float((mine - theirs).abs().max()) for mine, theirs in pairs)
    if not apart <= SAME_OUTPUT:
        raise RuntimeError(f"{what}: the two sides' outputs are {apart:.2g} apart")


def _both_sides(times: timing.Times) -> dict[str, Any]:
    """Spreads by side and precision, each precision against itself, and what each side takes by default."""
    found: dict[str, Any] = {name.replace("/", " "): timing.spread(seconds) for name, seconds in times.items()}
    for precision in precisions():
        if f"theirs/{precision}" in times:
            found[f"ratio {precision}"] = timing.ratio(times[f"theirs/{precision}"], times[f"ours/{precision}"])
    found["ratio default"] = timing.ratio(times["theirs/fp32"], times[f"ours/{precisions()[-1]}"])
    return found
