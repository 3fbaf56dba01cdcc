"""The hash of everything that a run's predictions come from."""

import hashlib
from collections.abc import Mapping

from bertram.runs.decisions import DECISIONS
from bertram.runs.directory import Run
from bertram.runs.hashes import directory_hash


def model_hash(run: Run, known: Mapping[str, str] | None = None) -> str:
    """SHA-256 of weights, configuration, tokenizer, and of the temperature and thresholds fitted afterwards.

    Args:
        run: run of the model.
        known: SHA-256 by path, relative to the directory of the model, of files whose content is known.
    """
    sha256 = directory_hash(run.model, known)
    decisions = run.path / DECISIONS
    if not decisions.is_file():
        return sha256
    return hashlib.sha256(sha256.encode() + decisions.read_bytes()).hexdigest()
