"""The training step of both sides: equal losses first, then times in turns, then peak memory."""

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.common import counting, timing
from benchmarks.common.peers import PeerStep
from benchmarks.common.side_by_side import Phase, Settings
from benchmarks.common.workload import VARIANTS, WITHOUT_PEER, Losses, Side, Workload
from benchmarks.training.memory import peak_memory
from bertram.data.examples import Batch
from bertram.model.pretrained import find, read_config

LOSS_TOLERANCE = 2e-5  # relative, dropout off, fp32
UPDATED_LOSS_TOLERANCE = 2e-3  # the peers' AdamW corrects its epsilon and decays every row of the table

Times = dict[tuple[str, str, str], list[float]]  # seconds of each round, by variant, side and precision


def agreement(work: Workload, settings: Settings) -> dict[str, Any]:
    """The losses of both sides on the same batches without dropout, before and after one update.

    Raises:
        RuntimeError: the losses differ.
    """
    figures: dict[str, Any] = {}
    for variant in VARIANTS:
        if variant in WITHOUT_PEER:
            continue
        bertram = settings.bertram_step(variant, work)
        peer = PeerStep(bertram.config, bertram.model.network)
        with bertram.without_dropout(), peer.without_dropout():
            losses = [(bertram.step(batches), peer.step(batches)) for batches in work.batches(variant)[:2]]
        before, after = (_relative_difference(*pair) for pair in losses)
        if before > LOSS_TOLERANCE or after > UPDATED_LOSS_TOLERANCE:
            raise RuntimeError(f"{variant}: the two sides do not compute the same losses: {losses}")
        figures[variant] = {"losses": losses[0][0], "apart": before, "apart_after_update": after}
        del bertram, peer
        gc.collect()
    return figures


def bf16_loss_difference(work: Workload, settings: Settings) -> float:
    """The largest relative difference between the losses of one step in bf16 and in fp32, without dropout."""
    losses = []
    for precision in ("bf16", "fp32"):
        bertram = settings.bertram_step("plain", work, precision)
        with bertram.without_dropout():
            losses.append(bertram.step(work.plain[0]))
    return _relative_difference(*losses)


def _relative_difference(losses: Losses, reference: Losses) -> float:
    """The largest relative difference of a task's losses, to two digits."""
    assert losses.keys() == reference.keys()
    return float(f"{max(abs(losses[task] - reference[task]) / abs(reference[task]) for task in losses):.2g}")


def steps(work: Workload, settings: Settings) -> dict[str, Any]:
    """Times of the training steps of all variants, sides and precisions in turns."""
    turns: dict[tuple[str, str, str], timing.Turn] = {}
    torchjd: dict[str, str] = {}
    for precision in settings.precisions:
        for variant in VARIANTS:
            bertram = settings.bertram_step(variant, work, precision)
            if variant not in WITHOUT_PEER:
                peer = PeerStep(bertram.config, bertram.model.network)
                if peer.surgery:
                    peer.choose_fastest_options(work.batches(variant)[0])
                    torchjd[f"{variant} {precision}"] = str(peer.torchjd_options)
                turns[variant, "theirs", precision] = _turn(peer, work.batches(variant))
            turns[variant, "ours", precision] = _turn(bertram, work.batches(variant))
        turns["floor", "ours", precision] = _floor_turn(work, settings, precision)
    times = timing.alternate(turns, settings.rounds, settings.warm_up)
    return {
        "rounds": settings.rounds,
        "torchjd": torchjd,
        "variants": {variant: _compared(variant, times, settings.precisions) for variant in VARIANTS},
        "floor": {precision: _floor(precision, work, settings, times) for precision in settings.precisions},
        "ours": {precision: _over_plain(precision, times) for precision in settings.precisions},
    }


def _turn(side: Side, batches: Sequence[Sequence[Batch]]) -> timing.Turn:
    return lambda number: side.step(batches[number % len(batches)])


def _floor_turn(work: Workload, settings: Settings, precision: str) -> timing.Turn:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    shape = read_config(find(settings.encoder))
    multiply = counting.matrix_products(shape, _per_step(work, counting.tokens_of), dtype)
    return lambda _: multiply()


def _per_step(work: Workload, count: Callable[[Sequence[Batch]], int]) -> int:
    """The mean of a count over the plain steps, rounded."""
    return round(sum(map(count, work.plain)) / len(work.plain))


def _compared(variant: str, times: Times, precisions: Sequence[str]) -> dict[str, Any]:
    """Both sides of a variant: each precision against itself, and the defaults of both sides."""
    figures: dict[str, Any] = {}
    for precision in precisions:
        own = times[variant, "ours", precision]
        figures[precision] = {"ours": timing.quartiles(own)}
        if variant not in WITHOUT_PEER:
            peer = times[variant, "theirs", precision]
            figures[precision] |= {"theirs": timing.quartiles(peer), "ratio": timing.ratio(peer, own)}
    if variant not in WITHOUT_PEER:
        default = precisions[-1]
        ratio = timing.ratio(times[variant, "theirs", "fp32"], times[variant, "ours", default])
        figures["default"] = {"ours": default, "theirs": "fp32", "ratio": ratio}
    return figures


def _floor(precision: str, work: Workload, settings: Settings, times: Times) -> dict[str, Any]:
    """The matrix products of a plain step alone, and the steps of both sides as multiples of them."""
    shape, seconds = read_config(find(settings.encoder)), times["floor", "ours", precision]
    tokens = _per_step(work, counting.tokens_of)
    sequences = _per_step(work, lambda batches: sum(len(batch.sequences) for batch in batches))
    flop = counting.step_flop(shape, tokens)
    spread = timing.quartiles(seconds)
    return {
        "tokens": tokens,
        "padded_tokens": _per_step(work, counting.padded_tokens_of),
        "gflop": round(flop / 1e9, 2),
        "gflop_of_our_step": round(counting.cls_only_flop(shape, tokens, sequences) / 1e9, 2),
        "seconds": spread,
        "gflop_per_second": round(flop / spread["median"] / 1e9, 1),
        "ours": timing.ratio(times["plain", "ours", precision], seconds),
        "theirs": timing.ratio(times["plain", "theirs", precision], seconds),
    }


def _over_plain(precision: str, times: Times) -> dict[str, Any]:
    """The cost of each technique on BERTram's side, as a multiple of its plain step."""
    plain = times["plain", "ours", precision]
    return {name: timing.ratio(times[name, "ours", precision], plain) for name in VARIANTS if name != "plain"}


PHASES: Mapping[str, Phase] = {
    "agreement": agreement,
    "bf16_loss_difference": bf16_loss_difference,
    "steps": steps,
    "memory": lambda work, settings: peak_memory(work, settings.encoder),
}
