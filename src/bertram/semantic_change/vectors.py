"""Usage vectors: the hidden states of the target's word pieces, every layer apart, inputs on disk by content."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertram.data.packing import pack
from bertram.data.tables import open_table
from bertram.data.tokenizer import Tokenizer
from bertram.errors import DataError, WeightsError
from bertram.label_spaces import as_text
from bertram.model.encoders import Encoder
from bertram.model.pretrained import find, read_with_tokenizer
from bertram.prediction.load import load
from bertram.prediction.model import Model
from bertram.runs.files import write_bytes
from bertram.semantic_change.usages import Usage
from bertram.semantic_change.windows import Window, windows

BATCH_TOKENS = 4096


@dataclass(frozen=True)
class UsageEncoder:
    """An encoder with its tokenizer.

    Attributes:
        name: name that the user gave.
        fingerprint: SHA-256 of the weights and the tokenizer.
    """

    name: str
    encoder: Encoder
    tokenizer: Tokenizer
    fingerprint: str

    def of(self, word: str) -> "UsageEncoder":  # noqa: ARG002 - one encoder for all words
        """The encoder of a word."""
        return self

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.encoder.layers)

    @property
    def max_tokens(self) -> int:
        """Most tokens of a sequence."""
        return self.encoder.config.max_tokens


@dataclass(frozen=True)
class FoldEncoders:
    """One encoder for each fold of words, trained without these words.

    Attributes:
        name: name that the user gave, with ``{fold}``.
        encoders: fold -> encoder.
        fold_of: word -> fold.
    """

    name: str
    encoders: Mapping[str, UsageEncoder]
    fold_of: Mapping[str, str]

    def of(self, word: str) -> UsageEncoder:
        """The encoder of a word.

        Raises:
            DataError: the word has no fold.
        """
        if word not in self.fold_of:
            raise DataError(f"the word {word!r} has no fold; give every word of the usages one")
        return self.encoders[self.fold_of[word]]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the encoders and of the words that each one reads."""
        known = {fold: encoder.fingerprint for fold, encoder in self.encoders.items()}
        return hashlib.sha256(json.dumps([known, dict(self.fold_of)], sort_keys=True).encode()).hexdigest()

    @property
    def layers(self) -> int:
        """Number of layers."""
        return min(encoder.layers for encoder in self.encoders.values())

    @property
    def max_tokens(self) -> int:
        """Most tokens of a sequence."""
        return min(encoder.max_tokens for encoder in self.encoders.values())


def load_fold_encoders(source: str, folds: Path) -> FoldEncoders:
    """The encoders of a study with words held out.

    Args:
        source: as `load_usage_encoder` takes it, with ``{fold}`` for the name of the fold.
        folds: table with the columns ``word`` and ``fold``.

    Raises:
        DataError: a fault of the table, no ``{fold}`` in the source, or encoders of different depth.
        WeightsError, RunError: an encoder is not found or damaged.
    """
    if "{fold}" not in source:
        raise DataError(f"--encoder {source}: with --folds it holds {{fold}}, such as runs/wic-{{fold}}")
    fold_of: dict[str, str] = {}
    with open_table(folds) as table:
        table.require(["word", "fold"])
        for record in table.read(["word", "fold"]):
            word, fold = (as_text(record.values.get(name)) for name in ("word", "fold"))
            if record.fault or not word or not fold:
                raise DataError(f"{folds}:{record.line}: {record.fault or 'the word or its fold is empty'}")
            if fold_of.setdefault(word, fold) != fold:
                raise DataError(f"{folds}:{record.line}: {word!r} is in two folds, {fold_of[word]} and {fold}")
    encoders = {fold: load_usage_encoder(source.replace("{fold}", fold)) for fold in sorted(set(fold_of.values()))}
    if len({encoder.layers for encoder in encoders.values()}) > 1:
        raise DataError(f"--encoder {source}: the folds' encoders differ in their number of layers")
    return FoldEncoders(source, encoders, fold_of)


