"""Evaluation and prediction of both sides: equal outputs first, then times in turns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import timing
from benchmarks.common.peers import PeerStep, predictions, sentence_transformer
from benchmarks.common.side_by_side import Phase, Settings
from benchmarks.common.workload import Workload
from bertram.evaluation.evaluate import evaluate
from bertram.prediction.model import Model

OUTPUT_TOLERANCE = 1e-3  # probabilities, scores, coordinates of [CLS]
EVALUATION_BATCH = 64
PREDICTION_BATCH = 32  # default of sentence-transformers
LONGEST_LATENCY_TEXT = 128  # characters

Call = Callable[..., object]  # called with texts and, where there are many, batch_size
Turns = dict[tuple[str, str], timing.Turn]  # by side and precision


def evaluation(work: Workload, settings: Settings) -> dict[str, Any]:
    """Times of predicting the dev sets.

    Raises:
        RuntimeError: the outputs of the two sides differ.
    """
    dev = work.data.dev
    sides = {precision: settings.bertram_step("plain", work, precision) for precision in settings.precisions}
    peer = PeerStep(sides["fp32"].config, sides["fp32"].model.network).network.eval()
    for name, examples in dev.items():
        own = evaluate(sides["fp32"].model, {name: examples}, EVALUATION_BATCH).outputs[name]
        _check_equal("evaluation", own, predictions(peer, examples, EVALUATION_BATCH))

    def peer_turn(*, bf16: bool) -> timing.Turn:
        return lambda _: [predictions(peer, examples, EVALUATION_BATCH, bf16=bf16) for examples in dev.values()]

    def bertram_turn(model: Model) -> timing.Turn:
        return lambda _: evaluate(model, dev, EVALUATION_BATCH)

    turns: Turns = {}
    for precision, side in sides.items():
        turns["ours", precision] = bertram_turn(side.model)
        turns["theirs", precision] = peer_turn(bf16=precision == "bf16")
    times = _compared(turns, settings.passes, warm_up=0)
    return {"examples": {name: len(examples) for name, examples in dev.items()}, **times}


def prediction(work: Workload, settings: Settings) -> dict[str, Any]:
    """Latency of one sentence and throughput of many, from text on.

    Raises:
        RuntimeError: the sentence vectors of the two sides differ.
    """
    texts = (work.texts * -(-settings.sentences // len(work.texts)))[: settings.sentences]
    short = [text for text in texts if len(text) <= LONGEST_LATENCY_TEXT]
    peer = sentence_transformer(settings.encoder)
    models = {precision: settings.bertram_step("plain", work, precision).model for precision in settings.precisions}
    _check_equal("prediction", _cls_vectors(models["fp32"], short[:16]), torch.from_numpy(peer.encode(short[:16])))

    def latency_turn(predict: Call) -> timing.Turn:
        return lambda number: predict([short[number % len(short)]])

    def throughput_turn(predict: Call) -> timing.Turn:
        return lambda _: predict(texts, batch_size=PREDICTION_BATCH)

    calls: dict[tuple[str, str], Call] = {("theirs", "fp32"): partial(peer.encode, show_progress_bar=False)}
    calls |= {("ours", precision): partial(model.predict, "sst") for precision, model in models.items()}
    one_sentence = {key: latency_turn(predict) for key, predict in calls.items()}
    all_sentences = {key: throughput_turn(predict) for key, predict in calls.items()}
    return {
        "sentences": len(texts),
        "latency": _compared(one_sentence, settings.calls, settings.warm_up),
        "throughput": _compared(all_sentences, settings.passes, warm_up=0),
    }


def _cls_vectors(model: Model, texts: Sequence[str]) -> Tensor:
    """[CLS] vectors of some texts, [n, H]."""
    ids = [model.tokenizer.joined((piece,), model.max_tokens)[0] for piece in model.tokenizer.encode(texts)]
    return torch.stack([hidden[0] for hidden in model.network.encoder.hidden_states(ids)])


def _check_equal(phase: str, outputs: Tensor, peer_outputs: Tensor) -> None:
    difference = float((outputs - peer_outputs).abs().max())
    if not difference <= OUTPUT_TOLERANCE:
        raise RuntimeError(f"{phase}: the outputs of the two sides differ by {difference:.2g}")


def _compared(turns: Turns, rounds: int, warm_up: int) -> dict[str, Any]:
    """Times by side and precision, each precision against itself, and the defaults of both sides."""
    times = timing.alternate(turns, rounds, warm_up)
    figures: dict[str, Any] = {f"{side} {precision}": timing.quartiles(s) for (side, precision), s in times.items()}
    precisions = [precision for side, precision in times if side == "ours"]
    for precision in precisions:
        if ("theirs", precision) in times:
            figures[f"ratio {precision}"] = timing.ratio(times["theirs", precision], times["ours", precision])
    figures["ratio default"] = timing.ratio(times["theirs", "fp32"], times["ours", precisions[-1]])
    return figures


PHASES: Mapping[str, Phase] = {"evaluation": evaluation, "prediction": prediction}
