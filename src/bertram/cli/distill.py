"""``bertram distill``."""

import json
from itertools import takewhile
from pathlib import Path

from cyclopts import App

from bertram.cli.layout import FileOrDash, Flag, Words
from bertram.cli.train import train
from bertram.errors import RunError

EXAMPLES = """Examples:

  bertram distill A B C --data DIR --out RUN         from the mean of three runs
  bertram distill LARGE --recipe quick --out RUN     from a larger model
  bertram distill --resume --out RUN                 continue

Every field of the configuration is an option, as with bertram train; its
--help lists them. Those of distillation begin with --distill.
"""

USAGE = "Usage: bertram distill TEACHER... --out RUN [OPTIONS]"

app = App(name="distill", usage=USAGE, help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def distill(
    *teachers: Words,
    out: Path,
    recipe: str | None = None,
    config: FileOrDash | None = None,
    data: str | None = None,
    encoder: str | None = None,
    seed: int | None = None,
    resume: Flag = False,
    dry_run: Flag = False,
) -> None:
    """Train one model on gold labels and on the outputs of trained models.

    Teachers are finished runs or ensembles, of any encoder and size, with the student's tasks and labels. Their outputs
    are computed once and kept.

    Parameters
    ----------
    teachers
        Run directories of the teachers, whose outputs are averaged.
    out
        Run directory to create.
    recipe
        Recipe to start from. Default: best for the course's data, cross for the sample and tasks of your own.
    config
        TOML file whose fields replace those of the recipe. If it has task tables, exactly these tasks are trained.
    data
        Directory with the data files; or hub (Hugging Face Hub), or sample (embedded). Default: sample.
    encoder
        minilm, mpnet, a directory in the Hugging Face layout, or a Hub id. Default: that of the recipe.
    seed
        Random seed. Default: 0.
    resume
        Continue the run in --out from its newest valid checkpoint.
    dry_run
        Print the configuration and an estimate of time and memory, without training.
    """
    paths = list(takewhile(lambda word: not word.startswith("--"), teachers))
    words = list(teachers[len(paths) :])
    if paths:
        words += ["--distill.teachers", json.dumps(paths)]
    elif config is None and not resume:
        raise RunError("name a teacher: bertram distill TEACHER --out RUN")
    train(
        *words,
        recipe=recipe,
        config=config,
        data=data,
        encoder=encoder,
        out=out,
        seed=seed,
        resume=resume,
        dry_run=dry_run,
    )
