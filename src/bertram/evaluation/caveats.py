"""Caveats about a run's scores, for every place that shows them."""

from bertram.runs.decisions import read_decisions
from bertram.runs.directory import Run


def notes(run: Run) -> list[str]:
    """A sentence each."""
    sentences = []
    if run.config.encoder in ("minilm", "mpnet") and "quora" in run.config.tasks:
        sentences.append(
            f"{run.config.encoder} was pretrained on Quora pairs, so its Quora scores are not those of unseen data."
        )
    if run.config.data == "sample":
        sentences.append("The sample is a toy of the project's own sentences: its scores say nothing about methods.")
    if run.finished:
        sentences += run.record.cautions
    decisions = read_decisions(run.path)
    sentences += [] if decisions is None else decisions.notes()
    return sentences
