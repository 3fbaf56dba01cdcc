"""Caveats about a run's scores, for every place that shows them."""

from bertram.runs.decisions import read_decisions
from bertram.runs.directory import Run


def notes(run: Run, split: str = "dev") -> list[str]:
    """Caveats about the recorded scores of a run, or its kept predictions of a split, a sentence each."""
    decisions = read_decisions(run.path)
    return [*_notes(run), *(() if decisions is None else decisions.later_notes(split))]


def notes_on_new_scores(run: Run) -> list[str]:
    """Caveats about scores of what the run predicts now, a sentence each."""
    decisions = read_decisions(run.path)
    return [*_notes(run), *(() if decisions is None else decisions.notes())]


def _notes(run: Run) -> list[str]:
    sentences = []
    if run.config.encoder in ("minilm", "mpnet") and "quora" in run.config.tasks:
        sentences.append(
            f"{run.config.encoder} was pretrained on Quora pairs, so its Quora scores are not those of unseen data."
        )
    if run.config.data == "sample":
        sentences.append("The sample is a toy of the project's own sentences: its scores say nothing about methods.")
    if run.finished:
        sentences += run.record.cautions
    return sentences
