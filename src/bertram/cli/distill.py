"""``bertram distill``."""

import json
from itertools import takewhile
from pathlib import Path

from cyclopts import App

from bertram.cli.arguments import EstimateOnly, ResumeRun
from bertram.cli.layout import Words
from bertram.cli.settings import RECIPE_DEFAULTS, Configuration
from bertram.cli.train import chosen_settings, train_or_estimate
from bertram.errors import ConfigError, RunError
from bertram.options.command_line import pairs

EXAMPLES = """Examples:

  bertram distill A B C --data DIR --out RUN         from the mean of three runs
  bertram distill LARGE --recipe quick --out RUN     from a larger model
  bertram distill --resume --out RUN                 continue

Every field of the configuration is an option, as with bertram train; its
--help lists them. Those of distillation begin with --distill.
"""

USAGE = "Usage: bertram distill TEACHER... --out RUN [OPTIONS]"
FORM = "bertram distill TEACHER --out RUN"

app = App(name="distill", usage=USAGE, help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def distill(
    *teachers: Words,
    out: Path,
    base: Configuration = RECIPE_DEFAULTS,
    resume: ResumeRun = False,
    dry_run: EstimateOnly = False,
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
    """
    paths = list(takewhile(lambda word: not word.startswith("--"), teachers))
    words = list(teachers[len(paths) :])
    if paths:
        words += ["--distill.teachers", json.dumps(paths)]
    try:
        pairs(words)
    except ConfigError as error:
        raise ConfigError([f"{problem}; teachers come first: {FORM}" for problem in error.problems]) from None
    settings = chosen_settings(words, base, out, resume=resume)
    if not settings.distill.teachers:
        raise RunError(f"name a teacher: {FORM}")
    train_or_estimate(settings, out, resume=resume, dry_run=dry_run)
