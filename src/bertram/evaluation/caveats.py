"""What a reader of a run's scores should know, wherever they are shown."""

from bertram.runs.directory import Run


def notes(run: Run) -> list[str]:
    """A sentence each."""
    said = []
    if run.config.encoder == "minilm" and "quora" in run.config.tasks:
        said.append("minilm has seen Quora pairs in its pretraining: its Quora scores are not those of unseen data.")
    if run.config.data == "sample":
        said.append("The sample is a toy of the project's own sentences: its scores say nothing about methods.")
    if run.finished:
        said += run.record.cautions
    return said
