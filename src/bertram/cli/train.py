"""``bertram train``."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from bertram import options
from bertram.cli.settings import field_help, recipe_help, resolved
from bertram.config import Config
from bertram.errors import RunError
from bertram.runs.directory import read_config

EXAMPLES = """Examples:

  bertram train                          the embedded sample
  bertram train --data DIR --out RUN     the course's files
  bertram train --config mine.toml       your own tasks
  bertram train --resume --out RUN       go on after a crash

"""

app = App(name="train", help_epilogue=EXAMPLES + recipe_help() + field_help(), help_format="plaintext")


@app.default
def train(
    *given: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    recipe: str | None = None,
    config: Path | None = None,
    data: str | None = None,
    encoder: str | None = None,
    out: Path | None = None,
    seed: int | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train one model on several tasks.

    Any field of the configuration is an option by its dotted name, as listed below.

    Parameters
    ----------
    recipe
        What to start from, see below; default: best on the course's data, cross for own tasks and the sample.
    config
        A TOML file laid over the recipe. If it has task tables, exactly these tasks are trained.
    data
        A directory with the files, hub, or sample.
    encoder
        minilm, a directory in the Hugging Face layout, or a Hub id.
    out
        The run directory; it must not exist yet.
    seed
        Of everything that is random.
    resume
        Go on with the run in --out from its newest sound checkpoint.
    dry_run
        Show what would be trained, with an estimate of time and memory, and stop.
    """
    changes = (("data", data), ("encoder", encoder), ("seed", seed))
    asked = bool(recipe or config or given or any(value is not None for _, value in changes))
    if resume and out is None:
        raise RunError("--resume needs --out, the run directory to go on with")
    begun = resume and out is not None and (out / "config.toml").is_file()
    settings = read_config(out) if begun and out is not None else resolved(recipe, config, given, changes)
    if begun and asked and options.digest(settings) != options.digest(resolved(recipe, config, given, changes)):
        raise RunError(f"{out}: was started with other settings (config.toml there); resume it with --out alone")
    if dry_run:
        show_estimate(settings)
        return
    finished(settings, out, resume=resume)


def finished(settings: Config, out: Path | None, *, resume: bool) -> None:
    """Train, and show the scores."""
    from bertram.cli.progress import training_display  # noqa: PLC0415
    from bertram.cli.show import console, run_scores  # noqa: PLC0415  (torch loads only now)
    from bertram.training import processes  # noqa: PLC0415
    from bertram.training.train import train as train_model  # noqa: PLC0415

    if resume and out is not None and (out / "record.json").is_file():
        console().print(f"{out} is finished already")
    run = train_model(settings, out, resume=resume, display=training_display())
    if os.environ.get("RANK", "0") == "0":
        run_scores(run)
        console().print(f"run: {run.path}")
    processes.finish()


def show_estimate(settings: Config) -> None:
    """Show the tasks that would be trained, with an estimate of time and memory."""
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.cli.show_estimate import estimate_table  # noqa: PLC0415
    from bertram.training.estimate import estimate  # noqa: PLC0415

    console().print(estimate_table(settings, estimate(settings)))