def load_usage_encoder(source: str) -> UsageEncoder:
    """An encoder for usage vectors.

    Args:
        source: encoder as `bertram.load_encoder` takes it, or a run directory, whose trained encoder is used.

    Raises:
        WeightsError, RunError: not found or damaged; an ensemble, which has several encoders.
    """
    directory = Path(source).expanduser()
    if (directory / "config.toml").is_file():
        model = load(directory)
        if not isinstance(model, Model):
            raise WeightsError(f"{source}: an ensemble has several encoders; name one of its members")
        encoder, tokenizer = model.network.encoder, model.tokenizer
    else:
        directory = find(source)
        encoder, tokenizer = read_with_tokenizer(directory)
    return UsageEncoder(source, encoder, tokenizer, _fingerprint(encoder, tokenizer))


def usage_vectors(
    usages: Sequence[Usage], encoder: UsageEncoder, window: int, cache: Path, advance: Callable[[int], None]
) -> tuple[NDArray[np.float32], list[Usage], list[str]]:
    """The vectors of one word's usages; those that are on disk are not computed again.

    Args:
        usages: usages of one word.
        encoder: the encoder.
        window: most tokens of a window around the target.
        cache: directory of the vectors; a file is known by the content that it was made from.
        advance: told how many usages have been done.

    Returns:
        [n, layers, H], the n usages they belong to, and a line for each usage whose target has no place in a window.

    Raises:
        DataError: outputs that are not finite.
    """
    read, faults = windows(usages, encoder.tokenizer, window)
    pairs = [(usage, window_read) for usage, window_read in zip(usages, read, strict=True) if window_read is not None]
    inputs = [window_read for _, window_read in pairs]
    path = cache / f"{_file_name(usages[0].word)}-{_content(inputs, encoder)[:16]}.npy"
    vectors = _read(path, len(inputs), encoder)
    if vectors is None:
        vectors = encode(inputs, encoder.encoder, advance) if inputs else np.zeros((0, encoder.layers, 1), np.float32)
        if not np.isfinite(vectors).all():
            raise DataError(
                f"encoder {encoder.name}: its outputs for {usages[0].word!r} are not finite; damaged weights"
            )
        _write(path, vectors)
    else:
        advance(len(inputs))
    return vectors, [usage for usage, _ in pairs], faults


@torch.inference_mode()
def encode(inputs: Sequence[Window], encoder: Encoder, advance: Callable[[int], None]) -> NDArray[np.float32]:
    """Mean hidden states over the target's word pieces.

    Args:
        inputs: n windows.
        encoder: the encoder.
        advance: told how many windows have been done.

    Returns:
        [n, layers, H], first layer first.
    """
    vectors = np.empty((len(inputs), len(encoder.layers), encoder.config.hidden), np.float32)
    device = next(encoder.parameters()).device
    for chosen in _batches(inputs):
        batch = pack([inputs[index].token_ids for index in chosen]).to(device)
        starts = batch.starts[batch.inverse_order].tolist()  # of each window of `chosen` in packed order
        outputs = torch.stack(encoder.layer_outputs(batch), dim=1)  # [N, layers, H]
        for index, start in zip(chosen, starts, strict=True):
            pieces: Tensor = outputs[start + inputs[index].start : start + inputs[index].end]
            vectors[index] = pieces.float().mean(0).cpu().numpy()
        advance(len(chosen))
    return vectors


def _batches(inputs: Sequence[Window]) -> Iterator[list[int]]:
    """Indices of windows of similar length, at most `BATCH_TOKENS` tokens together."""
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(inputs)), key=lambda index: len(inputs[index].token_ids)):
        length = len(inputs[index].token_ids)
        if batch and tokens + length > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += length
    if batch:
        yield batch


def _fingerprint(encoder: Encoder, tokenizer: Tokenizer) -> str:
    digest = hashlib.sha256(tokenizer.to_json().encode())
    for name, parameter in encoder.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _content(inputs: Sequence[Window], encoder: UsageEncoder) -> str:
    read = json.dumps([[window.token_ids, window.start, window.end] for window in inputs])
    return hashlib.sha256(f"{encoder.fingerprint} {read}".encode()).hexdigest()


def _file_name(word: str) -> str:
    return re.sub(r"[^\w-]", "_", word)[:60]


def _read(path: Path, count: int, encoder: UsageEncoder) -> NDArray[np.float32] | None:
    """The vectors on disk, or None where there are none that are whole."""
    try:
        vectors = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    shape = (count, encoder.layers, encoder.encoder.config.hidden)
    return vectors if vectors.shape == shape and np.isfinite(vectors).all() else None


def _write(path: Path, vectors: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    write_bytes(path, buffer.getvalue())
