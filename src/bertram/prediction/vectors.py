"""Vectors of texts from the encoder of a run: the mean over the tokens of the last hidden states."""

import io
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bertram.data.packing import pack
from bertram.data.tokenizer import Tokenizer
from bertram.errors import BertramError
from bertram.model.encoders import Encoder
from bertram.prediction.model import Model
from bertram.runs.files import write_bytes
from bertram.standard_streams import is_dash

WINDOW = 4096  # texts that are sorted by length and batched together
Vectors = NDArray[np.float32]


@torch.inference_mode()
def mean_vectors(
    encoder: Encoder, tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, batch_size: int = 64
) -> Vectors:
    """The mean of each text's last hidden states over its tokens, special tokens included, [n, H].

    Args:
        encoder: encoder, trained or not.
        tokenizer: tokenizer of the encoder.
        texts: texts as the encoder reads them.
        max_tokens: maximum sequence length in tokens; longer texts are truncated.
        batch_size: texts per batch.

    Raises:
        BertramError: a vector is not finite.
    """
    sequences = [tokenizer.joined([piece], max_tokens)[0] for piece in tokenizer.encode(texts)]
    order = np.argsort([len(sequence) for sequence in sequences], kind="stable")
    vectors = np.empty((len(texts), encoder.config.hidden), dtype=np.float32)
    for begin in range(0, len(order), batch_size):
        places = order[begin : begin + batch_size]
        packed = pack([sequences[place] for place in places]).to(encoder.word_embeddings.device)
        hidden = encoder(packed)
        total = hidden.new_zeros(len(packed), hidden.shape[1]).index_add(0, packed.sequence, hidden)
        vectors[places] = (total / packed.lengths[:, None])[packed.inverse_order].float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise BertramError("vectors are not finite; the model's weights are damaged, or its training diverged")
    return vectors


def normalized(vectors: Vectors) -> Vectors:
    """The vectors with length 1, [n, H]; a zero vector stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def embed_rows(
    model: Model, rows: Iterator[tuple[str, tuple[str, ...]]], *, normalize: bool = False, batch_size: int = 64
) -> tuple[list[str], Vectors]:
    """Ids and vectors of rows with one text each, in their order.

    Args:
        model: trained model.
        rows: id and text of each row.
        normalize: scale each vector to length 1.
        batch_size: texts per batch.
    """
    encoder = model.network.encoder
    ids: list[str] = []
    parts: list[Vectors] = []
    while window := list(itertools.islice(rows, WINDOW)):
        ids += [row_id for row_id, _ in window]
        texts = [text for _, (text,) in window]
        parts.append(mean_vectors(encoder, model.tokenizer, texts, model.max_tokens, batch_size))
    if not parts:
        return [], np.empty((0, encoder.config.hidden), dtype=np.float32)
    vectors = np.concatenate(parts)
    return ids, normalized(vectors) if normalize else vectors


def check_vector_path(path: Path) -> None:
    """Refuse a file that is neither .npy nor .parquet, nor - for standard output.

    Raises:
        BertramError: the file name has another ending.
    """
    if not is_dash(path) and path.suffix not in (".npy", ".parquet"):
        raise BertramError(f"{path}: vectors are written as .npy or .parquet")


def save_vectors(path: Path, ids: Iterable[str], vectors: Vectors) -> None:
    """Write vectors as .npy, [n, H] in the order of the rows, or as Parquet with the columns id and vector.

    Args:
        path: a file whose ending says its form, or - for .npy on standard output.
        ids: id of each vector, for Parquet.
        vectors: vectors [n, H].

    Raises:
        RunError: the file cannot be written; one that existed is then as it was.
        BertramError: the file name has another ending.
    """
    check_vector_path(path)
    if is_dash(path):
        np.save(sys.stdout.buffer, vectors)
        return
    content = io.BytesIO()
    if path.suffix == ".npy":
        np.save(content, vectors)
    else:
        import polars  # noqa: PLC0415 - slow to import, and needed for Parquet alone

        column = polars.Series(vectors, dtype=polars.Array(polars.Float32, vectors.shape[1]))
        polars.DataFrame({"id": list(ids), "vector": column}).write_parquet(content)
    write_bytes(path, content.getvalue())
